//! A sample's value as the columns code it, and the numbers of a body.

use crate::exposition::parse_value;

/// A value, or that there is none.
///
/// A decimal's double is `mantissa / 10^scale`, correctly rounded, since both are exact doubles;
/// everything else stands as the bits of its double, mapped such that their order is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value {
    pub(super) mantissa: i64,
    pub(super) scale: u8,
}

/// The largest scale of a decimal: 10^22 is the last power of ten that is a double.
pub(super) const SCALE_MAX: u8 = 22;

/// The scale that means order-preserving bits of a double.
pub(super) const FLOAT: u8 = 23;

/// The scale that means no value.
pub(super) const ABSENT: u8 = 24;

/// Integers below this are doubles.
const EXACT_MAX: u64 = 1 << 53;

/// Digits up to which a mantissa is collected without an overflow, and beyond which it cannot be
/// below [`EXACT_MAX`].
const DIGITS_MAX: u32 = 16;

/// A larger exponent is no exact decimal for certain; the limit keeps sums of exponents small.
const EXPONENT_MAX: i32 = 10_000;

const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// The powers of ten that fit a mantissa.
const WHOLE_POWERS: [i64; 19] = {
    let mut powers = [1; 19];
    let (mut at, mut power) = (1, 1);
    while at < powers.len() {
        power *= 10;
        #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        {
            powers[at] = power;
        }
        at += 1;
    }
    powers
};

impl Value {
    /// No value: the series is not in the scrape.
    pub const NONE: Self = Self {
        mantissa: 0,
        scale: ABSENT,
    };

    /// Takes a double as it is, every bit of it.
    pub fn new(value: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "what is no whole number, or too large, does not compare equal"
        )]
        let mantissa = value as i64;
        #[expect(
            clippy::cast_precision_loss,
            reason = "compared with where it came from"
        )]
        let is_whole = (mantissa as f64).to_bits() == value.to_bits();
        if is_whole && mantissa.unsigned_abs() < EXACT_MAX {
            Self { mantissa, scale: 0 }
        } else {
            Self::float(value)
        }
    }

    pub(super) fn float(value: f64) -> Self {
        Self {
            mantissa: ordered(value.to_bits()),
            scale: FLOAT,
        }
    }

    /// Tells whether there is no value.
    pub fn is_absent(self) -> bool {
        self.scale == ABSENT
    }

    /// Returns the double, or `None` when there is no value.
    #[inline]
    pub fn get(self) -> Option<f64> {
        (self.scale != ABSENT).then(|| self.to_f64())
    }

    /// Returns the double; what is absent is 0.
    #[inline]
    pub(super) fn to_f64(self) -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            reason = "below 2^53 but in hostile frames, where any double will do"
        )]
        let mantissa = self.mantissa as f64;
        match POWERS.get(usize::from(self.scale)) {
            // Scales follow one another at random, so a division by 1 costs less than a look.
            Some(power) => mantissa / power,
            None if self.scale == FLOAT => f64::from_bits(unordered(self.mantissa)),
            None => mantissa,
        }
    }

    /// Returns the bits of the double of a value on scale 0.
    #[inline]
    pub(super) fn whole_bits(self) -> u64 {
        #[expect(
            clippy::cast_precision_loss,
            reason = "below 2^53 but in hostile frames, where any double will do"
        )]
        let value = self.mantissa as f64;
        value.to_bits()
    }

    /// Returns this value on the scale in which to code it against `base`.
    ///
    /// A series keeps its finest scale, so that 0.5 after 0.25 is 50 hundredths.
    #[inline]
    pub(super) fn toward(self, base: Self) -> Self {
        if self.scale == base.scale {
            self
        } else {
            self.toward_other(base)
        }
    }

    /// Returns this value on the scale of `base` where both are decimals and it can be; readers
    /// get it back by [`Self::shortest`].
    pub(super) fn toward_decimal(self, base: Self) -> Self {
        let is_finer = self.scale < base.scale && base.scale < FLOAT;
        let moved = Self {
            mantissa: self.on_scale(base.scale),
            scale: base.scale,
        };
        let is_exact = moved.mantissa.unsigned_abs() < EXACT_MAX;
        if is_finer && is_exact && moved.shortest() == self {
            moved
        } else {
            self
        }
    }

    /// Returns this value on the scale of its digits, on which every body spells it: a fraction
    /// does not end with a zero.
    pub(super) fn shortest(self) -> Self {
        let mut value = self;
        if value.scale >= FLOAT {
            return value;
        }
        while value.scale > 0 && value.mantissa % 10 == 0 {
            value.mantissa /= 10;
            // Zero has no digits behind the point at all, and gets there within 22 steps.
            value.scale -= 1;
        }
        value
    }

    fn toward_other(self, base: Self) -> Self {
        if self.scale >= FLOAT || base.scale == ABSENT || self.scale > base.scale {
            if base.scale == FLOAT && self.scale != ABSENT {
                return Self::float(self.to_f64());
            }
            return self;
        }
        if base.scale == FLOAT {
            return Self::float(self.to_f64());
        }
        power(base.scale - self.scale)
            .and_then(|power| self.mantissa.checked_mul(power))
            .filter(|mantissa| mantissa.unsigned_abs() < EXACT_MAX)
            .map_or_else(
                || Self::float(self.to_f64()),
                |mantissa| Self {
                    mantissa,
                    scale: base.scale,
                },
            )
    }

    /// Returns the mantissa of this base on another scale, to predict a value by; 0 where it has
    /// none.
    pub(super) fn on_scale(self, scale: u8) -> i64 {
        if scale == self.scale {
            self.mantissa
        } else if scale == ABSENT || self.scale == ABSENT {
            0
        } else if scale == FLOAT {
            ordered(self.to_f64().to_bits())
        } else {
            scale
                .checked_sub(self.scale)
                .and_then(power)
                .and_then(|power| self.mantissa.checked_mul(power))
                .unwrap_or(0)
        }
    }
}

/// Returns a power of ten, if it fits.
#[inline]
fn power(exponent: u8) -> Option<i64> {
    WHOLE_POWERS.get(usize::from(exponent)).copied()
}

/// Maps a double's bits to integers in the order of the doubles; it is its own inverse.
#[inline]
fn ordered(bits: u64) -> i64 {
    let bits = bits.cast_signed();
    bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
}

#[inline]
fn unordered(mantissa: i64) -> u64 {
    ordered(mantissa.cast_unsigned()).cast_unsigned()
}

/// Reads the number at the front of `bytes`, which ends at a blank or the line's end.
///
/// Returns the value and the number's length; `None` when it is not one.
#[expect(
    clippy::inline_always,
    reason = "what it returns would go through memory, in parts that are read
    as one, which the processor waits for"
)]
#[inline(always)]
pub(super) fn read(bytes: &[u8]) -> Option<(Value, usize)> {
    match read_usual(bytes) {
        Some(read) => Some(read),
        None => read_unusual(bytes),
    }
}

/// Reads what the usual reading leaves.
#[cold]
fn read_unusual(bytes: &[u8]) -> Option<(Value, usize)> {
    read_decimal(bytes).or_else(|| read_other(bytes))
}

/// Reads what [`read_decimal`] reads, eight digits at a time: but for very long numbers, and for
/// those at the end of the body.
#[expect(
    clippy::inline_always,
    reason = "what it returns would go through memory, in parts that are read
    as one, which the processor waits for"
)]
#[inline(always)]
fn read_usual(bytes: &[u8]) -> Option<(Value, usize)> {
    let is_negative = *bytes.first()? == b'-';
    let mut at = usize::from(is_negative);
    let (mut mantissa, digits) = read_digits(bytes.get(at..)?)?;
    if digits == 0 {
        return None;
    }
    at += digits;
    let mut exponent = 0;
    let mut next = *bytes.get(at)?;
    if next == b'.' {
        at += 1;
        let (fraction, length) = read_digits(bytes.get(at..)?)?;
        if digits + length > DIGITS_MAX as usize {
            return None;
        }
        let length = length.to_le_bytes()[0];
        mantissa = mantissa * power(length)?.cast_unsigned() + fraction;
        exponent = -i32::from(length);
        at += usize::from(length);
        next = *bytes.get(at)?;
    }
    if matches!(next, b'e' | b'E') {
        let (power, length) = read_exponent(bytes.get(at + 1..)?)?;
        exponent += power;
        at += 1 + length;
        next = *bytes.get(at)?;
    }
    if !matches!(next, b'\n' | b' ' | b'\t') {
        return None;
    }
    let (mantissa, scale) = exact(mantissa, exponent)?;
    let mantissa = mantissa.cast_signed();
    if !is_negative {
        return Some((Value { mantissa, scale }, at));
    }
    let mantissa = -mantissa;
    (mantissa != 0).then_some((Value { mantissa, scale }, at))
}

/// Reads up to 15 digits, even none; returns the number and how many there are. `None` if there
/// are more, or the bytes end too soon.
#[inline]
fn read_digits(bytes: &[u8]) -> Option<(u64, usize)> {
    let (high, length) = read_eight(*bytes.first_chunk()?);
    if length < 8 {
        return Some((high, length));
    }
    let (low, length) = read_eight(*bytes.get(8..)?.first_chunk()?);
    if length == 8 {
        return None;
    }
    let shift = power(length.to_le_bytes()[0])?.cast_unsigned();
    Some((high * shift + low, 8 + length))
}

/// Reads the digits at the front of eight bytes; returns the number and how many there are.
#[inline]
fn read_eight(bytes: [u8; 8]) -> (u64, usize) {
    // Digits become 0 to 9, the first of them lowest.
    let digits = u64::from_le_bytes(bytes) ^ 0x3030_3030_3030_3030;
    // Sets the highest bit of what is above 9; carries reach only what is behind such a byte.
    let others = (digits.wrapping_add(0x7676_7676_7676_7676) | digits) & 0x8080_8080_8080_8080;
    let bits = others.trailing_zeros() & !7;
    // As if zeros stood before the number instead of something else behind it.
    let digits = digits.checked_shl(64 - bits).unwrap_or(0);
    // Pairs of digits, then of pairs, then of fours.
    let pairs = (digits.wrapping_mul(10 << 8 | 1) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100 << 16 | 1) >> 16) & 0x0000_ffff_0000_ffff;
    let number = fours.wrapping_mul(10_000 << 32 | 1) >> 32;
    (number, bits as usize / 8)
}

/// Reads digits with a point and an exponent, as long as they are an exact decimal.
fn read_decimal(bytes: &[u8]) -> Option<(Value, usize)> {
    let is_negative = bytes.first() == Some(&b'-');
    let mut at = usize::from(is_negative);
    let (mut mantissa, mut digits, mut has_digit) = (0_u64, 0_u32, false);
    let (mut fraction, mut has_point) = (0_i32, false);
    let next = loop {
        let next = bytes.get(at).copied();
        match next {
            Some(digit @ b'0'..=b'9') => {
                mantissa = mantissa
                    .wrapping_mul(10)
                    .wrapping_add(u64::from(digit & 0xf));
                digits += u32::from(mantissa != 0);
                fraction = fraction.saturating_add(i32::from(has_point));
                has_digit = true;
            }
            Some(b'.') if !has_point => has_point = true,
            _ => break next,
        }
        at += 1;
    };
    let mut exponent = -fraction;
    let next = match next {
        Some(b'e' | b'E') => {
            let (power, length) = read_exponent(bytes.get(at + 1..)?)?;
            exponent = exponent.saturating_add(power);
            at += 1 + length;
            bytes.get(at).copied()
        }
        next => next,
    };
    // A minus before 0 is not a decimal but a double's own sign.
    let is_plain = has_digit && digits <= DIGITS_MAX && !(is_negative && mantissa == 0);
    if !is_plain || !matches!(next, None | Some(b'\n' | b' ' | b'\t')) {
        return None;
    }
    let (mantissa, scale) = exact(mantissa, exponent)?;
    let mantissa = mantissa.cast_signed();
    let mantissa = if is_negative { -mantissa } else { mantissa };
    Some((Value { mantissa, scale }, at))
}

/// Reads an exponent; returns it and its length.
#[inline]
fn read_exponent(bytes: &[u8]) -> Option<(i32, usize)> {
    let is_negative = bytes.first() == Some(&b'-');
    let start = usize::from(matches!(bytes.first(), Some(b'-' | b'+')));
    let mut at = start;
    let mut exponent = 0_i32;
    while let Some(digit @ b'0'..=b'9') = bytes.get(at) {
        exponent = (exponent * 10 + i32::from(digit & 0xf)).min(EXPONENT_MAX);
        at += 1;
    }
    let exponent = if is_negative { -exponent } else { exponent };
    (at > start).then_some((exponent, at))
}

/// Brings digits and exponent to a mantissa and a scale, if they are an exact decimal.
#[inline]
fn exact(mut mantissa: u64, mut exponent: i32) -> Option<(u64, u8)> {
    if mantissa == 0 {
        return Some((0, 0));
    }
    // Zeros at the end of a fraction would be a finer scale than the series has.
    while exponent < 0 && mantissa.is_multiple_of(10) {
        mantissa /= 10;
        exponent += 1;
    }
    if exponent > 0 {
        let power = power(u8::try_from(exponent).ok()?)?;
        mantissa = mantissa.checked_mul(power.cast_unsigned())?;
        exponent = 0;
    }
    let scale = u8::try_from(-exponent).ok()?;
    (mantissa < EXACT_MAX && scale <= SCALE_MAX).then_some((mantissa, scale))
}

/// Reads any other number.
#[cold]
fn read_other(bytes: &[u8]) -> Option<(Value, usize)> {
    let length = bytes
        .iter()
        .position(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'{' | 0))
        .unwrap_or(bytes.len());
    let word = bytes.get(..length)?;
    let value = parse_value(word).ok()?;
    Some((Value::new(value), length))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn reads(text: &str, mantissa: i64, scale: u8) {
        let expected = Value { mantissa, scale };
        for end in ["", " ", "\n", " 17\n"] {
            let read = read(format!("{text}{end}").as_bytes());
            assert_eq!(read, Some((expected, text.len())), "{text}");
        }
        let value: f64 = text.parse().unwrap();
        assert_eq!(expected.to_f64().to_bits(), value.to_bits(), "{text}");
    }

    #[track_caller]
    fn reads_bits(text: &str) {
        let value: f64 = text.parse().unwrap();
        let (read, length) = read(text.as_bytes()).unwrap();
        assert_eq!(
            (read.scale, length, read.to_f64().to_bits()),
            (FLOAT, text.len(), value.to_bits()),
            "{text}"
        );
    }

    #[test]
    fn the_usual_reading_reads_what_is_usual() {
        for text in [
            "0",
            "-17",
            "12345678",
            "1234567890123",
            "1.234567e+09",
            "0.25",
            "-1.5e-07",
        ] {
            let line = format!("{text}\nnext{{a=\"b\"}} 1\n");
            let read = read_usual(line.as_bytes());
            assert_eq!(read, read_decimal(text.as_bytes()), "{text}");
            assert!(read.is_some(), "{text}");
        }
    }

    #[test]
    fn an_exact_decimal_is_its_digits() {
        reads("0", 0, 0);
        reads("17", 17, 0);
        reads("-17", -17, 0);
        reads("0.25", 25, 2);
        reads("-0.25", -25, 2);
        reads("1.500", 15, 1);
        reads("1.234e+06", 1_234_000, 0);
        reads("1.5e-07", 15, 8);
        reads("1E3", 1000, 0);
        reads("0e9999999999", 0, 0);
        reads("1e-22", 1, 22);
        reads("9007199254740991", (1 << 53) - 1, 0);
        reads("00000000000000000012", 12, 0);
        reads("1.", 1, 0);
        reads(".5", 5, 1);
        reads("1.6e+09", 1_600_000_000, 0);
    }

    #[test]
    fn everything_else_is_its_bits() {
        reads_bits("-0");
        reads_bits("-0.0");
        reads_bits("9007199254740993");
        reads_bits("12345678901234567890.5");
        reads_bits("1e-23");
        reads_bits("1e30");
        reads_bits("0.12345678901234567");
        reads_bits("5e-324");
        reads_bits("inf");
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "", "-", "+", ".", "1e", "1e+", "1x", "x", "1..2", "1.2.3", "--1", "0x10", "1_0", "e5",
            "1e999", "{", " 1",
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn order_is_kept() {
        let values = [
            f64::NEG_INFINITY,
            -1e300,
            -1.0,
            -5e-324,
            -0.0,
            0.0,
            5e-324,
            1.0,
            f64::INFINITY,
        ];
        let keys: Vec<i64> = values.map(|value| Value::float(value).mantissa).into();
        assert!(keys.is_sorted(), "{keys:?}");
    }

    fn any_value() -> impl Strategy<Value = Value> {
        prop_oneof![
            (-(1_i64 << 53) + 1..1 << 53, 0..=SCALE_MAX)
                .prop_map(|(mantissa, scale)| Value { mantissa, scale }),
            any::<u64>().prop_map(|bits| Value::new(f64::from_bits(bits))),
            Just(Value::NONE),
        ]
    }

    proptest! {
        #[test]
        fn every_double_comes_back(bits: u64) {
            prop_assert_eq!(Value::new(f64::from_bits(bits)).to_f64().to_bits(), bits);
        }

        #[test]
        fn every_printed_double_reads_as_itself(bits: u64, digits in 0..20_usize) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            for text in [format!("{value}"), format!("{value:e}"), format!("{value:.digits$e}")] {
                let (read, length) = read(text.as_bytes()).unwrap();
                let expected: f64 = text.parse().unwrap();
                prop_assert_eq!(read.to_f64().to_bits(), expected.to_bits(), "{}", text);
                prop_assert_eq!(length, text.len());
            }
        }

        #[test]
        fn the_usual_reading_is_the_general_one(
            text in r"-?[0-9]{0,18}(\.[0-9]{0,18})?([eE][-+]?[0-9]{0,3})?[ \t\n.e/:-]?[0-9]{0,3}",
            rest in "[ 0-9]{8}",
        ) {
            let text = text + &rest;
            if let Some(read) = read_usual(text.as_bytes()) {
                prop_assert_eq!(Some(read), read_decimal(text.as_bytes()), "{}", text);
            }
        }

        #[test]
        fn another_scale_is_the_same_double(value in any_value(), base in any_value()) {
            let moved = value.toward(base);
            prop_assert_eq!(moved.get().map(f64::to_bits), value.get().map(f64::to_bits));
        }
    }
}
