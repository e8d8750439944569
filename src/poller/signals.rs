//! What happens to a lane's messages after it has closed them, told back to the lane.
//!
//! A lane looks when it is about to write a frame, so there is nothing to wake.

use std::sync::atomic::{AtomicBool, Ordering};

/// The signals of all lanes.
#[derive(Debug)]
pub(super) struct Signals(Vec<OfLane>);

#[derive(Debug, Default)]
struct OfLane {
    /// A message that others build on is lost, and it was the newest.
    lost: AtomicBool,
    /// Old messages had to make room.
    thinned: AtomicBool,
    /// A receiver asks for a key frame.
    asked: AtomicBool,
}

/// What has happened to one lane since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Happened {
    /// A message was lost right behind those that came through.
    pub(super) lost: bool,
    /// Old messages were dropped; those behind them may still arrive.
    pub(super) thinned: bool,
    /// A receiver asked for a key frame.
    pub(super) asked: bool,
}

impl Signals {
    /// Makes room for the signals of so many lanes.
    pub(super) fn new(lanes: usize) -> Self {
        Self(
            std::iter::repeat_with(OfLane::default)
                .take(lanes)
                .collect(),
        )
    }

    /// Says that a message cannot be published at all.
    pub(super) fn lost(&self, lane: u32) {
        self.set(lane, |lane| &lane.lost);
    }

    /// Says that old messages were dropped because there is no room, or no time, for them.
    pub(super) fn thinned(&self, lane: u32) {
        self.set(lane, |lane| &lane.thinned);
    }

    /// Says that a receiver asks for a key frame.
    pub(super) fn asked(&self, lane: u32) {
        self.set(lane, |lane| &lane.asked);
    }

    /// A lane of an earlier run, or one that a stranger asks for, may not be there.
    fn set(&self, lane: u32, flag: impl Fn(&OfLane) -> &AtomicBool) {
        let lane = usize::try_from(lane).ok().and_then(|lane| self.0.get(lane));
        if let Some(lane) = lane {
            flag(lane).store(true, Ordering::Release);
        }
    }

    /// Takes what has happened to a lane.
    pub(super) fn take(&self, lane: u32) -> Happened {
        let lane = usize::try_from(lane).ok().and_then(|lane| self.0.get(lane));
        let take = |flag: &AtomicBool| flag.swap(false, Ordering::AcqRel);
        lane.map_or_else(Happened::default, |lane| Happened {
            lost: take(&lane.lost),
            thinned: take(&lane.thinned),
            asked: take(&lane.asked),
        })
    }
}
