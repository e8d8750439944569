//! The contexts of the range coder: where each stands, and how sure it is at the start.

/// How likely a yes is, in 65,536ths: the mean of a quick learner, the lower half, and a slow one,
/// the upper half. Both learn at once, without a branch.
#[derive(Clone, Copy)]
pub(in crate::wire) struct Probability(u32);

/// The quick learner goes a 16th of the way to what it sees.
const QUICK_SHIFT: u32 = 4;

/// The slow learner goes a 128th of the way.
const SLOW_SHIFT: u32 = 7;

/// No probability is nearer to 0 or to 1, so that a surprise costs at most some ten bits.
const PROBABILITY_MIN: u32 = 48;

impl Probability {
    const fn new(probability: u16) -> Self {
        Self(probability as u32 * 0x1_0001)
    }

    #[inline]
    pub(in crate::wire) fn get(self) -> u32 {
        let mean = ((self.0 & 0xffff) + (self.0 >> 16)) >> 1;
        mean.clamp(PROBABILITY_MIN, 0xffff - PROBABILITY_MIN)
    }

    #[inline]
    pub(in crate::wire) fn learn(&mut self, bit: bool) {
        /// What is left of each half, shifted within itself.
        const QUICK: u32 = 0xffff >> QUICK_SHIFT;
        const SLOW: u32 = (0xffff >> SLOW_SHIFT) << 16;
        // A yes is a no of what is missing to certainty.
        let flip = if bit { u32::MAX } else { 0 };
        let unsure = self.0 ^ flip;
        let steps = ((unsure >> QUICK_SHIFT) & QUICK) | ((unsure >> SLOW_SHIFT) & SLOW);
        self.0 = (unsure - steps) ^ flip;
    }
}

/// Is the value as predicted? By mode, class, the two series above, the kind of prediction.
pub(super) const SAME: usize = 0;
/// Is the residual as long as the series' last one? By mode, prediction, last length.
pub(super) const NEAR: usize = SAME + 4 * 1024;
/// Does the value's scale change? By the base's kind, last length.
pub(super) const ESCAPE: usize = NEAR + 4 * 32;
/// The new scale: a tree of 5 bits. By what the scale before in the record became.
pub(super) const SCALE: usize = ESCAPE + 2 * 16;
/// Length of a residual without a last one: a tree of 6 bits. By mode, prediction.
pub(super) const LENGTH: usize = SCALE + 4 * 32;
/// Length of a float's residual: a tree of 6 bits. By mode, last length.
pub(super) const FLOAT_LENGTH: usize = LENGTH + 8 * 64;
/// Length of a residual behind a new scale: a tree of 6 bits. By the scale's kind.
pub(super) const ESCAPE_LENGTH: usize = FLOAT_LENGTH + 64 * 64;
/// Sign of a residual. By mode, prediction, last length.
pub(super) const SIGN: usize = ESCAPE_LENGTH + 4 * 64;
/// The highest bits of a residual below its first. By length.
pub(super) const TOP: usize = SIGN + 4 * 32;
/// The same of floats, and of the two numbers of a step on the grid.
pub(super) const FLOAT_TOP: usize = TOP + 256;
/// The same of a step on the grid.
pub(super) const STEP_TOP: usize = FLOAT_TOP + 256;
/// The same of what is left beside the grid.
pub(super) const REST_TOP: usize = STEP_TOP + 256;
/// Is the residual longer than the last one? By mode, last length.
pub(super) const LONGER: usize = REST_TOP + 256;
/// Is it longer, or shorter, by one more? By mode, last length, direction, how often so far.
pub(super) const FURTHER: usize = LONGER + 4 * 16;
/// Is it a step on the grid? By the three answers before.
pub(super) const GRID: usize = FURTHER + 4 * 512;
/// Length of a step on the grid: a tree of 6 bits.
pub(super) const STEP_LENGTH: usize = GRID + 8;
/// Length of what is left beside the grid: a tree of 6 bits.
pub(super) const REST_LENGTH: usize = STEP_LENGTH + 64;
/// A class: a tree of 8 bits. By whether the series above has one.
pub(super) const CLASS: usize = REST_LENGTH + 64;
/// Is the timestamp as predicted? By whether one like it was seen.
pub(super) const TIME_SAME: usize = CLASS + 2 * 256;
/// Length of a timestamp's residual: a tree of 6 bits.
pub(super) const TIME_LENGTH: usize = TIME_SAME + 2;
/// Contexts that stand alone.
pub(super) const ALONE: usize = TIME_LENGTH + 64;
/// Is the residual behind a new scale 0?
pub(super) const ESCAPE_ZERO: usize = ALONE;
/// Sign of a residual behind a new scale.
pub(super) const ESCAPE_SIGN: usize = ALONE + 1;
/// Sign of a step on the grid.
pub(super) const STEP_SIGN: usize = ALONE + 2;
/// Is nothing left beside the grid?
pub(super) const REST_ZERO: usize = ALONE + 3;
/// Sign of what is left beside the grid.
pub(super) const REST_SIGN: usize = ALONE + 4;
/// Sign of a timestamp's residual.
pub(super) const TIME_SIGN: usize = ALONE + 5;
/// Number of contexts.
pub(in crate::wire) const CONTEXTS: usize = ALONE + 6;

/// Room for the contexts: a power of two, so that masking an index keeps it inside.
const ROOM: usize = CONTEXTS.next_power_of_two();

/// Each context's probability at the start of a frame, four hexadecimal digits each, 24 to a
/// line: what was counted over recorded expositions. It is part of the format's version.
const START: &[u8] = include_bytes!("start.hex");

static START_TABLE: [Probability; CONTEXTS] = read_start(START);

/// The same for the template of a shape, which is coded on its own.
const TEMPLATE: &[u8] = include_bytes!("template.hex");

static TEMPLATE_TABLE: [Probability; CONTEXTS] = read_start(TEMPLATE);

#[expect(
    clippy::indexing_slicing,
    clippy::large_stack_arrays,
    reason = "evaluated by the compiler, where an index out of bounds does not compile"
)]
const fn read_start(hexadecimal: &[u8]) -> [Probability; CONTEXTS] {
    let even = Probability::new(1 << 15);
    let mut table = [even; CONTEXTS];
    let (mut context, mut value, mut digits, mut at) = (0, 0_u16, 0, 0);
    while at < hexadecimal.len() {
        let digit = match hexadecimal[at] {
            digit @ b'0'..=b'9' => digit - b'0',
            digit @ b'a'..=b'f' => digit - b'a' + 10,
            _ => 0xff,
        };
        at += 1;
        if digit == 0xff {
            continue;
        }
        value = (value << 4) | digit as u16;
        digits += 1;
        if digits == 4 {
            table[context] = Probability::new(value);
            context += 1;
            digits = 0;
        }
    }
    assert!(context == CONTEXTS, "the start table has another size");
    table
}

/// The probabilities of all contexts.
pub(in crate::wire) struct Model(Box<[Probability; ROOM]>);

impl Model {
    pub(in crate::wire) fn new() -> Self {
        let empty = Probability::new(0);
        #[expect(clippy::large_stack_arrays, reason = "64 KiB, once for a lane")]
        let mut model = Self(Box::new([empty; ROOM]));
        model.restart();
        model
    }

    /// Returns to where every frame starts.
    pub(in crate::wire) fn restart(&mut self) {
        self.start_at(&START_TABLE);
    }

    /// Makes one that stands where the template of every shape starts.
    pub(in crate::wire) fn of_templates() -> Self {
        let empty = Probability::new(0);
        #[expect(clippy::large_stack_arrays, reason = "64 KiB, once for a shape")]
        let mut model = Self(Box::new([empty; ROOM]));
        model.start_at(&TEMPLATE_TABLE);
        model
    }

    fn start_at(&mut self, table: &[Probability; CONTEXTS]) {
        for (context, start) in self.0.iter_mut().zip(table) {
            *context = *start;
        }
    }

    /// Starts from other probabilities, to measure tables.
    #[cfg(test)]
    pub(in crate::wire) fn restart_from(&mut self, start: &[u16]) {
        for (context, &start) in self.0.iter_mut().zip(start) {
            *context = Probability::new(start);
        }
    }

    #[inline]
    pub(in crate::wire) fn at(&mut self, context: usize) -> &mut Probability {
        #[expect(
            clippy::indexing_slicing,
            reason = "masked to the array's size, so that no check is left in the hottest line"
        )]
        &mut self.0[context & (ROOM - 1)]
    }
}
