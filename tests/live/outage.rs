//! Nothing is lost while a part is away, and what is too old is dropped and counted.

use std::time::Duration;

use serde_json::json;

use crate::fleet::{Fleet, Repeats, Scale};
use crate::support::{
    Answer, Behavior, Endpoint, Lab, Link, NatsServer, Program, Prometheus, Proxy, SiteTarget,
    Targets, Version, poller_config, receiver_config, run, wait_until,
};
use crate::{SCENARIO, SOON};

/// The `max_age` of the scenarios that outlast it.
const MAX_AGE: Duration = Duration::from_secs(3);

#[test]
fn every_scrape_of_many_sites_arrives_once_and_in_order() {
    run(SCENARIO, async |lab| {
        undisturbed(lab, Version::Packaged).await;
    });
}

#[test]
fn every_scrape_of_many_sites_arrives_through_the_newest_server() {
    run(SCENARIO, async |lab| {
        undisturbed(lab, Version::Newest).await;
    });
}

async fn undisturbed(lab: &Lab, version: Version) {
    let scale = Scale::from_environment();
    let nats = NatsServer::start(lab, version).await;
    let ends = Ends::start(lab).await;
    let _receiver = Program::receiver(lab, ends.receiver_config(&nats.url()));
    let mut fleet = Fleet::start(lab, &nats.url(), scale).await;
    fleet.scraped(scale.scrapes).await;
    fleet.stop().await;
    ends.have_all(&fleet, Repeats::None).await;
}

#[test]
fn nothing_is_lost_when_the_receiver_is_killed() {
    run(SCENARIO, async |lab| {
        receiver_killed(lab, Version::Packaged).await;
    });
}

#[test]
fn nothing_is_lost_when_the_receiver_is_killed_beside_the_newest_server() {
    run(SCENARIO, async |lab| {
        receiver_killed(lab, Version::Newest).await;
    });
}

async fn receiver_killed(lab: &Lab, version: Version) {
    let scale = Scale::from_environment();
    let nats = NatsServer::start(lab, version).await;
    let ends = Ends::start(lab).await;
    let mut receiver = Program::receiver(lab, ends.receiver_config(&nats.url()));
    let mut fleet = Fleet::start(lab, &nats.url(), scale).await;
    fleet.scraped(scale.scrapes / 3).await;
    receiver.kill();
    fleet.scraped(2).await;
    receiver.restart(lab);
    fleet.scraped(scale.scrapes / 3).await;
    // Killed where it has a lot in flight: while it catches up.
    receiver.kill();
    fleet.scraped(3).await;
    receiver.restart(lab);
    ends.reached().await;
    receiver.kill();
    receiver.restart(lab);
    fleet.scraped(scale.scrapes / 3).await;
    fleet.stop().await;
    ends.have_all(&fleet, Repeats::Identical).await;
}

#[test]
fn nothing_is_lost_while_the_endpoint_is_overloaded() {
    run(SCENARIO, async |lab| {
        let scale = Scale::from_environment();
        let nats = NatsServer::start(lab, Version::Packaged).await;
        let ends = Ends::start(lab).await;
        let _receiver = Program::receiver(lab, ends.receiver_config(&nats.url()));
        let mut fleet = Fleet::start(lab, &nats.url(), scale).await;
        fleet.scraped(scale.scrapes / 3).await;
        ends.set(Answer::Status(503));
        fleet.scraped(scale.outage).await;
        ends.set(Answer::Accept);
        fleet.scraped(scale.scrapes / 3).await;
        ends.set(Answer::Status(429));
        fleet.scraped(2).await;
        ends.set(Answer::Accept);
        fleet.stop().await;
        ends.have_all(&fleet, Repeats::None).await;
    });
}

#[test]
fn nothing_is_lost_when_nats_restarts() {
    run(SCENARIO, async |lab| {
        nats_restarts(lab, Version::Packaged).await;
    });
}

#[test]
fn nothing_is_lost_when_the_newest_nats_restarts() {
    run(SCENARIO, async |lab| {
        nats_restarts(lab, Version::Newest).await;
    });
}

async fn nats_restarts(lab: &Lab, version: Version) {
    let scale = Scale::from_environment();
    let mut nats = NatsServer::start(lab, version).await;
    let ends = Ends::start(lab).await;
    let _receiver = Program::receiver(lab, ends.receiver_config(&nats.url()));
    let mut fleet = Fleet::start(lab, &nats.url(), scale).await;
    fleet.scraped(scale.scrapes / 3).await;
    nats.stop();
    fleet.scraped(scale.outage).await;
    nats.restart(lab).await;
    fleet.scraped(scale.scrapes / 3).await;
    fleet.stop().await;
    // An acknowledgement that was lost with the server brings its frame a second time.
    ends.have_all(&fleet, Repeats::Identical).await;
}

#[test]
fn both_programs_wait_for_nats_and_say_so() {
    run(SCENARIO, async |lab| {
        let mut nats = NatsServer::prepare(lab, Version::Packaged);
        let endpoint = Endpoint::start().await;
        let targets = Targets::start(vec![Behavior::Counters(1)]).await;
        let list = [SiteTarget::new("early", targets.url(0))];
        let poller = Program::poller(lab, poller_config("USDC1", &nats.url(), &list));
        let mut config = receiver_config(&nats.url());
        config["remote_write"] = json!([{"name": "recorder", "url": endpoint.url()}]);
        let receiver = Program::receiver(lab, config);
        for program in [&poller, &receiver] {
            wait_until(SOON, "the program says that NATS is away", async || {
                let log = program.log();
                let says = log.contains("NATS") || log.contains("nats");
                if says { Ok(()) } else { Err(log) }
            })
            .await;
        }
        wait_until(SOON, "scraping begins without NATS", async || {
            let served = targets.served(0);
            if served >= 2 {
                Ok(())
            } else {
                Err(format!("{served} scrapes"))
            }
        })
        .await;
        nats.restart(lab).await;
        wait_until(SOON, "the first scrape arrives", async || {
            let samples = endpoint.samples("sim_scrapes_total", "early");
            let first = samples
                .iter()
                .any(|sample| sample.value.to_bits() == 1.0_f64.to_bits());
            if first {
                Ok(())
            } else {
                Err(format!("{samples:?}"))
            }
        })
        .await;
    });
}

#[test]
fn a_link_that_was_cut_longer_than_max_age_brings_only_what_is_fresh() {
    run(SCENARIO, async |lab| link_away(lab, Link::Cut).await);
}

#[test]
fn a_link_that_stood_still_longer_than_max_age_brings_only_what_is_fresh() {
    run(SCENARIO, async |lab| link_away(lab, Link::Stalled).await);
}

async fn link_away(lab: &Lab, link: Link) {
    let nats = NatsServer::start(lab, Version::Packaged).await;
    let proxy = Proxy::start(nats.port).await;
    let aging = Aging::start(lab, &nats, &proxy.url(), Behavior::Counters(1)).await;
    aging.arrives().await;
    proxy.set(link);
    let before = aging.targets.served(0);
    wait_until(SOON, "scrapes grow old", async || {
        let served = aging.targets.served(0);
        // One in a second: the first ones of these are older than `max_age` at the end.
        if served > before + 2 * MAX_AGE.as_secs() {
            Ok(())
        } else {
            Err(format!("{served}"))
        }
    })
    .await;
    proxy.set(Link::Up);
    aging.drops_the_old().await;
    aging.arrives().await;
    aging.never_delivered_old();
}

#[test]
fn a_poller_that_stood_still_longer_than_max_age_brings_only_what_is_fresh() {
    run(SCENARIO, async |lab| {
        let nats = NatsServer::start(lab, Version::Packaged).await;
        let slow = Behavior::Slow(Duration::from_millis(500));
        let aging = Aging::start(lab, &nats, &nats.url(), slow).await;
        aging.arrives().await;
        // Stopped in the middle of a scrape, so that one is bound to grow old.
        let before = aging.targets.served(0);
        wait_until(SOON, "a scrape begins", async || {
            if aging.targets.served(0) > before {
                Ok(())
            } else {
                Err(String::new())
            }
        })
        .await;
        aging.poller.pause();
        tokio::time::sleep(MAX_AGE * 2).await;
        aging.poller.resume();
        aging.drops_the_old().await;
        aging.arrives().await;
        aging.never_delivered_old();
    });
}

/// One target, one poller and a receiver with a `max_age`.
struct Aging {
    targets: Targets,
    poller: Program,
    receiver: Program,
    endpoint: Endpoint,
}

impl Aging {
    async fn start(lab: &Lab, nats: &NatsServer, link: &str, behavior: Behavior) -> Self {
        let endpoint = Endpoint::start().await;
        let mut config = receiver_config(&nats.url());
        config["max_age"] = MAX_AGE.as_secs().into();
        config["remote_write"] = json!([{"name": "recorder", "url": endpoint.url()}]);
        let receiver = Program::receiver(lab, config);
        let targets = Targets::start(vec![behavior]).await;
        let list = [SiteTarget::new("aging", targets.url(0))];
        let poller = Program::poller(lab, poller_config("USDC1", link, &list));
        Self {
            targets,
            poller,
            receiver,
            endpoint,
        }
    }

    /// Waits until a scrape arrives that begins from now on.
    async fn arrives(&self) {
        let goal = self.targets.served(0) + 2;
        wait_until(SOON, "a fresh scrape arrives", async || {
            let samples = self.endpoint.samples("sim_scrapes_total", "aging");
            let newest = samples
                .iter()
                .map(|sample| sample.value)
                .fold(0.0, f64::max);
            #[expect(clippy::cast_precision_loss, reason = "counts of a short run")]
            let has = newest >= goal as f64;
            if has {
                Ok(())
            } else {
                Err(format!("{newest} of {goal}"))
            }
        })
        .await;
    }

    /// Waits until the receiver has counted something as too old.
    async fn drops_the_old(&self) {
        wait_until(SOON, "what is too old is counted", async || {
            let labels = [("reason", "max_age"), ("publisher", "USDC1")];
            let dropped = self
                .receiver
                .metric("receiver_dropped_total", &labels)
                .await;
            if dropped > 0.0 {
                Ok(())
            } else {
                Err(format!("{dropped} dropped"))
            }
        })
        .await;
    }

    /// Checks that what arrived was young enough, with a second for the request itself.
    #[track_caller]
    fn never_delivered_old(&self) {
        let limit = i64::try_from(MAX_AGE.as_millis()).unwrap() + 1000;
        for sample in self.endpoint.samples("sim_scrapes_total", "aging") {
            let age = sample.seen_ms - sample.time_ms;
            assert!(sample.value.is_nan() || age <= limit, "{sample:?}");
        }
    }
}

/// A recording endpoint, and a real Prometheus behind a second one.
struct Ends {
    recorder: Endpoint,
    front: Endpoint,
    prometheus: Prometheus,
}

impl Ends {
    async fn start(lab: &Lab) -> Self {
        let prometheus = Prometheus::start(lab).await;
        Self {
            recorder: Endpoint::start().await,
            front: Endpoint::start_before(&prometheus).await,
            prometheus,
        }
    }

    fn receiver_config(&self, nats: &str) -> serde_json::Value {
        let mut config = receiver_config(nats);
        config["remote_write"] = json!([
            {"name": "recorder", "url": self.recorder.url()},
            {"name": "prometheus", "url": self.front.url()},
        ]);
        config
    }

    fn set(&self, answer: Answer) {
        self.recorder.set(answer);
        self.front.set(answer);
    }

    /// Waits until one more request comes.
    async fn reached(&self) {
        let before = self.recorder.requests();
        wait_until(SOON, "a request comes", async || {
            if self.recorder.requests() > before {
                Ok(())
            } else {
                Err(String::new())
            }
        })
        .await;
    }

    async fn have_all(&self, fleet: &Fleet, repeats: Repeats) {
        fleet.arrived(&self.recorder, repeats).await;
        fleet.stored(&self.prometheus).await;
    }
}
