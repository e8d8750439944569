//! What can never be delivered: logged within bounds, and kept as a dead letter.

use std::error::Error;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, warn};

use super::dead::{DeadLetter, DeadLetters};
use super::intake::Refusal;
use super::lanes::Message;
use crate::bus::{Kind, LaneId, Subject};
use crate::model::Record;
use crate::sink::{Delivery, State};
use crate::telemetry::chain;
use crate::wire::{self, Header};

/// Lines within [`PERIOD`]; the rest is counted in the metrics only.
const LINES_MAX: u32 = 10;
const PERIOD: Duration = Duration::from_secs(10);

/// What one feed refuses, and what its sink refuses.
#[derive(Debug)]
pub(super) struct Refusals {
    sink: String,
    topic: String,
    dead_letters: DeadLetters,
    period_begin: Option<Instant>,
    lines: u32,
}

impl Refusals {
    pub(super) fn new(sink: &str, topic: &str, dead_letters: DeadLetters) -> Self {
        Self {
            sink: sink.to_owned(),
            topic: topic.to_owned(),
            dead_letters,
            period_begin: None,
            lines: 0,
        }
    }

    /// A message that cannot be read; one that only lacks something is not kept.
    pub(super) fn message(
        &mut self,
        message: &Message,
        reason: &'static str,
        error: &dyn Error,
        refusal: Refusal,
    ) {
        let (subject, sequence) = (message.subject.as_str(), message.sequence.number);
        let detail = chain(error);
        if self.may_log() {
            warn!(
                subject,
                sequence,
                reason,
                error = detail,
                "a message cannot be read"
            );
        } else {
            debug!(
                subject,
                sequence,
                reason,
                error = detail,
                "a message cannot be read"
            );
        }
        if refusal != Refusal::Invalid {
            return;
        }
        let address = subject.strip_prefix(&self.topic).unwrap_or(subject);
        self.dead_letters.put(DeadLetter {
            address: address.trim_start_matches('.').to_owned(),
            sequence,
            part: String::new(),
            reason,
            detail,
            sink: None,
            payload: message.payload.clone(),
        });
    }

    /// A scrape that the sink will never take.
    pub(super) fn scrape(
        &mut self,
        delivery: &Delivery,
        lane: Option<&LaneId>,
        sequence: u64,
        reason: &'static str,
        detail: &str,
    ) {
        let may_log = self.may_log();
        let (sink, target) = (self.sink.as_str(), &delivery.scrape.target);
        let (job, instance) = (target.job(), target.instance());
        let publisher = &*delivery.publisher;
        if may_log {
            warn!(
                sink,
                publisher, job, instance, reason, detail, "the sink refuses a scrape"
            );
        } else {
            debug!(
                sink,
                publisher, job, instance, reason, detail, "the sink refuses a scrape"
            );
        }
        // Repetitions are refused as such; there is nothing in them to keep.
        let is_repetition = matches!(reason, "out_of_order" | "duplicate");
        let Some(lane) = lane.filter(|_| !is_repetition).cloned() else {
            return;
        };
        let header = Header {
            epoch: 0,
            number: 1,
            base: 1,
        };
        let (hash, time_ms) = (target.stable_hash(), delivery.scrape.time_ms);
        let scrape = delivery.scrape.as_ref().clone().map(|body| body.to_text());
        let payload = wire::encode(&header, &[Record::Scrape(scrape)]);
        self.dead_letters.put(DeadLetter {
            address: Subject {
                lane,
                kind: Kind::Key,
            }
            .address(),
            sequence,
            part: format!("{sink}/{hash:016x}/{time_ms}"),
            reason,
            detail: detail.to_owned(),
            sink: Some(self.sink.clone()),
            payload: payload.into(),
        });
    }

    /// Word of a target's end, or of a site, that the sink will never take.
    pub(super) fn end(&self, delivery: &Delivery) {
        let State::Rejected { reason, detail } = &delivery.state else {
            return;
        };
        let (sink, publisher) = (self.sink.as_str(), &*delivery.publisher);
        let target = &delivery.scrape.target;
        let (job, instance) = (target.job(), target.instance());
        debug!(
            sink,
            publisher,
            job,
            instance,
            reason,
            detail,
            "the sink refuses the end of a target's series"
        );
    }

    fn may_log(&mut self) -> bool {
        let now = Instant::now();
        if self
            .period_begin
            .is_none_or(|begin| now.duration_since(begin) > PERIOD)
        {
            self.period_begin = Some(now);
            self.lines = 0;
        }
        self.lines += 1;
        self.lines <= LINES_MAX
    }
}
