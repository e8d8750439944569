//! From messages to deliveries: decoding and the guard.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;

use super::batch::{Batch, Source};
use super::metrics::SinkMetrics;
use super::numbering::Numbering;
use super::plain::{self, PlainError};
use crate::bus::{Kind, LaneId, Subject};
use crate::clock::Clock;
use crate::guard::{AgeLimit, DropReason, Known, Targets, Verdict};
use crate::model::{Heartbeat, Outcome};
use crate::wire::{self, Body, DecodeError, Record, Scrape};

/// Why a message cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("cannot decode the frame")]
    Frame(#[from] DecodeError),
    #[error("cannot read the plain exposition")]
    Plain(#[from] PlainError),
    #[error("shapes and delta frames are not read by this version")]
    Kind,
}

impl ReadError {
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Frame(error) => error.reason(),
            Self::Plain(error) => error.reason(),
            Self::Kind => "kind",
        }
    }
}

/// What a feed knows of lanes and targets.
#[derive(Debug)]
pub(super) struct Intake {
    age: AgeLimit,
    clock: Clock,
    metrics: SinkMetrics,
    targets: Targets,
    numbering: Numbering,
    /// When this feed began: before a whole `max_age` has passed nobody is silent.
    begun_ms: i64,
}

impl Intake {
    pub(super) fn new(age: AgeLimit, clock: Clock, metrics: SinkMetrics) -> Self {
        let begun_ms = clock.now_ms();
        let (targets, numbering) = (Targets::default(), Numbering::default());
        Self {
            age,
            clock,
            metrics,
            targets,
            numbering,
            begun_ms,
        }
    }

    /// Reads a message's records.
    pub(super) fn read(
        &mut self,
        subject: &Subject,
        headers: Option<&HeaderMap>,
        payload: &Bytes,
        stored_ms: i64,
    ) -> Result<Vec<Record>, ReadError> {
        let publisher = &subject.lane.publisher;
        match subject.kind {
            Kind::Key => {
                let frame = wire::decode(payload)?;
                let missing = self.numbering.note(&subject.lane, &frame.header);
                if missing > 0 {
                    self.metrics.missing(publisher, missing);
                }
                let records = frame.records.into_iter();
                Ok(records.map(|record| record.map(Body::Text)).collect())
            }
            Kind::Text => {
                let record = plain::read(publisher, headers, payload.clone(), stored_ms)?;
                Ok(vec![record.map(Body::Text)])
            }
            Kind::Shape | Kind::Delta => Err(ReadError::Kind),
        }
    }

    /// Notes a scrape's target without judging it.
    pub(super) fn note(&mut self, lane: &LaneId, scrape: &Scrape) {
        let (publisher, target) = (&lane.publisher, &scrape.target);
        match scrape.outcome {
            Outcome::Gone | Outcome::Expired => self.targets.forget(publisher, target),
            Outcome::Exposed { .. } | Outcome::Failed { .. } => {
                let now_ms = self.clock.now_ms();
                self.targets
                    .note(publisher, target, lane.lane, scrape.time_ms, now_ms);
            }
        }
    }

    /// Judges a record and puts what is to be delivered into the batch.
    pub(super) fn admit(
        &mut self,
        lane: &LaneId,
        record: Record,
        stored_ms: i64,
        batch: &mut Batch,
    ) {
        let ahead_ms = record.time_ms().saturating_sub(stored_ms);
        let ahead = Duration::from_millis(u64::try_from(ahead_ms).unwrap_or(0));
        self.metrics.clock_ahead(&lane.publisher, ahead);
        match record {
            Record::Heartbeat(heartbeat) => self.end_missing(lane, &heartbeat, stored_ms, batch),
            Record::Scrape(scrape) => {
                self.metrics.received(&lane.publisher);
                match self.judge(lane, &scrape, stored_ms) {
                    Verdict::Admit => {
                        self.note(lane, &scrape);
                        batch.push(&lane.publisher, scrape, Source::Message { stored_ms });
                    }
                    Verdict::Drop(reason) => self.metrics.dropped(reason, &lane.publisher),
                }
            }
        }
    }

    fn judge(&self, lane: &LaneId, scrape: &Scrape, stored_ms: i64) -> Verdict {
        let now_ms = self.clock.now_ms();
        match self.age.judge(scrape.time_ms, stored_ms, now_ms) {
            Verdict::Admit => {
                self.targets
                    .judge(&lane.publisher, &scrape.target, scrape.time_ms, now_ms)
            }
            Verdict::Drop(reason) => Verdict::Drop(reason),
        }
    }

    /// Ends the targets that a lane no longer has.
    fn end_missing(
        &mut self,
        lane: &LaneId,
        heartbeat: &Heartbeat,
        stored_ms: i64,
        batch: &mut Batch,
    ) {
        // An old list says nothing of now.
        let verdict = self
            .age
            .judge(heartbeat.time_ms, stored_ms, self.clock.now_ms());
        if verdict == Verdict::Drop(DropReason::MaxAge) {
            return;
        }
        for known in self
            .targets
            .missing(&lane.publisher, lane.lane, &heartbeat.live)
        {
            self.targets.forget(&known.publisher, &known.target);
            let outcome = Outcome::Gone;
            let scrape = Scrape {
                target: known.target,
                time_ms: heartbeat.time_ms,
                outcome,
            };
            batch.push(&known.publisher, scrape, Source::Guard);
        }
    }

    /// Takes out the targets that nothing was heard of for `max_age`, by lane.
    pub(super) fn take_silent(&mut self) -> HashMap<LaneId, Vec<Known>> {
        let mut lanes: HashMap<LaneId, Vec<Known>> = HashMap::new();
        let Some(max_age) = self.age.max() else {
            return lanes;
        };
        let max_age_ms = i64::try_from(max_age.as_millis()).unwrap_or(i64::MAX);
        let since_ms = self.clock.now_ms().saturating_sub(max_age_ms);
        if since_ms < self.begun_ms {
            return lanes;
        }
        for known in self.targets.take_silent(since_ms) {
            let lane = LaneId {
                publisher: Arc::clone(&known.publisher),
                lane: known.lane,
            };
            lanes.entry(lane).or_default().push(known);
        }
        lanes
    }

    /// Ends targets that are still silent when it is their turn.
    pub(super) fn expire(&mut self, silent: &[Known], batch: &mut Batch) {
        let now_ms = self.clock.now_ms();
        for known in silent {
            if self.targets.contains(&known.publisher, &known.target) {
                continue;
            }
            let (target, outcome) = (Arc::clone(&known.target), Outcome::Expired);
            let scrape = Scrape {
                target,
                time_ms: now_ms,
                outcome,
            };
            batch.push(&known.publisher, scrape, Source::Guard);
        }
    }

    /// Returns how many targets are known.
    pub(super) fn targets(&self) -> usize {
        self.targets.len()
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::super::metrics::Metrics;
    use super::*;
    use crate::model::{Format, Labels, Text};
    use crate::sink::Batching;

    const MAX_AGE_MS: i64 = 80_000;
    const NOW_MS: i64 = 1_700_000_000_000;

    struct Desk {
        intake: Intake,
        clock: Clock,
        registry: Registry,
        lane: LaneId,
    }

    impl Desk {
        fn new() -> Self {
            let mut registry = Registry::default();
            let metrics = Metrics::register(&mut registry).of("recorder");
            let clock = Clock::fixed(NOW_MS);
            let age = AgeLimit::new(Some(Duration::from_millis(MAX_AGE_MS.unsigned_abs())));
            let intake = Intake::new(age, clock.clone(), metrics);
            let lane = LaneId {
                publisher: "USDC1".into(),
                lane: 0,
            };
            Self {
                intake,
                clock,
                registry,
                lane,
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

    #[test]
    fn what_is_too_old_is_dropped_and_counted() {
        let mut desk = Desk::new();
        assert_eq!(desk.admit("a", NOW_MS - MAX_AGE_MS, NOW_MS), 1);
        assert_eq!(desk.admit("b", NOW_MS - MAX_AGE_MS - 1, NOW_MS), 0);
        desk.counted("dropped_total{sink=\"recorder\",reason=\"max_age\",publisher=\"USDC1\"} 1");
        desk.counted("received_total{sink=\"recorder\",publisher=\"USDC1\"} 2");
    }

    #[test]
    fn a_clock_that_runs_ahead_is_reported_and_makes_nothing_younger() {
        let mut desk = Desk::new();
        assert_eq!(desk.admit("a", NOW_MS + 5_000, NOW_MS), 1);
        desk.counted("publisher_clock_ahead_seconds{publisher=\"USDC1\"} 5.0");
        assert_eq!(desk.admit("b", NOW_MS + 5_000, NOW_MS - MAX_AGE_MS - 1), 0);
    }

    #[test]
    fn repetitions_and_late_ones_are_dropped_and_counted() {
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

    #[test]
    fn a_heartbeat_ends_the_targets_that_it_does_not_name() {
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

    #[test]
    fn a_silent_target_expires_unless_it_is_heard_again_before_its_turn() {
        let mut desk = Desk::new();
        desk.admit("a", NOW_MS, NOW_MS);
        desk.admit("b", NOW_MS, NOW_MS);
        desk.clock.set_ms(NOW_MS + MAX_AGE_MS);
        assert!(desk.intake.take_silent().is_empty());
        desk.clock.set_ms(NOW_MS + MAX_AGE_MS + 1);
        let silent = desk.intake.take_silent().remove(&desk.lane).unwrap();
        assert_eq!(silent.len(), 2);
        let now_ms = desk.clock.now_ms();
        desk.admit("a", now_ms, now_ms);
        let mut expired = batch();
        desk.intake.expire(&silent, &mut expired);
        let names: Vec<_> = expired
            .deliveries
            .iter()
            .map(|delivery| delivery.scrape.target.instance())
            .collect();
        assert_eq!(names, ["b"]);
    }

    #[test]
    fn what_has_become_too_old_since_is_dropped_before_the_next_try() {
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
        drop(desk.intake.take_silent());
    }
}
