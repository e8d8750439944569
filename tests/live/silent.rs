//! A site of which nothing is heard any more, and what a real Prometheus shows of it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use crate::support::{
    Behavior, Endpoint, Lab, Link, NatsServer, Program, Prometheus, Proxy, Pushgateway, SiteTarget,
    Targets, Version, poller_config, receiver_config, run, value, wait_until,
};
use crate::{SCENARIO, SOON};

const TARGETS: usize = 3;

/// Series of each target, beside the count of its scrapes.
const SERIES: usize = 4;

/// Short, because every target is scraped each second.
const SITE_TIMEOUT: &str = "6s";

/// A site behind a link that can be cut, and a centre with a real Prometheus.
struct Stage {
    link: Proxy,
    targets: Targets,
    endpoint: Endpoint,
    prometheus: Prometheus,
    gateway: Pushgateway,
    receiver: Program,
    poller: Program,
    _nats: NatsServer,
}

impl Stage {
    async fn start(lab: &Lab) -> Self {
        let nats = NatsServer::start(lab, Version::Packaged).await;
        let link = Proxy::start(nats.port).await;
        let prometheus = Prometheus::start(lab).await;
        let gateway = Pushgateway::start(lab).await;
        let endpoint = Endpoint::start_before(&prometheus).await;
        let mut config = receiver_config(&nats.url());
        config["remote_write"] = json!([{
            "name": "prometheus",
            "url": endpoint.url(),
            "publisher_label": true,
        }]);
        config["push_gateway"] = json!({"url": gateway.url()});
        config["site_timeout"] = SITE_TIMEOUT.into();
        let receiver = Program::receiver(lab, config);
        let targets = Targets::start(vec![Behavior::Counters(SERIES); TARGETS]).await;
        let list = (0..TARGETS).map(|n| SiteTarget::new(name(n), targets.url(n)));
        let url = format!("nats://127.0.0.1:{}", link.port);
        let mut config = poller_config("USDC1", &url, &list.collect::<Vec<_>>());
        config["spool"] = json!({"dir": lab.folder("spool")});
        let poller = Program::poller(lab, config);
        Self {
            link,
            targets,
            endpoint,
            prometheus,
            gateway,
            receiver,
            poller,
            _nats: nats,
        }
    }

    async fn scraped(&self, times: u64) {
        let served = || -> Vec<u64> { (0..TARGETS).map(|n| self.targets.served(n)).collect() };
        let goals: Vec<u64> = served().iter().map(|served| served + times).collect();
        let limit = SOON + Duration::from_secs(4 * times);
        wait_until(limit, "the targets are scraped", async || {
            let served = served();
            if served
                .iter()
                .zip(&goals)
                .all(|(served, goal)| served >= goal)
            {
                Ok(())
            } else {
                Err(format!("{served:?} of {goals:?}"))
            }
        })
        .await;
    }

    /// Waits until the receiver and Prometheus both say whether the site is up.
    async fn says(&self, is_up: bool) {
        let wanted = f64::from(u8::from(is_up)).to_bits();
        wait_until(SOON, "the site changes", async || {
            let page = self.receiver.metrics().await?;
            let site = [("publisher", "USDC1")];
            let shown = page.sum("prometheus_streams_site_up", &site);
            let stored = self.at("prometheus_streams_site_up", None).await?;
            let values: Vec<f64> = stored.values().copied().collect();
            let is_stored = values.iter().map(|value| value.to_bits()).eq([wanted]);
            if shown.map(f64::to_bits) == Some(wanted) && is_stored {
                Ok(())
            } else {
                Err(format!("{shown:?}, {stored:?}"))
            }
        })
        .await;
    }

    /// Returns what an instant query finds, by labels; now or at a time in milliseconds.
    async fn at(&self, query: &str, time_ms: Option<i64>) -> Result<BTreeMap<String, f64>, String> {
        let found = self.prometheus.at(query, time_ms).await?;
        let found = found.into_iter();
        Ok(found
            .map(|(labels, value)| (format!("{labels:?}"), value))
            .collect())
    }

    /// Returns the time of each series' last sample of a name.
    async fn last(&self, series: &str) -> Result<Vec<(String, i64)>, String> {
        let stored = self.prometheus.samples(&format!("{series}[1h]")).await?;
        let of_site = stored.iter().filter(|(labels, _)| labels["job"] == "sim");
        let last = of_site
            .filter_map(|(labels, samples)| Some((labels["instance"].clone(), samples.last()?.0)));
        Ok(last.collect())
    }

    /// Checks that all series of each target end right behind its last scrape, `up` among them.
    async fn ends_behind_the_last_scrapes(&self) {
        let last = wait_until(SOON, "the series end", async || {
            let living = self.at("{job=\"sim\"}", None).await?;
            if living.is_empty() {
                self.last("up").await
            } else {
                Err(format!("{living:?}"))
            }
        })
        .await;
        assert_eq!(last.len(), TARGETS);
        for (instance, time_ms) in last {
            let all = format!("{{job=\"sim\",instance=\"{instance}\"}}");
            let before = self.at(&all, Some(time_ms)).await.unwrap();
            // The target's own, and five about the scrape.
            assert_eq!(before.len(), SERIES + 1 + 5, "{before:?}");
            let behind = self.at(&all, Some(time_ms + 1)).await.unwrap();
            assert!(behind.is_empty(), "{behind:?}");
        }
    }

    /// Waits until Prometheus has every scrape but some, with their values, none twice.
    async fn complete(&self, may_miss: &[u64]) {
        let served: Vec<u64> = (0..TARGETS).map(|n| self.targets.served(n)).collect();
        let stored = wait_until(SOON, "every scrape is stored", async || {
            let stored = self.prometheus.samples("sim_scrapes_total[1h]").await?;
            for (n, served) in served.iter().enumerate() {
                let mut all = stored.iter();
                let found = all.find(|(labels, _)| labels["instance"] == name(n));
                let numbers: Vec<u64> = found
                    .into_iter()
                    .flat_map(|(_, samples)| samples.iter().map(|(_, value)| count(*value)))
                    .collect();
                assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
                let missing: Vec<u64> = (1..*served)
                    .filter(|number| !numbers.contains(number) && !may_miss.contains(number))
                    .collect();
                if !missing.is_empty() {
                    return Err(format!("{}: {missing:?} missing", name(n)));
                }
            }
            Ok(stored)
        })
        .await;
        let values = self.prometheus.samples("sim_value[1h]").await.unwrap();
        assert_eq!(values.len(), TARGETS * SERIES);
        for (labels, samples) in &values {
            let series = labels["n"].parse().unwrap();
            let mut all = stored.iter();
            let (_, numbers) = all
                .find(|(of, _)| of["instance"] == labels["instance"])
                .unwrap();
            let numbers: BTreeMap<i64, f64> = numbers.iter().copied().collect();
            for (time, found) in samples {
                // Some came meanwhile.
                if let Some(number) = numbers.get(time) {
                    let expected = value(count(*number), series);
                    assert_eq!(found.to_bits(), expected.to_bits(), "{labels:?} at {time}");
                }
            }
        }
        let problems = self.endpoint.problems();
        assert!(problems.is_empty(), "{problems:?}");
        let rejected = self.receiver.metric("receiver_rejected_total", &[]).await;
        assert_eq!(count(rejected), 0);
    }

    async fn groups(&self, expected: usize) {
        wait_until(SOON, "the groups change", async || {
            let page = self.gateway.page().await?;
            let mut groups = 0;
            for n in 0..TARGETS {
                let instance = name(n);
                let labels = [("job", "sim"), ("instance", &*instance)];
                groups += usize::from(page.sum("sim_scrapes_total", &labels).is_some());
            }
            if groups == expected {
                Ok(())
            } else {
                Err(format!("{groups} groups"))
            }
        })
        .await;
    }
}

fn name(n: usize) -> String {
    format!("target{n}")
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small counts"
)]
fn count(value: f64) -> u64 {
    assert!(value.fract() == 0.0 && value >= 0.0, "{value} is no count");
    value as u64
}

#[test]
fn silent_a_killed_pollers_series_end_and_live_again_with_it() {
    run(SCENARIO, async |lab| {
        let mut stage = Stage::start(lab).await;
        stage.scraped(3).await;
        stage.says(true).await;
        stage.groups(TARGETS).await;
        let at_kill = stage.targets.served(0);
        stage.poller.kill();
        stage.says(false).await;
        stage.ends_behind_the_last_scrapes().await;
        stage.groups(0).await;
        stage.poller.restart(lab);
        stage.scraped(3).await;
        stage.says(true).await;
        stage.groups(TARGETS).await;
        // Two a second apart, and one that was under way; targets are scraped alike.
        let may_miss: Vec<u64> = (at_kill.saturating_sub(2)..=at_kill + 2).collect();
        stage.complete(&may_miss).await;
    });
}

#[test]
fn silent_a_backlog_that_comes_late_is_in_order() {
    run(SCENARIO, async |lab| {
        let stage = Stage::start(lab).await;
        stage.scraped(3).await;
        stage.says(true).await;
        stage.link.set(Link::Cut);
        stage.says(false).await;
        stage.ends_behind_the_last_scrapes().await;
        stage.scraped(2).await;
        stage.link.set(Link::Up);
        stage.says(true).await;
        stage.scraped(2).await;
        stage.complete(&[]).await;
        let silent = stage
            .receiver
            .metric("receiver_silent_targets_total", &[])
            .await;
        // The poller's own pages are a target, too; for two sinks.
        assert_eq!(count(silent), 2 * (TARGETS as u64 + 1));
    });
}

#[test]
fn silent_a_receiver_that_starts_again_knows_who_is_silent() {
    run(SCENARIO, async |lab| {
        let mut stage = Stage::start(lab).await;
        stage.scraped(3).await;
        stage.says(true).await;
        stage.poller.kill();
        stage.receiver.kill();
        stage.receiver.restart(lab);
        stage.says(false).await;
        stage.ends_behind_the_last_scrapes().await;
        // Once more, now that they have ended: the same is said again.
        stage.receiver.kill();
        stage.receiver.restart(lab);
        stage.says(false).await;
        stage.ends_behind_the_last_scrapes().await;
        let problems = stage.endpoint.problems();
        assert!(problems.is_empty(), "{problems:?}");
    });
}
