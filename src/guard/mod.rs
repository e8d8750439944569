//! What is too old, out of order or seen before.
//!
//! In: a scrape's own time, the time its message was stored, the target's last time. Out: a
//! [`Verdict`]. It also knows every target that a sink has heard of, and so which of them are
//! gone or silent. It does no I/O and keeps no clock: the caller says what time it is.

mod targets;

pub use targets::{Known, Targets};

use std::time::Duration;

/// A scrape's last time that lies further in the future than this is not believed.
///
/// Otherwise a target whose poller's clock was once set wrong would be shut out until then.
const FUTURE_MAX_MS: i64 = 10 * 60 * 1000;

/// What becomes of a scrape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is delivered.
    Admit,
    /// It is not.
    Drop(DropReason),
}

/// Why a scrape is not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DropReason {
    /// It is older than `max_age`.
    MaxAge,
    /// It is older than the target's last one.
    OutOfOrder,
    /// It has the time of the target's last one.
    Duplicate,
}

impl DropReason {
    /// Returns the label value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MaxAge => "max_age",
            Self::OutOfOrder => "out_of_order",
            Self::Duplicate => "duplicate",
        }
    }
}

/// Limits the age of what is delivered.
#[derive(Debug, Clone, Copy)]
pub struct AgeLimit(Option<Duration>);

impl AgeLimit {
    /// Builds a limit; `None` lets everything pass.
    pub fn new(max_age: Option<Duration>) -> Self {
        Self(max_age)
    }

    /// Returns the limit.
    pub fn max(&self) -> Option<Duration> {
        self.0
    }

    /// Judges a scrape taken at `time_ms` whose message was stored at `stored_ms`.
    pub fn judge(&self, time_ms: i64, stored_ms: i64, now_ms: i64) -> Verdict {
        match self.0 {
            Some(max) if age(time_ms, stored_ms, now_ms) > max => Verdict::Drop(DropReason::MaxAge),
            _ => Verdict::Admit,
        }
    }
}

/// Returns how old a scrape is.
///
/// It counts from the scrape's own time, but a poller whose clock runs ahead cannot make a scrape
/// younger than the message that brought it.
pub fn age(time_ms: i64, stored_ms: i64, now_ms: i64) -> Duration {
    let since = time_ms.min(stored_ms);
    Duration::from_millis(u64::try_from(now_ms.saturating_sub(since)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(time_ms: i64, stored_ms: i64, now_ms: i64, expected: Verdict) {
        let limit = AgeLimit::new(Some(Duration::from_secs(80)));
        assert_eq!(limit.judge(time_ms, stored_ms, now_ms), expected);
    }

    #[test]
    fn age_counts_from_the_scrape_and_never_less_than_from_the_message() {
        let too_old = Verdict::Drop(DropReason::MaxAge);
        check(0, 0, 80_000, Verdict::Admit);
        check(0, 0, 80_001, too_old);
        // Stored late: the scrape's own time counts.
        check(0, 80_000, 80_001, too_old);
        // A clock that runs an hour ahead makes nothing younger than now.
        check(3_600_000, 0, 80_000, Verdict::Admit);
        check(3_600_000, 0, 80_001, too_old);
        // Our own clock behind theirs.
        check(100_000, 100_000, 0, Verdict::Admit);
    }

    #[test]
    fn without_a_limit_everything_passes() {
        assert_eq!(AgeLimit::new(None).judge(0, 0, i64::MAX), Verdict::Admit);
    }
}
