//! Durations as Prometheus writes them into labels, such as `1m30s`.

use std::time::Duration;

/// Units, the longest first, in milliseconds; the first two only where nothing is left over.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 24 * 3600 * 1000),
    ("w", 7 * 24 * 3600 * 1000),
    ("d", 24 * 3600 * 1000),
    ("h", 3600 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
    ("ms", 1),
];

/// Why a text is no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// There is no text.
    #[error("empty duration string")]
    Empty,
    /// It is none.
    #[error("not a valid duration string")]
    Invalid,
    /// It is longer than Prometheus can count, 292 years.
    #[error("duration out of range")]
    OutOfRange,
}

/// Writes a duration; what is shorter than a millisecond is left out.
pub(super) fn format(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, length) in UNITS {
        let is_exact_only = matches!(unit, "y" | "w");
        if is_exact_only && !rest.is_multiple_of(length) {
            continue;
        }
        if rest >= length {
            text.push_str(&(rest / length).to_string());
            text.push_str(unit);
            rest %= length;
        }
    }
    text
}

/// Reads a duration: whole numbers with units, each at most once, the longest first.
pub(super) fn parse(text: &str) -> Result<Duration, DurationError> {
    match text {
        "0" => return Ok(Duration::ZERO),
        "" => return Err(DurationError::Empty),
        _ => {}
    }
    let mut units = UNITS.iter();
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let is_digit = |c: char| c.is_ascii_digit();
        let (number, after) = rest.split_at(rest.find(|c| !is_digit(c)).unwrap_or(rest.len()));
        let (unit, after) = after.split_at(after.find(is_digit).unwrap_or(after.len()));
        let found = units.find(|(name, _)| *name == unit);
        let Some((_, length)) = found.filter(|_| !number.is_empty()) else {
            return Err(DurationError::Invalid);
        };
        let number: u64 = number.parse().map_err(|_error| DurationError::OutOfRange)?;
        let sum = number.checked_mul(*length);
        total = sum
            .and_then(|sum| total.checked_add(sum))
            .ok_or(DurationError::OutOfRange)?;
        rest = after;
    }
    // Go counts in 63 bits of nanoseconds.
    if total > i64::MAX.unsigned_abs() / 1_000_000 {
        return Err(DurationError::OutOfRange);
    }
    Ok(Duration::from_millis(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn written(milliseconds: u64, expected: &str) {
        let duration = Duration::from_millis(milliseconds);
        assert_eq!(format(duration), expected);
        assert_eq!(parse(expected), Ok(duration));
    }

    #[test]
    fn durations_are_written_as_prometheus_writes_them() {
        written(0, "0s");
        written(15, "15ms");
        written(10_000, "10s");
        written(60_000, "1m");
        written(90_000, "1m30s");
        written(3_600_500, "1h500ms");
        written(86_400_000, "1d");
        written(604_800_000, "1w");
        written(7_776_000_000, "90d");
        written(31_536_000_000, "1y");
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "s", "1", "1x", "1.5s", "-1s", "1s1m", "1s1s", " 1s", "1m 30s", "1S",
        ] {
            assert_eq!(parse(text), Err(DurationError::Invalid), "{text}");
        }
        assert_eq!(parse(""), Err(DurationError::Empty));
        assert_eq!(parse("0"), Ok(Duration::ZERO));
        for text in ["999y", "99999999999999999999s", "9999999999999999999s"] {
            assert_eq!(parse(text), Err(DurationError::OutOfRange), "{text}");
        }
    }
}
