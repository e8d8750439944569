//! The `Retry-After` header.

use std::time::Duration;

use http::HeaderMap;
use http::header::RETRY_AFTER;

use crate::retry::Retry;

/// Returns when to try again: what the server asks for, else at the caller's choice.
pub(super) fn retry_after(headers: &HeaderMap, now_ms: i64) -> Retry {
    let value = headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok());
    match value.and_then(|value| wait(value.trim(), now_ms)) {
        Some(wait) => Retry::After(wait),
        None => Retry::Yes,
    }
}

/// Reads a number of seconds or a date; `None` if it is neither.
fn wait(value: &str, now_ms: i64) -> Option<Duration> {
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let wait_ms = date_ms(value)?.saturating_sub(now_ms);
    Some(Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0)))
}

/// Reads a date such as `Sun, 06 Nov 1994 08:49:37 GMT`.
///
/// It is the only form of RFC 9110 that a server may write today; the two obsolete ones are
/// treated like a missing header.
fn date_ms(text: &str) -> Option<i64> {
    let mut words = text.strip_suffix(" GMT")?.split(' ').skip(1);
    let day: i64 = words.next()?.parse().ok()?;
    let month = month(words.next()?)?;
    let year: i64 = words.next()?.parse().ok()?;
    let mut clock = words.next()?.splitn(3, ':').map(str::parse::<i64>);
    let hour = clock.next()?.ok()?;
    let minute = clock.next()?.ok()?;
    let second = clock.next()?.ok()?;
    let is_valid = (1..=31).contains(&day)
        && (1970..=9999).contains(&year)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    if !is_valid || words.next().is_some() {
        return None;
    }
    // Years begin in March here, so that the leap day is the last one.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - DAYS_BEFORE_EPOCH;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000)
}

/// Days from 1 March of the year 0 to 1 January 1970.
const DAYS_BEFORE_EPOCH: i64 = 719_468;

fn month(name: &str) -> Option<i64> {
    const NAMES: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let at = NAMES.iter().position(|known| *known == name)?;
    i64::try_from(at + 1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: &str, expected: Retry) {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, value.parse().unwrap());
        // Sun, 06 Nov 1994 08:49:37 GMT
        assert_eq!(retry_after(&headers, 784_111_777_000), expected, "{value}");
    }

    #[test]
    fn reads_seconds_and_dates() {
        check("0", Retry::After(Duration::ZERO));
        check(" 120 ", Retry::After(Duration::from_secs(120)));
        check(
            "Sun, 06 Nov 1994 08:49:47 GMT",
            Retry::After(Duration::from_secs(10)),
        );
        check(
            "Tue, 29 Feb 2000 00:00:00 GMT",
            Retry::After(Duration::from_secs(167_670_623)),
        );
        check(
            "Sun, 06 Nov 1994 08:49:07 GMT",
            Retry::After(Duration::ZERO),
        );
    }

    #[test]
    fn what_it_cannot_read_is_left_to_the_caller() {
        for value in [
            "",
            "soon",
            "-1",
            "1.5",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov GMT",
        ] {
            check(value, Retry::Yes);
        }
        check("Sun, 99 Nov 1994 08:49:37 GMT", Retry::Yes);
        check("Sun, 06 Nov 99999999999999 08:49:37 GMT", Retry::Yes);
        check("Sun, 06 Nov 1994 08:49:37 1 GMT", Retry::Yes);
        assert_eq!(retry_after(&HeaderMap::new(), 0), Retry::Yes);
    }
}
