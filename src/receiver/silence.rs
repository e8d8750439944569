//! Which lanes a feed hears nothing of.
//!
//! A lane speaks at least once a minute, by its heartbeat. What counts is when a message arrives
//! here, whatever clock its poller has; of messages that were dealt with in an earlier life, when
//! the stream stored them. While the feed cannot hear, because its sink takes nothing, nobody is
//! silent.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::sites::Sites;
use crate::bus::LaneId;

/// Lanes that are watched at once, as many as are decoded.
const LANES_MAX: usize = 100_000;

/// A lane or site that was not heard of for so long is forgotten: what a poller spools is no older.
pub(super) const FORGET: Duration = Duration::from_secs(24 * 60 * 60);

/// A feed that has just begun to hear judges nobody before this has passed, or the timeout if that
/// is shorter: two heartbeats.
const GRACE: Duration = Duration::from_secs(2 * 60);

/// How often the sinks are told which sites are heard of; four times within a shorter timeout.
const REPORT_PERIOD: Duration = Duration::from_secs(60);

/// What one feed hears of lanes, and with the others of sites.
#[derive(Debug)]
pub(super) struct Silence {
    timeout: Option<Duration>,
    lanes: HashMap<LaneId, Lane>,
    sites: Sites,
    hears_since: Instant,
    is_deaf: bool,
    reported_ms: i64,
}

/// A time, and which sites were heard of then.
type Report = (i64, Vec<(Arc<str>, bool)>);

#[derive(Debug)]
struct Lane {
    heard: Instant,
    is_silent: bool,
}

impl Silence {
    /// Watches from now on; without a timeout nobody is ever silent, and no site is known.
    pub(super) fn new(timeout: Option<Duration>, sites: Sites) -> Self {
        Self {
            timeout,
            lanes: HashMap::new(),
            sites,
            hears_since: Instant::now(),
            is_deaf: false,
            reported_ms: i64::MIN,
        }
    }

    /// Returns how often to look.
    pub(super) fn check_period(&self) -> Option<Duration> {
        self.timeout.map(|timeout| timeout / 4)
    }

    /// Notes a lane, and its site, by a frame that came so long ago and was read.
    pub(super) fn know(&mut self, lane: &LaneId, ago: Duration) {
        if self.timeout.is_none() || ago > FORGET {
            return;
        }
        let now = Instant::now();
        let heard = now.checked_sub(ago).unwrap_or(now);
        self.sites.know(&lane.publisher, heard);
        if let Some(known) = self.lanes.get_mut(lane) {
            known.heard = known.heard.max(heard);
        } else if self.lanes.len() < LANES_MAX {
            let known = Lane {
                heard,
                is_silent: false,
            };
            self.lanes.insert(lane.clone(), known);
        }
    }

    /// Notes that something came of a lane that is known; what it is worth will show.
    pub(super) fn hear(&mut self, lane: &LaneId) {
        if let Some(known) = self.lanes.get_mut(lane) {
            known.heard = Instant::now();
            known.is_silent = false;
            self.sites.hear(&lane.publisher, known.heard);
        }
    }

    /// Notes that what came before the start is still being read: of lanes that are known already
    /// there may be more to come.
    pub(super) fn learns(&mut self) {
        self.hears_since = Instant::now();
    }

    /// Notes whether messages are taken in at the moment.
    pub(super) fn listen(&mut self, can_hear: bool) {
        if self.is_deaf || !can_hear {
            self.hears_since = Instant::now();
        }
        self.is_deaf = !can_hear;
    }

    /// Returns the lanes that have fallen silent, each once; those that are not idle are left for
    /// later: what waits in them was heard, but not yet learned.
    pub(super) fn take(&mut self, is_idle: impl Fn(&LaneId) -> bool) -> HashSet<LaneId> {
        let mut silent = HashSet::new();
        let Some(timeout) = self.timeout.filter(|timeout| self.may_judge(*timeout)) else {
            return silent;
        };
        self.sites.judge(timeout);
        self.lanes.retain(|id, lane| {
            let quiet = lane.heard.elapsed();
            if quiet > timeout && !lane.is_silent && is_idle(id) {
                lane.is_silent = true;
                silent.insert(id.clone());
            }
            quiet <= FORGET
        });
        silent
    }

    /// Tells whether a lane is still silent.
    pub(super) fn is_silent(&self, lane: &LaneId) -> bool {
        self.lanes.get(lane).is_some_and(|lane| lane.is_silent)
    }

    /// Tells whether it is time for another [report](Self::report).
    pub(super) fn is_report_due(&self, now_ms: i64) -> bool {
        self.report_ms(now_ms).is_some()
    }

    /// Returns which sites are heard of, and the time for which that is said.
    ///
    /// The times are multiples of the period, so that several receivers say the same.
    pub(super) fn report(&mut self, now_ms: i64) -> Option<Report> {
        let time_ms = self.report_ms(now_ms)?;
        self.reported_ms = time_ms;
        Some((time_ms, self.sites.list()))
    }

    fn report_ms(&self, now_ms: i64) -> Option<i64> {
        let timeout = self.timeout.filter(|timeout| self.may_judge(*timeout))?;
        let period = REPORT_PERIOD.min(timeout / 4).as_millis();
        let period_ms = i64::try_from(period).ok()?.max(1);
        let time_ms = now_ms - now_ms.rem_euclid(period_ms);
        (time_ms > self.reported_ms).then_some(time_ms)
    }

    fn may_judge(&self, timeout: Duration) -> bool {
        !self.is_deaf && self.hears_since.elapsed() > GRACE.min(timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(300);

    fn lane(lane: u32) -> LaneId {
        LaneId {
            publisher: "USDC1".into(),
            lane,
        }
    }

    fn silence() -> Silence {
        Silence::new(Some(TIMEOUT), Sites::default())
    }

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    fn taken(silence: &mut Silence) -> Vec<u32> {
        let mut lanes: Vec<u32> = silence
            .take(|_| true)
            .into_iter()
            .map(|lane| lane.lane)
            .collect();
        lanes.sort_unstable();
        lanes
    }

    fn is_up(silence: &Silence) -> Vec<bool> {
        silence
            .sites
            .list()
            .iter()
            .map(|(_, is_up)| *is_up)
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_lane_falls_silent_once_and_its_site_with_the_last_of_its_lanes() {
        let mut silence = silence();
        silence.know(&lane(1), Duration::ZERO);
        silence.know(&lane(2), Duration::ZERO);
        pass(200).await;
        silence.hear(&lane(2));
        pass(101).await;
        assert_eq!(taken(&mut silence), [1]);
        assert_eq!(taken(&mut silence), [0; 0]);
        assert!(silence.is_silent(&lane(1)));
        assert_eq!(is_up(&silence), [true]);
        pass(200).await;
        assert_eq!(taken(&mut silence), [2]);
        assert_eq!(is_up(&silence), [false]);
        silence.hear(&lane(1));
        assert!(!silence.is_silent(&lane(1)));
        assert_eq!(is_up(&silence), [true]);
        pass(301).await;
        assert_eq!(taken(&mut silence), [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lane_in_which_something_waits_is_left_for_later() {
        let mut silence = silence();
        silence.know(&lane(1), Duration::ZERO);
        pass(301).await;
        assert!(silence.take(|_| false).is_empty());
        assert!(!silence.is_silent(&lane(1)));
        assert_eq!(taken(&mut silence), [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_fell_silent_before_the_start_is_known_by_the_stream() {
        let mut silence = silence();
        silence.know(&lane(1), Duration::from_secs(1000));
        silence.know(&lane(2), Duration::from_secs(100));
        // Of a frame before that one.
        silence.know(&lane(2), Duration::from_secs(2000));
        assert_eq!(taken(&mut silence), [0; 0], "others may speak before it");
        pass(121).await;
        assert_eq!(taken(&mut silence), [1]);
        pass(100).await;
        assert_eq!(taken(&mut silence), [2]);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_silent_while_the_past_is_being_read() {
        let mut silence = silence();
        for _ in 0..10 {
            silence.know(&lane(1), Duration::from_secs(1000));
            silence.learns();
            pass(100).await;
            assert_eq!(taken(&mut silence), [0; 0]);
        }
        pass(21).await;
        assert_eq!(taken(&mut silence), [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_silent_while_the_feed_cannot_hear() {
        let mut silence = silence();
        silence.know(&lane(1), Duration::ZERO);
        silence.listen(false);
        pass(1000).await;
        assert_eq!(taken(&mut silence), [0; 0]);
        assert!(!silence.is_report_due(1_000_000));
        silence.listen(true);
        pass(119).await;
        silence.listen(true);
        assert_eq!(taken(&mut silence), [0; 0]);
        pass(2).await;
        assert_eq!(taken(&mut silence), [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn sites_are_reported_each_minute_at_its_start() {
        let mut silence = silence();
        silence.know(&lane(1), Duration::ZERO);
        assert_eq!(silence.report(120_001), None, "nothing was judged yet");
        pass(121).await;
        let up = vec![("USDC1".into(), true)];
        assert_eq!(silence.report(120_001), Some((120_000, up.clone())));
        assert!(!silence.is_report_due(179_999));
        assert!(silence.is_report_due(180_000));
        assert_eq!(silence.report(250_000), Some((240_000, up)));
        assert_eq!(silence.report(180_000), None, "the clock was set back");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_heard_of_for_a_day_is_forgotten() {
        let mut silence = silence();
        silence.know(&lane(1), Duration::ZERO);
        silence.know(&lane(2), FORGET * 2);
        assert_eq!(silence.lanes.len(), 1);
        pass(FORGET.as_secs() + 1).await;
        silence.take(|_| true);
        assert!(silence.lanes.is_empty());
        assert!(is_up(&silence).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_timeout_nobody_is_watched() {
        let mut silence = Silence::new(None, Sites::default());
        silence.know(&lane(1), Duration::ZERO);
        pass(100_000).await;
        assert_eq!(taken(&mut silence), [0; 0]);
        assert_eq!(silence.report(1_000_000), None);
    }
}
