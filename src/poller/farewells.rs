//! Targets that are gone and whose end is not told yet.
//!
//! In: targets that are gone, and those that come back. Out: which of them have to be told as gone,
//! when, and with which time. The rule is Prometheus's (`endOfRunStaleness` in
//! `scrape/scrape.go`): markers are written two intervals and a tenth after the last scrape, with
//! the time of the first scrape that was missed, and a database drops them if the target was back
//! and scraped by then. So a target that is scraped again before is not told as gone, and one that
//! is back too late for that is, though it is back.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::time::{Duration, Instant};

use crate::model::Labels;
use crate::scrape::{self, Target};

/// A target that is gone, whose end is not told yet.
#[derive(Debug)]
pub(super) struct Farewell {
    pub(super) target: Arc<Labels>,
    pub(super) lane: u32,
    /// When its next scrape would have been, milliseconds since the Unix epoch.
    pub(super) time_ms: i64,
    /// When it has to be told: by the wall clock, which scrapes go by, and by that of timers.
    due_ms: i64,
    due: Instant,
}

/// All that are to be told.
#[derive(Debug, Default)]
pub(super) struct Farewells(HashMap<Arc<Labels>, Farewell>);

impl Farewells {
    /// A target is gone since now.
    pub(super) fn ended(&mut self, lane: u32, target: &Target, now_ms: i64) {
        let interval = target.interval;
        let time_ms = next_scrape_ms(target, now_ms);
        // By then it would have been scraped if it had come back.
        let patience = interval + interval / 10;
        let due_ms = time_ms.saturating_add(i64::try_from(patience.as_millis()).unwrap_or(0));
        let wait = u64::try_from(due_ms.saturating_sub(now_ms)).unwrap_or(0);
        // One that is there already is of a target that came back and went again without a scrape:
        // its series ended the first time.
        self.0
            .entry(Arc::clone(&target.labels))
            .or_insert_with(|| Farewell {
                target: Arc::clone(&target.labels),
                lane,
                time_ms,
                due_ms,
                due: Instant::now() + Duration::from_millis(wait),
            });
    }

    /// A target that is gone has to be told at once, with the time of now.
    pub(super) fn hurry(&mut self, target: &Labels, now_ms: i64) {
        if let Some(farewell) = self.0.get_mut(target) {
            farewell.time_ms = now_ms;
            farewell.due_ms = now_ms;
            farewell.due = Instant::now();
        }
    }

    /// A target is there since now; returns the farewell that it makes needless.
    pub(super) fn returned(&mut self, target: &Target, now_ms: i64) -> Option<Farewell> {
        let farewell = self.0.get(&target.labels)?;
        if next_scrape_ms(target, now_ms) > farewell.due_ms {
            return None;
        }
        self.0.remove(&target.labels)
    }

    /// Returns when the next one is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.0.values().map(|farewell| farewell.due).min()
    }

    /// Takes those that are due.
    pub(super) fn take_due(&mut self) -> Vec<Farewell> {
        let now = Instant::now();
        let due = self.0.extract_if(|_, farewell| farewell.due <= now);
        due.map(|(_, farewell)| farewell).collect()
    }
}

fn next_scrape_ms(target: &Target, now_ms: i64) -> i64 {
    scrape::next_scrape_ms(now_ms, target.labels.stable_hash(), target.interval)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discover::tests::group;

    const INTERVAL_MS: i64 = 15_000;
    /// Some time.
    const NOW_MS: i64 = 1_700_000_000_000;

    fn target() -> Target {
        let config = Arc::new(scrape::tests::config());
        let mut found = scrape::targets(&config, &[Arc::new(group("", &["host:9100"]))]);
        found.kept.pop().expect("a target")
    }

    /// The target ends and comes back so long after a time when it is due; is it told as gone?
    #[track_caller]
    fn check(ended_ms: i64, back_ms: i64, is_told: bool) {
        let target = target();
        let start_ms = next_scrape_ms(&target, NOW_MS);
        let mut farewells = Farewells::default();
        farewells.ended(3, &target, start_ms + ended_ms);
        let needless = farewells.returned(&target, start_ms + back_ms);
        assert_eq!(needless.is_none(), is_told, "told");
        assert_eq!(farewells.next_due().is_some(), is_told, "due");
        let farewell = match needless {
            Some(needless) => needless,
            None => farewells.0.remove(&target.labels).expect("a farewell"),
        };
        assert_eq!(farewell.lane, 3);
        assert_eq!(farewell.time_ms, start_ms + INTERVAL_MS, "time");
        assert_eq!(farewell.due_ms, start_ms + INTERVAL_MS * 21 / 10, "due");
    }

    #[test]
    fn a_target_that_misses_no_scrape_is_not_told_as_gone() {
        check(1, 2, false);
        check(1, INTERVAL_MS, false);
        check(INTERVAL_MS - 1, INTERVAL_MS, false);
    }

    #[test]
    fn a_target_that_is_scraped_again_before_its_end_is_due_is_not_told_as_gone() {
        check(1, INTERVAL_MS + 1, false);
        check(1, INTERVAL_MS * 2, false);
    }

    #[test]
    fn a_target_that_is_back_too_late_for_a_scrape_before_its_end_is_due_is_told_as_gone() {
        check(1, INTERVAL_MS * 2 + 1, true);
        check(INTERVAL_MS, INTERVAL_MS * 2 + 1, true);
        check(1, INTERVAL_MS * 2 + 1_499, true);
    }

    #[test]
    fn a_target_that_goes_twice_without_a_scrape_between_ended_the_first_time() {
        let target = target();
        let start_ms = next_scrape_ms(&target, NOW_MS);
        let mut farewells = Farewells::default();
        farewells.ended(0, &target, start_ms + 1);
        farewells.ended(0, &target, start_ms + INTERVAL_MS * 2 + 1);
        let times: Vec<i64> = farewells
            .0
            .values()
            .map(|farewell| farewell.time_ms)
            .collect();
        assert_eq!(times, [start_ms + INTERVAL_MS]);
    }

    #[tokio::test(start_paused = true)]
    async fn farewells_are_taken_when_they_are_due() {
        let target = target();
        let start_ms = next_scrape_ms(&target, NOW_MS);
        let mut farewells = Farewells::default();
        farewells.ended(0, &target, start_ms + 1);
        assert_eq!(farewells.take_due().len(), 0);
        let due = farewells.next_due().expect("a farewell");
        tokio::time::sleep_until(due).await;
        assert_eq!(farewells.take_due().len(), 1);
        assert!(farewells.next_due().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn one_in_a_hurry_is_due_at_once() {
        let target = target();
        let mut farewells = Farewells::default();
        farewells.ended(0, &target, NOW_MS);
        farewells.hurry(&target.labels, NOW_MS + 7);
        let times = farewells
            .take_due()
            .into_iter()
            .map(|farewell| farewell.time_ms);
        assert_eq!(times.collect::<Vec<_>>(), [NOW_MS + 7]);
    }
}
