//! Values and timestamps, in every spelling that Go's `strconv` reads and no other.

use super::error::{Reason, quote};

/// The NaN of a sample. Its bits are Prometheus's, so that a NaN that was scraped is never
/// taken for a stale marker, and is stored there as its own scrapes are.
pub(crate) const NORMAL_NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0001);

/// Digits that fit into 53 bits whatever they are.
const EXACT_DIGITS_MAX: usize = 15;

/// Reads a value.
#[inline]
pub(crate) fn parse_value(bytes: &[u8]) -> Result<f64, Reason> {
    if let Some(whole) = short_integer(bytes) {
        return Ok(whole);
    }
    parse_long(bytes)
}

/// Reads a timestamp in seconds, whole or not, as milliseconds; what is left is cut off.
pub(crate) fn parse_seconds(bytes: &[u8]) -> Result<i64, Reason> {
    let seconds = match parse_value(bytes) {
        Ok(seconds) if seconds.is_finite() => seconds,
        _ => return Err(Reason::InvalidTimestamp(quote(bytes))),
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "fractions of a millisecond are cut off; what is out of range saturates"
    )]
    Ok((seconds * 1000.0) as i64)
}

/// Reads a timestamp in milliseconds: digits without a sign.
pub(super) fn parse_milliseconds(digits: &[u8]) -> Result<i64, Reason> {
    let mut milliseconds = 0_i64;
    for digit in digits {
        milliseconds = milliseconds
            .checked_mul(10)
            .and_then(|tens| tens.checked_add(i64::from(digit.wrapping_sub(b'0'))))
            .ok_or_else(|| Reason::InvalidTimestamp(quote(digits)))?;
    }
    Ok(milliseconds)
}

/// Most samples are counters with few digits; for them no general algorithm is needed.
#[inline]
fn short_integer(bytes: &[u8]) -> Option<f64> {
    if bytes.is_empty() || bytes.len() > EXACT_DIGITS_MAX {
        return None;
    }
    let mut whole = 0_u64;
    for byte in bytes {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        whole = whole * 10 + u64::from(digit);
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "at most 15 digits, which a double holds exactly"
    )]
    Some(whole as f64)
}

fn parse_long(bytes: &[u8]) -> Result<f64, Reason> {
    let (is_negative, unsigned) = match bytes.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, bytes),
    };
    // The number's first byte decides, so that the words and signs that the general
    // algorithm knows besides (`+nan`, a second sign) are not read.
    match unsigned.first() {
        Some(b'0'..=b'9' | b'.') => match fast_float2::parse::<f64, _>(unsigned) {
            Ok(value) if value.is_infinite() => Err(Reason::ValueOutOfRange(quote(bytes))),
            Ok(value) if is_negative => Ok(-value),
            Ok(value) => Ok(value),
            Err(_) => Err(Reason::InvalidValue(quote(bytes))),
        },
        Some(b'i' | b'I')
            if unsigned.eq_ignore_ascii_case(b"inf")
                || unsigned.eq_ignore_ascii_case(b"infinity") =>
        {
            Ok(if is_negative {
                f64::NEG_INFINITY
            } else {
                f64::INFINITY
            })
        }
        Some(_) if bytes.eq_ignore_ascii_case(b"nan") => Ok(NORMAL_NAN),
        _ => Err(Reason::InvalidValue(quote(bytes))),
    }
}
