//! The bytes of a frame.
//!
//! In: records of one lane, and values by their shapes. Out: messages' payloads, and back. This
//! module alone knows the layout; it does no I/O and trusts no byte that it reads: every length
//! is checked against what is there and against a limit before anything is reserved, and nothing
//! panics.
//!
//! `docs/wire.md` describes every byte, for readers in other languages. In brief: a frame is a
//! header, sections, and a CRC-32 of all that; its records are raw texts, events, and columns of
//! values. Columns are coded against the values of an earlier frame or of their [`Shape`], which
//! travels in messages of its own. [`LaneEncoder`] and [`LaneDecoder`] hold what a lane's frames
//! are coded against; [`encode`] and [`decode`] are for frames without columns.

mod columns;
mod cursor;
mod frame;
mod lane;
mod matching;
mod number;
mod outline;
mod range;
mod record;
mod shape;

pub use columns::Column;
pub use frame::{DecodeError, Frame, Header, decode, encode};
pub use lane::{
    ColumnScrape, DecodeSpace, Entry, FrameWriter, LANE_SERIES_MAX, LaneDecoder, LaneEncoder,
    LaneFrame, Role,
};
pub use matching::{Changes, Matched, match_body};
pub use number::Value;
pub use outline::{Item, Outline, header};
pub use shape::{
    Misfit, Page, SERIES_MAX, STORE_BYTES_MAX, Shape, ShapeEntry, ShapeError, ShapeId, ShapeStore,
    ShapeWriter, TEXT_MAX,
};

use std::sync::Arc;

use crate::model::{self, Format, Text};

/// What a frame carries of an exposition.
#[derive(Debug, Clone)]
pub enum Body {
    /// Its text.
    Text(Text),
    /// Its values.
    Columns(Columns),
}

/// An exposition as values of a shape.
#[derive(Debug, Clone)]
pub struct Columns {
    /// Its series.
    pub shape: Arc<Shape>,
    /// Their values.
    pub column: Column,
}

impl Columns {
    /// Puts the values of the parts of a scrape one behind the other; `shape` is their shapes'
    /// [join](Shape::join).
    pub fn join(parts: &[Self], shape: Arc<Shape>) -> Self {
        let columns = parts.iter().map(|part| &part.column);
        Self {
            column: Column::join(columns, shape.page().len(), shape.page().has_times()),
            shape,
        }
    }
}

/// A scrape as a lane carries it.
pub type Scrape = model::Scrape<Body>;

/// A record as a lane carries it.
pub type Record = model::Record<Body>;

impl Body {
    /// Puts the texts of the parts of a scrape one behind the other.
    pub fn join_texts(parts: &[Self]) -> Text {
        let texts: Vec<Text> = parts.iter().map(Self::to_text).collect();
        let format = texts.last().map_or(Format::Text, |last| last.format);
        let size = texts.iter().map(|part| part.text.len() + 1).sum();
        let mut joined = Vec::with_capacity(size);
        for (at, part) in texts.iter().enumerate() {
            let is_last = at + 1 == texts.len();
            let text = match (is_last, part.format) {
                (false, Format::OpenMetrics) => shape::without_end(&part.text),
                _ => &part.text,
            };
            joined.extend_from_slice(text);
            if !is_last && !text.is_empty() && !text.ends_with(b"\n") {
                joined.push(b'\n');
            }
        }
        Text {
            text: joined.into(),
            format,
        }
    }

    /// Returns the exposition as text; that of columns is written anew.
    pub fn to_text(&self) -> Text {
        match self {
            Self::Text(text) => text.clone(),
            Self::Columns(Columns { shape, column }) => {
                let page = shape.page();
                let mut text = Vec::with_capacity(page.text().len() + page.len() * VALUE_BYTES);
                shape.write_text(column, &mut text);
                Text {
                    text: text.into(),
                    format: page.format(),
                }
            }
        }
    }
}

/// What a value takes as text, about.
const VALUE_BYTES: usize = 12;

/// The place of a record among those that a scrape was split into because it is too large for
/// one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// From 0.
    pub index: u32,
    /// How many there are; at most [`PARTS_MAX`].
    pub count: u32,
}

/// A scrape is split into no more parts than this: with the smallest `max_payload` in use, 64 KiB,
/// that is as much as a frame may hold.
pub const PARTS_MAX: u32 = 1024;

/// The version that is written, and the only one that is read.
pub const VERSION: u8 = 1;

/// The version of shape messages.
pub const SHAPES_VERSION: u8 = 1;

/// Decoded sections of one frame may not be larger than this together.
///
/// The poller closes a frame long before (its own limit is a sixteenth); the margin is for a
/// single scrape that compresses well.
pub const DECODED_MAX: usize = 64 << 20;

/// A target may not have more labels than this; discovery gives a few dozen at most.
pub const LABELS_MAX: usize = 256;

#[cfg(test)]
mod tests;
