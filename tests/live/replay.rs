//! Value columns: what a receiver reads again at its start, and what it does when that is gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use prometheus_streams::bus::{self, Consumer, Incoming, Kind, Phase, Subject};
use prometheus_streams::wire::{Entry, Item, LaneDecoder, Outline, Role, ShapeStore};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::support::{
    Behavior, Bus, Endpoint, Lab, LaneWriter, NatsServer, Program, SiteTarget, StoredMessage,
    Targets, Version, poller_config, receiver_config, run, value, wait_until,
};
use crate::{SCENARIO, SOON};

const TARGETS: [&str; 3] = ["one", "two", "three"];

/// Frames in a group: as a poller writes them.
const GROUP: u64 = 20;

fn config(nats: &NatsServer, endpoint: &Endpoint, client_id: &str) -> Value {
    let mut config = receiver_config(&nats.url());
    config["receiver_stream"]["client_id"] = client_id.into();
    config["remote_write"] = json!([{"name": "recorder", "url": endpoint.url()}]);
    config
}

async fn start(lab: &Lab, version: Version) -> (NatsServer, Bus) {
    let nats = NatsServer::start(lab, version).await;
    let bus = Bus::connect(&nats.url()).await;
    bus.create_stream("prometheus.>").await;
    (nats, bus)
}

/// Waits until scrape `number` of a target has arrived.
async fn arrives(endpoint: &Endpoint, instance: &str, number: u64) {
    wait_until(SOON, "a scrape arrives", async || {
        let samples = endpoint.samples("sim_scrapes_total", instance);
        let last = samples.last().map_or(0.0, |sample| sample.value);
        if last >= value(number, 0) {
            Ok(())
        } else {
            Err(format!("{last} of {number}"))
        }
    })
    .await;
}

/// Compares all that arrived of a target with what was scraped: each of these scrapes, in order,
/// with its own values; after a crash some of them twice.
#[track_caller]
fn has_exactly(endpoint: &Endpoint, instance: &str, scrapes: impl Iterator<Item = u64>) {
    let scrapes = scrapes.collect::<Vec<_>>();
    let mut samples = endpoint.samples("sim_scrapes_total", instance);
    samples.sort_by_key(|sample| sample.time_ms);
    samples.dedup_by_key(|sample| (sample.time_ms, sample.value.to_bits()));
    let values = samples.iter().map(|sample| sample.value);
    let expected = scrapes.iter().map(|number| value(*number, 0));
    assert_eq!(
        values.collect::<Vec<_>>(),
        expected.collect::<Vec<_>>(),
        "{instance}"
    );
    // The other series of the same scrapes.
    endpoint.look(|series| {
        for (labels, samples) in series {
            let is_own = labels
                .get("instance")
                .is_some_and(|found| found == instance);
            let Some(n) = labels.get("n").filter(|_| is_own) else {
                continue;
            };
            let n = n.parse::<usize>().unwrap();
            for sample in samples.iter().filter(|sample| !sample.value.is_nan()) {
                let mut numbers = scrapes.iter();
                let known = |number: &&u64| value(**number, n).to_bits() == sample.value.to_bits();
                assert!(
                    numbers.any(|number| known(&number)),
                    "{labels:?}: {sample:?}"
                );
            }
        }
    });
}

/// Everything that was received is accounted for, and nothing could not be decoded.
async fn has_decoded_all(receiver: &Program) {
    for counter in ["invalid_messages", "undecodable_scrapes", "orphaned_frames"] {
        let name = format!("receiver_{counter}_total");
        assert_eq!(receiver.metric(&name, &[]).await.to_string(), "0", "{name}");
    }
    let metric = async |name: &str| receiver.metric(name, &[]).await;
    let missing = metric("receiver_missing_frames_total").await;
    assert_eq!(missing.to_string(), "0");
    wait_until(SOON, "the books balance", async || {
        let out = metric("receiver_delivered_total").await
            + metric("receiver_rejected_total").await
            + metric("receiver_dropped_total").await;
        let received = metric("receiver_received_total").await;
        if received.to_string() == out.to_string() {
            Ok(())
        } else {
            Err(format!("{received} in, {out} out"))
        }
    })
    .await;
}

#[test]
fn a_receiver_decodes_from_its_position_on_wherever_that_is() {
    run(SCENARIO, async |lab| {
        positions(lab, Version::Packaged).await;
    });
}

#[test]
fn a_receiver_decodes_from_its_position_on_at_the_newest_server() {
    run(SCENARIO, async |lab| positions(lab, Version::Newest).await);
}

async fn positions(lab: &Lab, version: Version) {
    let (nats, bus) = start(lab, version).await;
    let mut lane = LaneWriter::new("USDC1", 0, &TARGETS);
    lane.announce(&bus).await;
    lane.write_groups(&bus, 3 * GROUP + 7, GROUP).await;

    // Late, but the stream has all of it.
    let endpoint = Endpoint::start().await;
    let mut receiver = Program::receiver(lab, config(&nats, &endpoint, "first"));
    arrives(&endpoint, "three", lane.scrapes).await;
    has_decoded_all(&receiver).await;

    // Killed in the middle of a group, several times, at work and idle.
    for more in [1, 5, GROUP, 3] {
        receiver.kill();
        lane.write_groups(&bus, more, GROUP).await;
        receiver.restart(lab);
        arrives(&endpoint, "three", lane.scrapes).await;
        has_decoded_all(&receiver).await;
    }
    lane.write_groups(&bus, 4 * GROUP + 3, GROUP).await;
    arrives(&endpoint, "one", lane.scrapes - 2 * GROUP).await;
    receiver.kill();
    receiver.restart(lab);
    arrives(&endpoint, "three", lane.scrapes).await;
    has_decoded_all(&receiver).await;

    // Another one takes over, from the start of the stream.
    let other = Endpoint::start().await;
    let second = Program::receiver(lab, config(&nats, &other, "second"));
    lane.write_groups(&bus, GROUP / 2, GROUP).await;
    arrives(&other, "three", lane.scrapes).await;
    has_decoded_all(&second).await;
    arrives(&endpoint, "three", lane.scrapes).await;
    for target in TARGETS {
        has_exactly(&endpoint, target, 1..=lane.scrapes);
        has_exactly(&other, target, 1..=lane.scrapes);
    }
}

/// Waits for a request and answers as a poller does.
async fn answer(requests: &mut async_nats::Subscriber, bus: &Bus, lane: &mut LaneWriter) {
    let request = tokio::time::timeout(SOON, requests.next()).await;
    let request = request.unwrap().unwrap();
    assert_eq!(request.subject.as_str(), "prometheus-request.USDC1.0");
    lane.announce(bus).await;
    lane.write(bus, Role::Key).await;
}

async fn counts(receiver: &Program, reason: &str, frames: u64, scrapes: u64) {
    wait_until(SOON, "what is lost is counted", async || {
        let labels = [("reason", reason), ("publisher", "USDC1")];
        let invalid = receiver.metric("receiver_invalid_messages_total", &labels);
        let undecodable = receiver.metric("receiver_undecodable_scrapes_total", &labels);
        let found = (invalid.await, undecodable.await);
        if found == (value(frames, 0), value(scrapes, 0)) {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    })
    .await;
}

#[test]
fn a_frame_lost_in_a_chain_is_asked_for_and_nothing_wrong_is_delivered() {
    run(SCENARIO, async |lab| {
        let (nats, bus) = start(lab, Version::Packaged).await;
        let mut requests = bus.listen("prometheus-request.>").await;
        let mut lane = LaneWriter::new("USDC1", 0, &TARGETS);
        lane.announce(&bus).await;
        lane.write(&bus, Role::Key).await;
        lane.write(&bus, Role::Link).await;
        let lost = lane.write(&bus, Role::Link).await;
        bus.delete(lost).await;
        lane.write(&bus, Role::Link).await;
        lane.write(&bus, Role::Link).await;
        let endpoint = Endpoint::start().await;
        let receiver = Program::receiver(lab, config(&nats, &endpoint, "receiver"));
        answer(&mut requests, &bus, &mut lane).await;
        lane.write(&bus, Role::Link).await;
        arrives(&endpoint, "three", 7).await;
        counts(&receiver, "no_base", 2, 6).await;
        for target in TARGETS {
            has_exactly(&endpoint, target, [1, 2, 6, 7].into_iter());
        }
        let missing = receiver.metric("receiver_missing_frames_total", &[]).await;
        assert_eq!(missing.to_string(), "1");
        // One is enough, and nothing of it is a dead letter.
        let more = tokio::time::timeout(Duration::from_millis(200), requests.next()).await;
        assert!(more.is_err(), "{more:?}");
        assert!(bus.messages("prometheus.dead.>").await.unwrap().is_empty());
    });
}

#[test]
fn a_lost_shape_is_asked_for_and_nothing_wrong_is_delivered() {
    run(SCENARIO, async |lab| {
        let (nats, bus) = start(lab, Version::Packaged).await;
        let mut requests = bus.listen("prometheus-request.>").await;
        let mut lane = LaneWriter::new("USDC1", 0, &TARGETS);
        lane.announce(&bus).await;
        lane.write(&bus, Role::Key).await;
        lane.write(&bus, Role::Link).await;
        lane.add("four");
        let lost = lane.announce(&bus).await;
        bus.delete(lost).await;
        lane.write(&bus, Role::Link).await;
        let endpoint = Endpoint::start().await;
        let receiver = Program::receiver(lab, config(&nats, &endpoint, "receiver"));
        answer(&mut requests, &bus, &mut lane).await;
        lane.write(&bus, Role::Link).await;
        arrives(&endpoint, "four", 5).await;
        counts(&receiver, "unknown_shape", 1, 4).await;
        for target in TARGETS {
            has_exactly(&endpoint, target, [1, 2, 4, 5].into_iter());
        }
        has_exactly(&endpoint, "four", [4, 5].into_iter());
    });
}

#[test]
fn frames_whose_key_frame_has_left_the_stream_are_skipped() {
    run(SCENARIO, async |lab| {
        let (nats, bus) = start(lab, Version::Packaged).await;
        let mut lane = LaneWriter::new("USDC1", 0, &TARGETS);
        lane.announce(&bus).await;
        let key = lane.write(&bus, Role::Key).await;
        lane.write(&bus, Role::Link).await;
        lane.write(&bus, Role::Link).await;
        bus.delete(key).await;
        lane.write(&bus, Role::Key).await;
        let endpoint = Endpoint::start().await;
        let receiver = Program::receiver(lab, config(&nats, &endpoint, "receiver"));
        arrives(&endpoint, "three", 4).await;
        let orphans = receiver.metric("receiver_orphaned_frames_total", &[]).await;
        assert_eq!(orphans.to_string(), "2");
        let invalid = receiver
            .metric("receiver_invalid_messages_total", &[])
            .await;
        assert_eq!(invalid.to_string(), "0");
        for target in TARGETS {
            has_exactly(&endpoint, target, std::iter::once(4));
        }
    });
}

/// A real poller of the targets, which are scraped so often.
async fn poller(lab: &Lab, nats: &NatsServer, interval: &str) -> (Targets, Program) {
    let targets = Targets::start(vec![Behavior::Counters(8); TARGETS.len()]).await;
    let list = TARGETS.iter().enumerate();
    let list = list.map(|(n, name)| SiteTarget::new(*name, targets.url(n)));
    let mut config = poller_config("USDC1", &nats.url(), &list.collect::<Vec<_>>());
    config["scrape_interval"] = interval.into();
    (targets, Program::poller(lab, config))
}

/// Waits until so many frames of the site are stored.
async fn stored(bus: &Bus, frames: usize) -> Vec<StoredMessage> {
    wait_until(SOON, "frames are stored", async || {
        let mut messages = bus.messages("prometheus.USDC1.*.*.*").await?;
        messages.retain(|message| message.subject.rsplit('.').next() != Some("s"));
        if messages.len() >= frames {
            Ok(messages)
        } else {
            Err(format!("{} of {frames}", messages.len()))
        }
    })
    .await
}

#[test]
fn a_receiver_takes_over_from_a_real_poller_in_the_middle_of_its_groups() {
    run(SCENARIO, async |lab| {
        let (nats, bus) = start(lab, Version::Packaged).await;
        // A group of 20 scrapes takes four seconds.
        let (targets, mut poller) = poller(lab, &nats, "200ms").await;
        stored(&bus, 10).await;
        let endpoint = Endpoint::start().await;
        let mut receiver = Program::receiver(lab, config(&nats, &endpoint, "first"));
        arrives(&endpoint, "three", targets.served(2)).await;
        for _ in 0..4 {
            receiver.kill();
            let before = targets.served(2);
            wait_until(SOON, "time passes", async || match targets.served(2) {
                now if now >= before + 7 => Ok(()),
                now => Err(now.to_string()),
            })
            .await;
            receiver.restart(lab);
            arrives(&endpoint, "three", before).await;
            has_decoded_all(&receiver).await;
        }
        let other = Endpoint::start().await;
        let second = Program::receiver(lab, config(&nats, &other, "second"));
        arrives(&other, "three", targets.served(2)).await;
        poller.terminate();
        poller.exited(SOON).await;
        let last = published(&bus.messages("prometheus.USDC1.*.*.*").await.unwrap());
        for (endpoint, receiver) in [(&endpoint, &receiver), (&other, &second)] {
            for (target, last) in TARGETS.iter().zip(last) {
                arrives(endpoint, target, last).await;
                has_exactly(endpoint, target, 1..=last);
            }
            has_decoded_all(receiver).await;
        }
    });
}

/// Reads the number of each target's last scrape from the stream itself.
fn published(messages: &[StoredMessage]) -> [u64; TARGETS.len()] {
    let mut shapes = ShapeStore::default();
    let mut decoder = LaneDecoder::default();
    let mut last = [0; TARGETS.len()];
    for message in messages {
        let subject = Subject::parse(&message.subject, "prometheus").unwrap();
        if subject.kind == Kind::Shape {
            shapes.read(&message.payload).unwrap();
            continue;
        }
        assert_eq!(subject.lane.lane, 0, "a small site has one lane");
        let frame = decoder.decode(&message.payload, &shapes).unwrap();
        for entry in frame.entries {
            if let Entry::Columns(scrape) = entry {
                let instance = scrape.shape.target().instance();
                // The poller's own metrics travel as well.
                if let Some(target) = TARGETS.iter().position(|target| *target == instance) {
                    last[target] += 1;
                }
            }
        }
    }
    last
}

#[test]
fn a_real_poller_mends_what_was_lost_within_seconds() {
    run(SCENARIO, async |lab| {
        let (nats, bus) = start(lab, Version::Packaged).await;
        // Without a request the next key frame would be there after 20 seconds.
        let (targets, _poller) = poller(lab, &nats, "1s").await;
        let messages = stored(&bus, 4).await;
        bus.delete(messages[2].sequence).await;
        let endpoint = Endpoint::start().await;
        let receiver = Program::receiver(lab, config(&nats, &endpoint, "receiver"));
        wait_until(SOON, "a key frame is asked for", async || {
            match receiver.metric("receiver_key_requests_total", &[]).await {
                asked if asked > 0.0 => Ok(()),
                asked => Err(asked.to_string()),
            }
        })
        .await;
        let asked_at = targets.served(0);
        arrives(&endpoint, "three", asked_at + 3).await;
        assert!(targets.served(0) < 20, "the group was over by itself");
        let lost = [("reason", "no_base")];
        let lost = receiver.metric("receiver_undecodable_scrapes_total", &lost);
        assert!(lost.await > 0.0);
        for target in TARGETS {
            let samples = endpoint.samples("sim_scrapes_total", target);
            let numbers = samples.iter().map(|sample| sample.value);
            assert!(numbers.is_sorted_by(|a, b| a < b), "{samples:?}");
            let times = samples.iter().map(|sample| sample.time_ms);
            for (step, time) in times.clone().skip(1).zip(times) {
                assert!(step > time, "{samples:?}");
            }
        }
    });
}

/// A page of so many families of two series each, with names that cannot be compressed.
fn large_page(number: u64, families: u64) -> String {
    let mut page = format!("sim_scrapes_total {number}\n");
    for n in 0..families {
        let (a, b) = (
            n.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            n.wrapping_mul(0xc2b2_ae3d_27d4_eb4f),
        );
        let name = format!("sim_large_{a:016x}{b:016x}");
        let lines = format!(
            "# TYPE {name} gauge\n{name}{{n=\"{n}\"}} {number}\n{name}{{m=\"{n}\"}} {n}.5\n"
        );
        page.push_str(&lines);
    }
    page
}

#[test]
fn a_scrape_larger_than_a_message_arrives_as_a_whole() {
    run(SCENARIO, async |lab| {
        const FAMILIES: u64 = 4_000;
        let version = Version::Packaged;
        let nats = NatsServer::start_with(lab, version, "max_payload: 65536\n").await;
        let bus = Bus::connect(&nats.url()).await;
        bus.create_stream("prometheus.>").await;
        let page = Behavior::Made(Arc::new(|number| large_page(number, FAMILIES)));
        let targets = Targets::start(vec![page]).await;
        let target = SiteTarget::new("large", targets.url(0));
        let _poller = Program::poller(lab, poller_config("USDC1", &nats.url(), &[target]));
        let endpoint = Endpoint::start().await;
        let mut receiver = Program::receiver(lab, config(&nats, &endpoint, "receiver"));
        arrives(&endpoint, "large", 3).await;
        receiver.kill();
        receiver.restart(lab);
        let goal = targets.served(0) + 2;
        arrives(&endpoint, "large", goal).await;
        has_decoded_all(&receiver).await;
        let incomplete = receiver
            .metric("receiver_incomplete_scrapes_total", &[])
            .await;
        assert_eq!(incomplete.to_string(), "0");
        let frames = bus.messages("prometheus.USDC1.*.*.d").await.unwrap();
        let mut outlines = frames
            .iter()
            .map(|message| Outline::read(&message.payload).unwrap());
        let has_parts = |outline: Outline| {
            let mut items = outline.items.iter();
            items.any(|item| matches!(item, Item::Part(_)))
        };
        assert!(outlines.any(has_parts), "it fits into one message");
        // By time: how many series of the large families, and which scrape they are of.
        let mut scrapes: BTreeMap<i64, (u64, u64)> = BTreeMap::new();
        endpoint.look(|series| {
            for (labels, samples) in series {
                if !labels["__name__"].starts_with("sim_large_") {
                    continue;
                }
                let mut samples = samples.clone();
                samples.sort_by_key(|sample| sample.time_ms);
                samples.dedup_by_key(|sample| sample.time_ms);
                for sample in samples {
                    let scrape = scrapes.entry(sample.time_ms).or_default();
                    scrape.0 += 1;
                    if labels.contains_key("n") {
                        let number = sample.value.to_bits();
                        assert!(scrape.1 == 0 || scrape.1 == number, "two scrapes in one");
                        scrape.1 = number;
                    }
                }
            }
        });
        // The last one may be on its way still.
        scrapes.pop_last();
        assert!(scrapes.len() >= 3, "{}", scrapes.len());
        for (series, _) in scrapes.values() {
            assert_eq!(*series, 2 * FAMILIES, "half a scrape");
        }
    });
}

/// A consumer in this process; it reads nothing again but what it must.
async fn consumer(nats: &NatsServer, name: &str) -> mpsc::Receiver<Incoming> {
    let settings = bus::Settings {
        urls: vec![nats.url()],
        topic: "prometheus".to_owned(),
        stream: "PROMETHEUS".to_owned(),
        client_id: None,
        tls: None,
        tls_first: false,
        auth: None,
        manage: false,
        max_age: Duration::from_secs(600),
        replicas: 1,
        storage: bus::Storage::File,
    };
    let bus = bus::Bus::connect(settings, "test").await.unwrap();
    let consumer = Consumer::new(bus, name.to_owned()).with_prime_window(Duration::ZERO);
    let (incoming_tx, incoming_rx) = mpsc::channel(64);
    tokio::spawn(consumer.run(incoming_tx, CancellationToken::new()));
    incoming_rx
}

#[test]
fn a_lanes_state_is_read_from_its_last_key_frame_however_old_that_is() {
    run(SCENARIO, async |lab| {
        let (nats, bus) = start(lab, Version::Packaged).await;
        let mut silent = LaneWriter::new("USDC1", 0, &["silent"]);
        let mut busy = LaneWriter::new("USDC1", 1, &["busy"]);
        silent.announce(&bus).await;
        silent.write_groups(&bus, 5, 3).await;
        busy.announce(&bus).await;
        busy.write_groups(&bus, 8, 3).await;
        let last = busy.write(&bus, Role::Leaf).await;
        let endpoint = Endpoint::start().await;
        let mut receiver = Program::receiver(lab, config(&nats, &endpoint, "receiver"));
        wait_until(SOON, "everything is acknowledged", async || {
            match bus.floor("receiver-recorder").await? {
                floor if floor == last => Ok(()),
                floor => Err(format!("{floor} of {last}")),
            }
        })
        .await;
        receiver.kill();

        // The position itself may be gone, too.
        bus.delete(last).await;
        silent.write(&bus, Role::Link).await;
        busy.write(&bus, Role::Link).await;
        let mut incoming = consumer(&nats, "receiver-recorder").await;
        let (mut shapes, mut decoders) = (ShapeStore::default(), [(); 2].map(|()| None));
        let mut read = Vec::new();
        while !read.ends_with(&[(0, 6), (1, 10)]) {
            let message = tokio::time::timeout(SOON, incoming.recv()).await;
            let message = message.unwrap().unwrap();
            let subject = Subject::parse(&message.subject, "prometheus").unwrap();
            if subject.kind == Kind::Shape {
                shapes.read(&message.payload).unwrap();
                continue;
            }
            assert_eq!(
                message.phase == Phase::State,
                message.sequence.number <= last
            );
            let lane = usize::try_from(subject.lane.lane).unwrap();
            let decoder = decoders[lane].get_or_insert_with(LaneDecoder::default);
            let frame = decoder.decode(&message.payload, &shapes).unwrap();
            read.push((lane, frame.header.number));
        }
        // From each lane's last key frame on; the last of the busy lane's was deleted.
        let expected = [(0, 4), (0, 5), (1, 7), (1, 8), (0, 6), (1, 10)];
        assert_eq!(read, expected);
    });
}
