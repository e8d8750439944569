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
use crate::model::{Heartbeat, Outcome, Record, Scrape};
use crate::wire::{self, DecodeError};

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
                Ok(frame.records)
            }
            Kind::Text => Ok(vec![plain::read(
                publisher,
                headers,
                payload.clone(),
                stored_ms,
            )?]),
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
