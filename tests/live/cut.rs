//! Everything is cut or killed in turn, with a site and a centre in networks of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;

use crate::SOON;
use crate::support::{
    Behavior, CENTRE, Endpoint, Lab, NatsServer, Program, Prometheus, SiteTarget, Targets, Version,
    Wire, poller_config, read, receiver_config, run_apart, value, wait_until,
};

const TARGETS: usize = 5;

/// Series of each target, beside the count of its scrapes.
const SERIES: usize = 20;

/// Why Prometheus refuses what it has already, when it has younger scrapes too.
const REPEATED: (&str, &str) = ("reason", "out_of_order");

/// How long a scenario may take in all.
const SCENARIO: Duration = Duration::from_secs(600);

/// How long the link and the server are away, in seconds: longer than it takes to notice.
fn outage() -> u64 {
    if std::env::var_os("PROMETHEUS_STREAMS_SOAK").is_some() {
        60
    } else {
        10
    }
}

/// A site behind the link, and a centre with a real Prometheus.
struct Stage<'w> {
    wire: &'w Wire,
    nats: NatsServer,
    targets: Targets,
    endpoint: Endpoint,
    prometheus: Prometheus,
    receiver: Program,
    poller: Program,
    /// Whether the receiver was killed: what was in flight then is delivered once more.
    was_killed: bool,
}

impl<'w> Stage<'w> {
    async fn start(lab: &Lab, wire: &'w Wire, version: Version, interval: u64) -> Self {
        let nats = NatsServer::start_everywhere(lab, version).await;
        let prometheus = Prometheus::start(lab).await;
        let endpoint = Endpoint::start_before(&prometheus).await;
        let mut config = receiver_config(&nats.url());
        config["remote_write"] = json!([{"name": "prometheus", "url": endpoint.url()}]);
        config["max_age"] = "10m".into();
        let receiver = Program::receiver(lab, config);
        let listener = wire.site.inside(|| {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            listener
        });
        let listener = TcpListener::from_std(listener).unwrap();
        let targets = Targets::start_on(listener, vec![Behavior::Counters(SERIES); TARGETS]);
        let list = (0..TARGETS).map(|n| SiteTarget::new(name(n), targets.url(n)));
        let url = format!("nats://{CENTRE}:{}", nats.port);
        let mut config = poller_config("USDC1", &url, &list.collect::<Vec<_>>());
        config["spool"] = json!({"dir": lab.folder("spool")});
        config["scrape_interval"] = format!("{interval}s").into();
        let poller = wire.site.inside(|| Program::poller(lab, config));
        Self {
            wire,
            nats,
            targets,
            endpoint,
            prometheus,
            receiver,
            poller,
            was_killed: false,
        }
    }

    fn served(&self) -> Vec<u64> {
        (0..TARGETS).map(|n| self.targets.served(n)).collect()
    }

    async fn scraped(&self, times: u64) {
        let goals: Vec<u64> = self.served().iter().map(|served| served + times).collect();
        let limit = SOON + Duration::from_secs(4 * times);
        wait_until(limit, "the targets are scraped", async || {
            let served = self.served();
            let mut pairs = served.iter().zip(&goals);
            if pairs.all(|(served, goal)| served >= goal) {
                Ok(())
            } else {
                Err(format!("{served:?} of {goals:?}"))
            }
        })
        .await;
    }

    /// Adds up a series of the poller's own metrics; it is asked within its own network.
    fn of_poller(&self, name: &str, labels: &[(&str, &str)]) -> Result<f64, String> {
        let page = read(&self.wire.site.get(self.poller.monitor, "/metrics")?);
        Ok(page
            .sum(&format!("prometheus_streams_{name}"), labels)
            .unwrap_or(0.0))
    }

    async fn spool_is_empty(&self) {
        wait_until(SOON, "the spool is empty", async || {
            let frames = self.of_poller("poller_spool_frames", &[])?;
            let waiting = self.of_poller("poller_waiting_frames", &[])?;
            if frames + waiting == 0.0 {
                Ok(())
            } else {
                Err(format!("{frames} frames, {waiting} waiting"))
            }
        })
        .await;
    }

    /// Returns the numbers of each target's scrapes that Prometheus has, by their times.
    async fn stored(&self) -> Result<Vec<BTreeMap<i64, u64>>, String> {
        let samples = self.prometheus.samples("sim_scrapes_total[1h]").await?;
        let of_target = |n| {
            let mut all = samples.iter();
            let found = all.find(|(labels, _)| labels.get("instance") == Some(&name(n)));
            let samples = found.map_or(&[][..], |(_, samples)| samples.as_slice());
            samples.iter().map(|(time, value)| (*time, count(*value)))
        };
        Ok((0..TARGETS).map(|n| of_target(n).collect()).collect())
    }

    /// Waits until Prometheus has every scrape but those that may be missing, and checks that
    /// values belong together and that none came late or twice.
    async fn complete(&self, may_miss: &[BTreeSet<u64>]) {
        let served = self.served();
        let stored = wait_until(SOON, "every scrape is stored", async || {
            let stored = self.stored().await?;
            for n in 0..TARGETS {
                let numbers: BTreeSet<u64> = stored[n].values().copied().collect();
                // The last one may have been given up by the poller as it ended.
                let expected: BTreeSet<u64> = (1..served[n]).collect();
                let missing: BTreeSet<u64> = expected.difference(&numbers).copied().collect();
                if !missing.is_subset(&may_miss[n]) {
                    return Err(format!("{}: {missing:?} missing", name(n)));
                }
            }
            Ok(stored)
        })
        .await;
        let values = self.prometheus.samples("sim_value[1h]").await.unwrap();
        assert_eq!(values.len(), TARGETS * SERIES);
        for (n, numbers) in stored.iter().enumerate() {
            assert!(numbers.values().is_sorted_by(|a, b| a < b), "{numbers:?}");
            let of_target = |labels: &BTreeMap<String, String>| labels["instance"] == name(n);
            for (labels, samples) in values.iter().filter(|(labels, _)| of_target(labels)) {
                let series = labels["n"].parse().unwrap();
                let expected = numbers
                    .iter()
                    .map(|(time, number)| (*time, value(*number, series)));
                assert_eq!(samples, &expected.collect::<Vec<_>>(), "{labels:?}");
            }
        }
        // What Prometheus is asked for twice with different values, or too late, it refuses.
        let problems = self.endpoint.problems();
        assert!(problems.is_empty(), "{problems:?}");
        let refused = async |labels| {
            self.receiver
                .metric("receiver_rejected_total", labels)
                .await
        };
        let (all, repeated) = (refused(&[]).await, refused(&[REPEATED]).await);
        // It has every scrape as it was taken, as shown above: so what it refuses as older than the
        // last is what was in flight at a kill and came once more.
        let may_be_refused = if self.was_killed { repeated } else { 0.0 };
        assert_eq!(
            count(all + 1.0),
            count(may_be_refused + 1.0),
            "{}",
            self.receiver.log()
        );
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
    assert!(value.fract() == 0.0 && value > 0.0, "{value} is no count");
    value as u64
}

#[test]
fn nothing_is_lost_when_everything_dies_in_turn() {
    run_apart(SCENARIO, async |lab, wire| {
        dies(lab, wire, Version::Packaged).await;
    });
}

#[test]
fn nothing_is_lost_when_everything_beside_the_newest_server_dies_in_turn() {
    run_apart(SCENARIO, async |lab, wire| {
        dies(lab, wire, Version::Newest).await;
    });
}

async fn dies(lab: &Lab, wire: &Wire, version: Version) {
    let outage = outage();
    let mut stage = Stage::start(lab, wire, version, 1).await;
    stage.scraped(3).await;
    wire.cut(true);
    stage.scraped(outage).await;
    wire.cut(false);
    stage.scraped(3).await;
    stage.nats.stop();
    stage.scraped(outage / 2).await;
    // What was scraped within the last second may not have been closed into a frame yet.
    let at_kill = stage.served();
    stage.poller.kill();
    wire.site.inside(|| stage.poller.restart(lab));
    stage.scraped(outage / 2).await;
    stage.nats.restart(lab).await;
    stage.scraped(2).await;
    // While it catches up.
    stage.receiver.kill();
    stage.was_killed = true;
    stage.scraped(3).await;
    stage.receiver.restart(lab);
    stage.scraped(3).await;
    stage.spool_is_empty().await;
    stage.poller.terminate();
    assert!(stage.poller.exited(SOON).await.success());
    // Two a second apart, and one that was under way.
    let may_miss = at_kill
        .iter()
        .map(|kill| (kill.saturating_sub(1)..=kill + 1).collect());
    stage.complete(&may_miss.collect::<Vec<_>>()).await;
}

#[test]
fn the_books_balance_after_link_and_server_were_away() {
    run_apart(SCENARIO, async |lab, wire| {
        // Slow enough that now and then everything that was taken has arrived.
        let mut stage = Stage::start(lab, wire, Version::Packaged, 4).await;
        stage.scraped(2).await;
        wire.cut(true);
        stage.scraped(outage() / 4).await;
        wire.cut(false);
        stage.scraped(1).await;
        stage.nats.stop();
        stage.scraped(outage() / 4).await;
        stage.nats.restart(lab).await;
        stage.scraped(2).await;
        stage.spool_is_empty().await;
        wait_until(SOON, "the books balance", async || balance(&stage).await).await;
        stage.complete(&vec![BTreeSet::new(); TARGETS]).await;
    });
}

/// Compares what was taken, published, received and delivered, scrape by scrape.
async fn balance(stage: &Stage<'_>) -> Result<(), String> {
    let taken = stage.of_poller("poller_scrapes_total", &[])?;
    let published = stage.of_poller("poller_published_total", &[])?;
    let dropped = stage.of_poller("poller_dropped_total", &[])?;
    let of_receiver = |name: &'static str| stage.receiver.metric(name, &[]);
    let received = of_receiver("receiver_received_total").await;
    let delivered = of_receiver("receiver_delivered_total").await;
    // The poller scrapes itself as well.
    let of_targets = stage.of_poller("poller_scrapes_total", &[("job", "sim")])?;
    let served: u64 = stage.served().iter().sum();
    let taken_again = stage.of_poller("poller_scrapes_total", &[])?;
    let books = [taken, published, received, delivered, taken_again];
    let balanced = books.iter().all(|book| book.to_bits() == taken.to_bits());
    if balanced && dropped == 0.0 && count(of_targets) == served {
        Ok(())
    } else {
        Err(format!(
            "{books:?}, {dropped} dropped, {of_targets} of {served} served"
        ))
    }
}
