//! A lane's state on either side: which values the next frame may be coded against.
//!
//! In, at the poller: the records of a lane in their order; out: frames. In, at the receiver:
//! frames and the shapes that they name; out: records and values. This module alone knows what a
//! frame's base is and when it moves.
//!
//! A key frame begins a group: no target has a base before it. A kept frame is based on the kept
//! frame before it and becomes the base itself (a chain). A frame that is not kept is based on the
//! kept frame before it and leaves the state as it is, so that losing it harms no other.
//! A target's first scrape in a group is coded against the template of its shape.
//! It must never hand out a value that its check does not vouch for: a frame counts as a whole or
//! not at all, and whoever cannot decode one waits for the next key frame.

mod decode;
mod encode;
#[cfg(test)]
mod measure;
mod target;
#[cfg(test)]
mod tests;

use super::shape::Page;

pub(super) use decode::Head;
pub use decode::{ColumnScrape, DecodeSpace, Entry, LaneDecoder, LaneFrame};
pub use encode::{FrameWriter, LaneEncoder, Role};

/// A lane's targets may not have more series than this together.
///
/// A lane of 500 targets with 8,000 series each; it bounds the memory of a lane to some 100 MiB.
pub const LANE_SERIES_MAX: usize = 4 << 20;

/// The records of one frame may not be more work than this together.
pub(super) const FRAME_WORK_MAX: usize = 8 << 20;

/// Returns how much work a record with a page's values is: one for each series, and what it costs
/// however few there are, or however long their text is.
fn work_of(page: &Page) -> usize {
    /// Making room, and remembering moves.
    const RECORD: usize = 64;
    /// Remembering timestamps.
    const TIMES: usize = 1024;
    /// Bytes of text that are compared as fast as a series is decoded.
    const TEXT: usize = 256;
    let times = if page.has_times() { TIMES } else { 0 };
    RECORD + page.len() + page.text().len() / TEXT + times
}

/// The record has a shape's name: always in a fresh one, else when the shape has changed.
const NAMES_SHAPE: u8 = 0b100;

/// The record's mode, in its flags.
const MODE_MASK: u8 = 0b11;
