//! What a site keeps on disk while NATS is away.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    Behavior, Endpoint, Lab, NatsServer, Program, SiteTarget, Targets, Version, poller_config,
    receiver_config, run, wait_until,
};
use crate::{SCENARIO, SOON};

const TARGETS: usize = 3;

/// A site with a spool, a receiver, and a server that can go away.
struct Site {
    nats: NatsServer,
    targets: Targets,
    endpoint: Endpoint,
    poller: Program,
    _receiver: Program,
}

impl Site {
    /// Starts a site; `more` are targets beside those whose scrapes are counted.
    async fn start(lab: &Lab, version: Version, spool: &Value, more: Vec<Behavior>) -> Self {
        let nats = NatsServer::start(lab, version).await;
        let behaviors = [vec![Behavior::Counters(2); TARGETS], more].concat();
        let all = behaviors.len();
        let targets = Targets::start(behaviors).await;
        let endpoint = Endpoint::start().await;
        let mut config = receiver_config(&nats.url());
        config["remote_write"] = json!([{"name": "recorder", "url": endpoint.url()}]);
        let receiver = Program::receiver(lab, config);
        let poller = Program::poller(lab, site_config(&nats, &targets, all, spool));
        Self {
            nats,
            targets,
            endpoint,
            poller,
            _receiver: receiver,
        }
    }

    async fn scraped(&self, times: u64) {
        let goals: Vec<u64> = (0..TARGETS)
            .map(|n| self.targets.served(n) + times)
            .collect();
        wait_until(SOON, "the targets are scraped", async || {
            let served: Vec<u64> = (0..TARGETS).map(|n| self.targets.served(n)).collect();
            let is_done = served
                .iter()
                .zip(&goals)
                .all(|(served, goal)| served >= goal);
            if is_done {
                Ok(())
            } else {
                Err(format!("{served:?} of {goals:?}"))
            }
        })
        .await;
    }

    /// The numbers of a target's scrapes as they have arrived, in their order.
    fn arrived(&self, n: usize) -> Vec<u64> {
        let samples = self
            .endpoint
            .samples("sim_scrapes_total", &format!("target{n}"));
        let values = samples.into_iter().map(|sample| sample.value);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "small counts"
        )]
        values
            .filter(|value| !value.is_nan())
            .map(|value| value as u64)
            .collect()
    }

    /// Waits until all scrapes of a target have arrived but those that may be missing.
    async fn complete(&self, n: usize, may_miss: &BTreeSet<u64>) {
        // The last one may have been given up by the poller as it ended.
        let expected: BTreeSet<u64> = (1..self.targets.served(n)).collect();
        wait_until(SOON, "every scrape arrives", async || {
            let arrived: BTreeSet<u64> = self.arrived(n).into_iter().collect();
            let missing: BTreeSet<u64> = expected.difference(&arrived).copied().collect();
            if missing.is_subset(may_miss) {
                Ok(())
            } else {
                Err(format!("{missing:?} missing"))
            }
        })
        .await;
        let mut arrived = self.arrived(n);
        arrived.dedup();
        assert!(
            arrived.is_sorted_by(|a, b| a < b),
            "out of order: {arrived:?}"
        );
    }

    async fn dropped(&self, reason: &str) -> f64 {
        self.poller
            .metric("poller_dropped_total", &[("reason", reason)])
            .await
    }
}

fn site_config(nats: &NatsServer, targets: &Targets, all: usize, spool: &Value) -> Value {
    let list = (0..all).map(|n| SiteTarget::new(format!("target{n}"), targets.url(n)));
    let list: Vec<SiteTarget> = list.collect();
    let mut config = poller_config("USDC1", &nats.url(), &list);
    config["spool"] = spool.clone();
    config
}

#[test]
fn an_outage_is_kept_on_disk_across_a_kill_and_a_restart() {
    run(SCENARIO, async |lab| outage(lab, Version::Packaged).await);
}

#[test]
fn an_outage_of_the_newest_server_is_kept_on_disk() {
    run(SCENARIO, async |lab| outage(lab, Version::Newest).await);
}

async fn outage(lab: &Lab, version: Version) {
    let spool = json!({"dir": lab.folder("spool")});
    let mut site = Site::start(lab, version, &spool, Vec::new()).await;
    site.scraped(3).await;
    site.nats.stop();
    site.scraped(4).await;
    // What was scraped within the last second may not have been closed into a frame yet.
    let at_kill: Vec<u64> = (0..TARGETS).map(|n| site.targets.served(n)).collect();
    site.poller.kill();
    site.poller.restart(lab);
    wait_until(SOON, "the poller finds what it left", async || {
        let frames = site.poller.metric("poller_spool_frames", &[]).await;
        if frames > 0.0 {
            Ok(())
        } else {
            Err(format!("{frames} frames"))
        }
    })
    .await;
    site.scraped(3).await;
    // An orderly end while NATS is away keeps everything.
    let at_end: Vec<u64> = (0..TARGETS).map(|n| site.targets.served(n)).collect();
    site.poller.terminate();
    let status = site.poller.exited(SOON).await;
    assert!(status.success(), "{status}");
    assert!(
        site.poller.log().contains("frames stay in the spool"),
        "{}",
        site.poller.log()
    );
    site.poller.restart(lab);
    site.scraped(2).await;
    site.nats.restart(lab).await;
    site.scraped(3).await;
    wait_until(SOON, "the spool is empty", async || {
        let frames = site.poller.metric("poller_spool_frames", &[]).await;
        let spooled = site.poller.metric("poller_spooled_total", &[]).await;
        if frames == 0.0 && spooled > 0.0 {
            Ok(())
        } else {
            Err(format!("{frames} frames"))
        }
    })
    .await;
    for reason in [
        "spool_full",
        "spool_max_age",
        "spool_damaged",
        "spool_error",
        "buffer_full",
    ] {
        assert_eq!(
            site.dropped(reason).await.to_bits(),
            0.0_f64.to_bits(),
            "{reason}"
        );
    }
    site.poller.terminate();
    assert!(site.poller.exited(SOON).await.success());
    for n in 0..TARGETS {
        let kill = at_kill[n];
        // Two a second apart, and one that was under way; at the end one that was under way.
        let may_miss = (kill.saturating_sub(1)..=kill + 1).chain(at_end[n]..=at_end[n] + 1);
        site.complete(n, &may_miss.collect()).await;
    }
}

#[test]
fn a_full_spool_drops_the_oldest_and_counts_them() {
    run(SCENARIO, async |lab| {
        let spool = json!({"dir": lab.folder("spool"), "max_size": "16MB"});
        let page = incompressible(800_000);
        // Other labels at each scrape, so that it travels as text after some.
        let page = move |number: u64| page.replace("of=\"", &format!("of=\"{number}."));
        let bulk = vec![Behavior::Made(Arc::new(page)); 4];
        let mut site = Site::start(lab, Version::Packaged, &spool, bulk).await;
        site.scraped(2).await;
        site.nats.stop();
        wait_until(Duration::from_secs(90), "frames are dropped", async || {
            let dropped = site.dropped("spool_full").await;
            if dropped > 0.0 {
                Ok(())
            } else {
                Err(format!("{dropped} dropped"))
            }
        })
        .await;
        site.nats.restart(lab).await;
        wait_until(SOON, "the spool is empty", async || {
            let frames = site.poller.metric("poller_spool_frames", &[]).await;
            if frames == 0.0 {
                Ok(())
            } else {
                Err(format!("{frames} frames"))
            }
        })
        .await;
        for n in 0..TARGETS {
            let newest = site.targets.served(n);
            wait_until(SOON, "what is fresh arrives", async || {
                let last = site.arrived(n).last().copied().unwrap_or(0);
                if last >= newest {
                    Ok(())
                } else {
                    Err(format!("{last} of {newest}"))
                }
            })
            .await;
            let mut arrived = site.arrived(n);
            arrived.dedup();
            assert!(
                arrived.is_sorted_by(|a, b| a < b),
                "out of order: {arrived:?}"
            );
        }
    });
}

/// An exposition of about so many bytes that no compression makes much smaller.
fn incompressible(bytes: usize) -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut text = String::new();
    while text.len() < bytes {
        text.push_str("bulk{of=\"");
        for _ in 0..100 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            write!(text, "{state:016x}").unwrap();
        }
        text.push_str("\"} 1\n");
    }
    text
}

#[test]
fn two_pollers_cannot_share_a_spool() {
    run(SCENARIO, async |lab| {
        let folder = lab.folder("spool");
        let spool = json!({"dir": folder});
        let site = Site::start(lab, Version::Packaged, &spool, Vec::new()).await;
        site.scraped(1).await;
        let mut second =
            Program::poller(lab, site_config(&site.nats, &site.targets, TARGETS, &spool));
        let status = second.exited(SOON).await;
        assert_eq!(status.code(), Some(1));
        let log = second.log();
        assert!(log.contains(folder.to_str().unwrap()), "{log}");
        assert!(log.contains("another process"), "{log}");
    });
}
