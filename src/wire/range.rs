//! The range coder: yes-or-no answers, each with a probability that learns, and raw bits.
//!
//! Encoder, decoder and counter share one trait, so that the model is written once for all.

use super::columns::{Model, Probability};

/// Either direction of the coding.
pub(super) trait Coder {
    /// Tells whether the values are known and are to be written.
    const ENCODES: bool;

    /// What changes with each answer. A loop has a copy of its own, which stays in registers, as
    /// nothing that it calls can reach it.
    type State: Copy;

    /// Returns the state to go on from.
    fn state(&self) -> Self::State;

    /// Goes on from a state.
    fn resume(&mut self, state: Self::State);

    /// Finds an answer in a context with its probability, and where the range parts; a decoder
    /// ignores `bit` and reads.
    fn ask(
        &mut self,
        state: Self::State,
        in_context: (usize, Probability),
        bit: bool,
    ) -> (bool, u32);

    /// Goes on behind an answer.
    ///
    /// Who branches by the answer calls this, and has the probability learn, on either way with a
    /// constant: the range is then narrowed by what the processor predicts, and none of it waits
    /// for the answer.
    fn settle(&mut self, state: &mut Self::State, middle: u32, bit: bool);

    /// Codes an answer by the coder's own state.
    #[inline]
    fn bit(&mut self, model: &mut Model, context: usize, bit: bool) -> bool {
        let mut state = self.state();
        let bit = self.digit(&mut state, model, context, bit);
        self.resume(state);
        bit
    }

    /// Codes a digit, which nobody can predict, without a branch.
    #[inline]
    fn digit(
        &mut self,
        state: &mut Self::State,
        model: &mut Model,
        context: usize,
        bit: bool,
    ) -> bool {
        let probability = model.at(context);
        let (bit, middle) = self.ask(*state, (context, *probability), bit);
        probability.learn(bit);
        self.settle(state, middle, bit);
        bit
    }

    /// Codes the lowest `width` bits of a number, at most 64, as they are.
    fn raw(&mut self, bits: u64, width: u32) -> u64;

    /// Notes that what was read is nothing that an encoder writes.
    fn reject(&mut self) {}
}

/// What is left of the numbers of 32 bits.
#[derive(Clone, Copy)]
pub(super) struct Range {
    low: u32,
    high: u32,
}

impl Range {
    const WHOLE: Self = Self {
        low: 0,
        high: u32::MAX,
    };

    /// Returns where the range parts between yes (up to there) and no.
    #[inline]
    fn middle(self, probability: Probability) -> u32 {
        let share = (u64::from(self.high - self.low) * u64::from(probability.get())) >> 16;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the probability is below 1, so the share is below the range"
        )]
        let share = share as u32;
        self.low + share
    }

    #[inline]
    fn narrow(&mut self, middle: u32, bit: bool) {
        if bit {
            self.high = middle;
        } else {
            self.low = middle + 1;
        }
    }

    /// Tells whether the first byte is settled.
    #[inline]
    fn is_settled(self) -> bool {
        (self.low ^ self.high) >> 24 == 0
    }

    /// Returns the number of leading bits that are settled, in whole bytes.
    #[inline]
    fn settled(self) -> u32 {
        (self.low ^ self.high).leading_zeros() & !7
    }

    /// Leaves out what is settled.
    #[inline]
    fn widen(&mut self, settled: u32) {
        self.low = self.low.checked_shl(settled).unwrap_or(0);
        self.high = !(!self.high).checked_shl(settled).unwrap_or(0);
    }
}

/// Writes.
pub(super) struct Encoder {
    range: Range,
    coded: Vec<u8>,
    raw: RawWriter,
}

impl Encoder {
    pub(super) fn new() -> Self {
        Self {
            range: Range::WHOLE,
            coded: Vec::new(),
            raw: RawWriter::default(),
        }
    }

    /// Returns about how many bytes there are so far.
    pub(super) fn len(&self) -> usize {
        self.coded.len() + self.raw.bytes.len() + size_of::<u32>() + size_of::<u64>()
    }

    /// Returns the range-coded stream and the stream of raw bits.
    pub(super) fn finish(mut self) -> (Vec<u8>, Vec<u8>) {
        // `low` and `high` differ in their first byte, so that this byte of `low` and a reader's
        // padding of 0xff lie between them.
        self.coded.push(self.range.low.to_be_bytes()[0]);
        (self.coded, self.raw.finish())
    }

    /// Writes the first bytes of the range's numbers, which are alike.
    #[inline(never)]
    fn put(&mut self, number: u32, bits: u32) {
        let bytes = number.to_be_bytes();
        let bytes = bytes.get(..bits as usize / 8);
        self.coded.extend_from_slice(bytes.unwrap_or_default());
    }
}

impl Coder for Encoder {
    const ENCODES: bool = true;

    type State = Range;

    #[inline]
    fn state(&self) -> Range {
        self.range
    }

    #[inline]
    fn resume(&mut self, state: Range) {
        self.range = state;
    }

    #[inline]
    fn ask(
        &mut self,
        range: Range,
        (_, probability): (usize, Probability),
        bit: bool,
    ) -> (bool, u32) {
        (bit, range.middle(probability))
    }

    #[inline]
    fn settle(&mut self, range: &mut Range, middle: u32, bit: bool) {
        range.narrow(middle, bit);
        if range.is_settled() {
            let settled = range.settled();
            self.put(range.high, settled);
            range.widen(settled);
        }
    }

    #[inline]
    fn raw(&mut self, bits: u64, width: u32) -> u64 {
        if width > 32 {
            self.raw.put(bits & 0xffff_ffff, 32);
            self.raw.put(bits >> 32, width - 32);
        } else {
            self.raw.put(bits, width);
        }
        bits
    }
}

/// Bits from the lowest of each byte on.
#[derive(Default)]
struct RawWriter {
    bytes: Vec<u8>,
    pending: u64,
    width: u32,
}

impl RawWriter {
    /// Takes at most 32 bits.
    #[inline]
    fn put(&mut self, bits: u64, width: u32) {
        self.pending |= (bits & mask(width)) << self.width;
        self.width += width;
        if self.width >= 32 {
            let [b0, b1, b2, b3, ..] = self.pending.to_le_bytes();
            self.bytes.extend_from_slice(&[b0, b1, b2, b3]);
            self.pending >>= 32;
            self.width -= 32;
        }
    }

    fn finish(mut self) -> Vec<u8> {
        let bytes = self.pending.to_le_bytes();
        let left = self.width.div_ceil(8) as usize;
        self.bytes
            .extend_from_slice(bytes.get(..left).unwrap_or_default());
        self.bytes
    }
}

#[inline]
fn mask(width: u32) -> u64 {
    u64::MAX.checked_shr(64 - width).unwrap_or(0)
}

/// Reads.
///
/// Behind the end of its input it goes on with padding; whoever reads asks [`Self::is_sound`]
/// after each bounded piece of work.
pub(super) struct Decoder<'a> {
    state: Window,
    coded: &'a [u8],
    raw: &'a [u8],
    /// Bits of `raw` that were read, also behind its end.
    raw_at: usize,
    is_rejected: bool,
}

/// The range, and where in it the input points.
#[derive(Clone, Copy)]
pub(super) struct Window {
    range: Range,
    /// The bytes of the input at `at`.
    bytes: u32,
    at: usize,
}

/// Bytes of the input that a reader holds.
const WINDOW: usize = size_of::<u32>();

/// Bytes behind the end of the coded stream that a reader holds when it has read all of it: four
/// fill its window, and the encoder writes only the first of the last four.
const PADDING: usize = 3;

impl<'a> Decoder<'a> {
    pub(super) fn new(coded: &'a [u8], raw: &'a [u8]) -> Self {
        Self {
            state: Window {
                range: Range::WHOLE,
                bytes: window(coded, 0),
                at: 0,
            },
            coded,
            raw,
            raw_at: 0,
            is_rejected: false,
        }
    }

    /// Returns how many bytes behind the end of its input it holds, or has gone by.
    fn padding(&self) -> usize {
        (self.state.at + WINDOW).saturating_sub(self.coded.len())
    }

    fn raw_bits(&self) -> usize {
        self.raw.len() * 8
    }

    /// Tells whether all that was read so far was there and made sense.
    pub(super) fn is_sound(&self) -> bool {
        self.padding() <= PADDING && self.raw_at <= self.raw_bits() && !self.is_rejected
    }

    /// Tells whether there is nothing to read at all.
    pub(super) fn is_empty(&self) -> bool {
        self.padding() > PADDING && self.raw.is_empty()
    }

    /// Tells whether exactly everything was read.
    pub(super) fn is_finished(&self) -> bool {
        let left = self.raw_bits().saturating_sub(self.raw_at);
        let is_raw_finished = left < 8 && raw_from(self.raw, self.raw_at) == 0;
        self.is_sound() && self.padding() == PADDING && is_raw_finished
    }

    /// Returns at most 32 bits.
    #[inline]
    fn take(&mut self, width: u32) -> u64 {
        let bits = raw_from(self.raw, self.raw_at) & mask(width);
        self.raw_at += width as usize;
        bits
    }
}

/// Returns the four bytes from a place on, the first highest.
#[inline]
fn window(coded: &[u8], at: usize) -> u32 {
    /// At the end of the input, behind which there are bytes of 0xff.
    #[cold]
    fn padded(coded: &[u8], at: usize) -> u32 {
        let bytes = coded.get(at..).unwrap_or_default().iter().copied();
        let bytes = bytes.chain(std::iter::repeat(0xff)).take(WINDOW);
        bytes.fold(0, |window, byte| (window << 8) | u32::from(byte))
    }
    match coded.get(at..).and_then(<[u8]>::first_chunk) {
        Some(bytes) => u32::from_be_bytes(*bytes),
        None => padded(coded, at),
    }
}

/// Returns at least 57 bits from a place on, the first lowest.
#[inline]
fn raw_from(raw: &[u8], at: usize) -> u64 {
    /// At the end of the input, behind which there are bits of 0.
    #[cold]
    fn padded(raw: &[u8], at: usize) -> u64 {
        let bytes = raw
            .get(at..)
            .unwrap_or_default()
            .iter()
            .take(size_of::<u64>());
        bytes.rfold(0, |bits, byte| (bits << 8) | u64::from(*byte))
    }
    let bits = match raw.get(at / 8..).and_then(<[u8]>::first_chunk) {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => padded(raw, at / 8),
    };
    bits >> (at % 8)
}

impl Coder for Decoder<'_> {
    const ENCODES: bool = false;

    type State = Window;

    #[inline]
    fn state(&self) -> Window {
        self.state
    }

    #[inline]
    fn resume(&mut self, state: Window) {
        self.state = state;
    }

    #[inline]
    fn ask(
        &mut self,
        state: Window,
        (_, probability): (usize, Probability),
        _bit: bool,
    ) -> (bool, u32) {
        let middle = state.range.middle(probability);
        (state.bytes <= middle, middle)
    }

    #[inline]
    fn settle(&mut self, state: &mut Window, middle: u32, bit: bool) {
        state.range.narrow(middle, bit);
        if state.range.is_settled() {
            let settled = state.range.settled();
            state.range.widen(settled);
            state.at += settled as usize / 8;
            state.bytes = window(self.coded, state.at);
        }
    }

    #[inline]
    fn raw(&mut self, _bits: u64, width: u32) -> u64 {
        if width > 32 {
            let low = self.take(32);
            low | (self.take(width - 32) << 32)
        } else {
            self.take(width)
        }
    }

    fn reject(&mut self) {
        self.is_rejected = true;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn reads_what_it_writes(
            items in proptest::collection::vec((any::<bool>(), 0..40_usize, any::<u64>(), 0..=64_u32), 0..500),
            skew: bool,
        ) {
            let mut encoder = Encoder::new();
            let mut model = Model::new();
            for (bit, context, bits, width) in &items {
                encoder.bit(&mut model, *context, *bit || skew);
                encoder.raw(*bits, *width);
            }
            let (coded, raw) = encoder.finish();
            let mut decoder = Decoder::new(&coded, &raw);
            let mut model = Model::new();
            for (bit, context, bits, width) in &items {
                prop_assert_eq!(decoder.bit(&mut model, *context, false), *bit || skew);
                prop_assert_eq!(decoder.raw(0, *width), bits & mask(*width));
                prop_assert!(decoder.is_sound());
            }
            prop_assert!(decoder.is_finished());
        }
    }

    #[test]
    fn a_stream_that_is_too_short_is_noticed() {
        let mut decoder = Decoder::new(&[], &[]);
        assert!(!decoder.is_sound());
        decoder = Decoder::new(&[0], &[]);
        assert!(decoder.is_finished());
        decoder.raw(0, 1);
        assert!(!decoder.is_sound());
    }
}
