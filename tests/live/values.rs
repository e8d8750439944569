//! What a real exporter served is what real sinks show.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use crate::support::{
    Behavior, Endpoint, Lab, NatsServer, NodeExporter, Program, Prometheus, Pushgateway,
    SiteTarget, Targets, Version, VictoriaMetrics, poller_config, read, receiver_config, run,
    wait_until,
};
use crate::{SCENARIO, SOON};

/// Values by series, bit for bit, with all NaNs alike.
type Bits = BTreeMap<BTreeMap<String, String>, u64>;

#[test]
fn a_real_exporters_values_are_exact_in_every_real_sink() {
    run(SCENARIO, async |lab| exact(lab, Version::Packaged).await);
}

#[test]
fn a_real_exporters_values_are_exact_through_the_newest_server() {
    run(SCENARIO, async |lab| exact(lab, Version::Newest).await);
}

async fn exact(lab: &Lab, version: Version) {
    let nats = NatsServer::start(lab, version).await;
    let pushgateway = Pushgateway::start(lab).await;
    let prometheus = Prometheus::start(lab).await;
    let victoria = VictoriaMetrics::start(lab).await;
    // The page is fetched once: an exporter never serves the same values twice.
    let page = NodeExporter::start(lab).await.page().await;
    let expected = bits(read(&page).0);
    assert!(expected.len() > 200, "{} series", expected.len());
    let targets = Targets::start(vec![Behavior::Fixed(Arc::from(page.as_str()))]).await;

    let mut config = receiver_config(&nats.url());
    config["push_gateway"] = json!({"url": pushgateway.url(), "publisher_label": true});
    config["remote_write"] = json!([
        {"name": "prometheus", "url": prometheus.write_url(), "publisher_label": true},
        {"name": "victoria", "url": victoria.write_url(), "publisher_label": true},
    ]);
    let _receiver = Program::receiver(lab, config);
    let list = [SiteTarget::new("node1:9100", targets.url(0))];
    let _poller = Program::poller(lab, poller_config("USDC1", &nats.url(), &list));

    let target = [
        ("job", "sim"),
        ("instance", "node1:9100"),
        ("publisher", "USDC1"),
    ];
    wait_until(SOON, "the Pushgateway shows the values", async || {
        let mut shown = bits(pushgateway.page().await?.part(&target));
        // The gateway's own two series about the group.
        shown.retain(|labels, _| !labels["__name__"].starts_with("push_"));
        same(&expected, &shown)
    })
    .await;
    let spelled = spelled(&expected);
    wait_until(SOON, "Prometheus has the values", async || {
        let stored = prometheus.samples("{job=\"sim\"}[10m]").await?;
        same(&spelled, &newest(stored, &target))
    })
    .await;
    // VictoriaMetrics keeps some values as shortened decimals: what it makes of the page when it
    // is given the text itself is what it must make of our writes.
    victoria.import(&page, ("direct", "yes")).await;
    wait_until(SOON, "VictoriaMetrics has the values", async || {
        let direct = newest(
            victoria.samples("{direct=\"yes\"}").await?,
            &[("direct", "yes")],
        );
        if direct.len() < expected.len() {
            return Err(format!("{} imported series", direct.len()));
        }
        let stored = victoria.samples("{job=\"sim\"}").await?;
        same(&self::spelled(&direct), &newest(stored, &target))
    })
    .await;
}

#[test]
fn a_target_that_goes_down_leaves_no_dead_values_behind() {
    run(SCENARIO, async |lab| {
        let nats = NatsServer::start(lab, Version::Packaged).await;
        let pushgateway = Pushgateway::start(lab).await;
        let endpoint = Endpoint::start().await;
        let targets = Targets::start(vec![Behavior::Counters(2)]).await;
        let mut config = receiver_config(&nats.url());
        config["push_gateway"] = json!({"url": pushgateway.url(), "publisher_label": true});
        config["remote_write"] = json!([{"name": "recorder", "url": endpoint.url()}]);
        let _receiver = Program::receiver(lab, config);
        let list = [SiteTarget::new("mortal", targets.url(0))];
        let _poller = Program::poller(lab, poller_config("USDC1", &nats.url(), &list));
        let group = [
            ("job", "sim"),
            ("instance", "mortal"),
            ("publisher", "USDC1"),
        ];
        shows(&pushgateway, &group).await;
        drop(targets);
        hides(&pushgateway, &group).await;
        is_marked_stale(&endpoint, "mortal").await;
        let ups = endpoint.samples("up", "mortal");
        assert!(ups.last().is_some_and(|up| up.value == 0.0), "{ups:?}");
    });
}

#[test]
fn a_site_that_falls_silent_leaves_no_dead_values_in_the_pushgateway() {
    run(SCENARIO, async |lab| {
        let nats = NatsServer::start(lab, Version::Packaged).await;
        let pushgateway = Pushgateway::start(lab).await;
        let targets = Targets::start(vec![Behavior::Counters(2)]).await;
        let mut config = receiver_config(&nats.url());
        config["max_age"] = "4s".into();
        config["push_gateway"] = json!({"url": pushgateway.url(), "publisher_label": true});
        let _receiver = Program::receiver(lab, config);
        let list = [SiteTarget::new("silent", targets.url(0))];
        let mut poller = Program::poller(lab, poller_config("USDC1", &nats.url(), &list));
        let group = [
            ("job", "sim"),
            ("instance", "silent"),
            ("publisher", "USDC1"),
        ];
        shows(&pushgateway, &group).await;
        poller.kill();
        hides(&pushgateway, &group).await;
    });
}

#[test]
fn a_target_that_is_removed_leaves_no_dead_values_behind() {
    run(SCENARIO, async |lab| {
        let nats = NatsServer::start(lab, Version::Packaged).await;
        let pushgateway = Pushgateway::start(lab).await;
        let endpoint = Endpoint::start().await;
        let targets = Targets::start(vec![Behavior::Counters(2), Behavior::Counters(2)]).await;
        let mut config = receiver_config(&nats.url());
        config["push_gateway"] = json!({"url": pushgateway.url(), "publisher_label": true});
        config["remote_write"] = json!([{"name": "recorder", "url": endpoint.url()}]);
        let _receiver = Program::receiver(lab, config);
        let removed = SiteTarget::new("removed", targets.url(0));
        let list = [removed, SiteTarget::new("kept", targets.url(1))];
        let mut poller = Program::poller(lab, poller_config("USDC1", &nats.url(), &list));
        let group = |name| [("job", "sim"), ("instance", name), ("publisher", "USDC1")];
        shows(&pushgateway, &group("removed")).await;
        poller.terminate();
        poller.exited(SOON).await;
        let _poller = Program::poller(lab, poller_config("USDC1", &nats.url(), &list[1..]));
        hides(&pushgateway, &group("removed")).await;
        is_marked_stale(&endpoint, "removed").await;
        shows(&pushgateway, &group("kept")).await;
    });
}

#[test]
fn names_that_need_escaping_arrive_as_they_are() {
    run(SCENARIO, async |lab| {
        let nats = NatsServer::start(lab, Version::Packaged).await;
        let pushgateway = Pushgateway::start(lab).await;
        let prometheus = Prometheus::start(lab).await;
        let page = "# TYPE odd gauge\nodd{path=\"C:\\\\x\\n\\\"}\",city=\"Köln\"} -0.1\n\
                    odd{job=\"its own\"} 3\n";
        let targets = Targets::start(vec![Behavior::Fixed(Arc::from(page))]).await;
        let mut config = receiver_config(&nats.url());
        config["push_gateway"] = json!({"url": pushgateway.url(), "publisher_label": true});
        config["remote_write"] = json!([
            {"name": "prometheus", "url": prometheus.write_url(), "publisher_label": true},
        ]);
        let _receiver = Program::receiver(lab, config);
        let name = "http://[::1]:9100/a b?c=d&e=ü%2F";
        let list = [SiteTarget::new(name, targets.url(0))];
        let site = "dc 1.example/süd*>";
        let _poller = Program::poller(lab, poller_config(site, &nats.url(), &list));
        let target = [("job", "sim"), ("instance", name), ("publisher", site)];
        let odd = |more: &[(&str, &str)]| {
            let mut labels = BTreeMap::from([("__name__".to_owned(), "odd".to_owned())]);
            labels.extend(
                more.iter()
                    .map(|(key, value)| ((*key).to_owned(), (*value).to_owned())),
            );
            labels
        };
        let here = odd(&[("path", "C:\\x\n\"}"), ("city", "Köln")]);
        let own = odd(&[("exported_job", "its own")]);
        wait_until(SOON, "Prometheus has the values", async || {
            let stored = prometheus.samples("odd[10m]").await?;
            let found = newest(stored, &target);
            same(
                &bits(BTreeMap::from([(here.clone(), -0.1), (own.clone(), 3.0)])),
                &found,
            )
        })
        .await;
        wait_until(SOON, "the Pushgateway shows the values", async || {
            let shown = pushgateway.page().await?.part(&target);
            let expected = BTreeMap::from([(here.clone(), -0.1)]);
            let mut found = bits(shown);
            found.retain(|labels, _| expected.contains_key(labels));
            same(&bits(expected), &found)
        })
        .await;
    });
}

#[test]
fn explicit_timestamps_reach_prometheus_and_do_no_harm_to_a_pushgateway() {
    run(SCENARIO, async |lab| {
        let nats = NatsServer::start(lab, Version::Packaged).await;
        let pushgateway = Pushgateway::start(lab).await;
        let endpoint = Endpoint::start().await;
        let page = "timed 4 1000\nuntimed 5\n";
        let targets = Targets::start(vec![Behavior::Fixed(Arc::from(page))]).await;
        let mut config = receiver_config(&nats.url());
        config["push_gateway"] = json!({"url": pushgateway.url()});
        config["remote_write"] = json!([{"name": "recorder", "url": endpoint.url()}]);
        let _receiver = Program::receiver(lab, config);
        let list = [SiteTarget::new("t", targets.url(0))];
        let _poller = Program::poller(lab, poller_config("USDC1", &nats.url(), &list));
        wait_until(SOON, "the Pushgateway shows both", async || {
            let page = pushgateway.page().await?;
            let group = [("job", "sim"), ("instance", "t")];
            match (page.sum("timed", &group), page.sum("untimed", &group)) {
                (Some(4.0), Some(5.0)) => Ok(()),
                found => Err(format!("{found:?}")),
            }
        })
        .await;
        wait_until(SOON, "the sample keeps its time", async || {
            let samples = endpoint.samples("timed", "t");
            match samples.first() {
                Some(first) if first.time_ms == 1000 => Ok(()),
                first => Err(format!("{first:?}")),
            }
        })
        .await;
    });
}

/// Waits until the Pushgateway shows a group.
async fn shows(pushgateway: &Pushgateway, group: &[(&str, &str)]) {
    wait_until(SOON, "the group is there", async || {
        let shown = pushgateway.page().await?.part(group);
        if shown.is_empty() {
            Err("no group".to_owned())
        } else {
            Ok(())
        }
    })
    .await;
}

/// Waits until the Pushgateway shows a group no more.
async fn hides(pushgateway: &Pushgateway, group: &[(&str, &str)]) {
    wait_until(SOON, "the group is gone", async || {
        let shown = pushgateway.page().await?.part(group);
        if shown.is_empty() {
            Ok(())
        } else {
            Err(format!("{shown:?}"))
        }
    })
    .await;
}

/// Waits until a target's last sample is Prometheus's stale marker, which is one NaN among many.
async fn is_marked_stale(endpoint: &Endpoint, instance: &str) {
    wait_until(SOON, "the series are marked stale", async || {
        let samples = endpoint.samples("sim_scrapes_total", instance);
        match samples.last() {
            Some(last) if last.value.to_bits() == 0x7ff0_0000_0000_0002 => Ok(()),
            last => Err(format!("{last:?}")),
        }
    })
    .await;
}

/// Bounds and quantiles as Prometheus 3 stores them, whatever stores them here: `1.0` for `1`.
fn spelled(values: &Bits) -> Bits {
    let spell = |(labels, value): (&BTreeMap<String, String>, &u64)| {
        let mut labels = labels.clone();
        for name in ["le", "quantile"] {
            if let Some(bound) = labels.get_mut(name)
                && bound.parse::<i64>().is_ok()
            {
                bound.push_str(".0");
            }
        }
        (labels, *value)
    };
    values.iter().map(spell).collect()
}

/// Values by series: an empty label is no label, in every sink.
fn bits(values: BTreeMap<BTreeMap<String, String>, f64>) -> Bits {
    let bits = |value: f64| if value.is_nan() { f64::NAN } else { value }.to_bits();
    let mut all = Bits::new();
    for (mut labels, value) in values {
        labels.retain(|_, value| !value.is_empty());
        all.insert(labels, bits(value));
    }
    all
}

/// The newest value of each series that has these labels, without them and without the series
/// that a scrape adds.
fn newest(stored: crate::support::Stored, labels: &[(&str, &str)]) -> Bits {
    let mut values = BTreeMap::new();
    for (mut series, samples) in stored {
        let name = series["__name__"].clone();
        let has = |(key, value): &(&str, &str)| series.remove(*key).is_some_and(|v| v == *value);
        let is_ours = labels.iter().all(has) && name != "up" && !name.starts_with("scrape_");
        if let (true, Some((_, value))) = (is_ours, samples.last()) {
            values.insert(series, *value);
        }
    }
    bits(values)
}

/// Says where two sets of series differ.
fn same(expected: &Bits, found: &Bits) -> Result<(), String> {
    let missing = expected
        .keys()
        .filter(|labels| !found.contains_key(*labels));
    let surplus = found
        .keys()
        .filter(|labels| !expected.contains_key(*labels));
    let other = expected.iter().filter(|(labels, value)| {
        let found = found.get(*labels);
        found.is_some_and(|found| found != *value)
    });
    let (missing, surplus) = (missing.collect::<Vec<_>>(), surplus.collect::<Vec<_>>());
    let other = other.collect::<Vec<_>>();
    if missing.is_empty() && surplus.is_empty() && other.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{} missing such as {:?}, {} surplus such as {:?}, {} other such as {:?}",
        missing.len(),
        missing.first(),
        surplus.len(),
        surplus.first(),
        other.len(),
        other.first()
    ))
}
