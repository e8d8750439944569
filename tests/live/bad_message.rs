//! A message that cannot be read is counted, kept as a dead letter once, and blocks nobody.

use serde_json::json;

use crate::support::{
    Behavior, Bus, Endpoint, Lab, NatsServer, Program, SiteTarget, Targets, Version, poller_config,
    receiver_config, run, wait_until,
};
use crate::{SCENARIO, SOON};

/// What a receiver may take at most when it is sent bombs, in a debug build.
const RESIDENT_BYTES_MAX: u64 = 400 << 20;

#[test]
fn unreadable_messages_become_dead_letters_once() {
    run(SCENARIO, async |lab| {
        unreadable(lab, Version::Packaged).await;
    });
}

#[test]
fn unreadable_messages_become_dead_letters_at_the_newest_server() {
    run(SCENARIO, async |lab| unreadable(lab, Version::Newest).await);
}

async fn unreadable(lab: &Lab, version: Version) {
    let nats = NatsServer::start(lab, version).await;
    let endpoint = Endpoint::start().await;
    let mut config = receiver_config(&nats.url());
    config["remote_write"] = json!([{"name": "recorder", "url": endpoint.url()}]);
    let mut receiver = Program::receiver(lab, config);
    let targets = Targets::start(vec![Behavior::Counters(3)]).await;
    let list = [SiteTarget::new("healthy", targets.url(0))];
    let _poller = Program::poller(lab, poller_config("USDC1", &nats.url(), &list));
    let bus = Bus::connect(&nats.url()).await;
    endpoint.receives("healthy", 2, SOON).await;

    let frames = bus.messages("prometheus.USDC1.*.*.k").await.unwrap();
    let good = &frames[0];
    let bad = bad_payloads(&good.payload);
    for payload in &bad {
        // Both into the lane of a poller at work and into one of a site nobody has heard of.
        bus.publish(&good.subject, payload.clone()).await;
        bus.publish("prometheus.nowhere.3.0.k", payload.clone())
            .await;
    }
    let count = 2 * bad.len();
    letters(&bus, count).await;
    endpoint.receives("healthy", 3, SOON).await;
    for site in ["USDC1", "nowhere"] {
        let labels = [("publisher", site)];
        let invalid = receiver
            .metric("receiver_invalid_messages_total", &labels)
            .await;
        assert_eq!(invalid.to_string(), bad.len().to_string(), "{site}");
    }
    // A receiver that starts again meets none of them again.
    receiver.terminate();
    receiver.exited(SOON).await;
    receiver.restart(lab);
    endpoint.receives("healthy", 3, SOON).await;
    letters(&bus, count).await;
    let kept = bus.messages("prometheus.dead.>").await.unwrap();
    let kept = kept
        .iter()
        .map(|letter| &letter.payload)
        .collect::<Vec<_>>();
    assert!(
        bad.iter()
            .all(|payload| kept.iter().any(|letter| letter.as_ref() == payload)),
        "a dead letter is not the message itself"
    );
    let resident = receiver.resident_bytes_max();
    assert!(
        resident < RESIDENT_BYTES_MAX,
        "the receiver took {resident} bytes"
    );
}

fn bad_payloads(good: &[u8]) -> Vec<Vec<u8>> {
    let random = (0..512_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]);
    let mut unknown = good.to_vec();
    // The frame begins with its version.
    unknown[0] = 0xee;
    let mut damaged = good.to_vec();
    let last = damaged.len() - 1;
    damaged[last] ^= 0x40;
    let bomb = vec![0; 64 << 20];
    vec![
        random.collect(),
        good[..good.len() / 2].to_vec(),
        unknown,
        damaged,
        zstd::bulk::compress(&bomb, 1).unwrap(),
        Vec::new(),
    ]
}

#[test]
fn messages_on_foreign_subjects_block_nobody() {
    run(SCENARIO, async |lab| {
        let nats = NatsServer::start(lab, Version::Packaged).await;
        let endpoint = Endpoint::start().await;
        let mut config = receiver_config(&nats.url());
        config["remote_write"] = json!([{"name": "recorder", "url": endpoint.url()}]);
        let _receiver = Program::receiver(lab, config);
        let targets = Targets::start(vec![Behavior::Counters(3)]).await;
        let list = [SiteTarget::new("healthy", targets.url(0))];
        let _poller = Program::poller(lab, poller_config("USDC1", &nats.url(), &list));
        endpoint.receives("healthy", 1, SOON).await;
        let bus = Bus::connect(&nats.url()).await;
        for subject in [
            "prometheus.x",
            "prometheus.a.b.c.d.e.f",
            "prometheus.USDC1.99.0.k",
        ] {
            bus.publish(subject, "hello").await;
        }
        endpoint.receives("healthy", 3, SOON).await;
    });
}

/// Waits until exactly so many dead letters are kept.
async fn letters(bus: &Bus, count: usize) {
    wait_until(SOON, "the dead letters are kept", async || {
        let letters = bus.messages("prometheus.dead.>").await?;
        let subjects = letters.iter().map(|letter| letter.subject.as_str());
        let subjects = subjects.collect::<Vec<_>>();
        if subjects.len() == count {
            Ok(())
        } else {
            Err(format!("{count} wanted: {subjects:?}"))
        }
    })
    .await;
}
