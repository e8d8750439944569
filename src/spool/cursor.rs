//! The file that says up to where everything is confirmed.

use std::fs::File;
use std::io::{self, Read as _, Write as _};

use super::files::{Folder, SEQUENCE_MAX};
use super::{Fsync, READ_AHEAD_MAX, SyncError};

const SEQUENCE_BYTES: usize = size_of::<u64>();
const CHECK_BYTES: usize = size_of::<u32>();

/// The largest file.
const BYTES_MAX: usize = SEQUENCE_BYTES * (1 + READ_AHEAD_MAX) + CHECK_BYTES;

/// What is confirmed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    /// Everything below is.
    pub(super) sequence: u64,
    /// And these, ascending.
    pub(super) confirmed: Vec<u64>,
}

impl Cursor {
    /// Reads the file; one that is missing, bad or unreadable is none.
    pub(super) fn load(folder: &Folder) -> Option<Self> {
        let mut bytes = Vec::new();
        let file = File::open(folder.cursor()).ok()?;
        // One byte more than allowed tells a file that is too large from one that just fits.
        let limit = BYTES_MAX as u64 + 1;
        file.take(limit).read_to_end(&mut bytes).ok()?;
        Self::parse(&bytes)
    }

    /// Replaces the file.
    pub(super) fn store(&self, folder: &Folder, fsync: Fsync) -> Result<(), SyncError> {
        let path = folder.new_cursor();
        let write = || -> io::Result<()> {
            let mut file = Folder::create(&path)?;
            file.write_all(&self.bytes())?;
            if fsync != Fsync::Never {
                file.sync_data()?;
            }
            std::fs::rename(&path, folder.cursor())
        };
        write().map_err(SyncError::at(&path))
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.sequence.to_le_bytes().to_vec();
        for sequence in self.confirmed.iter().take(READ_AHEAD_MAX) {
            bytes.extend_from_slice(&sequence.to_le_bytes());
        }
        let check = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&check.to_le_bytes());
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > BYTES_MAX {
            return None;
        }
        let (sequences, check) = bytes.split_last_chunk::<CHECK_BYTES>()?;
        if crc32fast::hash(sequences) != u32::from_le_bytes(*check) {
            return None;
        }
        let (sequences, rest) = sequences.as_chunks::<SEQUENCE_BYTES>();
        let mut sequences = sequences.iter().map(|bytes| u64::from_le_bytes(*bytes));
        let sequence = sequences.next()?;
        let confirmed: Vec<u64> = sequences.collect();
        let is_ascending = confirmed.is_sorted_by(|a, b| a < b);
        let is_above = confirmed.first().is_none_or(|first| *first > sequence);
        let largest = confirmed.last().copied().unwrap_or(sequence);
        let is_good = rest.is_empty() && is_ascending && is_above && largest <= SEQUENCE_MAX;
        is_good.then_some(Self {
            sequence,
            confirmed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        #[track_caller]
        fn check(sequence: u64, confirmed: &[u64], is_good: bool) {
            let cursor = Cursor {
                sequence,
                confirmed: confirmed.to_vec(),
            };
            let read = Cursor::parse(&cursor.bytes());
            assert_eq!(read, is_good.then_some(cursor));
        }
        check(1, &[], true);
        check(7, &[9, 10, 300], true);
        check(SEQUENCE_MAX, &[], true);
        check(SEQUENCE_MAX + 1, &[], false);
        check(7, &[7], false);
        check(7, &[9, 9], false);
        check(7, &[10, 9], false);
    }

    #[test]
    fn what_is_cut_or_changed_is_no_cursor() {
        let cursor = Cursor {
            sequence: 7,
            confirmed: vec![9, 10],
        };
        let bytes = cursor.bytes();
        for end in 0..bytes.len() {
            assert_eq!(Cursor::parse(&bytes[..end]), None, "cut at {end}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Cursor::parse(&bytes), None, "bit {bit}");
        }
        assert_eq!(Cursor::parse(&vec![0; BYTES_MAX + 8]), None);
    }
}
