//! What is admitted, dropped, asked for and counted.

use bytes::Bytes;
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;

use super::super::metrics::Metrics;
use super::super::shapes::Shapes;
use super::*;
use crate::bus::Sequence;
use crate::model::{Format, Labels, Text};
use crate::sink::Batching;
use crate::wire::{LaneEncoder, Role, Shape, ShapeWriter, match_body};

const MAX_AGE_MS: i64 = 80_000;
const NOW_MS: i64 = 1_700_000_000_000;

struct Desk {
    intake: Intake,
    clock: Clock,
    registry: Registry,
    lane: LaneId,
    asked: mpsc::Receiver<LaneId>,
}

impl Desk {
    fn new() -> Self {
        let mut registry = Registry::default();
        let all = Metrics::register(&mut registry);
        let (requests, asked) = Requests::new(all.clone());
        let (metrics, decoding) = (all.of("recorder"), Decoding::new(Shapes::new()));
        let clock = Clock::fixed(NOW_MS);
        let age = AgeLimit::new(Some(Duration::from_millis(MAX_AGE_MS.unsigned_abs())));
        let intake = Intake::new(age, clock.clone(), metrics, decoding, requests);
        let lane = LaneId {
            publisher: "USDC1".into(),
            lane: 0,
        };
        Self {
            intake,
            clock,
            registry,
            lane,
            asked,
        }
    }

    /// Admits a scrape of a target and returns how many deliveries come of it.
    fn admit(&mut self, instance: &str, time_ms: i64, stored_ms: i64) -> usize {
        let target = Arc::new(Labels::of_target("node", instance));
        let outcome = Outcome::Exposed {
            body: Body::Text(Text {
                text: Bytes::from_static(b"a 1\n"),
                format: Format::Text,
            }),
            duration: Duration::ZERO,
        };
        self.admit_record(
            Record::Scrape(Scrape {
                target,
                time_ms,
                outcome,
            }),
            stored_ms,
        )
        .len()
    }

    fn admit_record(&mut self, record: Record, stored_ms: i64) -> Vec<Outcome<()>> {
        let mut batch = batch();
        self.intake.admit(&self.lane, record, stored_ms, &mut batch);
        batch
            .deliveries
            .iter()
            .map(|delivery| delivery.scrape.as_ref().clone().map(|_body| ()).outcome)
            .collect()
    }

    #[track_caller]
    fn counted(&self, line: &str) {
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &self.registry).unwrap();
        assert!(
            page.lines().any(|found| found == line),
            "{line} is not in\n{page}"
        );
    }
}

fn batch() -> Batch {
    Batch::new(&Batching {
        concurrency: 1,
        text_bytes_max: 1000,
        linger: Duration::ZERO,
        min_backoff: Duration::ZERO,
        max_backoff: Duration::ZERO,
    })
}

fn message(kind: Kind, payload: Vec<u8>, stored_ms: i64) -> Message {
    Message {
        sequence: Sequence::default(),
        subject: String::new(),
        kind,
        headers: None,
        payload: payload.into(),
        stored_ms,
    }
}

/// A lane as a poller writes it: its shapes, and so many frames of one scrape each, the first
/// of which is a key frame.
fn lane(frames: usize) -> (Message, Vec<Message>) {
    let target = Arc::new(Labels::of_target("node", "a"));
    let shape = Shape::build(target, b"a 1\nb 2\n", Format::Text).unwrap();
    let mut shapes = ShapeWriter::new();
    shapes.whole(&shape);
    let shape = Arc::new(shape);
    let mut lane = LaneEncoder::new(1);
    let frames = (0..frames).map(|n| {
        let mut column = shape.template().clone();
        let body = format!("a {n}\nb 2\n");
        match_body(shape.page(), body.as_bytes(), &mut column).unwrap();
        let mut frame = lane.begin(Role::Link);
        let time_ms = NOW_MS + i64::try_from(n).unwrap();
        frame.columns(0, &shape, (time_ms, Duration::ZERO), &column);
        let (header, payload) = frame.finish();
        let kind = if header.is_key() {
            Kind::Key
        } else {
            Kind::Delta
        };
        message(kind, payload, NOW_MS)
    });
    let frames = frames.collect();
    (message(Kind::Shape, shapes.finish(), NOW_MS), frames)
}

impl Desk {
    /// Reads a message; returns the text of its scrapes.
    fn read(&mut self, message: &Message) -> Result<String, Refusal> {
        let lane = self.lane.clone();
        match self.intake.read(&lane, message) {
            Ok(records) => Ok(text(records)),
            Err(error) => Err(self.intake.refuse(&lane, message, &error)),
        }
    }

    fn is_asked(&mut self) -> bool {
        self.asked.try_recv().is_ok()
    }
}

fn text(records: Vec<Record>) -> String {
    let mut all = String::new();
    for record in records {
        if let Record::Scrape(scrape) = record
            && let Outcome::Exposed { body, .. } = scrape.outcome
        {
            all.push_str(std::str::from_utf8(&body.to_text().text).unwrap());
        }
    }
    all
}

#[tokio::test]
async fn columns_are_read_by_their_shapes_and_their_base() {
    let mut desk = Desk::new();
    let (shapes, frames) = lane(3);
    assert_eq!(desk.read(&shapes), Ok(String::new()));
    for (n, frame) in frames.iter().enumerate() {
        assert_eq!(desk.read(frame), Ok(format!("a {n}\nb 2\n")));
    }
    assert!(!desk.is_asked());
    // The whole group comes again: nothing is wrong, and nothing is new.
    for frame in &frames {
        assert_eq!(desk.read(frame), Err(Refusal::Finished));
    }
    assert!(!desk.is_asked());
    desk.counted("redelivered_total{sink=\"recorder\"} 3");
}

#[tokio::test]
async fn a_lost_frame_costs_its_chain_and_is_asked_for() {
    let mut desk = Desk::new();
    let (shapes, frames) = lane(4);
    desk.read(&shapes).unwrap();
    desk.read(&frames[0]).unwrap();
    assert_eq!(desk.read(&frames[2]), Err(Refusal::Wanting));
    assert!(desk.is_asked());
    assert_eq!(desk.read(&frames[3]), Err(Refusal::Wanting));
    assert!(!desk.is_asked(), "it was asked for just now");
    let of = |reason| format!("{{sink=\"recorder\",reason=\"{reason}\",publisher=\"USDC1\"}} 2");
    desk.counted(&format!("invalid_messages_total{}", of("no_base")));
    desk.counted(&format!("undecodable_scrapes_total{}", of("no_base")));
    desk.counted("missing_frames_total{sink=\"recorder\",publisher=\"USDC1\"} 1");
    assert_eq!(desk.read(&frames[1]), Ok("a 1\nb 2\n".to_owned()));
}

#[tokio::test]
async fn what_is_too_old_anyway_is_no_loss() {
    let mut desk = Desk::new();
    let (shapes, frames) = lane(3);
    desk.read(&shapes).unwrap();
    desk.read(&frames[0]).unwrap();
    desk.clock.set_ms(NOW_MS + MAX_AGE_MS + 1);
    assert_eq!(desk.read(&frames[2]), Err(Refusal::Finished));
    assert!(!desk.is_asked());
    desk.counted("dropped_total{sink=\"recorder\",reason=\"max_age\",publisher=\"USDC1\"} 1");
    desk.counted("received_total{sink=\"recorder\",publisher=\"USDC1\"} 1");
}

#[tokio::test]
async fn frames_from_before_a_lanes_begin_are_orphans() {
    let mut desk = Desk::new();
    let (shapes, frames) = lane(3);
    desk.read(&shapes).unwrap();
    desk.clock.set_ms(NOW_MS + MAX_AGE_MS);
    assert_eq!(desk.read(&frames[1]), Err(Refusal::Wanting));
    assert!(!desk.is_asked(), "its successors have had their key frame");
    desk.counted("orphaned_frames_total{sink=\"recorder\",publisher=\"USDC1\"} 1");
    desk.clock.set_ms(NOW_MS);
    assert_eq!(desk.read(&frames[2]), Err(Refusal::Wanting));
    assert!(desk.is_asked());
    desk.counted("orphaned_frames_total{sink=\"recorder\",publisher=\"USDC1\"} 2");
}

#[tokio::test]
async fn a_frame_before_its_shape_is_asked_for_and_the_next_key_frame_mends_it() {
    let mut desk = Desk::new();
    let (shapes, frames) = lane(2);
    assert_eq!(desk.read(&frames[0]), Err(Refusal::Wanting));
    assert!(desk.is_asked());
    desk.read(&shapes).unwrap();
    assert_eq!(desk.read(&frames[0]), Ok("a 0\nb 2\n".to_owned()));
    assert_eq!(desk.read(&frames[1]), Ok("a 1\nb 2\n".to_owned()));
}

#[tokio::test]
async fn what_is_learned_at_the_start_is_the_state_of_what_follows() {
    let mut desk = Desk::new();
    let (shapes, frames) = lane(6);
    let id = desk.lane.clone();
    // Primed from the middle of a group on, then from its key frame.
    for message in [
        &frames[2], &shapes, &frames[0], &frames[1], &frames[2], &frames[3],
    ] {
        desk.intake.learn(&id, message);
    }
    // Done again after a connection was lost.
    for message in &frames[..4] {
        desk.intake.learn(&id, message);
    }
    assert_eq!(desk.read(&frames[4]), Ok("a 4\nb 2\n".to_owned()));
    assert_eq!(desk.read(&frames[5]), Ok("a 5\nb 2\n".to_owned()));
    assert!(!desk.is_asked());
    let mut page = String::new();
    prometheus_client::encoding::text::encode(&mut page, &desk.registry).unwrap();
    for counter in ["invalid_messages", "undecodable", "orphaned", "missing"] {
        let counted = page.lines().find(|line| line.starts_with(counter));
        assert_eq!(counted, None);
    }
}

#[tokio::test]
async fn a_frame_of_another_kind_or_damaged_is_invalid() {
    let mut desk = Desk::new();
    let (shapes, mut frames) = lane(2);
    desk.read(&shapes).unwrap();
    frames[1].kind = Kind::Key;
    assert_eq!(desk.read(&frames[1]), Err(Refusal::Invalid));
    assert!(!desk.is_asked());
    let mut damaged = frames[0].payload.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    frames[0].payload = damaged.into();
    assert_eq!(desk.read(&frames[0]), Err(Refusal::Invalid));
    assert!(desk.is_asked());
    let kind = message(Kind::Shape, b"no shapes".to_vec(), NOW_MS);
    assert_eq!(desk.read(&kind), Err(Refusal::Invalid));
    let reasons = [("kind", 1), ("check", 1), ("version", 1)];
    for (reason, count) in reasons {
        desk.counted(&format!(
            "invalid_messages_total{{sink=\"recorder\",reason=\"{reason}\",publisher=\"USDC1\"}} {count}"
        ));
    }
}

#[tokio::test]
async fn what_is_too_old_is_dropped_and_counted() {
    let mut desk = Desk::new();
    assert_eq!(desk.admit("a", NOW_MS - MAX_AGE_MS, NOW_MS), 1);
    assert_eq!(desk.admit("b", NOW_MS - MAX_AGE_MS - 1, NOW_MS), 0);
    desk.counted("dropped_total{sink=\"recorder\",reason=\"max_age\",publisher=\"USDC1\"} 1");
    desk.counted("received_total{sink=\"recorder\",publisher=\"USDC1\"} 2");
}

#[tokio::test]
async fn a_clock_that_runs_ahead_is_reported_and_makes_nothing_younger() {
    let mut desk = Desk::new();
    assert_eq!(desk.admit("a", NOW_MS + 5_000, NOW_MS), 1);
    desk.counted("publisher_clock_ahead_seconds{publisher=\"USDC1\"} 5.0");
    assert_eq!(desk.admit("b", NOW_MS + 5_000, NOW_MS - MAX_AGE_MS - 1), 0);
}

#[tokio::test]
async fn repetitions_and_late_ones_are_dropped_and_counted() {
    let mut desk = Desk::new();
    assert_eq!(desk.admit("a", NOW_MS, NOW_MS), 1);
    assert_eq!(desk.admit("a", NOW_MS, NOW_MS), 0);
    assert_eq!(desk.admit("a", NOW_MS - 1, NOW_MS), 0);
    let dropped = "dropped_total{sink=\"recorder\",reason=";
    desk.counted(&format!("{dropped}\"duplicate\",publisher=\"USDC1\"}} 1"));
    desk.counted(&format!(
        "{dropped}\"out_of_order\",publisher=\"USDC1\"}} 1"
    ));
}

#[tokio::test]
async fn a_heartbeat_ends_the_targets_that_it_does_not_name() {
    let mut desk = Desk::new();
    desk.admit("a", NOW_MS, NOW_MS);
    desk.admit("b", NOW_MS, NOW_MS);
    let live = vec![Labels::of_target("node", "a").stable_hash()];
    let interval = Duration::from_secs(60);
    let heartbeat = |time_ms| {
        Record::Heartbeat(Heartbeat {
            time_ms,
            interval,
            live: live.clone(),
        })
    };
    assert_eq!(
        desk.admit_record(heartbeat(NOW_MS - MAX_AGE_MS - 1), NOW_MS),
        []
    );
    assert_eq!(
        desk.admit_record(heartbeat(NOW_MS + 1), NOW_MS),
        [Outcome::Gone]
    );
    assert_eq!(desk.admit_record(heartbeat(NOW_MS + 2), NOW_MS), []);
    assert_eq!(desk.intake.targets(), 1);
}

/// The targets that a batch tells of: instance, note and time.
fn notes(batch: &Batch) -> Vec<(&str, Note, i64)> {
    let scrapes = batch.deliveries.iter().map(|delivery| &delivery.scrape);
    let mut notes: Vec<_> = scrapes
        .map(|scrape| match scrape.outcome {
            Outcome::Noted(note) => (scrape.target.instance(), note, scrape.time_ms),
            _ => panic!("{scrape:?}"),
        })
        .collect();
    notes.sort_by_key(|(instance, ..)| *instance);
    notes
}

#[tokio::test]
async fn a_target_expires_unless_it_is_heard_again_before_its_turn() {
    let mut desk = Desk::new();
    desk.admit("a", NOW_MS, NOW_MS);
    desk.admit("b", NOW_MS, NOW_MS);
    desk.clock.set_ms(NOW_MS + MAX_AGE_MS);
    assert!(desk.intake.take_expired().is_empty());
    desk.clock.set_ms(NOW_MS + MAX_AGE_MS + 1);
    let expired = desk.intake.take_expired().remove(&desk.lane).unwrap();
    assert_eq!(expired.len(), 2);
    assert!(desk.intake.take_expired().is_empty());
    let now_ms = desk.clock.now_ms();
    desk.admit("a", now_ms, now_ms);
    let mut batch = batch();
    desk.intake.expire(&expired, &mut batch);
    assert_eq!(notes(&batch), [("b", Note::Expired, now_ms)]);
}

#[tokio::test]
async fn the_series_of_a_silent_lane_end_just_behind_its_targets_last_scrapes() {
    let mut desk = Desk::new();
    desk.admit("a", NOW_MS, NOW_MS);
    desk.admit("b", NOW_MS + 500, NOW_MS);
    // Expired or not.
    desk.clock.set_ms(NOW_MS + MAX_AGE_MS + 1);
    desk.intake.take_expired();
    let mut lanes = HashSet::from([desk.lane.clone()]);
    let silent = desk.intake.of_lanes(&lanes).remove(&desk.lane).unwrap();
    let mut ended = batch();
    desk.intake.end_silent(&silent, &mut ended);
    let expected = [
        ("a", Note::Silent, NOW_MS + 1),
        ("b", Note::Silent, NOW_MS + 501),
    ];
    assert_eq!(notes(&ended), expected);
    let counted = "silent_targets_total{sink=\"recorder\",publisher=\"USDC1\"} 2";
    desk.counted(counted);
    let mut again = batch();
    desk.intake.end_silent(&silent, &mut again);
    assert!(again.deliveries.is_empty());
    assert!(desk.intake.of_lanes(&lanes).is_empty());
    // A late backlog is in order, and what it brings lives again.
    assert_eq!(desk.admit("a", NOW_MS + 15_000, NOW_MS + 90_000), 1);
    let silent = desk.intake.of_lanes(&lanes);
    assert_eq!(silent[&desk.lane].len(), 1);
    lanes.clear();
    assert!(desk.intake.of_lanes(&lanes).is_empty());
}

#[tokio::test]
async fn a_target_that_a_heartbeat_does_not_name_ends_behind_its_last_scrape() {
    let mut desk = Desk::new();
    desk.admit("a", NOW_MS + 5_000, NOW_MS);
    let heartbeat = Record::Heartbeat(Heartbeat {
        time_ms: NOW_MS,
        interval: Duration::from_secs(60),
        live: Vec::new(),
    });
    let mut ended = batch();
    desk.intake.admit(&desk.lane, heartbeat, NOW_MS, &mut ended);
    assert_eq!(ended.deliveries[0].scrape.time_ms, NOW_MS + 5_001);
}

#[tokio::test]
async fn what_has_become_too_old_since_is_dropped_before_the_next_try() {
    let mut desk = Desk::new();
    let mut batch = batch();
    let target = Arc::new(Labels::of_target("node", "a"));
    let gone = Scrape {
        target,
        time_ms: NOW_MS,
        outcome: Outcome::Gone,
    };
    batch.push(
        &desk.lane.publisher,
        gone.clone(),
        Source::Message { stored_ms: NOW_MS },
    );
    batch.push(&desk.lane.publisher, gone, Source::Guard);
    let age = desk.intake.age;
    assert!(batch.drop_aged(age, NOW_MS + MAX_AGE_MS).is_empty());
    assert_eq!(batch.drop_aged(age, NOW_MS + MAX_AGE_MS + 1).len(), 1);
    assert!(batch.is_pending(), "a target's end is never too old");
    assert!(
        batch.drop_aged(age, NOW_MS + MAX_AGE_MS + 1).is_empty(),
        "once is enough"
    );
    drop(desk.intake.take_expired());
}
