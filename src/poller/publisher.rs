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
use crate::spool::{Entry, Position};

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
    /// The last frame of each lane that the stream has confirmed, as epoch and number.
    last: HashMap<u32, (u64, u64)>,
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
                    let Entry {
                        lane,
                        epoch,
                        number,
                        ..
                    } = frame.entry;
                    self.last.insert(lane, (epoch, number));
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
        last.is_some_and(|(epoch, number)| *epoch == entry.epoch && entry.number <= *number)
    }

    /// Publishes a frame until it is confirmed, or until there is no point.
    async fn publish(&self, frame: &Entry) {
        let lane = LaneId {
            publisher: Arc::clone(&self.site),
            lane: frame.lane,
        };
        let id = format!("{lane}/{}/{}", frame.epoch, frame.number);
        let subject = Subject {
            lane,
            kind: Kind::Key,
        };
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
                    self.metrics.published(frame.scrapes, frame.payload.len());
                    return;
                }
                Err(error) => error,
            };
            if error.retry() == Retry::No {
                let bytes = frame.payload.len();
                error!(%lane, bytes, error = error.to_string(), "cannot publish a frame");
                self.metrics.dropped(DropReason::TooLarge, frame.scrapes);
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
