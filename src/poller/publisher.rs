//! Publishes the frames of one lane, strictly one after the other.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::Metrics;
use super::backlog::{Backlog, Waiting};
use super::metrics::DropReason;
use crate::bus::{Bus, Kind, LaneId, Subject};
use crate::retry::{Backoff, Retry, Retryable as _};

const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// The task that publishes a lane.
///
/// A frame is outstanding until the stream confirms it, so lanes are the window of outstanding
/// acknowledgements: one each. Two of one lane could be stored in the wrong order when the first
/// has to be sent again.
#[derive(Debug)]
pub(super) struct Publisher {
    id: LaneId,
    index: usize,
    backlog: Arc<Backlog>,
    bus: Bus,
    metrics: Metrics,
}

impl Publisher {
    pub(super) fn new(
        id: LaneId,
        index: usize,
        backlog: Arc<Backlog>,
        bus: Bus,
        metrics: Metrics,
    ) -> Self {
        Self {
            id,
            index,
            backlog,
            bus,
            metrics,
        }
    }

    /// Runs until the backlog is closed and empty, or until `abandon`.
    pub(super) async fn run(self, abandon: CancellationToken) {
        let publishing = async {
            while let Some(frame) = self.backlog.first(self.index).await {
                self.publish(&frame).await;
                self.backlog.remove(self.index);
            }
        };
        abandon.run_until_cancelled(publishing).await;
    }

    /// Publishes a frame until it is confirmed, or until there is no point.
    async fn publish(&self, frame: &Waiting) {
        let subject = Subject {
            lane: self.id.clone(),
            kind: Kind::Key,
        };
        let subject = subject.write(&self.bus.settings().topic);
        let id = format!("{}/{}/{}", self.id, frame.epoch, frame.number);
        let mut backoff = Backoff::new(BACKOFF_MIN, BACKOFF_MAX);
        loop {
            self.bus.connected().await;
            let payload = frame.payload.clone();
            let error = match self.bus.publish(subject.clone(), &id, payload, None).await {
                Ok(()) => {
                    if backoff.attempt() > 0 {
                        info!(lane = %self.id, attempts = backoff.attempt() + 1, "published again");
                    }
                    debug!(lane = %self.id, number = frame.number, "published");
                    self.metrics.published(frame.scrapes, frame.payload.len());
                    return;
                }
                Err(error) => error,
            };
            if error.retry() == Retry::No {
                let bytes = frame.payload.len();
                error!(lane = %self.id, bytes, error = error.to_string(), "cannot publish a frame");
                self.metrics.dropped(DropReason::TooLarge, frame.scrapes);
                return;
            }
            self.metrics.repeated();
            if backoff.attempt() == 0 {
                warn!(lane = %self.id, error = error.to_string(), "publishing again");
            }
            tokio::time::sleep(backoff.next(error.retry())).await;
        }
    }
}
