//! The bytes of a frame.
//!
//! In: records of one lane. Out: one message's payload, and back. This module alone knows the
//! layout; it does no I/O and trusts no byte it reads: every length is checked against what is
//! there and against a limit before anything is reserved, and nothing panics.
//!
//! Integers are LEB128 varints unless a width is given; signed ones are zigzag coded first.
//! Fixed-width integers are little-endian. A string is its length in bytes and UTF-8.
//!
//! | frame | size | meaning |
//! | --- | --- | --- |
//! | version | 1 byte | 1; a reader refuses any other, because the rest may mean anything |
//! | flags | 1 byte | bit 0: key frame; the others are 0 and refused otherwise |
//! | epoch | varint | start of the poller, milliseconds since the Unix epoch |
//! | number | varint | of the frame within lane and epoch, from 1 |
//! | base | varint | number of this frame less that of its base; 0 in a key frame |
//! | time | zigzag | base of the records' times, milliseconds since the Unix epoch |
//! | sections | | each tag at most once, in ascending order |
//! | check | 4 bytes | CRC-32 (IEEE) of the header's bytes and each section's decoded bytes |
//!
//! | section | size | meaning |
//! | --- | --- | --- |
//! | tag | 1 byte | 1 records, 2 texts; 3 and 4 are kept for value columns; others are refused |
//! | coding | 1 byte | 0 plain, 1 one zstd frame |
//! | decoded length | varint | all sections together at most [`DECODED_MAX`] |
//! | encoded length | varint | only with zstd |
//! | bytes | | |
//!
//! The records section is a count and the records back to back; the texts section holds the
//! texts of the raw records one after the other, so that what targets of one job have in common
//! is compressed once.
//!
//! | record | kind | after the kind byte and the time (zigzag, less the frame's) |
//! | --- | --- | --- |
//! | raw scrape | 1 | target, duration in microseconds, format (1 byte: 0 text, 1 `OpenMetrics`), text length |
//! | failed scrape | 2 | target, duration in microseconds, reason (1 byte, index in [`FailureReason::ALL`](crate::model::FailureReason::ALL)) |
//! | target gone | 3 | target |
//! | heartbeat | 4 | interval in milliseconds, count, 8 bytes for each live target |
//!
//! A target is a count of labels, at most [`LABELS_MAX`], and a name and a value string for each,
//! names strictly ascending, no string empty.

mod cursor;
mod frame;
mod record;

pub use frame::{DecodeError, Frame, Header, decode, encode};

/// The version that is written, and the only one that is read.
pub const VERSION: u8 = 1;

/// Decoded sections of one frame may not be larger than this together.
///
/// The poller closes a frame long before (its own limit is a sixteenth); the margin is for a
/// single scrape that compresses well.
pub const DECODED_MAX: usize = 64 << 20;

/// A target may not have more labels than this; discovery gives a few dozen at most.
pub const LABELS_MAX: usize = 256;

#[cfg(test)]
mod tests;
