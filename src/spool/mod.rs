//! A bounded first-in-first-out queue of frames on disk, for when NATS is away.
//!
//! In: closed frames of all lanes, in the order in which they were closed. Out: the same frames in
//! the same order, until each is confirmed; and a count, by lane and cause, of every frame that had
//! to go unconfirmed. This module alone knows the files. It is synchronous and has no thread of its
//! own: the owner calls it where blocking is allowed, and calls [`Spool::sync`] when
//! [`Spool::sync_due`] says so, and [`Spool::expire`] now and then. It must never hand out a frame
//! that differs from what was appended, never hand out two in another order, and never trust a byte
//! that it reads.
//!
//! # Files
//!
//! | name in the folder | what it is |
//! | --- | --- |
//! | `lock` | empty; locked with `flock` by the one process that uses the folder |
//! | `<16 hex digits>.v2` | a segment; the digits are the sequence of its first record |
//! | `cursor.v2` | up to where everything is confirmed |
//! | `cursor.v2.new` | the next cursor while it is written |
//!
//! The number behind `.v` is the version of the format. A folder with a segment or cursor of another
//! version is refused and left as it is. Files of other names are nobody's business and left alone.
//! Integers have a fixed width and are little-endian. A check is the CRC-32 (IEEE) of all that its
//! file or record holds beside it, in the order of the table.
//!
//! | record | size | meaning |
//! | --- | --- | --- |
//! | length | 4 | bytes behind the check: 49 and the payload, at most [`PAYLOAD_MAX`] |
//! | check | 4 | of the length and of all behind the check |
//! | sequence | 8 | one more than the record before it; the first one's is the file's name |
//! | lane | 4 | |
//! | epoch | 8 | |
//! | number | 8 | of the frame within lane and epoch |
//! | kind | 1 | 1 shape message, 2 key frame, 3 other frame |
//! | part | 4 | of a shape message: its place among those before the frame; else 0 |
//! | scrapes | 8 | in the frame |
//! | closed | 8 | when the frame was closed, signed milliseconds since the Unix epoch |
//! | payload | | the message as it is published |
//!
//! A segment is records back to back. It is closed before it would exceed [`SEGMENT_BYTES`], or an
//! eighth of `max_size` where that is less; one larger record has a segment to itself. Sequences
//! begin at 1, never fall, and leave out numbers only from one segment to the next.
//!
//! | cursor | size | meaning |
//! | --- | --- | --- |
//! | sequence | 8 | everything below is confirmed |
//! | confirmed | 8 each | sequences above it that are confirmed too, ascending, at most [`READ_AHEAD_MAX`] |
//! | check | 4 | |
//!
//! # What a reader does with what it does not expect
//!
//! | found | done |
//! | --- | --- |
//! | a bad record in the last segment at the start | it and all behind it is cut off and counted: the tail that a crash tore |
//! | a bad record in another segment, or later | reading goes on with the next segment; what is left out is counted |
//! | a sequence that the next segment has too | as a bad record: it is left from an append that failed |
//! | a cursor that is missing or bad | reading begins with the oldest record; repeats have the message ids of the first time |
//! | a cursor beyond the last record | sequences go on from the cursor |
//!
//! # When it is on disk
//!
//! | `fsync` | data |
//! | --- | --- |
//! | batched | at most [`SYNC_INTERVAL`] or [`SYNC_BYTES`] after the append, whichever comes first |
//! | always | before an append returns |
//! | never | when the system likes; at the end in any case |
//!
//! The folder is synced together with the data after a segment was made or removed, a segment before
//! the next one is begun. The cursor is replaced by renaming, at most once per [`CURSOR_INTERVAL`].
//! A process that is killed loses nothing that was appended; a machine that loses its power, what
//! was not synced.

mod count;
mod cursor;
mod error;
mod files;
mod handed;
mod queue;
mod reader;
mod record;
mod segment;
mod settings;

pub use count::{ByLane, Count, Dropped};
pub use error::{AppendError, ReadError, SpoolError, SyncError};
pub use queue::{Recovered, Spool};
pub use settings::{Fsync, MAX_AGE, MAX_SIZE, Settings};

use std::time::Duration;

use bytes::Bytes;

/// The version that is written, and the only one that is read.
pub const VERSION: u32 = 2;

/// The largest payload: the largest message that a NATS server can be configured to take.
pub const PAYLOAD_MAX: usize = 64 << 20;

/// A segment's size: what is dropped at once when there is no room, and a small part of the default
/// `max_size`; large enough that making and removing files costs next to nothing.
pub const SEGMENT_BYTES: u64 = 8 << 20;

/// How many frames may be handed out and not yet be below the cursor: 16 for each of 64 lanes.
///
/// They are what is kept in memory, and what the cursor's file has to hold.
pub const READ_AHEAD_MAX: usize = 1024;

/// Data older than this is synced: a fifth of the time in which a frame gathers its scrapes.
pub const SYNC_INTERVAL: Duration = Duration::from_millis(200);

/// More data than this is synced at once: few milliseconds of work even for a slow disk.
pub const SYNC_BYTES: u64 = 1 << 20;

/// The cursor is written at most this often; a crash repeats what was confirmed since.
pub const CURSOR_INTERVAL: Duration = Duration::from_secs(1);

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Shapes that a frame behind it needs.
    Shape {
        /// Its place among those before the frame, from 1.
        part: u32,
    },
    /// A key frame.
    Key,
    /// Any other frame.
    Delta,
}

/// A frame in the spool, or a message of shapes that belongs to one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its lane.
    pub lane: u32,
    /// The epoch of the poller that closed it.
    pub epoch: u64,
    /// Its number in lane and epoch; of shapes, that of the frame that was to come next.
    pub number: u64,
    /// What it is.
    pub kind: Kind,
    /// Scrapes in it.
    pub scrapes: u64,
    /// When it was closed, in milliseconds since the Unix epoch.
    pub closed_ms: i64,
    /// Its bytes.
    pub payload: Bytes,
}

/// The place of a frame in the spool, by which it is confirmed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u64);

#[cfg(test)]
mod tests;
