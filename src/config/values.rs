//! Single values: durations, sizes, booleans, and how a value is shown in a problem.

use std::time::Duration;

pub(super) use crate::yaml::{printable, shown};

/// Units of a duration in the order in which they must stand, in nanoseconds (Prometheus).
const DURATION_UNITS: [(&str, u128); 7] = [
    ("y", 365 * 24 * 3600 * SECOND),
    ("w", 7 * 24 * 3600 * SECOND),
    ("d", 24 * 3600 * SECOND),
    ("h", 3600 * SECOND),
    ("m", 60 * SECOND),
    ("s", SECOND),
    ("ms", SECOND / 1000),
];
const SECOND: u128 = 1_000_000_000;

/// No duration is longer: times would no longer fit into milliseconds since 1970 with ease.
const DURATION_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Units of a size; each is 1024 of the one before, as in Prometheus.
const SIZE_UNITS: [(&str, u128); 13] = [
    ("B", 1),
    ("KB", 1 << 10),
    ("KiB", 1 << 10),
    ("MB", 1 << 20),
    ("MiB", 1 << 20),
    ("GB", 1 << 30),
    ("GiB", 1 << 30),
    ("TB", 1 << 40),
    ("TiB", 1 << 40),
    ("PB", 1 << 50),
    ("PiB", 1 << 50),
    ("EB", 1 << 60),
    ("EiB", 1 << 60),
];

/// Digits taken on each side of a decimal point: all of the largest duration in nanoseconds.
const DIGITS_MAX: usize = 19;

/// Parses a duration: Prometheus's grammar, and Go's decimals (`1.5s`) as in the ancestor.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut total: u128 = 0;
    let mut units = DURATION_UNITS.iter();
    let mut rest = text;
    while !rest.is_empty() || text.is_empty() {
        let (number, unit, after) = split_quantity(rest)?;
        // Searching on from the last unit found makes them descend, each once.
        let (_, nanoseconds) = units.find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.times(*nanoseconds)?)?;
        rest = after;
    }
    let duration = Duration::from_nanos(u64::try_from(total).ok()?);
    (duration <= DURATION_MAX).then_some(duration)
}

/// Parses a plain number of seconds.
pub(super) fn parse_seconds(text: &str) -> Option<Duration> {
    let nanoseconds = Decimal::parse(text)?.times(SECOND)?;
    let duration = Duration::from_nanos(u64::try_from(nanoseconds).ok()?);
    (duration <= DURATION_MAX).then_some(duration)
}

/// Parses a size in bytes; a unit is required, but for zero.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let (number, unit, rest) = split_quantity(text)?;
    let (_, bytes) = SIZE_UNITS.iter().find(|(name, _)| *name == unit)?;
    if !rest.is_empty() {
        return None;
    }
    u64::try_from(number.times(*bytes)?).ok()
}

/// Parses a boolean in the spellings that Prometheus takes.
pub(super) fn parse_boolean(text: &str) -> Option<bool> {
    const TRUE: [&str; 3] = ["true", "yes", "on"];
    const FALSE: [&str; 3] = ["false", "no", "off"];
    let text = text.to_ascii_lowercase();
    if TRUE.contains(&&*text) {
        Some(true)
    } else if FALSE.contains(&&*text) {
        Some(false)
    } else {
        None
    }
}

/// Makes a sentence that quotes a value fit for a problem: one line, not long.
pub(super) fn one_line(text: &str) -> String {
    const SENTENCE_MAX: usize = 200;
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let mut line: String = text.chars().take(SENTENCE_MAX).map(plain).collect();
    if line.len() < text.len() {
        line.push('…');
    }
    line
}

/// Returns the candidate most like a word, if one is near.
pub(super) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    // A key this long is no slip of the finger, and the comparison takes the square of its length.
    const WORD_MAX: usize = 40;
    if word.chars().count() > WORD_MAX {
        return None;
    }
    let word = word.to_lowercase().replace('-', "_");
    let near = |candidate: &&'a str| {
        // One slip in three letters: `job` is near `jobs`, `url` is not near `key`.
        let limit = (candidate.len() / 3).max(1);
        if word.len().abs_diff(candidate.len()) > limit {
            return None;
        }
        let distance = distance(&word, candidate);
        (distance <= limit).then_some((distance, *candidate))
    };
    candidates
        .iter()
        .filter_map(near)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, remove, replace, or swap with their neighbor, to get from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let mut last = None;
    for (i, letter) in a.chars().enumerate() {
        let mut next = vec![i + 1];
        let mut left = i + 1;
        for (j, other) in b.iter().enumerate() {
            let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX / 2);
            let mut best = (left + 1)
                .min(cell(&row, j + 1) + 1)
                .min(cell(&row, j) + usize::from(letter != *other));
            let previous = j.checked_sub(1).and_then(|at| b.get(at));
            if last == Some(*other) && previous == Some(&letter) {
                best = best.min(cell(&before, j.saturating_sub(1)) + 1);
            }
            next.push(best);
            left = best;
        }
        before = std::mem::replace(&mut row, next);
        last = Some(letter);
    }
    row.last().copied().unwrap_or_default()
}

/// A number with or without decimals, exact.
#[derive(Debug, Clone, Copy)]
struct Decimal {
    digits: u128,
    /// A power of ten.
    divisor: u128,
}

impl Decimal {
    fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = format!("{whole}{fraction}");
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number || whole.len() > DIGITS_MAX || fraction.len() > DIGITS_MAX {
            return None;
        }
        Some(Self {
            digits: digits.parse().ok()?,
            divisor: 10_u128.pow(u32::try_from(fraction.len()).ok()?),
        })
    }

    fn times(self, factor: u128) -> Option<u128> {
        Some(self.digits.checked_mul(factor)? / self.divisor)
    }
}

/// Splits number and unit off the front.
fn split_quantity(text: &str) -> Option<(Decimal, &str, &str)> {
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let (number, rest) = text.split_at_checked(text.find(|c| !is_number(c))?)?;
    let end = rest.find(is_number).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at_checked(end)?;
    Some((Decimal::parse(number)?, unit, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn duration(text: &str, milliseconds: u64) {
        let expected = Duration::from_millis(milliseconds);
        assert_eq!(parse_duration(text), Some(expected), "{text}");
    }

    #[test]
    fn reads_durations_as_prometheus_and_go_do() {
        duration("0", 0);
        duration("0s", 0);
        duration("15ms", 15);
        duration("60s", 60_000);
        duration("1m30s", 90_000);
        duration("1h30m", 5_400_000);
        duration("1d", 86_400_000);
        duration("2w", 1_209_600_000);
        duration("1y", 31_536_000_000);
        duration("1h0m0s500ms", 3_600_500);
        duration("1.5s", 1500);
        duration(".5m", 30_000);
        duration("1.h", 3_600_000);
        duration("90m", 5_400_000);
    }

    #[test]
    fn refuses_what_is_no_duration() {
        for text in [
            "",
            "1",
            "s",
            "1x",
            "-1s",
            "1s1m",
            "1s1s",
            "1 s",
            "1m 30s",
            "1,5s",
            "1S",
            ".s",
            "1.2.3s",
            "1e3s",
            "101y",
            "99999999999999999999s",
            "1µs",
            "１s",
            "∞",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn reads_seconds() {
        assert_eq!(parse_seconds("80"), Some(Duration::from_secs(80)));
        assert_eq!(parse_seconds("0.25"), Some(Duration::from_millis(250)));
        for text in ["", ".", "-1", "1s", "99999999999999999999"] {
            assert_eq!(parse_seconds(text), None, "{text}");
        }
    }

    #[test]
    fn reads_sizes_as_prometheus_does() {
        assert_eq!(parse_size("0"), Some(0));
        assert_eq!(parse_size("512B"), Some(512));
        assert_eq!(parse_size("15MB"), Some(15 << 20));
        assert_eq!(parse_size("15MiB"), Some(15 << 20));
        assert_eq!(parse_size("1.5GB"), Some(3 << 29));
        for text in ["", "15", "MB", "1mb", "-1B", "1MB1KB", "99EB"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn reads_booleans() {
        assert_eq!(parse_boolean("True"), Some(true));
        assert_eq!(parse_boolean("off"), Some(false));
        assert_eq!(parse_boolean("1"), None);
    }

    #[test]
    fn finds_the_nearest_key() {
        let keys = ["jobs", "scrape_interval", "scrape_timeout", "url", "ca"];
        assert_eq!(nearest("job", &keys), Some("jobs"));
        assert_eq!(nearest("jbos", &keys), Some("jobs"));
        assert_eq!(nearest("scrape-interval", &keys), Some("scrape_interval"));
        assert_eq!(nearest("scrapeTimeout", &keys), Some("scrape_timeout"));
        assert_eq!(nearest("password", &keys), None);
        assert_eq!(nearest(&"x".repeat(10_000), &keys), None);
    }
}
