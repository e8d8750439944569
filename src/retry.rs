//! How to wait before the next try.
//!
//! Whether an error is worth another try is a property of its type ([`Retryable`]); how long to
//! wait in between is [`Backoff`]'s. The loops themselves stand where the work is, because each
//! has its own things to look at between two tries.

use std::time::Duration;

/// Whether and when a failed operation may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It will fail again.
    No,
    /// After a backoff of the caller's choice.
    Yes,
    /// Not before this time has passed; the other side said so.
    After(Duration),
}

/// An error that knows whether another try makes sense.
pub trait Retryable {
    /// Returns whether and when to try again.
    fn retry(&self) -> Retry;
}

/// Exponential backoff with full jitter in its upper half.
///
/// The n-th wait lies between half and all of `min * 2^n`, capped at `max`, so that many
/// clients that lost the same server do not come back in step.
#[derive(Debug, Clone)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    attempt: u32,
    random: u64,
}

impl Backoff {
    /// Builds a backoff that starts at `min` and never waits longer than `max`.
    pub fn new(min: Duration, max: Duration) -> Self {
        let min = min.max(Duration::from_millis(1));
        // Distinct per value and per process: the address space layout is random enough for jitter.
        let here = std::ptr::from_ref(&min).addr() as u64;
        let seed = here ^ (u64::from(std::process::id()) << 32);
        Self {
            min,
            max: max.max(min),
            attempt: 0,
            random: seed | 1,
        }
    }

    /// Returns how many waits were handed out since the last reset.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Begins anew after a success.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }

    /// Goes on as if so many waits had been handed out.
    pub fn skip(&mut self, attempts: u32) {
        self.attempt = attempts;
    }

    /// Returns the next wait; the other side's wish is honored up to ten times `max`.
    pub fn next(&mut self, wish: Retry) -> Duration {
        let ceiling = self
            .min
            .saturating_mul(1 << self.attempt.min(20))
            .min(self.max);
        self.attempt = self.attempt.saturating_add(1);
        let half = ceiling / 2;
        let wait = half + half.mul_f64(self.fraction());
        match wish {
            Retry::After(after) => after.min(self.max.saturating_mul(10)).max(wait),
            Retry::No | Retry::Yes => wait,
        }
    }

    /// A number in 0 to 1, by xorshift.
    fn fraction(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let bits = u32::try_from(self.random >> 32).unwrap_or(u32::MAX);
        f64::from(bits) / f64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_within_bounds() {
        let (min, max) = (Duration::from_millis(30), Duration::from_secs(5));
        let mut backoff = Backoff::new(min, max);
        for attempt in 0..40 {
            let ceiling = min.saturating_mul(1 << attempt.min(20)).min(max);
            let wait = backoff.next(Retry::Yes);
            assert!(
                wait >= ceiling / 2 && wait <= ceiling,
                "{attempt}: {wait:?} of {ceiling:?}"
            );
        }
        backoff.reset();
        assert!(backoff.next(Retry::Yes) <= min);
    }

    #[test]
    fn the_other_sides_wish_is_a_lower_bound_with_a_cap() {
        let mut backoff = Backoff::new(Duration::from_millis(30), Duration::from_secs(5));
        let wait = backoff.next(Retry::After(Duration::from_secs(7)));
        assert_eq!(wait, Duration::from_secs(7));
        let wait = backoff.next(Retry::After(Duration::from_secs(9999)));
        assert_eq!(wait, Duration::from_secs(50));
    }
}
