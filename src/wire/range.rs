//! The range coder: yes-or-no answers, each with a probability that learns, and raw bits.
//!
//! Encoder, decoder and counter share one trait, so that the model is written once for all.

use super::columns::{Model, Probability};

/// Either direction of the coding.
pub(super) trait Coder {
    /// Tells whether the values are known and are to be written.
    const ENCODES: bool;

    /// Codes an answer in a context of the model and lets the context learn from it; a decoder
    /// ignores `bit` and returns what it reads.
    fn bit(&mut self, model: &mut Model, context: usize, bit: bool) -> bool;

    /// Codes the lowest `width` bits of a number, at most 64, as they are.
    fn raw(&mut self, bits: u64, width: u32) -> u64;

    /// Notes that what was read is nothing that an encoder writes.
    fn reject(&mut self) {}
}

/// Writes.
pub(super) struct Encoder {
    low: u32,
    high: u32,
    coded: Vec<u8>,
    raw: RawWriter,
}

impl Encoder {
    pub(super) fn new() -> Self {
        Self {
            low: 0,
            high: u32::MAX,
            coded: Vec::new(),
            raw: RawWriter::default(),
        }
    }

    /// Returns how many bytes there are so far.
    pub(super) fn len(&self) -> usize {
        self.coded.len() + self.raw.bytes.len() + size_of::<u32>()
    }

    /// Returns the range-coded stream and the stream of raw bits.
    pub(super) fn finish(mut self) -> (Vec<u8>, Vec<u8>) {
        // `low` and `high` differ in their first byte, so that this byte of `low` and a reader's
        // padding of 0xff lie between them.
        self.coded.push(self.low.to_be_bytes()[0]);
        (self.coded, self.raw.finish())
    }
}

impl Coder for Encoder {
    const ENCODES: bool = true;

    #[inline]
    fn bit(&mut self, model: &mut Model, context: usize, bit: bool) -> bool {
        let probability = model.at(context);
        let middle = middle(self.low, self.high, *probability);
        if bit {
            self.high = middle;
        } else {
            self.low = middle + 1;
        }
        probability.learn(bit);
        while (self.low ^ self.high) >> 24 == 0 {
            self.coded.push(self.high.to_be_bytes()[0]);
            self.low <<= 8;
            self.high = (self.high << 8) | 0xff;
        }
        bit
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

/// Where the range from `low` to `high` parts between yes (up to there) and no.
#[inline]
fn middle(low: u32, high: u32, probability: Probability) -> u32 {
    let share = (u64::from(high - low) * u64::from(probability.get())) >> 16;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the probability is below 1, so the share is below the range"
    )]
    let share = share as u32;
    low + share
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
        while self.width >= 8 {
            self.bytes.push(self.pending.to_le_bytes()[0]);
            self.pending >>= 8;
            self.width -= 8;
        }
    }

    fn finish(mut self) -> Vec<u8> {
        if self.width > 0 {
            self.bytes.push(self.pending.to_le_bytes()[0]);
        }
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
    low: u32,
    high: u32,
    window: u32,
    coded: &'a [u8],
    /// Bytes of padding that were read.
    padding: usize,
    raw: &'a [u8],
    pending: u64,
    width: u32,
    is_raw_short: bool,
    is_rejected: bool,
}

/// Bytes behind the end of the coded stream that a reader holds when it has read all of it: four
/// fill its window, and the encoder writes only the first of the last four.
const PADDING: usize = 3;

impl<'a> Decoder<'a> {
    pub(super) fn new(coded: &'a [u8], raw: &'a [u8]) -> Self {
        let mut decoder = Self {
            low: 0,
            high: u32::MAX,
            window: 0,
            coded,
            padding: 0,
            raw,
            pending: 0,
            width: 0,
            is_raw_short: false,
            is_rejected: false,
        };
        for _ in 0..4 {
            decoder.shift();
        }
        decoder
    }

    /// Tells whether all that was read so far was there and made sense.
    pub(super) fn is_sound(&self) -> bool {
        self.padding <= PADDING && !self.is_raw_short && !self.is_rejected
    }

    /// Tells whether there is nothing to read at all.
    pub(super) fn is_empty(&self) -> bool {
        self.padding > PADDING && self.raw.is_empty()
    }

    /// Tells whether exactly everything was read.
    pub(super) fn is_finished(&self) -> bool {
        let is_raw_finished = self.raw.is_empty() && self.width < 8 && self.pending == 0;
        self.is_sound() && self.padding == PADDING && is_raw_finished
    }

    #[inline]
    fn shift(&mut self) {
        let byte = if let Some((first, rest)) = self.coded.split_first() {
            self.coded = rest;
            *first
        } else {
            self.padding += 1;
            0xff
        };
        self.window = (self.window << 8) | u32::from(byte);
    }

    /// Returns at most 32 bits.
    #[inline]
    fn take(&mut self, width: u32) -> u64 {
        while self.width < width {
            let byte = if let Some((first, rest)) = self.raw.split_first() {
                self.raw = rest;
                *first
            } else {
                self.is_raw_short = true;
                0
            };
            self.pending |= u64::from(byte) << self.width;
            self.width += 8;
        }
        let bits = self.pending & mask(width);
        self.pending >>= width;
        self.width -= width;
        bits
    }
}

impl Coder for Decoder<'_> {
    const ENCODES: bool = false;

    #[inline]
    fn bit(&mut self, model: &mut Model, context: usize, _bit: bool) -> bool {
        let probability = model.at(context);
        let middle = middle(self.low, self.high, *probability);
        let bit = self.window <= middle;
        if bit {
            self.high = middle;
        } else {
            self.low = middle + 1;
        }
        probability.learn(bit);
        while (self.low ^ self.high) >> 24 == 0 {
            self.low <<= 8;
            self.high = (self.high << 8) | 0xff;
            self.shift();
        }
        bit
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
