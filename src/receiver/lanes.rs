//! Queues of messages, one per lane, and which lane may go next.

use std::collections::{HashMap, VecDeque};

use async_nats::HeaderMap;
use bytes::Bytes;
use tokio::time::Instant;

use crate::bus::{Ack, Incoming, Kind, LaneId, Sequence};
use crate::guard::Known;

/// What waits in a lane.
#[derive(Debug)]
pub(super) enum Work {
    /// A message.
    Message(Message),
    /// Targets that nothing was heard of for `max_age`.
    Expired(Vec<Known>),
    /// The targets of the lane, of which nothing was heard for `site_timeout`.
    Silent(Vec<Known>),
    /// Which sites are heard of; it is in no site's lane.
    Sites,
}

/// A message that was not yet decoded.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) sequence: Sequence,
    pub(super) subject: String,
    pub(super) kind: Kind,
    pub(super) headers: Option<HeaderMap>,
    pub(super) payload: Bytes,
    pub(super) stored_ms: i64,
}

impl Message {
    /// Tells whether it is of a lane that a poller writes, with heartbeats.
    pub(super) fn is_frame(&self) -> bool {
        matches!(self.kind, Kind::Key | Kind::Delta)
    }

    /// Takes an incoming message apart: what is queued, and what to acknowledge it with.
    pub(super) fn of(incoming: Incoming, kind: Kind) -> (Self, Option<Ack>) {
        let message = Self {
            sequence: incoming.sequence,
            subject: incoming.subject,
            kind,
            headers: incoming.headers,
            payload: incoming.payload,
            stored_ms: incoming.stored_ms,
        };
        (message, incoming.ack)
    }
}

/// All lanes of a feed.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    queues: HashMap<LaneId, Queue>,
    /// Lanes with work that are not under way, in the order in which they got it.
    ready: VecDeque<LaneId>,
    ready_since: Option<Instant>,
    bytes: usize,
    messages: usize,
}

#[derive(Debug, Default)]
struct Queue {
    work: VecDeque<Work>,
    is_under_way: bool,
}

impl Lanes {
    /// Puts work behind the other work of its lane.
    pub(super) fn push(&mut self, lane: &LaneId, work: Work) {
        if let Work::Message(message) = &work {
            self.bytes += message.payload.len();
            self.messages += 1;
        }
        if !self.queues.contains_key(lane) {
            self.queues.insert(lane.clone(), Queue::default());
        }
        if let Some(queue) = self.queues.get_mut(lane) {
            let is_first = queue.work.is_empty();
            queue.work.push_back(work);
            if is_first && !queue.is_under_way {
                self.make_ready(lane.clone());
            }
        }
    }

    /// Takes the lane that waits longest; it is under way until it is [released](Self::release).
    pub(super) fn take(&mut self) -> Option<LaneId> {
        let lane = self.ready.pop_front()?;
        if self.ready.is_empty() {
            self.ready_since = None;
        }
        if let Some(queue) = self.queues.get_mut(&lane) {
            queue.is_under_way = true;
        }
        Some(lane)
    }

    /// Takes the next work of a lane that is under way.
    pub(super) fn next(&mut self, lane: &LaneId) -> Option<Work> {
        let work = self.queues.get_mut(lane)?.work.pop_front()?;
        if let Work::Message(message) = &work {
            self.bytes -= message.payload.len();
            self.messages -= 1;
        }
        Some(work)
    }

    /// Says that a lane is not under way any more.
    pub(super) fn release(&mut self, lane: &LaneId) {
        let Some(queue) = self.queues.get_mut(lane) else {
            return;
        };
        queue.is_under_way = false;
        if queue.work.is_empty() {
            // A lane costs nothing while nothing waits in it.
            self.queues.remove(lane);
        } else {
            self.make_ready(lane.clone());
        }
    }

    /// Tells whether nothing waits in a lane, and nothing of it is under way.
    pub(super) fn is_idle(&self, lane: &LaneId) -> bool {
        !self.queues.contains_key(lane)
    }

    /// Returns since when some lane is ready.
    pub(super) fn ready_since(&self) -> Option<Instant> {
        self.ready_since
    }

    /// Returns the bytes of all messages that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the number of messages that wait.
    pub(super) fn messages(&self) -> usize {
        self.messages
    }

    fn make_ready(&mut self, lane: LaneId) {
        if self.ready.is_empty() {
            self.ready_since = Some(Instant::now());
        }
        self.ready.push_back(lane);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(lane: u32) -> LaneId {
        LaneId {
            publisher: "USDC1".into(),
            lane,
        }
    }

    fn message(number: u64) -> Work {
        let sequence = Sequence {
            generation: 0,
            number,
        };
        Work::Message(Message {
            sequence,
            subject: String::new(),
            kind: Kind::Key,
            headers: None,
            payload: Bytes::from_static(b"12345"),
            stored_ms: 0,
        })
    }

    fn sequence(work: Option<Work>) -> Option<u64> {
        match work {
            Some(Work::Message(message)) => Some(message.sequence.number),
            _ => None,
        }
    }

    #[tokio::test]
    async fn a_lane_under_way_is_not_taken_again() {
        let mut lanes = Lanes::default();
        lanes.push(&lane(0), message(1));
        assert_eq!(lanes.take(), Some(lane(0)));
        assert_eq!(sequence(lanes.next(&lane(0))), Some(1));
        lanes.push(&lane(0), message(2));
        lanes.push(&lane(1), message(3));
        assert_eq!(lanes.take(), Some(lane(1)));
        assert_eq!(lanes.take(), None);
        lanes.release(&lane(0));
        assert_eq!(lanes.take(), Some(lane(0)));
        assert_eq!(sequence(lanes.next(&lane(0))), Some(2));
    }

    #[tokio::test]
    async fn counts_what_waits() {
        let mut lanes = Lanes::default();
        lanes.push(&lane(0), message(1));
        lanes.push(&lane(0), message(2));
        assert_eq!((lanes.messages(), lanes.bytes()), (2, 10));
        assert!(lanes.ready_since().is_some());
        lanes.take();
        assert!(lanes.ready_since().is_none());
        lanes.next(&lane(0));
        lanes.next(&lane(0));
        assert_eq!((lanes.messages(), lanes.bytes()), (0, 0));
        assert!(!lanes.is_idle(&lane(0)), "it is under way");
        lanes.release(&lane(0));
        assert!(lanes.is_idle(&lane(0)));
        assert!(lanes.queues.is_empty());
    }
}
