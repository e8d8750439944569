//! Asks pollers for key frames, within bounds.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Metrics;
use crate::bus::{Bus, LaneId};

/// A lane is asked no more often, whichever feed misses something: a key frame is under way for a
/// second or two, and every frame before it that cannot be decoded would ask again.
const PERIOD: Duration = Duration::from_secs(15);

/// Lanes that are remembered; when so many were asked within [`PERIOD`], no other one is: somebody
/// makes lanes up.
const LANES_MAX: usize = 10_000;

/// Requests on their way; one that finds it full is left out, and the lane's next bad frame asks.
const QUEUE: usize = 256;

/// Where feeds say that they need a key frame.
#[derive(Debug, Clone)]
pub(super) struct Requests {
    lanes: mpsc::Sender<LaneId>,
    asked: Arc<Mutex<HashMap<LaneId, Instant>>>,
    metrics: Metrics,
}

impl Requests {
    /// Returns the place and the task that asks, until all places are gone.
    pub(super) fn spawn(bus: Bus, metrics: Metrics) -> (Self, impl Future<Output = ()>) {
        let (requests, mut lanes) = Self::new(metrics);
        let asking = async move {
            while let Some(lane) = lanes.recv().await {
                bus.request_key(&lane).await;
            }
        };
        (requests, asking)
    }

    pub(super) fn new(metrics: Metrics) -> (Self, mpsc::Receiver<LaneId>) {
        // The feeds write, one task reads, because sending may block for a moment.
        let (lanes, queue) = mpsc::channel(QUEUE);
        let asked = Arc::default();
        (
            Self {
                lanes,
                asked,
                metrics,
            },
            queue,
        )
    }

    /// Asks for a key frame of a lane, unless it was asked for one just now.
    pub(super) fn ask(&self, lane: &LaneId) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |at: &Instant| at.elapsed() < PERIOD;
        if asked.get(lane).is_some_and(is_recent) {
            return;
        }
        if asked.len() >= LANES_MAX {
            asked.retain(|_, at| is_recent(at));
        }
        if asked.len() < LANES_MAX && self.lanes.try_send(lane.clone()).is_ok() {
            asked.insert(lane.clone(), Instant::now());
            self.metrics.key_request(&lane.publisher);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lane_is_asked_once_in_a_while() {
        let (requests, mut queue) = Requests::new(Metrics::default());
        let lane = |lane| LaneId {
            publisher: "USDC1".into(),
            lane,
        };
        let other_feed = requests.clone();
        requests.ask(&lane(1));
        other_feed.ask(&lane(1));
        other_feed.ask(&lane(2));
        tokio::time::advance(PERIOD * 14 / 15).await;
        requests.ask(&lane(1));
        assert_eq!(queue.try_recv().unwrap(), lane(1));
        assert_eq!(queue.try_recv().unwrap(), lane(2));
        assert!(queue.try_recv().is_err());
        tokio::time::advance(PERIOD / 15).await;
        requests.ask(&lane(1));
        assert_eq!(queue.try_recv().unwrap(), lane(1));
    }
}
