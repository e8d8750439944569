//! Counting frames.

use std::collections::BTreeMap;

use super::Entry;

/// Some frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// How many.
    pub entries: u64,
    /// Scrapes in them.
    pub scrapes: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
}

impl Count {
    /// Counts one frame.
    pub(super) fn of(entry: &Entry) -> Self {
        Self {
            entries: 1,
            scrapes: entry.scrapes,
            bytes: entry.payload.len() as u64,
        }
    }

    // Numbers of scrapes come from the disk: sums must not overflow.
    pub(super) fn add(&mut self, other: Self) {
        self.entries = self.entries.saturating_add(other.entries);
        self.scrapes = self.scrapes.saturating_add(other.scrapes);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    pub(super) fn subtract(&mut self, other: Self) {
        self.entries = self.entries.saturating_sub(other.entries);
        self.scrapes = self.scrapes.saturating_sub(other.scrapes);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }
}

/// Some frames by lane.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ByLane(BTreeMap<u32, Count>);

impl ByLane {
    /// Tells whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the frames of all lanes together.
    pub fn total(&self) -> Count {
        let mut total = Count::default();
        self.0.values().for_each(|count| total.add(*count));
        total
    }

    /// Returns each lane that has some, ascending.
    pub fn lanes(&self) -> impl Iterator<Item = (u32, Count)> {
        self.0.iter().map(|(lane, count)| (*lane, *count))
    }

    pub(super) fn add(&mut self, lane: u32, count: Count) {
        self.0.entry(lane).or_default().add(count);
    }

    pub(super) fn subtract(&mut self, lane: u32, count: Count) {
        if let Some(left) = self.0.get_mut(&lane) {
            left.subtract(count);
            if left.entries == 0 {
                self.0.remove(&lane);
            }
        }
    }

    pub(super) fn add_all(&mut self, other: &Self) {
        other
            .lanes()
            .for_each(|(lane, count)| self.add(lane, count));
    }
}

/// Frames that went without having been confirmed, by cause.
///
/// A lane that is in here has a gap: its next frame must not build on those that are lost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dropped {
    /// The oldest ones, to make room.
    pub no_room: ByLane,
    /// Those older than `max_age`.
    pub too_old: ByLane,
    /// Those that could not be read any more.
    pub damaged: ByLane,
}

impl Dropped {
    /// Tells whether nothing was dropped.
    pub fn is_empty(&self) -> bool {
        self.no_room.is_empty() && self.too_old.is_empty() && self.damaged.is_empty()
    }

    /// Returns the frames of all causes together.
    pub fn all(&self) -> ByLane {
        let mut all = self.no_room.clone();
        all.add_all(&self.too_old);
        all.add_all(&self.damaged);
        all
    }

    pub(super) fn of(&mut self, cause: Cause) -> &mut ByLane {
        match cause {
            Cause::NoRoom => &mut self.no_room,
            Cause::TooOld => &mut self.too_old,
        }
    }
}

/// Why a whole segment is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    NoRoom,
    TooOld,
}
