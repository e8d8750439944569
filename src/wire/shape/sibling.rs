//! The template of a shape that is announced beside another of the same kind: coded as values of
//! a frame are, against the other's template.
//!
//! Where a third shape of the kind is known too, what differs between the two tells how each
//! series differs among siblings: some never do, others by so many digits.

use super::{Page, Shape};
use crate::wire::DecodeError;
use crate::wire::columns::{Cell, Coder, Column, Mode, Model, Scratch, code};
use crate::wire::number::{FLOAT, Value};
use crate::wire::range::{Decoder, Encoder};

/// The class of a series where no third shape tells anything.
const ALONE: u8 = 1;

/// The class of a series that the other two have on scales that cannot be compared, or that one
/// of them has not.
const APART: u8 = 2;

/// The history of a series that differs between the other two.
const DIFFERS: u8 = 3;

/// What a series is coded against that the base has not.
const NOTHING: Value = Value {
    mantissa: 0,
    scale: 0,
};

/// A template as it stands in a message: the range-coded stream and the raw bits.
pub(super) struct Coded {
    pub(super) coded: Vec<u8>,
    pub(super) raw: Vec<u8>,
}

/// The shapes that a template is coded against.
#[derive(Clone, Copy)]
pub(in crate::wire) struct Siblings<'a> {
    pub(in crate::wire) base: &'a Shape,
    pub(in crate::wire) second: Option<&'a Shape>,
}

impl Siblings<'_> {
    /// Codes the template of a shape; `None` where a value does not stand on the scale of its
    /// digits, which no body makes.
    pub(super) fn encode(self, shape: &Shape) -> Option<Coded> {
        let mut template = shape.template().clone();
        if template.iter().any(|value| value.shortest() != value) {
            return None;
        }
        let mut encoder = Encoder::new();
        let mut model = Model::of_templates();
        self.code((&mut encoder, &mut model), shape.page(), &mut template);
        let (coded, raw) = encoder.finish();
        Some(Coded { coded, raw })
    }

    /// Reads the template of a shape with this page.
    pub(super) fn decode(
        self,
        page: &Page,
        (coded, raw): (&[u8], &[u8]),
    ) -> Result<Column, DecodeError> {
        let mut template = Column::default();
        template.clear(page.len(), false);
        let mut decoder = Decoder::new(coded, raw);
        let mut model = Model::of_templates();
        self.code((&mut decoder, &mut model), page, &mut template);
        if !decoder.is_finished() {
            return Err(DecodeError::Truncated);
        }
        for at in 0..page.len() {
            template.set(at, template.get(at).shortest());
        }
        Ok(template)
    }

    /// Codes a template.
    pub(in crate::wire) fn code<C: Coder>(
        self,
        coding: (&mut C, &mut Model),
        page: &Page,
        template: &mut Column,
    ) {
        let series = (&mut *self.cells(page), template);
        let mut scratch = Scratch::new();
        code(coding, Mode::Template, page.flags(), series, &mut scratch);
    }

    /// Returns what the series of a page are coded against.
    fn cells(self, page: &Page) -> Vec<Cell> {
        let mut base = Walk::new(self.base);
        let mut second = self.second.map(Walk::new);
        let cells = page.keys().map(|key| {
            let own = base.value(key);
            let class = match &mut second {
                None => ALONE,
                Some(second) => class_of(own, second.value(key)),
            };
            Cell::new(own.unwrap_or(NOTHING), class)
        });
        cells.collect()
    }
}

/// Looks up the values of a shape's template; the series are asked for nearly in its order.
struct Walk<'a> {
    shape: &'a Shape,
    expected: usize,
}

impl<'a> Walk<'a> {
    fn new(shape: &'a Shape) -> Self {
        Self { shape, expected: 0 }
    }

    fn value(&mut self, key: &str) -> Option<Value> {
        let found = self.shape.page().find_from(self.expected, key)?;
        self.expected = found + 1;
        Some(self.shape.template().get(found))
    }
}

/// Returns the class of a series by its values in the other two shapes.
fn class_of(base: Option<Value>, second: Option<Value>) -> u8 {
    let (Some(base), Some(second)) = (base, second) else {
        return APART;
    };
    let is_finer = second.scale < base.scale && base.scale < FLOAT;
    if second.scale != base.scale && !is_finer {
        return APART;
    }
    let difference = second.on_scale(base.scale).wrapping_sub(base.mantissa);
    if difference == 0 {
        0
    } else {
        Cell::class_of(difference, DIFFERS)
    }
}
