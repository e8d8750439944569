//! When a target's next scrape begins.

use std::time::Duration;

/// Returns how long to wait for the target's phase of the interval.
///
/// The phase comes from the target's hash, so targets are spread evenly, do not fire together,
/// and a restart goes on where the last run stopped. The rule is Prometheus's (`scrape/target.go`).
pub(super) fn first_wait(now_ms: i64, hash: u64, interval: Duration) -> Duration {
    let interval_ms = u64::try_from(interval.as_millis())
        .unwrap_or(u64::MAX)
        .max(1);
    let now = u64::try_from(now_ms).unwrap_or(0) % interval_ms;
    let phase = hash % interval_ms;
    let wait = if phase >= now {
        phase - now
    } else {
        interval_ms - now + phase
    };
    Duration::from_millis(wait)
}

/// Returns when a target's next scrape begins, milliseconds since the Unix epoch.
pub fn next_scrape_ms(now_ms: i64, hash: u64, interval: Duration) -> i64 {
    let wait = first_wait(now_ms, hash, interval).as_millis();
    now_ms.saturating_add(i64::try_from(wait).unwrap_or(i64::MAX))
}

/// The times that scrapes are stamped with.
///
/// A scrape that begins just after it is due gets the time when it was due: times that are apart
/// by the same each time take less room. The rule is Prometheus's (`scrape/scrape.go`).
#[derive(Debug)]
pub(super) struct Stamps {
    due_ms: i64,
    interval_ms: i64,
}

/// Prometheus's `ScrapeTimestampTolerance`.
const TOLERANCE_MS: i64 = 2;

impl Stamps {
    /// The first scrape begins now.
    pub(super) fn new(now_ms: i64, interval: Duration) -> Self {
        let interval_ms = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
        Self {
            due_ms: now_ms,
            interval_ms: interval_ms.max(1),
        }
    }

    /// Returns the time of a scrape that begins now.
    pub(super) fn stamp(&mut self, now_ms: i64) -> i64 {
        let tolerance = (self.interval_ms / 100).min(TOLERANCE_MS);
        let late = now_ms.saturating_sub(self.due_ms);
        // Scrapes may have been skipped.
        self.due_ms += late.max(0) / self.interval_ms * self.interval_ms;
        let late = now_ms.saturating_sub(self.due_ms);
        if late < -tolerance {
            // The clock was set back.
            self.due_ms = now_ms;
        }
        if late <= tolerance {
            self.due_ms
        } else {
            now_ms
        }
    }
}

/// Returns how many scrapes should have begun by now, given how late this one is.
pub(super) fn missed(late: Duration, interval: Duration) -> u64 {
    let interval_ms = interval.as_millis().max(1);
    u64::try_from(late.as_millis() / interval_ms).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(now_ms: i64, hash: u64, expected_ms: u64) {
        let wait = first_wait(now_ms, hash, Duration::from_secs(10));
        assert_eq!(wait, Duration::from_millis(expected_ms));
    }

    #[test]
    fn waits_for_the_phase() {
        check(100_000, 0, 0);
        check(100_000, 4_000, 4_000);
        check(104_000, 4_000, 0);
        check(104_001, 4_000, 9_999);
        check(104_000, 20_003_999, 9_999);
    }

    #[test]
    fn the_phase_is_the_same_after_a_restart() {
        let interval = Duration::from_secs(60);
        let begin =
            |now: i64| now + i64::try_from(first_wait(now, 77_123, interval).as_millis()).unwrap();
        assert_eq!(
            (begin(1_700_000_000_000) - begin(1_700_000_123_456)) % 60_000,
            0
        );
    }

    #[test]
    fn a_scrape_that_begins_just_after_it_is_due_gets_that_time() {
        let mut stamps = Stamps::new(1_000, Duration::from_secs(10));
        let times = [1_000, 11_002, 21_003, 31_000, 61_001, 70_999, 81_000];
        let stamped = times.map(|now| stamps.stamp(now));
        assert_eq!(
            stamped,
            [1_000, 11_000, 21_003, 31_000, 61_000, 70_999, 81_000]
        );
    }

    #[test]
    fn a_clock_that_is_set_back_is_followed() {
        let mut stamps = Stamps::new(100_000, Duration::from_secs(10));
        assert_eq!(
            [100_000, 50_000, 60_001].map(|now| stamps.stamp(now)),
            [100_000, 50_000, 60_000]
        );
    }

    #[test]
    fn short_intervals_have_no_tolerance() {
        let mut stamps = Stamps::new(0, Duration::from_millis(99));
        assert_eq!([0, 100, 198].map(|now| stamps.stamp(now)), [0, 100, 198]);
    }

    #[test]
    fn counts_whole_intervals_as_missed() {
        let interval = Duration::from_secs(1);
        assert_eq!(missed(Duration::from_millis(999), interval), 0);
        assert_eq!(missed(Duration::from_millis(3100), interval), 3);
    }
}
