//! Frames that wait to be published.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc};
use tracing::{debug, error};

use super::Metrics;
use super::metrics::DropReason;
use super::signals::Signals;
use crate::spool::{Entry, Position};

/// Bytes of frames that may wait, all lanes together.
///
/// A frame of raw text is some 10 kB per scrape, so this is about an hour of a hundred targets at
/// a minute. When it is full, the oldest frame that is not under way is dropped and counted; the
/// receiver sees the gap in the lane's numbers.
const BYTES_MAX: usize = 64 << 20;

/// Lanes of a site: four times what the most targets of a poller take. A queue takes a few hundred
/// bytes, and is made when its lane has its first frame.
pub(super) const LANES_MAX: usize = 2048;

/// A closed frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Waiting {
    /// What it is.
    pub(super) entry: Entry,
    /// Its place in the spool, if it was read from there.
    pub(super) position: Option<Position>,
}

impl Waiting {
    /// Tells whether both are the same frame from the same place.
    ///
    /// One that was under way when all went to disk comes from there again, and its place has to
    /// be confirmed as well.
    fn is(&self, other: &Self) -> bool {
        let name = |Self { entry, position }: &Self| {
            (entry.lane, entry.epoch, entry.number, entry.kind, *position)
        };
        name(self) == name(other)
    }
}

/// All frames that wait, by lane.
#[derive(Debug)]
pub(super) struct Backlog {
    state: Mutex<State>,
    /// Where the number of a queue goes that has its first frame: it needs a publisher.
    opened: mpsc::Sender<usize>,
    signals: Arc<Signals>,
    emptied: Notify,
    bytes_max: usize,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct State {
    lanes: BTreeMap<usize, LaneState>,
    bytes: usize,
    /// Order in which frames were closed, over all lanes.
    order: u64,
    is_closed: bool,
    is_dropping: bool,
}

#[derive(Debug, Default)]
struct LaneState {
    frames: VecDeque<(u64, Waiting)>,
    changed: Arc<Notify>,
    /// The first frame was handed to the publisher and may be stored already.
    is_under_way: bool,
}

impl Backlog {
    /// Makes an empty one; the receiver gets the number of each queue once, when it has its first
    /// frame. They are at most [`LANES_MAX`].
    pub(super) fn new(metrics: Metrics) -> (Self, mpsc::Receiver<usize>) {
        Self::with_limit(metrics, BYTES_MAX)
    }

    fn with_limit(metrics: Metrics, bytes_max: usize) -> (Self, mpsc::Receiver<usize>) {
        // The backlog writes each number once, so it is never full.
        let (opened, queues) = mpsc::channel(LANES_MAX);
        let backlog = Self {
            state: Mutex::default(),
            opened,
            signals: Arc::new(Signals::new(LANES_MAX)),
            emptied: Notify::new(),
            bytes_max,
            metrics,
        };
        (backlog, queues)
    }

    /// Returns where lanes are told what became of their messages.
    pub(super) fn signals(&self) -> &Arc<Signals> {
        &self.signals
    }

    /// Puts a frame behind the others of its queue; drops the oldest ones when there is no room.
    pub(super) fn push(&self, frame: Waiting) {
        let queue = queue_of(&frame);
        let mut state = self.lock();
        let order = state.order;
        state.order += 1;
        state.bytes += frame.entry.payload.len();
        let is_closed = state.is_closed;
        let lane = state.lanes.entry(queue).or_insert_with(|| {
            // When nobody listens any more the program ends, and what waits is counted.
            if !is_closed && self.opened.try_send(queue).is_err() {
                debug!(queue, "a frame came when no publisher begins any more");
            }
            LaneState::default()
        });
        lane.frames.push_back((order, frame));
        lane.changed.notify_one();
        let (mut frames, mut dropped) = (0, 0);
        while state.bytes > self.bytes_max {
            let Some(frame) = state.drop_oldest() else {
                break;
            };
            frames += 1;
            dropped += frame.entry.scrapes;
            self.signals.thinned(frame.entry.lane);
        }
        if frames > 0 && !state.is_dropping {
            error!(
                bytes = self.bytes_max,
                "no room for more frames; dropping the oldest ones"
            );
        }
        state.is_dropping = frames > 0 || (state.is_dropping && state.bytes > self.bytes_max / 2);
        self.metrics.dropped(DropReason::BufferFull, dropped);
        self.metrics.waiting(state.bytes, state.frames());
    }

    /// Returns the lane's first frame, waiting for one; `None` when none will come any more.
    ///
    /// The frame stays first until it is [removed](Self::remove).
    pub(super) async fn first(&self, lane: usize) -> Option<Waiting> {
        let changed = Arc::clone(&self.lock().lanes.get(&lane)?.changed);
        loop {
            let notified = changed.notified();
            {
                let mut state = self.lock();
                let is_closed = state.is_closed;
                let queue = state.lanes.get_mut(&lane)?;
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

    /// Takes a queue's first frame away, published or given up; nothing if it is another by now.
    pub(super) fn remove(&self, queue: usize, done: &Waiting) {
        let mut state = self.lock();
        if let Some(lane) = state.lanes.get_mut(&queue) {
            lane.is_under_way = false;
            if lane.frames.front().is_some_and(|(_, first)| first.is(done))
                && let Some((_, frame)) = lane.frames.pop_front()
            {
                state.bytes -= frame.entry.payload.len();
            }
        }
        let frames = state.frames();
        self.metrics.waiting(state.bytes, frames);
        if frames == 0 {
            self.emptied.notify_waiters();
        }
    }

    /// Takes all frames out, those under way included, in the order in which they were put in.
    pub(super) fn take_all(&self) -> Vec<Waiting> {
        let mut state = self.lock();
        let mut all: Vec<(u64, Waiting)> = state
            .lanes
            .values_mut()
            .flat_map(|lane| lane.frames.drain(..))
            .collect();
        state.bytes = 0;
        self.metrics.waiting(0, 0);
        self.emptied.notify_waiters();
        drop(state);
        all.sort_unstable_by_key(|(order, _)| *order);
        all.into_iter().map(|(_, frame)| frame).collect()
    }

    /// Returns the bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Returns when the oldest frame that waits was closed, milliseconds since the Unix epoch.
    pub(super) fn oldest_ms(&self) -> Option<i64> {
        let state = self.lock();
        let firsts = state.lanes.values().filter_map(|lane| lane.frames.front());
        firsts.map(|(_, frame)| frame.entry.closed_ms).min()
    }

    /// Returns when nothing waits any more.
    pub(super) async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            tokio::pin!(emptied);
            // Registered before the look, so that no end in between is missed.
            emptied.as_mut().enable();
            if self.lock().frames() == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// Says that no more frames will come.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        for lane in state.lanes.values() {
            lane.changed.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lane that an earlier run had in a folder of another site may be far off; its frames keep their
/// order still.
fn queue_of(frame: &Waiting) -> usize {
    usize::try_from(frame.entry.lane).unwrap_or(0) % LANES_MAX
}

impl State {
    fn frames(&self) -> usize {
        self.lanes.values().map(|lane| lane.frames.len()).sum()
    }

    /// Takes out the oldest frame that is not under way.
    fn drop_oldest(&mut self) -> Option<Waiting> {
        let oldest = self.lanes.values_mut().filter_map(|lane| {
            let index = usize::from(lane.is_under_way);
            let order = lane.frames.get(index)?.0;
            Some((order, index, lane))
        });
        let (_, index, lane) = oldest.min_by_key(|(order, ..)| *order)?;
        let (_, frame) = lane.frames.remove(index)?;
        self.bytes -= frame.entry.payload.len();
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::spool::Kind;

    fn frame(lane: u32, number: u64) -> Waiting {
        let payload = Bytes::from_static(&[0; 10]);
        let (epoch, scrapes, closed_ms) = (1, 2, 0);
        let entry = Entry {
            lane,
            epoch,
            number,
            kind: Kind::Delta,
            scrapes,
            closed_ms,
            payload,
        };
        Waiting {
            entry,
            position: None,
        }
    }

    fn backlog() -> Backlog {
        Backlog::with_limit(Metrics::default(), 30).0
    }

    #[tokio::test]
    async fn a_lane_is_first_in_first_out() {
        let backlog = backlog();
        backlog.push(frame(0, 1));
        backlog.push(frame(1, 7));
        backlog.push(frame(0, 2));
        assert_eq!(backlog.first(0).await, Some(frame(0, 1)));
        assert_eq!(backlog.first(0).await, Some(frame(0, 1)));
        backlog.remove(0, &frame(0, 1));
        assert_eq!(backlog.first(0).await, Some(frame(0, 2)));
        assert_eq!(backlog.first(1).await, Some(frame(1, 7)));
    }

    #[tokio::test]
    async fn drops_the_oldest_of_all_lanes_but_none_under_way() {
        let backlog = backlog();
        backlog.push(frame(0, 1));
        backlog.push(frame(1, 1));
        backlog.push(frame(0, 2));
        assert_eq!(backlog.first(0).await, Some(frame(0, 1)));
        backlog.push(frame(0, 3));
        assert_eq!(backlog.metrics.dropped_total(DropReason::BufferFull), 2);
        backlog.remove(0, &frame(0, 1));
        assert_eq!(backlog.first(0).await, Some(frame(0, 2)));
        backlog.push(frame(1, 2));
        let first = backlog.first(1).await;
        assert_eq!(
            first,
            Some(frame(1, 2)),
            "the first of lane 1 was the oldest"
        );
    }

    #[tokio::test]
    async fn ends_when_closed_and_empty() {
        let backlog = backlog();
        backlog.push(frame(0, 1));
        backlog.close();
        assert_eq!(backlog.first(0).await, Some(frame(0, 1)));
        backlog.remove(0, &frame(0, 1));
        assert_eq!(backlog.first(0).await, None);
        backlog.emptied().await;
    }

    #[tokio::test]
    async fn all_are_taken_in_the_order_in_which_they_came() {
        let backlog = backlog();
        backlog.push(frame(1, 1));
        backlog.push(frame(0, 1));
        assert_eq!(backlog.first(1).await, Some(frame(1, 1)), "it is under way");
        assert_eq!(backlog.take_all(), [frame(1, 1), frame(0, 1)]);
        assert_eq!(backlog.bytes(), 0);
        // The publisher comes back with a frame that was taken meanwhile.
        backlog.push(frame(1, 2));
        backlog.remove(1, &frame(1, 1));
        assert_eq!(backlog.first(1).await, Some(frame(1, 2)));
    }

    #[tokio::test]
    async fn a_frame_from_the_spool_is_not_the_same_from_memory() {
        let backlog = backlog();
        backlog.push(frame(0, 1));
        let under_way = backlog.first(0).await.unwrap();
        let mut spooled = backlog.take_all().remove(0);
        spooled.position = Some(Position::default());
        backlog.push(spooled.clone());
        backlog.remove(0, &under_way);
        assert_eq!(backlog.first(0).await, Some(spooled));
    }

    #[tokio::test]
    async fn each_queue_is_told_of_once() {
        let (backlog, mut opened) = Backlog::with_limit(Metrics::default(), 100);
        backlog.push(frame(5, 1));
        backlog.push(frame(2, 1));
        backlog.push(frame(5, 2));
        assert_eq!((opened.try_recv(), opened.try_recv()), (Ok(5), Ok(2)));
        opened.try_recv().unwrap_err();
        assert_eq!(backlog.first(5).await, Some(frame(5, 1)));
    }

    #[tokio::test]
    async fn a_lane_that_is_far_off_has_a_queue_too() {
        let backlog = backlog();
        let lane = u32::try_from(LANES_MAX).unwrap() + 1;
        backlog.push(frame(lane, 1));
        assert_eq!(backlog.first(1).await, Some(frame(lane, 1)));
    }
}
