//! A durable pull consumer that gives messages in the order of the stream, always.
//!
//! `JetStream` redelivers what was not acknowledged after younger messages: after a crash, after a
//! lost connection, after a time-out. For us order is worth more, so what is missing is read
//! straight from the stream before anything younger is handed on:
//!
//! * at the start, all shapes, and for each lane the frames from its last key frame before the
//!   consumer's acknowledgement floor on ([`Phase::State`]); then a stretch of what was
//!   acknowledged last ([`Phase::Primed`]), and everything between the floor and what the consumer
//!   has delivered already ([`Phase::Recovered`]);
//! * in between, whenever the consumer's own numbering shows that a delivery was lost on the way.
//!
//! A recovered message has nothing to acknowledge; the redelivery that follows later brings it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::datetime::DateTime;
use async_nats::jetstream::AckKind;
use async_nats::jetstream::consumer::pull::{Config, MessagesErrorKind, Stream as PullStream};
use async_nats::jetstream::consumer::{AckPolicy, Consumer as PullConsumer, DeliverPolicy};
use async_nats::jetstream::message::{Acker, Message};
use async_nats::jetstream::stream::Stream;
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::Bus;
use super::history::{History, HistoryError, Stretch};
use crate::retry::{Backoff, Retry};

/// Without a sign from us for so long, the server delivers a message again.
pub(super) const ACK_WAIT: Duration = Duration::from_secs(30);

/// Messages delivered and not yet acknowledged, at most; the server stops there.
const ACK_PENDING_MAX: i64 = 10_000;

/// Messages that one pull request asks for: measured, more brings nothing.
const BATCH_MESSAGES: usize = 200;

/// Bytes that one pull request asks for at most: they wait in the client's memory.
///
/// A message larger than that would never come, so it grows with the server's `max_payload`.
const BATCH_BYTES: usize = 32 << 20;

/// How long one pull request stays open, and how often the server shows that it does.
const PULL_EXPIRES: Duration = Duration::from_secs(30);
const PULL_HEARTBEAT: Duration = Duration::from_secs(5);

/// How far back acknowledged messages are read again at the start.
///
/// A stale marker that a crash cost is of use as long as Prometheus looks back, which is 5 minutes.
/// A little longer, because lanes begin a group every 5 minutes: those whose key frame lies further
/// back have to be read one by one.
const PRIME_WINDOW: Duration = Duration::from_secs(6 * 60);

const BACKOFF_MIN: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// A message's place, also in a stream that was deleted and created anew while we ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence {
    /// How many streams of the name there were before, as this consumer has seen.
    pub generation: u32,
    /// The sequence that the stream gave it.
    pub number: u64,
}

/// One message.
#[derive(Debug)]
pub struct Incoming {
    /// Its place in the stream.
    pub sequence: Sequence,
    /// Its subject.
    pub subject: String,
    /// Its headers.
    pub headers: Option<HeaderMap>,
    /// Its payload.
    pub payload: Bytes,
    /// When the stream stored it, milliseconds since the Unix epoch.
    pub stored_ms: i64,
    /// How it came.
    pub phase: Phase,
    /// What to acknowledge it with.
    pub ack: Option<Ack>,
}

impl Incoming {
    pub(super) fn new(
        message: async_nats::Message,
        generation: u32,
        info: &Place,
        phase: Phase,
    ) -> Self {
        let number = info.sequence;
        Self {
            sequence: Sequence { generation, number },
            subject: message.subject.to_string(),
            headers: message.headers,
            payload: message.payload,
            stored_ms: info.stored_ms,
            phase,
            ack: None,
        }
    }
}

/// Where a message stands in the stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) sequence: u64,
    stored_ms: i64,
    /// The consumer's own numbering of what it delivers.
    numbering: u64,
}

impl Place {
    pub(super) fn of(message: &Message) -> Result<Self, async_nats::Error> {
        let info = message.info()?;
        let stored_ms = info.published.unix_timestamp_nanos() / 1_000_000;
        Ok(Self {
            sequence: info.stream_sequence,
            stored_ms: i64::try_from(stored_ms).unwrap_or(i64::MAX),
            numbering: info.consumer_sequence,
        })
    }
}

/// How a message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// A shape, wherever it stands, or a frame that was acknowledged long ago: it matters for what
    /// later frames are coded against, and for nothing else.
    State,
    /// It was acknowledged in an earlier life: learn from it, do not deliver it.
    Primed,
    /// Read from the stream because its delivery was lost or never acknowledged.
    Recovered,
    /// Delivered; possibly again, so its sequence may have been seen.
    Live,
}

/// What to acknowledge a message with.
#[derive(Clone)]
pub struct Ack(Arc<Acker>);

impl fmt::Debug for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ack")
    }
}

/// What to tell the server about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledgement {
    /// It is done with.
    Finished,
    /// It is still being worked on: do not deliver it again yet.
    InProgress,
    /// It will never be of use.
    Terminated,
}

/// Why a consumer has to start over.
#[derive(Debug, thiserror::Error)]
enum ConsumeError {
    #[error("cannot {what}: {detail}")]
    Request { what: &'static str, detail: String },
    #[error(
        "consumer `{name}` exists and {what}; delete it with: nats consumer rm {stream} {name}"
    )]
    Misfit {
        name: String,
        stream: String,
        what: &'static str,
    },
    #[error("the consumer was deleted")]
    Deleted,
    #[error("{0}")]
    History(HistoryError),
}

impl From<HistoryError> for ConsumeError {
    fn from(error: HistoryError) -> Self {
        Self::History(error)
    }
}

fn request(what: &'static str) -> impl Fn(async_nats::Error) -> ConsumeError {
    move |error| ConsumeError::Request {
        what,
        detail: error.to_string(),
    }
}

/// Sends acknowledgements until their channel is closed.
///
/// It may block while the connection is away, so it runs in a task of its own.
pub async fn acknowledge(mut acks: mpsc::Receiver<(Ack, Acknowledgement)>) {
    while let Some((Ack(acker), acknowledgement)) = acks.recv().await {
        let kind = match acknowledgement {
            Acknowledgement::Finished => AckKind::Ack,
            Acknowledgement::InProgress => AckKind::Progress,
            Acknowledgement::Terminated => AckKind::Term,
        };
        if let Err(error) = acker.ack_with(kind).await {
            debug!(
                error = error.to_string(),
                "cannot acknowledge; it will be delivered again"
            );
        }
    }
}

/// A durable consumer of all frames below a topic.
#[derive(Debug)]
pub struct Consumer {
    bus: Bus,
    name: String,
    /// Sequence of the youngest message handed on; 0 before the first.
    last_sequence: u64,
    primed: bool,
    /// When the stream was created that this is about, and how many there were before.
    created: Option<DateTime>,
    generation: u32,
    prime_window: Duration,
}

impl Consumer {
    /// How long the server waits for a sign before it delivers a message again.
    pub const ACK_WAIT: Duration = ACK_WAIT;

    /// Builds a consumer; `name` is its durable name.
    pub fn new(bus: Bus, name: String) -> Self {
        Self {
            bus,
            name,
            last_sequence: 0,
            primed: false,
            created: None,
            generation: 0,
            prime_window: PRIME_WINDOW,
        }
    }

    /// Says how far back acknowledged messages are read again at the start, which is 6 minutes
    /// otherwise; what frames are coded against is read in any case.
    #[must_use]
    pub fn with_prime_window(mut self, window: Duration) -> Self {
        self.prime_window = window;
        self
    }

    /// Hands on messages in the order of the stream until `stop` or until nobody listens.
    ///
    /// `incoming` bounds what is read ahead; when it is full, nothing more is asked for, and the
    /// messages wait in the stream.
    pub async fn run(mut self, incoming: mpsc::Sender<Incoming>, stop: CancellationToken) {
        let mut backoff = Backoff::new(BACKOFF_MIN, BACKOFF_MAX);
        loop {
            let before = self.last_sequence;
            let session = Box::pin(self.session(&incoming));
            let Some(result) = stop.run_until_cancelled(session).await else {
                return;
            };
            let Err(error) = result else {
                return;
            };
            if self.last_sequence > before {
                backoff.reset();
            }
            if backoff.attempt() == 0 {
                warn!(
                    consumer = self.name,
                    error = error.to_string(),
                    "consumer starts over"
                );
            } else {
                debug!(
                    consumer = self.name,
                    error = error.to_string(),
                    "consumer starts over"
                );
            }
            let wait = tokio::time::sleep(backoff.next(Retry::Yes));
            if stop.run_until_cancelled(wait).await.is_none() {
                return;
            }
        }
    }

    /// Reads until an error; `Ok` when nobody listens any more.
    async fn session(&mut self, incoming: &mpsc::Sender<Incoming>) -> Result<(), ConsumeError> {
        self.bus.connected().await;
        let stream = self
            .bus
            .ensure_stream()
            .await
            .map_err(|error| ConsumeError::Request {
                what: "find the stream",
                detail: error.to_string(),
            })?;
        let info = stream.cached_info();
        let first_sequence = info.state.first_sequence;
        self.note_stream(info.created);
        let mut consumer = self.durable(&stream).await?;
        let info = consumer
            .info()
            .await
            .map_err(|error| request("look at the consumer")(error.into()))?;
        let floor = info.ack_floor.stream_sequence;
        let delivered = info.delivered.stream_sequence;
        let mut expected = info.delivered.consumer_sequence + 1;
        let history = self.history(&stream, incoming);
        // Shapes as well when the stream has dropped what we never saw.
        if !self.primed || first_sequence > self.last_sequence + 1 {
            history.shapes().await?;
        }
        if !self.primed {
            history.prime(floor, self.prime_window).await?;
            self.primed = true;
            self.last_sequence = self.last_sequence.max(floor);
        }
        self.recover(
            &stream,
            floor.max(self.last_sequence) + 1,
            delivered,
            incoming,
        )
        .await?;
        info!(
            consumer = self.name,
            sequence = delivered,
            "consumer is at its position"
        );

        let mut messages = self.pull(&consumer).await?;
        let mut has_gap = false;
        while let Some(message) = messages.next().await {
            let message = match message {
                Ok(message) => message,
                Err(error) => match error.kind() {
                    // The connection is away; the stream goes on by itself.
                    MessagesErrorKind::MissingHeartbeat => continue,
                    MessagesErrorKind::ConsumerDeleted => return Err(ConsumeError::Deleted),
                    _ => return Err(request("pull")(error.into())),
                },
            };
            let place = Place::of(&message).map_err(request("read a delivery"))?;
            let sequence = place.sequence;
            has_gap |= place.numbering != expected;
            expected = place.numbering + 1;
            if has_gap && sequence > self.last_sequence {
                self.recover(&stream, self.last_sequence + 1, sequence - 1, incoming)
                    .await?;
                has_gap = false;
            }
            let (message, acker) = message.split();
            let mut live = Incoming::new(message, self.generation, &place, Phase::Live);
            live.ack = Some(Ack(Arc::new(acker)));
            self.last_sequence = self.last_sequence.max(sequence);
            if incoming.send(live).await.is_err() {
                return Ok(());
            }
        }
        Err(ConsumeError::Deleted)
    }

    /// Begins anew when the stream was: its sequences say nothing about the old one's.
    ///
    /// A stream in memory is lost with its server, and whoever is first creates it again.
    fn note_stream(&mut self, created: DateTime) {
        let is_another = self.created.is_some_and(|known| known != created);
        self.created = Some(created);
        if is_another {
            warn!(
                consumer = self.name,
                "the stream was created anew; reading it from its start"
            );
            self.generation += 1;
            self.last_sequence = 0;
            self.primed = true;
        }
    }

    async fn pull(&self, consumer: &PullConsumer<Config>) -> Result<PullStream, ConsumeError> {
        let payload_max = self.bus.max_payload().unwrap_or(0);
        let messages = consumer
            .stream()
            .max_messages_per_batch(BATCH_MESSAGES)
            .max_bytes_per_batch(BATCH_BYTES.max(payload_max.saturating_mul(2)))
            .expires(PULL_EXPIRES)
            .heartbeat(PULL_HEARTBEAT)
            .messages()
            .await;
        messages.map_err(|error| request("pull")(error.into()))
    }

    async fn durable(&self, stream: &Stream) -> Result<PullConsumer<Config>, ConsumeError> {
        let deliver_policy = match self.last_sequence {
            0 => DeliverPolicy::All,
            // Somebody deleted the consumer while we ran: go on where we were.
            last => DeliverPolicy::ByStartSequence {
                start_sequence: last + 1,
            },
        };
        let wanted = Config {
            durable_name: Some(self.name.clone()),
            description: Some("prometheus-streams receiver".to_owned()),
            deliver_policy,
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_ack_pending: ACK_PENDING_MAX,
            filter_subject: self.filter(),
            ..Config::default()
        };
        let consumer = stream
            .get_or_create_consumer(&self.name, wanted)
            .await
            .map_err(|error| request("create the consumer")(error.into()))?;
        let found = &consumer.cached_info().config;
        let what = if found.filter_subject != self.filter() {
            "reads other subjects"
        } else if found.ack_policy != AckPolicy::Explicit {
            "does not acknowledge each message"
        } else {
            return Ok(consumer);
        };
        let stream = stream.cached_info().config.name.clone();
        Err(ConsumeError::Misfit {
            name: self.name.clone(),
            stream,
            what,
        })
    }

    /// Reads the messages `first` to `last` straight from the stream.
    async fn recover(
        &mut self,
        stream: &Stream,
        first: u64,
        last: u64,
        incoming: &mpsc::Sender<Incoming>,
    ) -> Result<(), ConsumeError> {
        if first > last {
            return Ok(());
        }
        let mut progress = self.last_sequence;
        let history = self.history(stream, incoming);
        let stretch = Stretch {
            filter: history.all(),
            from: DeliverPolicy::ByStartSequence {
                start_sequence: first,
            },
            last,
            phase: Phase::Recovered,
        };
        let read = history.read(&stretch, &mut progress).await;
        // Also when it failed on the way.
        self.last_sequence = progress;
        Ok(read?)
    }

    fn history<'s>(
        &'s self,
        stream: &'s Stream,
        incoming: &'s mpsc::Sender<Incoming>,
    ) -> History<'s> {
        History {
            stream,
            topic: &self.bus.settings.topic,
            site: "*",
            generation: self.generation,
            incoming,
        }
    }

    /// Frames have exactly four tokens behind the topic; dead letters have five.
    fn filter(&self) -> String {
        format!("{}.*.*.*.*", self.bus.settings.topic)
    }
}
