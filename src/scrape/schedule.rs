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
    fn counts_whole_intervals_as_missed() {
        let interval = Duration::from_secs(1);
        assert_eq!(missed(Duration::from_millis(999), interval), 0);
        assert_eq!(missed(Duration::from_millis(3100), interval), 3);
    }
}
