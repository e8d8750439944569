//! Publishes the frames of one lane, strictly one after the other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::Metrics;
use super::backlog::Backlog;
use super::metrics::DropReason;
use crate::bus::{Bus, Kind, LaneId, PublishError, Subject};
use crate::retry::{Backoff, Retry, Retryable as _};
use crate::spool::{self, Entry, Position};

/// Where a message stands among those of its lane: shapes before the frame that needs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    epoch: u64,
    number: u64,
    part: u32,
}

fn place_of(entry: &Entry) -> Place {
    let part = match entry.kind {
        spool::Kind::Shape { part } => part,
        spool::Kind::Key | spool::Kind::Delta => u32::MAX,
    };
    Place {
        epoch: entry.epoch,
        number: entry.number,
        part,
    }
}

const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// The task that publishes a lane.
///
/// A frame is outstanding until the stream confirms it, so lanes are the window of outstanding
/// acknowledgements: one each. Two of one lane could be stored in the wrong order when the first
/// has to be sent again.
#[derive(Debug)]
pub(super) struct Publisher {
    site: Arc<str>,
    queue: usize,
    backlog: Arc<Backlog>,
    bus: Bus,
    /// Where places in the spool are confirmed.
    confirmed: mpsc::Sender<Position>,
    metrics: Metrics,
    /// The last message of each lane that the stream has confirmed.
    last: HashMap<u32, Place>,
}

impl Publisher {
    pub(super) fn new(
        site: Arc<str>,
        queue: usize,
        backlog: Arc<Backlog>,
        bus: Bus,
        confirmed: mpsc::Sender<Position>,
        metrics: Metrics,
    ) -> Self {
        Self {
            site,
            queue,
            backlog,
            bus,
            confirmed,
            metrics,
            last: HashMap::new(),
        }
    }

    /// Runs until the backlog is closed and empty, or until `abandon`.
    pub(super) async fn run(mut self, abandon: CancellationToken) {
        let publishing = async {
            while let Some(frame) = self.backlog.first(self.queue).await {
                // A frame that was under way when the backlog went to disk comes from there again.
                if !self.is_known(&frame.entry) {
                    self.publish(&frame.entry).await;
                    self.last.insert(frame.entry.lane, place_of(&frame.entry));
                }
                if let Some(position) = frame.position
                    && self.confirmed.send(position).await.is_err()
                {
                    debug!("the spool is closed; the frame stays in it and is repeated");
                }
                self.backlog.remove(self.queue, &frame);
            }
        };
        abandon.run_until_cancelled(publishing).await;
    }

    fn is_known(&self, entry: &Entry) -> bool {
        let last = self.last.get(&entry.lane);
        last.is_some_and(|last| last.epoch == entry.epoch && place_of(entry) <= *last)
    }

    /// Publishes a frame until it is confirmed, or until there is no point.
    async fn publish(&self, frame: &Entry) {
        let lane = LaneId {
            publisher: Arc::clone(&self.site),
            lane: frame.lane,
        };
        let mut id = format!("{lane}/{}/{}", frame.epoch, frame.number);
        let kind = match frame.kind {
            spool::Kind::Shape { part } => {
                id = format!("{id}/{part}");
                Kind::Shape
            }
            spool::Kind::Key => Kind::Key,
            spool::Kind::Delta => Kind::Delta,
        };
        let subject = Subject { lane, kind };
        let text = subject.write(&self.bus.settings().topic);
        let lane = &subject.lane;
        let mut backoff = Backoff::new(BACKOFF_MIN, BACKOFF_MAX);
        loop {
            self.bus.connected().await;
            let payload = frame.payload.clone();
            let error = match self.bus.publish(text.clone(), &id, payload, None).await {
                Ok(()) => {
                    if backoff.attempt() > 0 {
                        info!(%lane, attempts = backoff.attempt() + 1, "published again");
                    }
                    debug!(%lane, number = frame.number, "published");
                    self.metrics.published(frame);
                    return;
                }
                Err(error) => error,
            };
            if error.retry() == Retry::No {
                let bytes = frame.payload.len();
                error!(%lane, bytes, error = error.to_string(), "cannot publish a frame");
                self.metrics.dropped(DropReason::TooLarge, frame.scrapes);
                self.backlog.signals().lost(frame.lane);
                return;
            }
            // A stream in memory is lost with its server; whoever is first creates it again.
            if error == PublishError::NoStream
                && let Err(error) = self.bus.ensure_stream().await
            {
                debug!(%lane, error = error.to_string(), "the stream is still missing");
            }
            self.metrics.repeated();
            if backoff.attempt() == 0 {
                warn!(%lane, error = error.to_string(), "publishing again");
            }
            tokio::time::sleep(backoff.next(error.retry())).await;
        }
    }
}
