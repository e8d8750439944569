//! The queue's reading end.

use std::fs::File;
use std::ops::ControlFlow;

use super::handed::{Handed, State};
use super::queue::Emptied;
use super::record::{self, Bad};
use super::segment::Segment;
use super::{Count, Entry, Position, ReadError, Spool};

/// After so many failures in a row a segment that cannot be read is given up: a disk that only had
/// a bad moment gets on, and one with a bad sector does not stop everything behind it.
const READ_TRIES: u32 = 3;

/// The place where reading goes on.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// The least sequence that may come next.
    pub(super) sequence: u64,
    /// The first sequence of the segment that it is in, 0 for none, and where in it.
    segment: u64,
    offset: u64,
    /// No frame from here on is older, but for a clock that was set.
    last_ms: i64,
    /// The segment's file, once it was needed.
    file: Option<File>,
    failures: u32,
}

impl Reader {
    /// Begins at a record, unless it has a place already.
    pub(super) fn begin_at(&mut self, segment: u64, offset: u64, sequence: u64, closed_ms: i64) {
        if self.is_unset() {
            self.go_to(segment, offset, sequence);
            self.last_ms = closed_ms;
        }
    }

    fn is_unset(&self) -> bool {
        self.sequence == 0
    }

    pub(super) fn let_go_of(&mut self, segment: u64) {
        if self.segment == segment {
            self.file = None;
        }
    }

    fn go_to(&mut self, segment: u64, offset: u64, sequence: u64) {
        if self.segment != segment {
            self.file = None;
            self.failures = 0;
        }
        self.segment = segment;
        self.offset = offset;
        self.sequence = sequence;
    }
}

impl Spool {
    /// Returns the next frame that was not handed out yet, in the order of the appends.
    ///
    /// There is none either when [`READ_AHEAD_MAX`](super::READ_AHEAD_MAX) frames wait for their
    /// confirmation. After an error the next call goes on.
    pub fn read(&mut self) -> Result<Option<(Position, Entry)>, ReadError> {
        let oldest_ms = self.settings.oldest_ms(self.clock.now_ms());
        while let Some(index) = self.find_segment() {
            let is_known = self.ledger.get(self.reader.sequence).is_some();
            if !is_known && !self.ledger.has_room() {
                return Ok(None);
            }
            let (sequence, entry) = match self.read_record(index) {
                Ok(record) => record,
                Err(bad) => match self.judge(index, bad) {
                    ControlFlow::Continue(()) => continue,
                    ControlFlow::Break(error) => return Err(error),
                },
            };
            let (segment, offset) = (self.reader.segment, self.reader.offset);
            self.reader.failures = 0;
            self.reader.last_ms = entry.closed_ms;
            self.reader.sequence = sequence + 1;
            self.reader.offset = offset + record::size_of(&entry);
            let before = self.ledger.get(sequence).map(|handed| handed.state);
            if before != Some(State::Done) {
                let handed = Handed::new(segment, offset, &entry, State::Out);
                self.ledger.put(sequence, handed);
                if entry.closed_ms >= oldest_ms {
                    return Ok(Some((Position(sequence), entry)));
                }
                self.dropped.too_old.add(entry.lane, Count::of(&entry));
                self.settle(sequence, handed);
            }
            self.ledger.trim(self.reader.sequence);
        }
        Ok(None)
    }

    /// Says that a frame is stored elsewhere and not needed any more. In any order; for one that was
    /// dropped meanwhile nothing happens.
    pub fn confirm(&mut self, position: Position) {
        let Position(sequence) = position;
        let Some(handed) = self.ledger.get(sequence).copied() else {
            return;
        };
        match handed.state {
            State::Done => return,
            State::Orphan(_) => self.ledger.remove(sequence),
            State::Out | State::Back => self.settle(sequence, handed),
        }
        self.ledger.trim(self.reader.sequence);
        self.cursor.is_behind = true;
        if self.is_cursor_due(self.clock.now_ms()) {
            // If this fails, the cursor stays behind, and `sync` tells if it still fails then.
            drop(self.store_cursor());
        }
    }

    /// Hands out again everything that was handed out and not confirmed.
    ///
    /// Frames that had to be dropped while the owner had them count as dropped now.
    pub fn rewind(&mut self) {
        let dropped = &mut self.dropped;
        let first = self.ledger.rewind(|cause, handed| {
            dropped.of(cause).add(handed.lane, handed.count);
        });
        if let Some((sequence, handed)) = first {
            self.reader.go_to(handed.segment, handed.offset, sequence);
            self.reader.last_ms = handed.closed_ms;
        }
        self.ledger.trim(self.reader.sequence);
    }

    /// Returns when the oldest frame that waits was closed, in milliseconds since the Unix epoch.
    pub fn oldest_ms(&self) -> Option<i64> {
        if self.is_empty() {
            return None;
        }
        if let Some(handed) = self.ledger.first_waiting() {
            return Some(handed.closed_ms);
        }
        let segment = self.segments.get(self.segment_of(self.reader.sequence)?)?;
        let is_within =
            self.reader.segment == segment.first && self.reader.sequence > segment.first;
        let passed_ms = if is_within {
            self.reader.last_ms
        } else {
            i64::MIN
        };
        Some(segment.oldest_ms.max(passed_ms))
    }

    /// Takes a frame out of what waits.
    fn settle(&mut self, sequence: u64, handed: Handed) {
        let state = State::Done;
        self.ledger.put(sequence, Handed { state, ..handed });
        self.waiting.subtract(handed.count);
        self.cursor.is_behind = true;
        let index = self.segment_of(sequence);
        let Some(segment) = index.and_then(|index| self.segments.get_mut(index)) else {
            return;
        };
        segment.waiting.subtract(handed.lane, handed.count);
        if segment.waiting.is_empty() {
            // What cannot be removed is tried again by `sync`, which tells if it fails.
            drop(self.sweep(Emptied::Keep));
        }
    }

    /// Returns the index of the first segment with a record from a sequence on.
    fn segment_of(&self, sequence: u64) -> Option<usize> {
        let is_before = |segment: &Segment| segment.next() <= sequence;
        let index = self.segments.partition_point(is_before);
        let mut rest = self.segments.range(index..);
        Some(index + rest.position(|segment| segment.records > 0)?)
    }

    /// Goes to where the next record is, and returns its segment's index.
    fn find_segment(&mut self) -> Option<usize> {
        let index = self.segment_of(self.reader.sequence)?;
        let first = self.segments.get(index)?.first;
        if self.reader.segment != first {
            let sequence = self.reader.sequence.max(first);
            self.reader.go_to(first, 0, sequence);
        }
        Some(index)
    }

    fn read_record(&mut self, index: usize) -> Result<(u64, Entry), Bad> {
        let segment = self.segments.get(index).ok_or(Bad::Damaged)?;
        let file = match self.reader.file.take() {
            Some(file) => file,
            None => File::open(self.folder.segment(segment.first))?,
        };
        let record = record::read(&file, self.reader.offset, segment.end, &mut Vec::new());
        self.reader.file = Some(file);
        let (sequence, entry) = record?;
        if sequence == self.reader.sequence {
            Ok((sequence, entry))
        } else {
            Err(Bad::Damaged)
        }
    }

    /// Gives a segment up where it is damaged, or cannot be read time and again.
    fn judge(&mut self, index: usize, bad: Bad) -> ControlFlow<ReadError> {
        let (first, offset, at) = (
            self.reader.segment,
            self.reader.offset,
            self.reader.sequence,
        );
        let path = self.folder.segment(first);
        if let Bad::Io(source) = bad {
            self.reader.failures += 1;
            self.reader.file = None;
            if self.reader.failures < READ_TRIES {
                return ControlFlow::Break(ReadError::Read { path, source });
            }
        }
        self.reader.failures = 0;
        let is_last = index + 1 == self.segments.len();
        let Some(segment) = self.segments.get_mut(index) else {
            return ControlFlow::Continue(());
        };
        let kept = self.ledger.cut_segment(first, at, segment.next());
        let mut lost = std::mem::replace(&mut segment.waiting, kept.clone());
        for (lane, count) in kept.lanes() {
            lost.subtract(lane, count);
        }
        segment.records = at.saturating_sub(first);
        segment.end = offset;
        if is_last {
            // What was appended behind the damage must not be followed by more.
            self.writer = None;
        }
        self.dropped.damaged.add_all(&lost);
        let lost = lost.total();
        self.waiting.subtract(lost);
        self.cursor.is_behind = true;
        // As above: `sync` tries again.
        drop(self.sweep(Emptied::Keep));
        ControlFlow::Break(ReadError::Damaged { path, offset, lost })
    }
}
