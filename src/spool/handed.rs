//! Frames that were handed out, until everything before them is confirmed.

use std::collections::BTreeMap;

use super::count::Cause;
use super::cursor::Cursor;
use super::{ByLane, Count, Entry, READ_AHEAD_MAX};

/// A frame that was handed out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Handed {
    /// The first sequence of its segment.
    pub(super) segment: u64,
    /// Where in the segment it begins.
    pub(super) offset: u64,
    pub(super) lane: u32,
    pub(super) count: Count,
    pub(super) closed_ms: i64,
    pub(super) state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The owner has it.
    Out,
    /// It will be handed out again.
    Back,
    /// It is confirmed, or too old, but one before it is not.
    Done,
    /// The owner has it, and its segment is gone: it can be confirmed, but not be read again.
    Orphan(Cause),
}

/// All of them, by sequence.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: BTreeMap<u64, Handed>,
    /// How many are out, orphans among them.
    out: usize,
}

impl Ledger {
    pub(super) fn get(&self, sequence: u64) -> Option<&Handed> {
        self.entries.get(&sequence)
    }

    /// Enters a frame that is handed out, or the state in which it is found.
    pub(super) fn put(&mut self, sequence: u64, handed: Handed) {
        let before = self.entries.insert(sequence, handed);
        self.out += usize::from(handed.state.is_out());
        self.out -= usize::from(before.is_some_and(|before| before.state.is_out()));
    }

    pub(super) fn remove(&mut self, sequence: u64) {
        let before = self.entries.remove(&sequence);
        self.out -= usize::from(before.is_some_and(|before| before.state.is_out()));
    }

    /// Tells whether one more may be handed out. The first one always may, or nothing would ever
    /// get on.
    pub(super) fn has_room(&self) -> bool {
        self.out == 0 || self.entries.len() < READ_AHEAD_MAX
    }

    /// Forgets what is confirmed and below everything that is not.
    pub(super) fn trim(&mut self, next_to_read: u64) {
        while let Some(first) = self.entries.first_entry()
            && first.get().state == State::Done
            && *first.key() < next_to_read
        {
            first.remove();
        }
    }

    /// Returns what is confirmed.
    pub(super) fn cursor(&self, next_to_read: u64) -> Cursor {
        let waits = |(sequence, handed): (&u64, &Handed)| {
            (handed.state != State::Done).then_some(*sequence)
        };
        let first = self.entries.iter().find_map(waits);
        let mut sequence = first.unwrap_or(next_to_read).min(next_to_read);
        let is_done = |handed: &Handed| handed.state == State::Done;
        while self.get(sequence).is_some_and(is_done) {
            sequence += 1;
        }
        let above = self.entries.range(sequence.saturating_add(1)..);
        let done = above.filter(|(_, handed)| is_done(handed));
        Cursor {
            sequence,
            confirmed: done.map(|(sequence, _)| *sequence).collect(),
        }
    }

    /// Returns the first frame that waits in a segment.
    pub(super) fn first_waiting(&self) -> Option<&Handed> {
        let waits = |handed: &&Handed| matches!(handed.state, State::Out | State::Back);
        self.entries.values().find(waits)
    }

    /// Takes back all that is out; returns the first frame to read again, and gives each orphan to
    /// `lost`.
    pub(super) fn rewind(&mut self, mut lost: impl FnMut(Cause, &Handed)) -> Option<(u64, Handed)> {
        self.entries.retain(|_, handed| {
            if let State::Orphan(cause) = handed.state {
                lost(cause, handed);
                return false;
            }
            if handed.state == State::Out {
                handed.state = State::Back;
            }
            true
        });
        self.out = 0;
        let mut entries = self.entries.iter();
        let first = entries.find(|(_, handed)| handed.state == State::Back)?;
        Some((*first.0, *first.1))
    }

    /// Makes orphans of what is out in a segment that is dropped, takes them off `lost`, and forgets
    /// the others.
    pub(super) fn drop_segment(
        &mut self,
        sequences: std::ops::Range<u64>,
        cause: Cause,
        lost: &mut ByLane,
    ) {
        let mut forgotten = Vec::new();
        for (sequence, handed) in self.entries.range_mut(sequences) {
            if handed.state == State::Out {
                handed.state = State::Orphan(cause);
                lost.subtract(handed.lane, handed.count);
            } else {
                forgotten.push(*sequence);
            }
        }
        for sequence in forgotten {
            self.entries.remove(&sequence);
        }
    }

    /// Forgets what was to be read again behind a place that cannot be read, and returns what of the
    /// segment in front of it the owner still has.
    pub(super) fn cut_segment(&mut self, first: u64, at: u64, next: u64) -> ByLane {
        let behind: Vec<u64> = self.entries.range(at..next).map(|(key, _)| *key).collect();
        for sequence in behind {
            self.remove(sequence);
        }
        let mut kept = ByLane::default();
        for handed in self.entries.range(first..at).map(|(_, handed)| handed) {
            if handed.state == State::Out {
                kept.add(handed.lane, handed.count);
            }
        }
        kept
    }
}

#[cfg(test)]
impl Ledger {
    pub(super) fn orphans(&self) -> usize {
        let is_orphan = |handed: &&Handed| matches!(handed.state, State::Orphan(_));
        self.entries.values().filter(is_orphan).count()
    }
}

impl State {
    fn is_out(self) -> bool {
        matches!(self, Self::Out | Self::Orphan(_))
    }
}

impl Handed {
    pub(super) fn new(segment: u64, offset: u64, entry: &Entry, state: State) -> Self {
        Self {
            segment,
            offset,
            lane: entry.lane,
            count: Count::of(entry),
            closed_ms: entry.closed_ms,
            state,
        }
    }
}
