//! What is scraped changes while the poller runs: by discovery, and by a reload.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{
    Behavior, Endpoint, Lab, NatsServer, Program, Targets, Version, poller_config, receiver_config,
    request, run, wait_until,
};
use crate::{SCENARIO, SOON};

/// Milliseconds from one scrape to the next: on a busy machine one may begin late, and then its true
/// time counts.
const BUSY: std::ops::Range<i64> = 900..1100;

/// The value that ends a series.
const STALE: u64 = 0x7ff0_0000_0000_0002;

/// A site whose poller can be told something new, and who writes down what arrives from it.
struct Site {
    nats: NatsServer,
    targets: Targets,
    endpoint: Endpoint,
    _receiver: Program,
}

impl Site {
    async fn start(lab: &Lab) -> Self {
        let nats = NatsServer::start(lab, Version::Packaged).await;
        let targets = Targets::start(vec![
            Behavior::Counters(2),
            Behavior::Counters(2),
            Behavior::Counters(2),
        ])
        .await;
        let endpoint = Endpoint::start().await;
        let mut config = receiver_config(&nats.url());
        config["remote_write"] = json!([
            {"name": "recorder", "url": endpoint.url(), "publisher_label": true},
        ]);
        let receiver = Program::receiver(lab, config);
        Self {
            nats,
            targets,
            endpoint,
            _receiver: receiver,
        }
    }

    /// A poller's configuration with these jobs.
    fn config(&self, scrape_configs: &Value) -> Value {
        let mut config = poller_config("USDC1", &self.nats.url(), &[]);
        config["jobs"].take();
        config["scrape_configs"] = scrape_configs.clone();
        config
    }

    /// A job with some of the targets, by their names and numbers.
    fn job(&self, name: &str, targets: &[(&str, usize)]) -> Value {
        let group = |(name, number): &(&str, usize)| {
            json!({
                "targets": [self.targets.address.to_string()],
                "labels": {"instance": name, "__metrics_path__": format!("/{number}")},
            })
        };
        json!({
            "job_name": name,
            "scrape_interval": "1s",
            "fallback_scrape_protocol": "PrometheusText0.0.4",
            "static_configs": targets.iter().map(group).collect::<Vec<_>>(),
        })
    }

    async fn is_scraped(&self, instance: &str) {
        self.endpoint.receives(instance, 2, SOON).await;
    }

    /// Waits for the stale marker, and checks that it has the time of the next scrape.
    async fn ends(&self, instance: &str) {
        wait_until(SOON, "the series end", async || {
            let samples = self.endpoint.samples("sim_scrapes_total", instance);
            match samples.as_slice() {
                [.., before, last] if last.value.to_bits() == STALE => {
                    let gap = last.time_ms - before.time_ms;
                    assert!(BUSY.contains(&gap), "{gap} ms: {samples:?}");
                    Ok(())
                }
                other => Err(format!("{:?}", other.last())),
            }
        })
        .await;
    }

    /// Checks that no scrape was skipped and that each was stamped when it was due.
    fn was_scraped_without_a_gap(&self, instance: &str) {
        let mut samples = self.endpoint.samples("sim_scrapes_total", instance);
        samples.retain(|sample| sample.value.to_bits() != STALE);
        for pair in samples.windows(2) {
            let (time, number) = (
                pair[1].time_ms - pair[0].time_ms,
                pair[1].value - pair[0].value,
            );
            let is_next = (0.5..1.5).contains(&number);
            assert!(BUSY.contains(&time) && is_next, "{samples:?}");
        }
    }
}

async fn was_successful(program: &Program) -> bool {
    program.metric("config_last_reload_successful", &[]).await > 0.5
}

/// Writes a file for file discovery.
fn write_targets(file: &Path, site: &Site, targets: &[(&str, usize)]) {
    let job = site.job("", targets);
    let text = job["static_configs"].to_string();
    // Written beside and moved, so that it is never seen half written.
    let draft = file.with_extension("draft");
    fs::write(&draft, text).unwrap();
    fs::rename(&draft, file).unwrap();
}

#[test]
fn targets_of_a_file_come_and_go_while_the_poller_runs() {
    run(SCENARIO, async |lab| {
        let site = Site::start(lab).await;
        let file = lab.file("targets", "json");
        write_targets(&file, &site, &[("one", 0), ("two", 1)]);
        let mut job = site.job("files", &[]);
        job["file_sd_configs"] = json!([{"files": [file.to_str().unwrap()]}]);
        let poller = Program::poller(lab, site.config(&json!([job])));
        site.is_scraped("one").await;
        site.is_scraped("two").await;
        write_targets(&file, &site, &[("one", 0), ("three", 2)]);
        site.is_scraped("three").await;
        site.ends("two").await;
        let metric = ("poller_targets", [("job", "files")]);
        let count = poller.metric(metric.0, &metric.1).await;
        assert!((1.5..2.5).contains(&count), "{count}");
        fs::remove_file(&file).unwrap();
        site.ends("one").await;
        site.ends("three").await;
        site.was_scraped_without_a_gap("one");
    });
}

#[test]
fn a_target_that_is_not_usable_is_told_once() {
    run(SCENARIO, async |lab| {
        let site = Site::start(lab).await;
        let file = lab.file("targets", "json");
        let bad = ("bad", "http://127.0.0.1/");
        let write = |good: &[(&str, usize)]| {
            let mut groups = site.job("", good)["static_configs"].clone();
            let group = json!({"targets": [bad.1], "labels": {"instance": bad.0}});
            groups.as_array_mut().unwrap().push(group);
            let draft = file.with_extension("draft");
            fs::write(&draft, groups.to_string()).unwrap();
            fs::rename(&draft, &file).unwrap();
        };
        write(&[("one", 0)]);
        let mut job = site.job("files", &[]);
        job["file_sd_configs"] = json!([{"files": [file.to_str().unwrap()]}]);
        let poller = Program::poller(lab, site.config(&json!([job])));
        site.is_scraped("one").await;
        write(&[("one", 0), ("two", 1)]);
        site.is_scraped("two").await;
        write(&[("one", 0), ("two", 1), ("three", 2)]);
        site.is_scraped("three").await;
        let log = poller.log();
        assert_eq!(log.matches("a target is not usable").count(), 1, "{log}");
        assert!(log.contains(bad.1), "{log}");
    });
}

#[test]
fn how_much_is_logged_follows_a_reload() {
    run(SCENARIO, async |lab| {
        let site = Site::start(lab).await;
        let mut config = site.config(&json!([site.job("stays", &[("one", 0)])]));
        config["debug"] = false.into();
        let poller = Program::poller(lab, config.clone());
        site.is_scraped("one").await;
        let is_debug = |log: &str| log.lines().any(|line| line.contains("DEBUG"));
        assert!(!is_debug(&poller.log()), "{}", poller.log());
        config["debug"] = true.into();
        poller.rewrite(config.clone());
        poller.hang_up();
        wait_until(SOON, "scrapes are logged", async || {
            let log = poller.log();
            is_debug(&log).then_some(()).ok_or(log)
        })
        .await;
        // Nothing was started anew for it.
        site.was_scraped_without_a_gap("one");
        config["debug"] = false.into();
        poller.rewrite(config);
        poller.hang_up();
        wait_until(SOON, "scrapes are not logged any more", async || {
            let served = site.targets.served(0);
            let lines = poller.log().lines().count();
            wait_until(SOON, "scrapes go on", async || {
                let is_on = site.targets.served(0) > served + 1;
                is_on.then_some(()).ok_or_else(|| "not yet".to_owned())
            })
            .await;
            let log = poller.log();
            let is_quiet = !log.lines().skip(lines).any(|line| line.contains("DEBUG"));
            is_quiet.then_some(()).ok_or(log)
        })
        .await;
    });
}

#[test]
fn a_hangup_reads_the_configuration_again() {
    run(SCENARIO, async |lab| {
        let site = Site::start(lab).await;
        let mut jobs = json!([
            site.job("stays", &[("one", 0)]),
            site.job("changes", &[("two", 1)]),
        ]);
        let poller = Program::poller(lab, site.config(&jobs));
        site.is_scraped("one").await;
        site.is_scraped("two").await;
        jobs[1]["metric_relabel_configs"] = json!([
            {"source_labels": ["__name__"], "regex": "sim_value", "action": "drop"},
            {"target_label": "added", "replacement": "by a rule"},
        ]);
        jobs.as_array_mut()
            .unwrap()
            .push(site.job("new", &[("three", 2)]));
        poller.rewrite(site.config(&jobs));
        poller.hang_up();
        site.is_scraped("three").await;
        wait_until(SOON, "series get the new label", async || {
            let has_label = site.endpoint.look(|series| {
                series.iter().any(|(labels, _)| {
                    labels["__name__"] == "sim_scrapes_total"
                        && labels
                            .get("added")
                            .is_some_and(|added| added == "by a rule")
                        && labels["instance"] == "two"
                })
            });
            has_label.then_some(()).ok_or_else(|| "not yet".to_owned())
        })
        .await;
        site.was_scraped_without_a_gap("one");
        assert!(was_successful(&poller).await);
    });
}

#[test]
fn a_bad_new_configuration_is_refused_as_a_whole() {
    run(SCENARIO, async |lab| {
        let site = Site::start(lab).await;
        let jobs = json!([site.job("stays", &[("one", 0)])]);
        let poller = Program::poller(lab, site.config(&jobs));
        site.is_scraped("one").await;
        let mut bad = json!([
            site.job("new", &[("two", 1)]),
            site.job("wrong", &[("three", 2)]),
        ]);
        bad[1]["scrape_timeout"] = "1h".into();
        poller.rewrite(site.config(&bad));
        poller.hang_up();
        let is_refused = async || {
            if was_successful(&poller).await {
                Err("the last reload was good".to_owned())
            } else {
                Ok(())
            }
        };
        wait_until(SOON, "the configuration is refused", is_refused).await;
        assert!(poller.log().contains("scrape_timeout"), "{}", poller.log());
        site.is_scraped("one").await;
        // What can be read and not be set up is refused as well.
        let mut bad = json!([
            site.job("stays", &[("one", 0)]),
            site.job("new", &[("two", 1)])
        ]);
        bad[1]["tls_config"] = json!({"ca_file": lab.path().join("nowhere.pem")});
        poller.rewrite(site.config(&jobs));
        poller.hang_up();
        wait_until(SOON, "the old one is good", async || {
            let was_successful = was_successful(&poller).await;
            was_successful
                .then_some(())
                .ok_or_else(|| "the last reload was bad".to_owned())
        })
        .await;
        poller.rewrite(site.config(&bad));
        poller.hang_up();
        wait_until(SOON, "the configuration is refused", is_refused).await;
        site.is_scraped("one").await;
        site.was_scraped_without_a_gap("one");
        assert_eq!(site.endpoint.samples("up", "two").len(), 0);
    });
}

#[test]
fn a_post_reloads_where_it_is_allowed() {
    run(SCENARIO, async |lab| {
        let site = Site::start(lab).await;
        let jobs = json!([site.job("stays", &[("one", 0)])]);
        let closed = Program::poller(lab, site.config(&jobs));
        let mut config = site.config(&jobs);
        config["identity"] = "USDC2".into();
        config["scrape_configs"][0]["static_configs"][0]["labels"]["instance"] = "two".into();
        let open = Program::poller_with(lab, config.clone(), &["--web.enable-lifecycle"]);
        site.is_scraped("one").await;
        site.is_scraped("two").await;
        let post = async |program: &Program| {
            let answer = request(program.monitor, "POST", "/-/reload", b"").await;
            answer.unwrap()
        };
        let (status, words) = post(&closed).await;
        assert_eq!(status, 403, "{words}");
        assert_eq!(post(&open).await.0, 200);
        open.rewrite_text("scrape_configs: 7");
        let (status, words) = post(&open).await;
        assert_eq!(status, 500, "{words}");
        assert!(words.contains("`scrape_configs`"), "{words}");
        config["scrape_configs"][0]["static_configs"][0]["labels"]["instance"] = "three".into();
        open.rewrite(config);
        assert_eq!(post(&open).await.0, 200);
        site.is_scraped("three").await;
        site.ends("two").await;
    });
}

#[test]
fn what_needs_a_new_start_is_started_anew() {
    run(SCENARIO, async |lab| {
        let site = Site::start(lab).await;
        let jobs = json!([site.job("stays", &[("one", 0)])]);
        let mut config = site.config(&jobs);
        let poller = Program::poller(lab, config.clone());
        site.is_scraped("one").await;
        let writes = async |publisher: &str| {
            wait_until(SOON, "the site writes by its name", async || {
                let found = site.endpoint.look(|series| {
                    let mut labels = series.keys();
                    labels.any(|labels| labels.get("publisher").is_some_and(|is| is == publisher))
                });
                found.then_some(()).ok_or_else(|| publisher.to_owned())
            })
            .await;
        };
        writes("USDC1").await;
        config["identity"] = "USDC9".into();
        poller.rewrite(config.clone());
        poller.hang_up();
        writes("USDC9").await;
        // A port that is taken keeps the new one from starting: the old one goes on.
        let taken = site.targets.address.port();
        let mut bad = config.clone();
        bad["identity"] = "USDC10".into();
        bad["monitor_port"] = taken.into();
        poller.rewrite_text(&bad.to_string());
        poller.hang_up();
        wait_until(SOON, "the new one cannot start", async || {
            let log = poller.log();
            let is_told = log.contains("the old one goes on");
            is_told.then_some(()).ok_or(log)
        })
        .await;
        let before = site.targets.served(0);
        wait_until(SOON, "the old one scrapes", async || {
            let served = site.targets.served(0);
            (served > before + 2)
                .then_some(())
                .ok_or_else(|| format!("{served} scrapes"))
        })
        .await;
        assert!(!was_successful(&poller).await);
    });
}
