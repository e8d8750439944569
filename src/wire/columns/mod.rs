//! The columns: the values of one scrape, coded against the values before.
//!
//! In: the values of a scrape in the order of its shape, and what the series were at the base.
//! Out: answers and bits for the range coder, and back: encoder and decoder are one routine,
//! generic over the [`Coder`]. This module alone knows the residual model, which
//! `docs/wire.md` describes for readers in other languages.
//! It must do the same in both directions whatever the bytes, work in time linear in the number
//! of series, and never allocate per sample.

mod column;
mod model;
mod numbers;
mod times;

pub(super) use super::range::Coder;
pub(super) use column::{Cell, Scratch};
pub use column::{Column, Exemplar, NativeHistogram};
#[cfg(test)]
pub(super) use model::CONTEXTS;
pub(super) use model::{Model, Probability};
pub(super) use times::code_times;

use super::number::{ABSENT, FLOAT, Value};

use model::{
    CLASS, ESCAPE, ESCAPE_LENGTH, ESCAPE_SIGN, ESCAPE_ZERO, FLOAT_LENGTH, FLOAT_TOP, FURTHER, GRID,
    LENGTH, LONGER, NEAR, REST_LENGTH, REST_SIGN, REST_TOP, REST_ZERO, SAME, SCALE, SIGN,
    STEP_LENGTH, STEP_SIGN, STEP_TOP, TOP,
};
use numbers::{Signed, length_of, level, tree};

/// What a scrape is coded against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// The template of its shape; classes come along.
    Fresh = 0,
    /// The scrape before: classes and copies follow each scrape.
    Chained = 1,
    /// A scrape a few before.
    Near = 2,
    /// A scrape longer ago.
    Far = 3,
    /// The template of a shape, against that of another: as in [`Mode::Near`], but with a model
    /// that starts from probabilities of its own, and values on the scale of their digits.
    Template = 4,
}

impl Mode {
    /// The modes of records, in the order of their numbers.
    pub(super) const ALL: [Self; 4] = [Self::Fresh, Self::Chained, Self::Near, Self::Far];

    /// Returns which contexts it uses.
    fn index(self) -> usize {
        match self {
            Self::Template => Self::Near as usize,
            mode => mode as usize,
        }
    }

    /// Returns a value on the scale in which to code it.
    #[inline]
    fn toward(self, value: Value, base: Value) -> Value {
        match self {
            Self::Template => value.toward_decimal(base),
            _ => value.toward(base),
        }
    }
}

/// How a histogram's series follow from those above them, by the lowest bits of their flags.
pub(super) const RELATION_MASK: u8 = 0b11;
/// A bucket moves with the bucket above it.
pub(super) const RELATION_ABOVE: u8 = 1;
/// A count moves with the last bucket, two series above it.
pub(super) const RELATION_SECOND: u8 = 2;
/// The flag of a series with explicit timestamps.
pub(super) const HAS_TIME: u8 = 0b100;

/// Floats that are sums of durations move by whole nanoseconds.
const GRID_UNIT: f64 = 1e9;

/// Steps on the grid below this are exact integers in a double with room to spare.
const STEP_MAX: f64 = 1e15;

/// A step on the grid must save more than its own flags cost, in bits.
const STEP_COST: u32 = 3;

/// Smaller moves are equal by chance too often to be worth following.
const COPIED_MIN: u64 = 16;

/// Codes the values of a scrape; `cells` hold the base and, afterwards, these values.
///
/// All slices have the length of the shape. In the modes other than [`Mode::Fresh`] and
/// [`Mode::Chained`] cells keep their values.
pub(super) fn code<C: Coder>(
    (coder, model): (&mut C, &mut Model),
    mode: Mode,
    flags: &[u8],
    (cells, column): (&mut [Cell], &mut Column),
    scratch: &mut Scratch,
) {
    if mode == Mode::Fresh {
        code_classes(coder, model, cells);
    }
    scratch.begin(cells.len());
    let series = (flags, cells, column);
    if mode == Mode::Chained {
        code_values::<C, true>((coder, model), mode, series, scratch);
    } else {
        code_values::<C, false>((coder, model), mode, series, scratch);
    }
}

/// Codes the values; `CHAINED` tells at compile time whether that is the mode.
///
/// Here is what series that are as predicted take, which most are; all else is in
/// [`Walk::changed`].
fn code_values<C: Coder, const CHAINED: bool>(
    (coder, model): (&mut C, &mut Model),
    mode: Mode,
    (flags, cells, column): (&[u8], &mut [Cell], &mut Column),
    scratch: &mut Scratch,
) {
    let mut walk = Walk::new(mode, scratch);
    let mut state = coder.state();
    // How far the series above moved, and the one above that.
    let (mut above, mut second) = (0_i64, 0_i64);
    // Whether the series above was not as predicted, and in the bit below the one above that.
    let mut changes = 0;
    let contexts = SAME + mode.index() * 1024;
    // The last context and its probability: mostly the next one's, which need not wait for what is
    // written to memory to be read again.
    let mut held = (contexts, *model.at(contexts));
    let values = column.mantissas.iter_mut().zip(column.scales.iter_mut());
    let series = cells.iter_mut().zip(flags).zip(values);
    for (at, ((cell, flags), (mantissa, scale))) in series.enumerate() {
        let base = cell.value();
        let relation = flags & RELATION_MASK;
        let mut context = contexts + class_contexts(cell.class) + changes * 4;
        let (mut is_copy, mut delta) = (false, 0);
        if relation != 0 {
            delta = if relation == RELATION_ABOVE {
                above
            } else {
                second
            };
            context += 2 + usize::from(delta != 0);
        } else if CHAINED && let Some(copied) = walk.scratch.delta(cell.source) {
            (is_copy, delta) = (true, copied);
            context += 2 + usize::from(delta != 0);
        }
        let is_moved = delta != 0 && base.scale < FLOAT;
        let move_by = if is_moved { delta } else { 0 };
        let predicted = base.mantissa.wrapping_add(move_by);
        let mut value = base;
        let mut is_same = false;
        if C::ENCODES {
            let (mantissa, scale) = (*mantissa, *scale);
            value = mode.toward(Value { mantissa, scale }, base);
            is_same = value.scale == base.scale && value.mantissa == predicted;
        }
        if context != held.0 {
            held = (context, *model.at(context));
        }
        let (is_same, middle) = coder.ask(state, held, is_same);
        if is_same {
            held.1.learn(true);
            *model.at(context) = held.1;
            coder.settle(&mut state, middle, true);
            if CHAINED {
                cell.keep();
            }
            if is_moved && CHAINED {
                cell.set_mantissa(predicted);
                // The others are 0 at first.
                walk.scratch.set_delta(at, move_by);
            } else if is_moved && mode == Mode::Fresh {
                cell.set_mantissa(predicted);
            }
            *mantissa = predicted;
            *scale = base.scale;
            (above, second) = (move_by, above);
            changes >>= 1;
        } else {
            held.1.learn(false);
            *model.at(context) = held.1;
            coder.settle(&mut state, middle, false);
            coder.resume(state);
            let hint = Hint {
                is_given: is_copy || relation != 0,
                is_copy,
                is_related: relation != 0,
            };
            let moved;
            (value, moved) = walk.changed(coder, model, (cell, at, hint), (predicted, value));
            state = coder.state();
            *mantissa = value.mantissa;
            *scale = value.scale;
            (above, second) = (moved, above);
            changes = (changes >> 1) | 0b10;
        }
    }
    coder.resume(state);
}

/// Where the contexts of each class begin: 16 for each level and history.
static CLASS_CONTEXTS: [u16; 256] = {
    let mut contexts = [0; 256];
    let mut class = 0_u8;
    loop {
        #[expect(
            clippy::indexing_slicing,
            clippy::cast_possible_truncation,
            reason = "evaluated by the compiler"
        )]
        {
            contexts[class as usize] =
                (level(class as u32 >> 2) * 4 + (class & 3) as usize) as u16 * 16;
        }
        if class == u8::MAX {
            break contexts;
        }
        class += 1;
    }
};

/// Returns where the contexts of a class begin.
#[inline]
fn class_contexts(class: u8) -> usize {
    #[expect(clippy::indexing_slicing, reason = "it has a place for every class")]
    usize::from(CLASS_CONTEXTS[usize::from(class)])
}

/// Codes the class of each series: what the encoder has learned of it so far.
fn code_classes<C: Coder>(coder: &mut C, model: &mut Model, cells: &mut [Cell]) {
    let mut has_class = false;
    for cell in cells {
        let contexts = CLASS + usize::from(has_class) * 256;
        let class = tree::<C, 8>(coder, model, contexts, u32::from(cell.class));
        cell.class = class.to_le_bytes()[0];
        has_class = cell.class > 0;
    }
}

/// How a series is predicted.
#[derive(Clone, Copy)]
struct Hint {
    /// Whether another series' move predicts this one's.
    is_given: bool,
    is_copy: bool,
    /// Whether it is a histogram's, and follows those above it.
    is_related: bool,
}

/// What came of coding one series.
struct Coded {
    value: Value,
    residual: i64,
}

/// The walk over the series of one scrape: what only series that are not as predicted need.
struct Walk<'s> {
    mode: Mode,
    scratch: &'s mut Scratch,
    /// What kind of scale was announced last.
    scale_kind: usize,
    /// The last three answers whether it is a step on the grid.
    grid: usize,
}

impl<'s> Walk<'s> {
    fn new(mode: Mode, scratch: &'s mut Scratch) -> Self {
        Self {
            mode,
            scratch,
            scale_kind: 0,
            grid: 0,
        }
    }

    /// Codes a value that is not as predicted, and learns from it; returns it and how far the
    /// series moved.
    #[inline(never)]
    fn changed<C: Coder>(
        &mut self,
        coder: &mut C,
        model: &mut Model,
        (cell, at, hint): (&mut Cell, usize, Hint),
        (predicted, value): (i64, Value),
    ) -> (Value, i64) {
        let base = cell.value();
        let coded = self.value(coder, model, (cell, hint.is_given), (predicted, value));
        let value = coded.value;
        let delta = if value.scale == base.scale && base.scale < FLOAT {
            value.mantissa.wrapping_sub(base.mantissa)
        } else {
            0
        };
        match self.mode {
            Mode::Chained => {
                self.follow(cell, at, hint, delta);
                cell.adapt(coded.residual);
                cell.set(value);
            }
            Mode::Fresh => cell.set(value),
            Mode::Near | Mode::Far if C::ENCODES => cell.count(coded.residual),
            Mode::Near | Mode::Far | Mode::Template => {}
        }
        (value, delta)
    }

    /// Learns from which series above this one's moves can be copied.
    #[inline]
    fn follow(&mut self, cell: &mut Cell, at: usize, hint: Hint, delta: i64) {
        self.scratch.set_delta(at, delta);
        if hint.is_copy {
            cell.source = Cell::NO_SOURCE;
        } else if !hint.is_related && delta.unsigned_abs() >= COPIED_MIN {
            let first = self.scratch.first_with(delta, at);
            // Twice in a row is no chance.
            if cell.candidate == first {
                cell.source = first;
            }
            cell.candidate = first;
        }
    }

    /// Codes a value that is not as predicted.
    #[inline]
    fn value<C: Coder>(
        &mut self,
        coder: &mut C,
        model: &mut Model,
        (cell, is_hinted): (&Cell, bool),
        (predicted, value): (i64, Value),
    ) -> Coded {
        let base = cell.value();
        if base.scale == ABSENT {
            return self.rescaled(coder, model, base, value);
        }
        let last = cell.last_length();
        let scale_changes = value.scale != base.scale;
        let residual = value.mantissa.wrapping_sub(predicted);
        let by_last = (self.mode.index() * 2 + usize::from(is_hinted)) * 16 + level(last);
        let number = Signed {
            sign: SIGN + by_last,
            top: TOP,
        };
        if base.scale != FLOAT && last > 0 {
            let is_near = !scale_changes && length_of(residual).min(63) == last;
            if coder.bit(model, NEAR + by_last, C::ENCODES && is_near) {
                let residual = number.mantissa(coder, model, last, residual);
                return Coded::beside(predicted, residual, base.scale);
            }
        }
        let kind = usize::from(base.scale == FLOAT);
        if coder.bit(model, ESCAPE + kind * 16 + level(last), scale_changes) {
            return self.rescaled(coder, model, base, value);
        }
        if base.scale == FLOAT {
            if let Some(coded) = self.on_grid(coder, model, base, value) {
                return coded;
            }
            let contexts = FLOAT_LENGTH + (self.mode.index() * 16 + level(last)) * 64;
            let number = Signed {
                top: FLOAT_TOP,
                ..number
            };
            let residual = number.whole(coder, model, contexts, residual);
            return Coded::beside(predicted, residual, FLOAT);
        }
        let residual = if last == 0 {
            let contexts = LENGTH + (self.mode.index() * 2 + usize::from(is_hinted)) * 64;
            number.whole(coder, model, contexts, residual)
        } else {
            let length = self.other_length(coder, model, last, length_of(residual).min(63));
            number.mantissa(coder, model, length, residual)
        };
        Coded::beside(predicted, residual, base.scale)
    }

    /// Codes a value whose scale is another than its base's.
    #[cold]
    fn rescaled<C: Coder>(
        &mut self,
        coder: &mut C,
        model: &mut Model,
        base: Value,
        value: Value,
    ) -> Coded {
        let contexts = SCALE + self.scale_kind * 32;
        let scale = tree::<C, 5>(coder, model, contexts, u32::from(value.scale));
        let scale = scale.to_le_bytes()[0];
        if scale > ABSENT {
            coder.reject();
        }
        self.scale_kind = match scale {
            0 => 0,
            FLOAT => 2,
            ABSENT.. => 3,
            _ => 1,
        };
        if scale >= ABSENT {
            return Coded::beside(0, 0, ABSENT);
        }
        let predicted = base.on_scale(scale);
        let residual = value.mantissa.wrapping_sub(predicted);
        if coder.bit(model, ESCAPE_ZERO, residual == 0) {
            return Coded::beside(predicted, 0, scale);
        }
        let number = Signed {
            sign: ESCAPE_SIGN,
            top: TOP,
        };
        let contexts = ESCAPE_LENGTH + self.scale_kind * 64;
        let residual = number.whole(coder, model, contexts, residual);
        Coded::beside(predicted, residual, scale)
    }

    /// Codes a float as a step of whole nanoseconds and a rest, if that is shorter.
    fn on_grid<C: Coder>(
        &mut self,
        coder: &mut C,
        model: &mut Model,
        base: Value,
        value: Value,
    ) -> Option<Coded> {
        let start = base.to_f64();
        let mut step = 0;
        if C::ENCODES {
            let difference = ((value.to_f64() - start) * GRID_UNIT).round();
            if difference.abs() < STEP_MAX {
                #[expect(clippy::cast_possible_truncation, reason = "limited just above")]
                {
                    step = difference as i64;
                }
                let rest = value.mantissa.wrapping_sub(stepped(start, step));
                let plain = value.mantissa.wrapping_sub(base.mantissa);
                if length_of(step) + length_of(rest) + STEP_COST >= length_of(plain) {
                    step = 0;
                }
            }
        }
        let is_step = coder.bit(model, GRID + self.grid, step != 0);
        self.grid = ((self.grid << 1) | usize::from(is_step)) & 7;
        if !is_step {
            return None;
        }
        let number = Signed {
            sign: STEP_SIGN,
            top: STEP_TOP,
        };
        let step = number.whole(coder, model, STEP_LENGTH, step);
        let predicted = stepped(start, step);
        let rest = value.mantissa.wrapping_sub(predicted);
        let rest = if coder.bit(model, REST_ZERO, rest == 0) {
            0
        } else {
            let number = Signed {
                sign: REST_SIGN,
                top: REST_TOP,
            };
            number.whole(coder, model, REST_LENGTH, rest)
        };
        Some(Coded {
            residual: step,
            ..Coded::beside(predicted, rest, FLOAT)
        })
    }

    /// Codes a length that is not the series' last one.
    fn other_length<C: Coder>(
        &self,
        coder: &mut C,
        model: &mut Model,
        last: u32,
        length: u32,
    ) -> u32 {
        let by_last = self.mode.index() * 16 + level(last);
        let is_longer = coder.bit(model, LONGER + by_last, length > last);
        let contexts = FURTHER + (by_last * 2 + usize::from(is_longer)) * 16;
        let mut steps = 0;
        if is_longer {
            let mut coded = (last + 1).min(63);
            while coded < 63 && coder.bit(model, contexts + steps, length > coded) {
                coded += 1;
                steps = (steps + 1).min(15);
            }
            coded
        } else {
            let mut coded = last.saturating_sub(1).max(1);
            while coded > 1 && coder.bit(model, contexts + steps, length < coded) {
                coded -= 1;
                steps = (steps + 1).min(15);
            }
            coded
        }
    }
}

impl Coded {
    #[inline]
    fn beside(predicted: i64, residual: i64, scale: u8) -> Self {
        Self {
            value: Value {
                mantissa: predicted.wrapping_add(residual),
                scale,
            },
            residual,
        }
    }
}

/// Returns the ordered bits of a float that moved by a step on the grid.
///
/// What is no number stays where it is: its sum's bits differ between processors.
fn stepped(start: f64, step: i64) -> i64 {
    if !start.is_finite() {
        return Value::float(start).mantissa;
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "exact below 2^53; larger steps stand only in hostile frames, and round alike"
    )]
    let step = step as f64;
    Value::float(start + step / GRID_UNIT).mantissa
}
