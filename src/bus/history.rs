//! Reading what the stream holds already, past any consumer's position.

use std::collections::HashMap;
use std::time::Duration;

use async_nats::datetime::DateTime;
use async_nats::jetstream::consumer::pull::Config;
use async_nats::jetstream::consumer::{AckPolicy, Consumer as PullConsumer, DeliverPolicy};
use async_nats::jetstream::stream::Stream;
use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tracing::debug;

use super::Kind;
use super::consumer::{Incoming, Phase, Place};

/// A reader that dies is forgotten by the server after this time.
const INACTIVE: Duration = Duration::from_secs(30);

/// Messages of one request; they wait in the client's memory.
const BATCH_MESSAGES: usize = 200;

/// Shape messages of one request: each may be as large as the server lets a message be.
const BATCH_SHAPES: usize = 32;

/// So many lanes are read one by one; of more, the stream is read as a whole instead.
const LANES_MAX: usize = 256;

/// Why the stream cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the stream's history: {0}")]
pub(super) struct HistoryError(String);

fn failed(error: impl std::fmt::Display) -> HistoryError {
    HistoryError(error.to_string())
}

/// What to read from, and where to hand it on.
pub(super) struct History<'s> {
    pub(super) stream: &'s Stream,
    pub(super) topic: &'s str,
    /// The site's token; `*` for all.
    pub(super) site: &'s str,
    pub(super) generation: u32,
    pub(super) incoming: &'s mpsc::Sender<Incoming>,
}

/// A stretch of the stream.
pub(super) struct Stretch {
    pub(super) filter: String,
    pub(super) from: DeliverPolicy,
    /// The last sequence that belongs to it.
    pub(super) last: u64,
    pub(super) phase: Phase,
}

impl History<'_> {
    /// Returns what matches all frames: four tokens behind the topic; dead letters have five.
    pub(super) fn all(&self) -> String {
        format!("{}.{}.*.*.*", self.topic, self.site)
    }

    fn of(&self, kind: Kind) -> String {
        format!("{}.{}.*.*.{}", self.topic, self.site, kind.as_str())
    }

    /// Hands on what led to the state at `floor`: from each lane's last key frame on what later
    /// frames are coded against, and a stretch of what was acknowledged last.
    ///
    /// When it fails on the way it is done again from its start: a frame that was read already
    /// changes no state.
    pub(super) async fn prime(&self, floor: u64, window: Duration) -> Result<(), HistoryError> {
        let state = &self.stream.cached_info().state;
        if floor < state.first_sequence.max(1) {
            // Nothing that was acknowledged is left.
            return Ok(());
        }
        let at_floor = DeliverPolicy::ByStartSequence {
            start_sequence: floor,
        };
        // Somebody may have deleted the message itself.
        let at_floor = self.first(at_floor).await?;
        let time = at_floor.map_or(state.last_timestamp, |(_, time)| time);
        let start_time = time - window;
        let start = self
            .first(DeliverPolicy::ByStartTime { start_time })
            .await?;
        let start = start.map_or(floor + 1, |(start, _)| start);
        let keys = self.keys(floor).await?;
        self.states(keys, start.min(floor + 1)).await?;
        if start > floor {
            return Ok(());
        }
        let stretch = Stretch {
            filter: self.all(),
            from: DeliverPolicy::ByStartSequence {
                start_sequence: start,
            },
            last: floor,
            phase: Phase::Primed,
        };
        self.read(&stretch, &mut 0).await
    }

    /// Hands on all shapes in the stream: those that are in use are there at any moment, but
    /// perhaps only behind the frames that name them.
    pub(super) async fn shapes(&self) -> Result<(), HistoryError> {
        let stretch = Stretch {
            filter: self.of(Kind::Shape),
            from: DeliverPolicy::All,
            last: u64::MAX,
            phase: Phase::State,
        };
        let reader = self.open(&stretch, Payloads::Whole).await?;
        // What is stored while this is read comes later anyway.
        let count = reader.cached_info().num_pending;
        let read = self.hand_on(&reader, &stretch, count, &mut 0).await;
        self.close(&reader).await;
        read
    }

    /// Hands on what the frames behind `before` are coded against: for each lane the frames from
    /// its last key frame on, as far as they stand before `before`. Lanes whose key frame is not
    /// before it are left out.
    pub(super) async fn states(
        &self,
        keys: HashMap<String, u64>,
        before: u64,
    ) -> Result<(), HistoryError> {
        let mut lanes: Vec<(u64, String)> = keys
            .into_iter()
            .filter(|(_, key)| *key < before)
            .map(|(lane, key)| (key, lane))
            .collect();
        lanes.sort_unstable();
        if lanes.len() > LANES_MAX {
            lanes.truncate(1);
            for (_, lane) in &mut lanes {
                *lane = self.all();
            }
        }
        for (key, filter) in lanes {
            let stretch = Stretch {
                filter,
                from: DeliverPolicy::ByStartSequence {
                    start_sequence: key,
                },
                last: before - 1,
                phase: Phase::State,
            };
            self.read(&stretch, &mut 0).await?;
        }
        Ok(())
    }

    /// Returns the sequence of each lane's last key frame up to `last`, by the subject of all of
    /// the lane's frames.
    pub(super) async fn keys(&self, last: u64) -> Result<HashMap<String, u64>, HistoryError> {
        let stretch = Stretch {
            filter: self.of(Kind::Key),
            from: DeliverPolicy::All,
            last,
            phase: Phase::State,
        };
        let reader = self.open(&stretch, Payloads::LeftOut).await?;
        let keys = self.look_at_keys(&reader, last).await;
        self.close(&reader).await;
        keys
    }

    async fn look_at_keys(
        &self,
        reader: &PullConsumer<Config>,
        last: u64,
    ) -> Result<HashMap<String, u64>, HistoryError> {
        let mut keys = HashMap::new();
        loop {
            let batch = reader.fetch().max_messages(BATCH_MESSAGES).messages().await;
            let mut batch = batch.map_err(failed)?;
            let mut count = 0;
            while let Some(message) = batch.next().await {
                let message = message.map_err(failed)?;
                let place = Place::of(&message).map_err(failed)?;
                if place.sequence > last {
                    return Ok(keys);
                }
                count += 1;
                let subject = message.subject.as_str();
                let lane = subject.rsplit_once('.').map_or(subject, |(lane, _)| lane);
                keys.insert(format!("{lane}.*"), place.sequence);
            }
            if count == 0 {
                return Ok(keys);
            }
        }
    }

    /// Returns where and when the first message of a stretch was stored.
    pub(super) async fn first(
        &self,
        from: DeliverPolicy,
    ) -> Result<Option<(u64, DateTime)>, HistoryError> {
        let stretch = Stretch {
            filter: self.all(),
            from,
            last: u64::MAX,
            phase: Phase::State,
        };
        let reader = self.open(&stretch, Payloads::LeftOut).await?;
        let first = async {
            let batch = reader.fetch().max_messages(1).messages().await;
            let mut batch = batch.map_err(failed)?;
            let Some(message) = batch.next().await else {
                return Ok(None);
            };
            let message = message.map_err(failed)?;
            let info = message.info().map_err(failed)?;
            Ok(Some((info.stream_sequence, info.published)))
        };
        let first = first.await;
        self.close(&reader).await;
        first
    }

    /// Hands on a stretch; `progress` becomes the sequence of what was handed on last.
    pub(super) async fn read(
        &self,
        stretch: &Stretch,
        progress: &mut u64,
    ) -> Result<(), HistoryError> {
        let reader = self.open(stretch, Payloads::Whole).await?;
        let read = self.hand_on(&reader, stretch, u64::MAX, progress).await;
        self.close(&reader).await;
        read
    }

    async fn hand_on(
        &self,
        reader: &PullConsumer<Config>,
        stretch: &Stretch,
        mut count_max: u64,
        progress: &mut u64,
    ) -> Result<(), HistoryError> {
        let batch_max = match stretch.phase {
            Phase::State => BATCH_SHAPES,
            Phase::Primed | Phase::Recovered | Phase::Live => BATCH_MESSAGES,
        };
        while count_max > 0 {
            let batch = reader.fetch().max_messages(batch_max).messages().await;
            let mut batch = batch.map_err(failed)?;
            let mut count = 0;
            while let Some(message) = batch.next().await {
                let message = message.map_err(failed)?;
                let place = Place::of(&message).map_err(failed)?;
                if place.sequence > stretch.last {
                    return Ok(());
                }
                count += 1;
                *progress = place.sequence.max(*progress);
                let old = Incoming::new(message.message, self.generation, &place, stretch.phase);
                if self.incoming.send(old).await.is_err() {
                    return Ok(());
                }
            }
            // A batch without any message: the end of the stream is reached.
            if count == 0 {
                return Ok(());
            }
            count_max = count_max.saturating_sub(count);
        }
        Ok(())
    }

    async fn open(
        &self,
        stretch: &Stretch,
        payloads: Payloads,
    ) -> Result<PullConsumer<Config>, HistoryError> {
        let config = Config {
            deliver_policy: stretch.from,
            ack_policy: AckPolicy::None,
            filter_subject: stretch.filter.clone(),
            inactive_threshold: INACTIVE,
            memory_storage: true,
            headers_only: payloads == Payloads::LeftOut,
            ..Config::default()
        };
        self.stream.create_consumer(config).await.map_err(failed)
    }

    /// It would go away by itself; the server need not keep it until then.
    async fn close(&self, reader: &PullConsumer<Config>) {
        let name = &reader.cached_info().name;
        if let Err(error) = self.stream.delete_consumer(name).await {
            debug!(
                error = error.to_string(),
                "cannot delete the reader of history"
            );
        }
    }
}

/// What a reader is sent of each message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Payloads {
    Whole,
    LeftOut,
}
