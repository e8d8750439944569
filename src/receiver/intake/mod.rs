//! From messages to deliveries: decoding and the guard.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::batch::{Batch, Source};
use super::decoding::{Decoding, FrameError};
use super::lanes::Message;
use super::metrics::SinkMetrics;
use super::numbering::Numbering;
use super::plain::{self, PlainError};
use super::requests::Requests;
use super::silence::FORGET;
use crate::bus::{Kind, LaneId};
use crate::clock::Clock;
use crate::guard::{AgeLimit, DropReason, Known, Targets, Verdict};
use crate::model::{Heartbeat, Note, Outcome};
use crate::wire::{Body, Header, Outline, Record, Scrape, ShapeError};

/// A frame that was stored longer ago has successors, and a key frame among them.
const REQUEST_AGE_MAX_MS: i64 = 60 * 1000;

/// Why a message cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("cannot read the shapes")]
    Shapes(#[from] ShapeError),
    #[error("cannot read the plain exposition")]
    Plain(#[from] PlainError),
}

impl ReadError {
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Frame(error) => error.reason(),
            Self::Shapes(error) => error.reason(),
            Self::Plain(error) => error.reason(),
        }
    }
}

/// What becomes of a message that cannot be read; it is counted already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Nothing is lost by it.
    Finished,
    /// Nothing is wrong with it, but what it needs is not there.
    Wanting,
    /// It is not what its subject says.
    Invalid,
}

/// What a feed knows of lanes and targets.
pub(super) struct Intake {
    age: AgeLimit,
    clock: Clock,
    metrics: SinkMetrics,
    decoding: Decoding,
    requests: Requests,
    targets: Targets,
    numbering: Numbering,
    /// When this feed began: before a whole `max_age` has passed nobody is silent.
    begun_ms: i64,
}

impl Intake {
    pub(super) fn new(
        age: AgeLimit,
        clock: Clock,
        metrics: SinkMetrics,
        decoding: Decoding,
        requests: Requests,
    ) -> Self {
        let begun_ms = clock.now_ms();
        let (targets, numbering) = (Targets::default(), Numbering::default());
        Self {
            age,
            clock,
            metrics,
            decoding,
            requests,
            targets,
            numbering,
            begun_ms,
        }
    }

    /// Reads a message's records; a message of shapes has none.
    pub(super) fn read(
        &mut self,
        lane: &LaneId,
        message: &Message,
    ) -> Result<Vec<Record>, ReadError> {
        let payload = &message.payload;
        match message.kind {
            Kind::Key | Kind::Delta => {
                let is_key = message.kind == Kind::Key;
                let decoded = self.decoding.frame(lane, is_key, payload)?;
                self.number(lane, &decoded.header);
                if decoded.incomplete > 0 {
                    self.metrics.incomplete(&lane.publisher, decoded.incomplete);
                }
                Ok(decoded.records)
            }
            Kind::Shape => {
                self.decoding.shapes().read(payload)?;
                self.metrics.shapes(self.decoding.shapes().size());
                Ok(Vec::new())
            }
            Kind::Text => {
                let headers = message.headers.as_ref();
                let payload = payload.clone();
                let record = plain::read(&lane.publisher, headers, payload, message.stored_ms)?;
                Ok(vec![record.map(Body::Text)])
            }
        }
    }

    /// Reads a message that was dealt with in an earlier life: nothing of it is counted, and what
    /// cannot be read was not, or is of no use any more.
    pub(super) fn learn(&mut self, lane: &LaneId, message: &Message) -> Vec<Record> {
        match message.kind {
            Kind::Key | Kind::Delta => {
                let is_key = message.kind == Kind::Key;
                match self.decoding.frame(lane, is_key, &message.payload) {
                    Ok(decoded) => {
                        self.numbering.note(lane, &decoded.header);
                        decoded.records
                    }
                    Err(_) => Vec::new(),
                }
            }
            Kind::Shape | Kind::Text => self.read(lane, message).unwrap_or_default(),
        }
    }

    /// Counts a message that could not be read, and asks for what is missing.
    pub(super) fn refuse(
        &mut self,
        lane: &LaneId,
        message: &Message,
        error: &ReadError,
    ) -> Refusal {
        match error {
            ReadError::Frame(error) => self.refuse_frame(lane, message, *error),
            ReadError::Shapes(error) => {
                self.metrics.invalid(error.reason(), &lane.publisher);
                let is_full = matches!(error, ShapeError::Full { .. });
                if !is_full {
                    self.ask(lane, message.stored_ms);
                }
                if is_full || matches!(error, ShapeError::UnknownShape(_)) {
                    Refusal::Wanting
                } else {
                    Refusal::Invalid
                }
            }
            ReadError::Plain(error) => {
                self.metrics.invalid(error.reason(), &lane.publisher);
                Refusal::Invalid
            }
        }
    }

    fn refuse_frame(&mut self, lane: &LaneId, message: &Message, error: FrameError) -> Refusal {
        let (publisher, stored_ms) = (&lane.publisher, message.stored_ms);
        if error == FrameError::Repeated {
            self.metrics.redelivered.inc();
            return Refusal::Finished;
        }
        let outline = Outline::read(&message.payload).ok();
        let scrapes = outline.as_ref().map_or(0, Outline::scrapes);
        let is_orphaned = matches!(error, FrameError::Orphaned(_));
        if is_orphaned {
            self.metrics.orphaned(publisher);
        }
        if error.is_want() {
            if let Some(outline) = outline {
                self.number(lane, &outline.header);
            }
            let verdict = self.age.judge(stored_ms, stored_ms, self.clock.now_ms());
            if verdict != Verdict::Admit {
                // Everything in it is even older.
                self.metrics.aged(publisher, scrapes);
                return Refusal::Finished;
            }
        }
        if !is_orphaned {
            self.metrics.invalid(error.reason(), publisher);
        }
        if scrapes > 0 {
            self.metrics.undecodable(error.reason(), publisher, scrapes);
        }
        if error.is_mended_by_key() {
            self.ask(lane, stored_ms);
        }
        if error.is_want() {
            Refusal::Wanting
        } else {
            Refusal::Invalid
        }
    }

    fn ask(&self, lane: &LaneId, stored_ms: i64) {
        if self.clock.now_ms().saturating_sub(stored_ms) < REQUEST_AGE_MAX_MS {
            self.requests.ask(lane);
        }
    }

    fn number(&mut self, lane: &LaneId, header: &Header) {
        let missing = self.numbering.note(lane, header);
        if missing > 0 {
            self.metrics.missing(&lane.publisher, missing);
        }
    }

    /// Notes a scrape's target without judging it.
    pub(super) fn note(&mut self, lane: &LaneId, scrape: &Scrape) {
        let (publisher, target) = (&lane.publisher, &scrape.target);
        match scrape.outcome {
            Outcome::Gone | Outcome::Noted(_) => self.targets.forget(publisher, target),
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
                // Whatever its poller's clock did meanwhile.
                time_ms: heartbeat.time_ms.max(known.last_ms.saturating_add(1)),
                outcome,
            };
            batch.push(&known.publisher, scrape, Source::Guard);
        }
    }

    /// Returns the targets that nothing was heard of for `max_age`, by lane.
    pub(super) fn take_expired(&mut self) -> HashMap<LaneId, Vec<Known>> {
        self.decoding.forget_idle();
        let now_ms = self.clock.now_ms();
        let since_ms = |age: Duration| {
            let age_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
            now_ms.saturating_sub(age_ms)
        };
        let forget = self.age.max().map_or(FORGET, |max_age| max_age.max(FORGET));
        self.targets.forget_unheard(since_ms(forget));
        match self.age.max().map(since_ms) {
            Some(since_ms) if since_ms >= self.begun_ms => by_lane(self.targets.expire(since_ms)),
            _ => HashMap::new(),
        }
    }

    /// Returns the targets of lanes that have fallen silent, by lane.
    pub(super) fn of_lanes(&self, silent: &HashSet<LaneId>) -> HashMap<LaneId, Vec<Known>> {
        if silent.is_empty() {
            return HashMap::new();
        }
        by_lane(self.targets.of_lanes(|publisher, lane| {
            silent.contains(&LaneId {
                publisher: Arc::clone(publisher),
                lane,
            })
        }))
    }

    /// Says that targets have expired, if that is still so when it is their turn.
    pub(super) fn expire(&self, expired: &[Known], batch: &mut Batch) {
        let now_ms = self.clock.now_ms();
        for known in expired {
            if self.targets.is_expired(known) {
                push_note(known, Note::Expired, now_ms, batch);
            }
        }
    }

    /// Ends the series of a silent lane's targets, just behind what was received last of each.
    pub(super) fn end_silent(&mut self, silent: &[Known], batch: &mut Batch) {
        for known in silent {
            if self.targets.end(known) {
                let time_ms = known.last_ms.saturating_add(1);
                push_note(known, Note::Silent, time_ms, batch);
                self.metrics.silent(&known.publisher);
            }
        }
    }

    /// Returns how many targets are known.
    pub(super) fn targets(&self) -> usize {
        self.targets.len()
    }
}

fn by_lane(targets: Vec<Known>) -> HashMap<LaneId, Vec<Known>> {
    let mut lanes: HashMap<LaneId, Vec<Known>> = HashMap::new();
    for known in targets {
        let lane = LaneId {
            publisher: Arc::clone(&known.publisher),
            lane: known.lane,
        };
        lanes.entry(lane).or_default().push(known);
    }
    lanes
}

fn push_note(known: &Known, note: Note, time_ms: i64, batch: &mut Batch) {
    let scrape = Scrape {
        target: Arc::clone(&known.target),
        time_ms,
        outcome: Outcome::Noted(note),
    };
    batch.push(&known.publisher, scrape, Source::Guard);
}

#[cfg(test)]
mod tests;
