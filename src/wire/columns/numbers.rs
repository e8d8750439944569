//! Integers in the range coder: lengths by modelled trees, the rest mostly raw.

use super::Model;
use crate::wire::range::Coder;

/// Returns how many bits the magnitude of a number has.
#[inline]
pub(super) fn length_of(number: i64) -> u32 {
    64 - number.unsigned_abs().leading_zeros()
}

/// Returns the level, below 16, of a length in bits: long ones share levels.
#[inline]
pub(super) const fn level(length: u32) -> usize {
    const LEVELS: [u8; 64] = [
        0, 1, 2, 3, 4, 5, 6, 7, 7, 8, 8, 9, 9, 9, 10, 10, 10, 10, 11, 11, 11, 11, 11, 12, 12, 12,
        12, 12, 12, 13, 13, 13, 13, 13, 13, 13, 13, 14, 14, 14, 14, 14, 14, 14, 14, 14, 15, 15, 15,
        15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,
    ];
    #[expect(
        clippy::indexing_slicing,
        reason = "masked to the table's size, so that no check is left"
    )]
    {
        LEVELS[length as usize & 63] as usize
    }
}

/// Codes a symbol of `BITS` bits from its highest on, each bit in the context of those before.
///
/// Most symbols are alike: while a bit is guessed right, nothing waits for the answer.
#[inline]
pub(super) fn tree<C: Coder, const BITS: u32>(
    coder: &mut C,
    model: &mut Model,
    contexts: usize,
    symbol: u32,
) -> u32 {
    let mut state = coder.state();
    let mut node = 1;
    for shift in (0..BITS).rev() {
        let bit = (symbol >> shift) & 1 == 1;
        let context = contexts + node;
        let probability = model.at(context);
        // Each way ends with its own node: were it made of the answer, the compiler would make
        // selections of all of it.
        let (bit, middle) = coder.ask(state, (context, *probability), bit);
        if bit {
            probability.learn(true);
            coder.settle(&mut state, middle, true);
            node = (node << 1) | 1;
        } else {
            probability.learn(false);
            coder.settle(&mut state, middle, false);
            node <<= 1;
        }
    }
    coder.resume(state);
    #[expect(clippy::cast_possible_truncation, reason = "at most 9 bits")]
    let node = node as u32;
    node & ((1 << BITS) - 1)
}

/// Where the contexts of a signed number lie.
#[derive(Clone, Copy)]
pub(super) struct Signed {
    pub(super) sign: usize,
    /// Four contexts for each length.
    pub(super) top: usize,
}

impl Signed {
    /// Codes a number that is not 0: length, sign, two modelled bits, the rest raw.
    #[inline]
    pub(super) fn whole<C: Coder>(
        self,
        coder: &mut C,
        model: &mut Model,
        lengths: usize,
        number: i64,
    ) -> i64 {
        let magnitude = number.unsigned_abs();
        let left = tree::<C, 6>(coder, model, lengths, length_of(number).saturating_sub(1));
        let mut state = coder.state();
        let is_negative = coder.digit(&mut state, model, self.sign, number < 0);
        let top = self.top + left as usize * 4;
        let mut left = left;
        let mut coded = 1_u64;
        let mut node = 1;
        while left > 0 && node < 4 {
            left -= 1;
            let bit = (magnitude >> left) & 1 == 1;
            let bit = coder.digit(&mut state, model, top + node, bit);
            coded = (coded << 1) | u64::from(bit);
            node = node * 2 + usize::from(bit);
        }
        coder.resume(state);
        signed(low_bits(coder, coded, magnitude, left), is_negative)
    }

    /// Codes a number whose length is known: sign, one modelled bit, the rest raw.
    #[inline]
    pub(super) fn mantissa<C: Coder>(
        self,
        coder: &mut C,
        model: &mut Model,
        length: u32,
        number: i64,
    ) -> i64 {
        // The longest share a length: there is nothing to gain from telling them apart.
        if length >= 63 {
            return coder.raw(number.cast_unsigned(), 64).cast_signed();
        }
        let magnitude = number.unsigned_abs();
        let mut state = coder.state();
        let is_negative = coder.digit(&mut state, model, self.sign, number < 0);
        let mut left = length.saturating_sub(1);
        let mut coded = 1_u64;
        if left > 0 {
            left -= 1;
            let context = self.top + length as usize * 4;
            let bit = (magnitude >> left) & 1 == 1;
            let bit = coder.digit(&mut state, model, context, bit);
            coded = (coded << 1) | u64::from(bit);
        }
        coder.resume(state);
        signed(low_bits(coder, coded, magnitude, left), is_negative)
    }
}

#[inline]
fn low_bits<C: Coder>(coder: &mut C, coded: u64, magnitude: u64, left: u32) -> u64 {
    if left == 0 {
        coded
    } else {
        let low = coder.raw(magnitude & ((1 << left) - 1), left);
        (coded << left) | low
    }
}

#[inline]
fn signed(magnitude: u64, is_negative: bool) -> i64 {
    let number = magnitude.cast_signed();
    if is_negative {
        number.wrapping_neg()
    } else {
        number
    }
}
