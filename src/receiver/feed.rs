//! Feeds one sink: lane queues in, batches out, acknowledgements last.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::batch::{Batch, Source};
use super::dead::DeadLetters;
use super::decoding::Decoding;
use super::intake::{Intake, ReadError, Refusal};
use super::lanes::{Lanes, Message, Work};
use super::metrics::{Metrics, SinkMetrics};
use super::primed::Primed;
use super::refusals::Refusals;
use super::requests::Requests;
use super::shapes::Shapes;
use super::silence::Silence;
use crate::bus::{
    Ack, Acknowledgement, Consumer, Incoming, Kind, LaneId, Phase, Sequence, Subject,
};
use crate::clock::Clock;
use crate::guard::{AgeLimit, DropReason};
use crate::model::{Labels, Note, Outcome};
use crate::retry::{Retry, Retryable as _};
use crate::service::Ending;
use crate::sink::{Batching, DeliverError, Sink, State};
use crate::telemetry::chain;
use crate::wire::{Record, Scrape};

/// Bytes of messages that may wait here; when it is reached nothing more is taken, and the
/// messages stay in the stream. A frame of a small site has some kilobytes, the largest a megabyte.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// Messages that may wait here; below what the server lets be outstanding.
const WAITING_MESSAGES_MAX: usize = 8_000;

/// Batches that wait for their next try. Each has lanes of its own, which go no further without
/// it; other lanes go on until there are so many.
const RETRYING_MAX: usize = 64;

/// Lanes in one batch; a lane has at least one frame of some kilobytes in it.
const LANES_PER_BATCH_MAX: usize = 256;

/// How long a delivery that is under way may go on after a request to stop.
const FINISH_TIMEOUT: Duration = Duration::from_secs(5);

/// What a feed is connected to besides its consumer and its sink.
pub(super) struct Links {
    pub(super) acks: mpsc::Sender<(Ack, Acknowledgement)>,
    pub(super) dead_letters: DeadLetters,
    pub(super) requests: Requests,
    pub(super) shapes: Shapes,
    pub(super) silence: Silence,
}

/// The task that feeds a sink.
pub(super) struct Feed {
    sink: Arc<Sink>,
    batching: Batching,
    topic: String,
    age: AgeLimit,
    clock: Clock,
    acks: mpsc::Sender<(Ack, Acknowledgement)>,
    metrics: SinkMetrics,
    intake: Intake,
    primed: Primed,
    silence: Silence,
    lanes: Lanes,
    /// Messages that are not done with, by sequence; without an acknowledgement handle when they
    /// were read straight from the stream.
    outstanding: HashMap<Sequence, Option<Ack>>,
    last_sequence: Sequence,
    delivering: JoinSet<(Batch, Result<(), DeliverError>)>,
    retrying: Vec<(Instant, Batch)>,
    refusals: Refusals,
}

/// What happens next.
enum Event {
    Arrived(Incoming),
    ConsumerEnded,
    Tried(Batch, Result<(), DeliverError>),
    TryDied,
    BatchDue,
    ProgressDue,
    SilenceDue,
    Stopped,
}

impl Feed {
    pub(super) fn new(
        sink: Arc<Sink>,
        topic: String,
        age: AgeLimit,
        clock: Clock,
        links: Links,
        metrics: &Metrics,
    ) -> Self {
        let metrics = metrics.of(sink.name());
        Self {
            batching: sink.batching(),
            refusals: Refusals::new(sink.name(), &topic, links.dead_letters),
            acks: links.acks,
            intake: Intake::new(
                age,
                clock.clone(),
                metrics.clone(),
                Decoding::new(links.shapes),
                links.requests,
            ),
            primed: Primed::default(),
            silence: links.silence,
            sink,
            topic,
            age,
            clock,
            metrics,
            lanes: Lanes::default(),
            outstanding: HashMap::new(),
            last_sequence: Sequence::default(),
            delivering: JoinSet::new(),
            retrying: Vec::new(),
        }
    }

    /// Feeds the sink until `stop`; then finishes what is under way and releases the rest.
    pub(super) async fn run(
        mut self,
        mut incoming: mpsc::Receiver<Incoming>,
        stop: CancellationToken,
    ) -> Ending {
        let mut progress = ticks(Consumer::ACK_WAIT / 3);
        let mut silence = ticks(self.silence_check());
        loop {
            let event = self
                .next(&mut incoming, &mut progress, &mut silence, &stop)
                .await;
            match event {
                Event::Arrived(message) => self.arrived(message),
                Event::Tried(batch, result) => self.tried(batch, result),
                Event::TryDied => {
                    // A sink without its feed would fall silent; a supervisor starts us again.
                    error!(
                        sink = self.sink.name(),
                        "a delivery ended by a bug; stopping"
                    );
                    stop.cancel();
                    return Ending::Unclean;
                }
                Event::BatchDue => {}
                Event::ProgressDue => self.tell_progress(),
                Event::SilenceDue => self.look_for_silence(),
                Event::Stopped | Event::ConsumerEnded => break,
            }
            self.dispatch();
            self.metrics
                .waiting(self.lanes.bytes(), self.lanes.messages());
            self.metrics.targets(self.intake.targets());
        }
        self.finish().await
    }

    async fn next(
        &mut self,
        incoming: &mut mpsc::Receiver<Incoming>,
        progress: &mut Interval,
        silence: &mut Interval,
        stop: &CancellationToken,
    ) -> Event {
        let has_room =
            self.lanes.bytes() < WAITING_BYTES_MAX && self.lanes.messages() < WAITING_MESSAGES_MAX;
        self.silence.listen(has_room);
        let due = self.next_batch_due();
        tokio::select! {
            biased;
            () = stop.cancelled() => Event::Stopped,
            Some(tried) = self.delivering.join_next() => match tried {
                Ok((batch, result)) => Event::Tried(batch, result),
                Err(_panic) => Event::TryDied,
            },
            _ = progress.tick() => Event::ProgressDue,
            _ = silence.tick() => Event::SilenceDue,
            () = tokio::time::sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                Event::BatchDue
            }
            message = incoming.recv(), if has_room => {
                message.map_or(Event::ConsumerEnded, Event::Arrived)
            }
        }
    }

    /// Takes in one message.
    fn arrived(&mut self, message: Incoming) {
        let subject = Subject::parse(&message.subject, &self.topic);
        if matches!(message.phase, Phase::State | Phase::Primed) {
            if let Ok(subject) = subject {
                self.learn(&subject, message);
            }
            return;
        }
        self.primed.hand_to(&self.sink);
        if let Some(known) = self.outstanding.get_mut(&message.sequence) {
            // Delivered again while we work on it: the newer handle is the one that counts.
            if message.ack.is_some() {
                *known = message.ack;
            }
            return;
        }
        if message.sequence <= self.last_sequence {
            self.metrics.redelivered.inc();
            self.acknowledge(message.ack, Acknowledgement::Finished);
            return;
        }
        self.last_sequence = message.sequence;
        match subject {
            Ok(Subject { lane, kind }) => {
                if kind != Kind::Text {
                    self.silence.hear(&lane);
                }
                let (message, ack) = Message::of(message, kind);
                self.outstanding.insert(message.sequence, ack);
                if kind == Kind::Shape {
                    // Shapes have no order but that they come before the frames that name them.
                    self.read_shapes(&lane, &message);
                } else {
                    self.lanes.push(&lane, Work::Message(message));
                }
            }
            Err(error) => {
                let reason = "subject";
                self.metrics.invalid(reason, "");
                // The kind is of no matter where there is no subject.
                let (message, ack) = Message::of(message, Kind::Text);
                self.refusals
                    .message(&message, reason, &error, Refusal::Invalid);
                self.acknowledge(ack, Acknowledgement::Terminated);
            }
        }
    }

    /// Learns from a message that was dealt with in an earlier life.
    fn learn(&mut self, subject: &Subject, message: Incoming) {
        let (lane, phase) = (&subject.lane, message.phase);
        self.silence.learns();
        let (message, _) = Message::of(message, subject.kind);
        let records = self.intake.learn(lane, &message);
        if !records.is_empty() && message.is_frame() {
            let ago_ms = self.clock.now_ms().saturating_sub(message.stored_ms);
            let ago = Duration::from_millis(u64::try_from(ago_ms).unwrap_or(0));
            self.silence.know(lane, ago);
        }
        for record in records {
            if let Record::Scrape(scrape) = record
                && phase == Phase::Primed
            {
                self.intake.note(lane, &scrape);
                self.primed.note(&lane.publisher, scrape);
            }
        }
    }

    /// Starts as many batches as may be under way.
    fn dispatch(&mut self) {
        let now = Instant::now();
        let mut waiting = std::mem::take(&mut self.retrying);
        for (due, batch) in waiting.drain(..) {
            if due <= now && self.delivering.len() < self.batching.concurrency {
                self.start(batch);
            } else {
                self.retrying.push((due, batch));
            }
        }
        while self.may_gather() && self.next_batch_due().is_some_and(|due| due <= now) {
            let batch = self.gather();
            if batch.is_pending() {
                self.start(batch);
            } else {
                self.done(batch);
            }
        }
    }

    /// Tells whether a new batch may be put together.
    fn may_gather(&self) -> bool {
        // Where lanes share a request, one batch finds out for all whether the sink is back.
        let is_blocked = if self.sink.shares_requests() {
            !self.retrying.is_empty()
        } else {
            self.retrying.len() >= RETRYING_MAX
        };
        !is_blocked && self.delivering.len() < self.batching.concurrency
    }

    fn next_batch_due(&self) -> Option<Instant> {
        if self.delivering.len() >= self.batching.concurrency {
            return None;
        }
        let retry = self.retrying.iter().map(|(due, _)| *due).min();
        let fresh = if self.may_gather() {
            self.lanes.ready_since()
        } else {
            None
        };
        let fresh = fresh.map(|since| since + self.batching.linger);
        [retry, fresh].into_iter().flatten().min()
    }

    /// Puts a batch together from the lanes that wait longest.
    fn gather(&mut self) -> Batch {
        let mut batch = Batch::new(&self.batching);
        let lanes_max = if self.sink.shares_requests() {
            LANES_PER_BATCH_MAX
        } else {
            1
        };
        while batch.lanes.len() < lanes_max && batch.text_bytes < self.batching.text_bytes_max {
            let Some(lane) = self.lanes.take() else {
                break;
            };
            while batch.text_bytes < self.batching.text_bytes_max {
                match self.lanes.next(&lane) {
                    Some(Work::Message(message)) => self.decode(&lane, &message, &mut batch),
                    Some(Work::Expired(expired)) => self.intake.expire(&expired, &mut batch),
                    Some(Work::Silent(silent)) if self.silence.is_silent(&lane) => {
                        self.intake.end_silent(&silent, &mut batch);
                    }
                    Some(Work::Silent(_)) => {}
                    Some(Work::Sites) => self.report_sites(&mut batch),
                    None => break,
                }
            }
            batch.lanes.push(lane);
        }
        batch
    }

    fn decode(&mut self, lane: &LaneId, message: &Message, batch: &mut Batch) {
        match self.intake.read(lane, message) {
            Ok(records) => {
                if message.is_frame() {
                    self.silence.know(lane, Duration::ZERO);
                }
                batch.sequences.push(message.sequence);
                for record in records {
                    self.intake.admit(lane, record, message.stored_ms, batch);
                }
            }
            Err(error) => self.refuse(lane, message, &error),
        }
    }

    fn read_shapes(&mut self, lane: &LaneId, message: &Message) {
        match self.intake.read(lane, message) {
            Ok(_) => self.finished(message.sequence, Acknowledgement::Finished),
            Err(error) => self.refuse(lane, message, &error),
        }
    }

    fn refuse(&mut self, lane: &LaneId, message: &Message, error: &ReadError) {
        let refusal = self.intake.refuse(lane, message, error);
        let acknowledgement = if refusal == Refusal::Finished {
            Acknowledgement::Finished
        } else {
            self.refusals
                .message(message, error.reason(), error, refusal);
            Acknowledgement::Terminated
        };
        self.finished(message.sequence, acknowledgement);
    }

    fn start(&mut self, mut batch: Batch) {
        for publisher in batch.drop_aged(self.age, self.clock.now_ms()) {
            self.metrics.dropped(DropReason::MaxAge, &publisher);
        }
        let sink = Arc::clone(&self.sink);
        self.delivering.spawn(async move {
            let result = batch.deliver(&sink).await;
            (batch, result)
        });
    }

    /// Deals with what came of a try.
    fn tried(&mut self, mut batch: Batch, result: Result<(), DeliverError>) {
        match result {
            Ok(()) => {
                let attempts = batch.backoff.attempt();
                if attempts > 0 {
                    info!(
                        sink = self.sink.name(),
                        attempts, "the sink takes the delivery again"
                    );
                }
                self.done(batch);
            }
            Err(error) => {
                self.metrics.retries.inc();
                let retry = match error.retry() {
                    // What will never work is marked as refused, so there is always a next try.
                    Retry::No => Retry::Yes,
                    retry => retry,
                };
                let is_first = batch.backoff.attempt() == 0;
                let delay = batch.backoff.next(retry);
                let delay_seconds = delay.as_secs_f64();
                let (sink, error) = (self.sink.name(), chain(&error));
                if is_first {
                    warn!(
                        sink,
                        error, delay_seconds, "the sink cannot take a delivery; its lanes wait"
                    );
                } else {
                    debug!(
                        sink,
                        error, delay_seconds, "the sink still cannot take a delivery"
                    );
                }
                self.retrying.push((Instant::now() + delay, batch));
            }
        }
    }

    /// Counts and acknowledges a batch of which nothing is left to do.
    fn done(&mut self, batch: Batch) {
        for (delivery, age) in batch.received(self.clock.now_ms()) {
            let publisher = &delivery.publisher;
            match &delivery.state {
                State::Delivered => self.metrics.delivered(publisher, age),
                State::Rejected { reason, detail } => {
                    self.metrics.rejected(reason, delivery.scrape.target.job());
                    let lane = batch.lanes.iter().find(|lane| lane.publisher == *publisher);
                    let sequence = batch.sequences.first().map_or(0, |first| first.number);
                    self.refusals
                        .scrape(delivery, lane, sequence, reason, detail);
                }
                // Counted when it was dropped.
                State::Dropped | State::Pending => {}
            }
        }
        for delivery in batch.refused_ends() {
            // Nothing was received, so it is in no books.
            self.refusals.end(delivery);
        }
        for sequence in batch.sequences {
            self.finished(sequence, Acknowledgement::Finished);
        }
        for lane in &batch.lanes {
            self.lanes.release(lane);
        }
    }

    fn finished(&mut self, sequence: Sequence, acknowledgement: Acknowledgement) {
        let ack = self.outstanding.remove(&sequence).flatten();
        // In a stream that was created anew the same numbers name other messages.
        if sequence.generation == self.last_sequence.generation {
            self.acknowledge(ack, acknowledgement);
        }
    }

    fn acknowledge(&self, ack: Option<Ack>, acknowledgement: Acknowledgement) {
        if let Some(ack) = ack
            && self.acks.try_send((ack, acknowledgement)).is_err()
        {
            debug!(sink = self.sink.name(), "no room for an acknowledgement");
        }
    }

    fn tell_progress(&self) {
        for ack in self.outstanding.values().flatten() {
            self.acknowledge(Some(ack.clone()), Acknowledgement::InProgress);
        }
    }

    /// How often to look for targets that nothing was heard of.
    fn silence_check(&self) -> Duration {
        let max_age = self.age.max().unwrap_or(Duration::from_secs(3600));
        let period = self
            .silence
            .check_period()
            .map_or(max_age / 4, |period| period.min(max_age / 4));
        period.clamp(Duration::from_millis(250), Duration::from_secs(30))
    }

    fn look_for_silence(&mut self) {
        self.primed.hand_to(&self.sink);
        for (lane, expired) in self.intake.take_expired() {
            self.lanes.push(&lane, Work::Expired(expired));
        }
        let silent = self.silence.take(|lane| self.lanes.is_idle(lane));
        for (lane, silent) in self.intake.of_lanes(&silent) {
            self.lanes.push(&lane, Work::Silent(silent));
        }
        let lane = lane_of_sites();
        let is_due = self.silence.is_report_due(self.clock.now_ms());
        if self.sink.takes_sites() && is_due && self.lanes.is_idle(&lane) {
            self.lanes.push(&lane, Work::Sites);
        }
    }

    /// Says which sites are heard of.
    fn report_sites(&mut self, batch: &mut Batch) {
        let Some((time_ms, sites)) = self.silence.report(self.clock.now_ms()) else {
            return;
        };
        for (publisher, is_up) in sites {
            let scrape = Scrape {
                target: Arc::new(Labels::new([("publisher", &*publisher)])),
                time_ms,
                outcome: Outcome::Noted(Note::Site { is_up }),
            };
            batch.push(&publisher, scrape, Source::Guard);
        }
    }

    /// Waits a little for what is under way; what is not done stays in the stream.
    async fn finish(mut self) -> Ending {
        let deadline = Instant::now() + FINISH_TIMEOUT;
        let mut ending = Ending::Clean;
        while !self.delivering.is_empty() {
            match tokio::time::timeout_at(deadline, self.delivering.join_next()).await {
                Ok(Some(Ok((batch, Ok(()))))) => self.done(batch),
                // It failed: it is released, as everything that still waits.
                Ok(Some(Ok((_, Err(_)))) | None) => {}
                Ok(Some(Err(_))) | Err(_) => {
                    ending = Ending::Unclean;
                    self.delivering.abort_all();
                    break;
                }
            }
        }
        let released = self.outstanding.len();
        info!(sink = self.sink.name(), released, "stopped delivering");
        ending
    }
}

/// A lane that no site has: no publisher's name is empty.
fn lane_of_sites() -> LaneId {
    LaneId {
        publisher: "".into(),
        lane: 0,
    }
}

fn ticks(period: Duration) -> Interval {
    let mut ticks = tokio::time::interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
