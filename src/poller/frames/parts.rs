//! The parts of one target whose scrapes are too large for a message.
//!
//! Values are split by their shape: each part has a shape of its own, made once, and takes its
//! stretch of each scrape's values. Texts are cut at each scrape.

use std::ops::Range;
use std::sync::Arc;

use super::next;
use super::split::{self, Piece};
use crate::exposition;
use crate::model::{Format, Labels, Text};
use crate::scrape::Shapes;
use crate::wire::{Body, Column, Columns, PARTS_MAX, Shape, ShapeId, Value};

/// Parts are never asked to be smaller than this; what cannot be parted may be.
const PIECE_BYTES_MIN: usize = 1024;

/// How a target is split.
#[derive(Default)]
pub(super) struct Parts {
    values: Option<OfValues>,
    texts: Option<Limit>,
    /// Numbers that are not used any more.
    unused: Vec<u32>,
}

/// How a body's text is cut.
#[derive(Clone, Copy)]
struct Limit {
    /// Pieces are at most as large, where they can be parted.
    bytes_max: usize,
    /// The size of the text that had to be split.
    split: usize,
    /// Texts of this size or more are given up, since something that cannot be parted is too large.
    refused: usize,
}

struct OfValues {
    limit: Limit,
    /// The shape that the parts are made of.
    of: Option<ShapeId>,
    parts: Vec<OnePart>,
}

struct OnePart {
    number: u32,
    series: Range<usize>,
    shape: Arc<Shape>,
    is_indivisible: bool,
}

/// A part of a scrape.
pub(super) struct Parted {
    pub(super) number: u32,
    pub(super) body: Body,
    pub(super) is_indivisible: bool,
}

impl Parts {
    /// Tells whether a body has to be split; one of half the size is tried as a whole.
    pub(super) fn is_needed_for(&mut self, body: &Body) -> bool {
        let is_needed = |limit: &Limit| size_of(body) > limit.split / 2;
        match body {
            Body::Columns(_) => {
                if let Some(values) = self.values.take_if(|values| !is_needed(&values.limit)) {
                    self.unused
                        .extend(values.parts.iter().map(|part| part.number));
                }
                self.values.is_some()
            }
            Body::Text(_) => {
                self.texts = self.texts.filter(is_needed);
                self.texts.is_some()
            }
        }
    }

    /// Takes the numbers of parts that are not there any more.
    pub(super) fn take_unused(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.unused)
    }

    /// Takes the numbers of all parts.
    pub(super) fn take_numbers(mut self) -> Vec<u32> {
        if let Some(values) = self.values {
            self.unused
                .extend(values.parts.iter().map(|part| part.number));
        }
        self.unused
    }

    /// Makes the parts of a body smaller: something of it was `bytes` large, and may be `limit`.
    pub(super) fn shrink(&mut self, body: &Body, (bytes, bytes_max): (usize, usize)) {
        let size = size_of(body);
        let fresh = Limit {
            bytes_max: size,
            split: size,
            refused: usize::MAX,
        };
        let limit = self.limit(body, fresh);
        if limit.bytes_max <= PIECE_BYTES_MIN {
            limit.refused = limit.refused.min(size);
            return;
        }
        // A quarter less than in proportion, since families are not alike; at most half.
        let share = limit.bytes_max.saturating_mul(bytes_max) / bytes.max(1) / 4 * 3;
        limit.bytes_max = share.min(limit.bytes_max / 2).max(PIECE_BYTES_MIN);
    }

    /// Gives up bodies of this size.
    pub(super) fn refuse(&mut self, body: &Body) {
        let size = size_of(body);
        let fresh = Limit {
            bytes_max: size,
            split: size,
            refused: size,
        };
        let limit = self.limit(body, fresh);
        limit.refused = limit.refused.min(size);
    }

    fn limit(&mut self, body: &Body, fresh: Limit) -> &mut Limit {
        match body {
            Body::Columns(_) => {
                let values = self.values.get_or_insert_with(|| OfValues {
                    limit: fresh,
                    of: None,
                    parts: Vec::new(),
                });
                values.of = None;
                &mut values.limit
            }
            Body::Text(_) => self.texts.get_or_insert(fresh),
        }
    }

    /// Splits a body; `None` when that is not possible.
    pub(super) fn split(
        &mut self,
        target: &Arc<Labels>,
        body: &Body,
        shapes: &Shapes,
        numbers: &mut u32,
    ) -> Option<Vec<Parted>> {
        match body {
            Body::Columns(columns) => {
                let values = self.values.as_mut()?;
                if size_of(body) >= values.limit.refused {
                    return None;
                }
                if values.of != Some(columns.shape.id()) {
                    let unused = values.make(target, columns, shapes, numbers)?;
                    self.unused.extend(unused);
                }
                Some(values.split(&columns.column))
            }
            Body::Text(text) => split_text(text, self.texts.as_ref()?),
        }
    }
}

impl OfValues {
    /// Makes the parts' shapes; a part keeps its number. Returns the numbers that are left over.
    fn make(
        &mut self,
        target: &Arc<Labels>,
        columns: &Columns,
        shapes: &Shapes,
        numbers: &mut u32,
    ) -> Option<Vec<u32>> {
        let page = columns.shape.page();
        let filled = Columns {
            shape: Arc::clone(&columns.shape),
            column: filled(&columns.column),
        };
        let text = Body::Columns(filled).to_text();
        let text = std::str::from_utf8(&text.text).ok()?;
        let mut parts = Vec::new();
        let known: Vec<u32> = self.parts.iter().map(|part| part.number).collect();
        let mut known = known.into_iter();
        let pieces = split::pieces(text, self.limit.bytes_max);
        check_count(pieces.len())?;
        for piece in pieces {
            let Piece {
                text: bytes,
                series,
                is_indivisible,
            } = piece;
            let piece = ended(text.get(bytes)?, page.format());
            let shape = Shape::build(Arc::clone(target), piece.as_bytes(), page.format()).ok()?;
            let own = page.keys().skip(series.start).take(series.len());
            if !own.eq(shape.page().keys()) || shape.page().len() != series.len() {
                return None;
            }
            parts.push(OnePart {
                number: known.next().unwrap_or_else(|| next(numbers)),
                series,
                shape: shapes.keep(shape)?,
                is_indivisible,
            });
        }
        self.parts = parts;
        self.of = Some(columns.shape.id());
        Some(known.collect())
    }

    fn split(&self, column: &Column) -> Vec<Parted> {
        let of_part = |part: &OnePart| {
            let own = column.stretch(part.series.clone(), part.shape.page().has_times());
            Parted {
                number: part.number,
                body: Body::Columns(Columns {
                    shape: Arc::clone(&part.shape),
                    column: own,
                }),
                is_indivisible: part.is_indivisible,
            }
        };
        self.parts.iter().map(of_part).collect()
    }
}

fn split_text(text: &Text, limit: &Limit) -> Option<Vec<Parted>> {
    if text.text.len() >= limit.refused {
        return None;
    }
    let whole = std::str::from_utf8(&text.text).ok()?;
    let pieces = split::pieces(whole, limit.bytes_max);
    check_count(pieces.len())?;
    let mut samples = 0;
    let mut parts = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let own = Text {
            text: ended(whole.get(piece.text)?, text.format)
                .into_owned()
                .into(),
            format: text.format,
        };
        samples += exposition::check(&own.text, own.format).ok()?.samples;
        parts.push(Parted {
            number: 0,
            body: Body::Text(own),
            is_indivisible: piece.is_indivisible,
        });
    }
    // A line break within quotes looks like the end of a line.
    let expected = exposition::check(&text.text, text.format).ok()?.samples;
    (samples == expected).then_some(parts)
}

fn check_count(pieces: usize) -> Option<()> {
    (pieces <= usize::try_from(PARTS_MAX).unwrap_or(usize::MAX)).then_some(())
}

/// Ends a piece as its format asks for.
fn ended(piece: &str, format: Format) -> std::borrow::Cow<'_, str> {
    const END: &str = "# EOF\n";
    match format {
        Format::OpenMetrics if !piece.ends_with(END) => format!("{piece}{END}").into(),
        Format::Text | Format::OpenMetrics => piece.into(),
    }
}

/// Gives each series a value, so that none is missing where the values are written as text.
fn filled(column: &Column) -> Column {
    let mut filled = column.clone();
    let zero = Value::new(0.0);
    for series in 0..column.len() {
        if column.get(series).get().is_none() {
            filled.set(series, zero);
        }
    }
    filled
}

/// Returns the size of a body's text, without values where they are apart.
fn size_of(body: &Body) -> usize {
    match body {
        Body::Columns(columns) => columns.shape.page().text().len(),
        Body::Text(text) => text.text.len(),
    }
}
