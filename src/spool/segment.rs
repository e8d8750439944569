//! What is known of a segment without reading it.

use std::fs::File;
use std::io;
use std::path::Path;

use super::record::{self, Bad};
use super::{ByLane, Count, Entry};

/// A segment's file, and what of it still waits.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    /// The sequence of its first record.
    pub(super) first: u64,
    /// Records that can be read.
    pub(super) records: u64,
    /// Where they end.
    pub(super) end: u64,
    /// The size of the file, which is larger when its end is damaged.
    pub(super) disk_bytes: u64,
    /// Frames that are not confirmed.
    pub(super) waiting: ByLane,
    /// The least and the largest time in it.
    pub(super) oldest_ms: i64,
    pub(super) newest_ms: i64,
}

/// Why a scan ended before the end of the file.
#[derive(Debug)]
pub(super) enum Ended {
    /// There is nothing more.
    Whole,
    /// What follows is no record.
    Damaged,
    /// What follows cannot be read.
    Unreadable,
}

impl Segment {
    pub(super) fn new(first: u64) -> Self {
        Self {
            first,
            records: 0,
            end: 0,
            disk_bytes: 0,
            waiting: ByLane::default(),
            oldest_ms: i64::MAX,
            newest_ms: i64::MIN,
        }
    }

    /// The sequence behind its last record.
    pub(super) fn next(&self) -> u64 {
        self.first.saturating_add(self.records)
    }

    /// Counts a record that was appended or found; `waits` tells whether it is not confirmed.
    pub(super) fn put(&mut self, entry: &Entry, waits: bool) {
        self.records += 1;
        self.end += record::size_of(entry);
        self.disk_bytes = self.disk_bytes.max(self.end);
        self.oldest_ms = self.oldest_ms.min(entry.closed_ms);
        self.newest_ms = self.newest_ms.max(entry.closed_ms);
        if waits {
            self.waiting.add(entry.lane, Count::of(entry));
        }
    }

    /// Reads a whole file. Sequences from `limit` on belong to the next segment.
    ///
    /// `found` is told each record's sequence, its offset and its entry, and says whether it waits.
    pub(super) fn scan(
        path: &Path,
        first: u64,
        limit: u64,
        mut found: impl FnMut(u64, u64, &Entry) -> bool,
    ) -> io::Result<(Self, Ended)> {
        let file = File::open(path)?;
        let mut segment = Self::new(first);
        segment.disk_bytes = file.metadata()?.len();
        let mut room = Vec::new();
        while segment.end < segment.disk_bytes {
            let entry = match record::read(&file, segment.end, segment.disk_bytes, &mut room) {
                Ok((sequence, entry)) if sequence == segment.next() && sequence < limit => entry,
                Ok(_) | Err(Bad::Damaged) => return Ok((segment, Ended::Damaged)),
                Err(Bad::Io(_)) => return Ok((segment, Ended::Unreadable)),
            };
            let waits = found(segment.next(), segment.end, &entry);
            segment.put(&entry, waits);
            // The room is used again; nobody else holds it by now.
            room = entry.payload.into();
        }
        Ok((segment, Ended::Whole))
    }
}
