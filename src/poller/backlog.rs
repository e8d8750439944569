//! Frames that wait to be published.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;
use tracing::error;

use super::Metrics;
use super::metrics::DropReason;

/// Bytes of frames that may wait, all lanes together.
///
/// A frame of raw text is some 10 kB per scrape, so this is about an hour of a hundred targets at
/// a minute. When it is full, the oldest frame that is not under way is dropped and counted; the
/// receiver sees the gap in the lane's numbers.
const BYTES_MAX: usize = 64 << 20;

/// A closed frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Waiting {
    /// Its number in the lane and epoch.
    pub(super) number: u64,
    /// The poller's epoch.
    pub(super) epoch: u64,
    /// Its bytes.
    pub(super) payload: Bytes,
    /// Scrapes in it.
    pub(super) scrapes: u64,
}

/// All frames that wait, by lane.
#[derive(Debug)]
pub(super) struct Backlog {
    state: Mutex<State>,
    lanes: Vec<Arc<Notify>>,
    bytes_max: usize,
    metrics: Metrics,
}

#[derive(Debug)]
struct State {
    lanes: Vec<LaneState>,
    bytes: usize,
    /// Order in which frames were closed, over all lanes.
    order: u64,
    is_closed: bool,
    is_dropping: bool,
}

#[derive(Debug, Default)]
struct LaneState {
    frames: VecDeque<(u64, Waiting)>,
    /// The first frame was handed to the publisher and may be stored already.
    is_under_way: bool,
}

impl Backlog {
    pub(super) fn new(lanes: usize, metrics: Metrics) -> Self {
        Self::with_limit(lanes, metrics, BYTES_MAX)
    }

    fn with_limit(lanes: usize, metrics: Metrics, bytes_max: usize) -> Self {
        let state = State {
            lanes: std::iter::repeat_with(LaneState::default)
                .take(lanes)
                .collect(),
            bytes: 0,
            order: 0,
            is_closed: false,
            is_dropping: false,
        };
        let lanes = std::iter::repeat_with(Arc::default).take(lanes).collect();
        Self {
            state: Mutex::new(state),
            lanes,
            bytes_max,
            metrics,
        }
    }

    /// Puts a frame behind the others of its lane; drops the oldest ones when there is no room.
    pub(super) fn push(&self, lane: usize, frame: Waiting) {
        let mut state = self.lock();
        let order = state.order;
        state.order += 1;
        state.bytes += frame.payload.len();
        if let Some(queue) = state.lanes.get_mut(lane) {
            queue.frames.push_back((order, frame));
        }
        let mut dropped = 0;
        while state.bytes > self.bytes_max {
            let Some(frame) = state.drop_oldest() else {
                break;
            };
            dropped += frame.scrapes;
        }
        if dropped > 0 && !state.is_dropping {
            error!(
                bytes = self.bytes_max,
                "no room for more frames; dropping the oldest ones"
            );
        }
        state.is_dropping = dropped > 0 || (state.is_dropping && state.bytes > self.bytes_max / 2);
        self.metrics.dropped(DropReason::BufferFull, dropped);
        self.metrics.waiting(state.bytes, state.frames());
        drop(state);
        if let Some(notify) = self.lanes.get(lane) {
            notify.notify_one();
        }
    }

    /// Returns the lane's first frame, waiting for one; `None` when none will come any more.
    ///
    /// The frame stays first until it is [removed](Self::remove).
    pub(super) async fn first(&self, lane: usize) -> Option<Waiting> {
        let notify = self.lanes.get(lane)?;
        loop {
            let notified = notify.notified();
            {
                let mut state = self.lock();
                let is_closed = state.is_closed;
                let queue = state.lanes.get_mut(lane)?;
                if let Some((_, frame)) = queue.frames.front() {
                    queue.is_under_way = true;
                    return Some(frame.clone());
                }
                if is_closed {
                    return None;
                }
            }
            notified.await;
        }
    }

    /// Takes the lane's first frame away, published or given up.
    pub(super) fn remove(&self, lane: usize) {
        let mut state = self.lock();
        if let Some(queue) = state.lanes.get_mut(lane) {
            queue.is_under_way = false;
            if let Some((_, frame)) = queue.frames.pop_front() {
                state.bytes -= frame.payload.len();
            }
        }
        self.metrics.waiting(state.bytes, state.frames());
    }

    /// Says that no more frames will come.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        for lane in &self.lanes {
            lane.notify_one();
        }
    }

    /// Drops what is left, counted, and returns how many scrapes that were.
    pub(super) fn abandon(&self) -> u64 {
        let mut state = self.lock();
        let mut scrapes = 0;
        for lane in &mut state.lanes {
            scrapes += lane
                .frames
                .drain(..)
                .map(|(_, frame)| frame.scrapes)
                .sum::<u64>();
        }
        state.bytes = 0;
        self.metrics.dropped(DropReason::Shutdown, scrapes);
        self.metrics.waiting(0, 0);
        scrapes
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn frames(&self) -> usize {
        self.lanes.iter().map(|lane| lane.frames.len()).sum()
    }

    /// Takes out the oldest frame that is not under way.
    fn drop_oldest(&mut self) -> Option<Waiting> {
        let oldest = self.lanes.iter_mut().filter_map(|lane| {
            let index = usize::from(lane.is_under_way);
            let order = lane.frames.get(index)?.0;
            Some((order, index, lane))
        });
        let (_, index, lane) = oldest.min_by_key(|(order, ..)| *order)?;
        let (_, frame) = lane.frames.remove(index)?;
        self.bytes -= frame.payload.len();
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(number: u64) -> Waiting {
        Waiting {
            number,
            epoch: 1,
            payload: Bytes::from_static(&[0; 10]),
            scrapes: 2,
        }
    }

    fn backlog(lanes: usize) -> Backlog {
        Backlog::with_limit(lanes, Metrics::default(), 30)
    }

    #[tokio::test]
    async fn a_lane_is_first_in_first_out() {
        let backlog = backlog(2);
        backlog.push(0, frame(1));
        backlog.push(1, frame(7));
        backlog.push(0, frame(2));
        assert_eq!(backlog.first(0).await, Some(frame(1)));
        assert_eq!(backlog.first(0).await, Some(frame(1)));
        backlog.remove(0);
        assert_eq!(backlog.first(0).await, Some(frame(2)));
        assert_eq!(backlog.first(1).await, Some(frame(7)));
    }

    #[tokio::test]
    async fn drops_the_oldest_of_all_lanes_but_none_under_way() {
        let backlog = backlog(2);
        backlog.push(0, frame(1));
        backlog.push(1, frame(1));
        backlog.push(0, frame(2));
        assert_eq!(backlog.first(0).await, Some(frame(1)));
        backlog.push(0, frame(3));
        assert_eq!(backlog.metrics.dropped_total(DropReason::BufferFull), 2);
        backlog.remove(0);
        assert_eq!(backlog.first(0).await, Some(frame(2)));
        backlog.push(1, frame(2));
        assert_eq!(
            backlog.first(1).await,
            Some(frame(2)),
            "the first of lane 1 was the oldest"
        );
    }

    #[tokio::test]
    async fn ends_when_closed_and_empty() {
        let backlog = backlog(1);
        backlog.push(0, frame(1));
        backlog.close();
        assert_eq!(backlog.first(0).await, Some(frame(1)));
        backlog.remove(0);
        assert_eq!(backlog.first(0).await, None);
        assert_eq!(backlog.abandon(), 0);
    }

    #[tokio::test]
    async fn what_is_abandoned_is_counted() {
        let backlog = backlog(1);
        backlog.push(0, frame(1));
        assert_eq!(backlog.abandon(), 2);
        assert_eq!(backlog.metrics.dropped_total(DropReason::Shutdown), 2);
    }
}
