//! Every target that one sink has heard of.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::{DropReason, FUTURE_MAX_MS, Verdict};
use crate::model::Labels;

/// Targets known at once; a thousand sites of a hundred targets fit in ten times.
///
/// When it is reached, new targets are admitted without being remembered: their order is then
/// up to the sink, and their silence is not noticed. A site cannot use it up without being
/// allowed to publish a million targets.
const TARGETS_MAX: usize = 1_000_000;

/// A target's identity: site and labels.
type Key = (Arc<str>, Arc<Labels>);

/// The targets of all sites, as one sink sees them.
#[derive(Debug, Default)]
pub struct Targets(HashMap<Key, Entrant>);

#[derive(Debug, Clone, Copy)]
struct Entrant {
    lane: u32,
    last_ms: i64,
    heard_ms: i64,
    /// Nothing was heard of it for `max_age`, and the sink was told.
    is_expired: bool,
    /// The same for its whole lane.
    is_silent: bool,
}

/// A target that is no longer there, or that nothing is heard of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its site.
    pub publisher: Arc<str>,
    /// Its labels.
    pub target: Arc<Labels>,
    /// The lane that brought it last.
    pub lane: u32,
    /// The time of its last scrape, milliseconds since the Unix epoch.
    pub last_ms: i64,
}

impl Known {
    fn new((publisher, target): &Key, entrant: &Entrant) -> Self {
        Self {
            publisher: Arc::clone(publisher),
            target: Arc::clone(target),
            lane: entrant.lane,
            last_ms: entrant.last_ms,
        }
    }

    fn key(&self) -> Key {
        (Arc::clone(&self.publisher), Arc::clone(&self.target))
    }
}

impl Targets {
    /// Judges a scrape by the target's last one.
    pub fn judge(
        &self,
        publisher: &Arc<str>,
        target: &Arc<Labels>,
        time_ms: i64,
        now_ms: i64,
    ) -> Verdict {
        match self.0.get(&(Arc::clone(publisher), Arc::clone(target))) {
            Some(known) if known.last_ms > now_ms.saturating_add(FUTURE_MAX_MS) => Verdict::Admit,
            Some(known) if known.last_ms == time_ms => Verdict::Drop(DropReason::Duplicate),
            Some(known) if known.last_ms > time_ms => Verdict::Drop(DropReason::OutOfOrder),
            _ => Verdict::Admit,
        }
    }

    /// Notes a scrape, and that the target was heard of now.
    pub fn note(
        &mut self,
        publisher: &Arc<str>,
        target: &Arc<Labels>,
        lane: u32,
        time_ms: i64,
        now_ms: i64,
    ) {
        let entrant = Entrant {
            lane,
            last_ms: time_ms,
            heard_ms: now_ms,
            is_expired: false,
            is_silent: false,
        };
        let room = self.0.len() < TARGETS_MAX;
        match self.0.entry((Arc::clone(publisher), Arc::clone(target))) {
            Entry::Occupied(mut known) => {
                known.insert(entrant);
            }
            Entry::Vacant(new) if room => {
                new.insert(entrant);
            }
            Entry::Vacant(_) => {}
        }
    }

    /// Removes a target that its site said is gone.
    pub fn forget(&mut self, publisher: &Arc<str>, target: &Arc<Labels>) {
        self.0.remove(&(Arc::clone(publisher), Arc::clone(target)));
    }

    /// Returns the targets of a lane that are not in its list of live ones.
    ///
    /// `live` holds stable hashes; a target that another lane has taken over is not the lane's.
    pub fn missing(&self, publisher: &str, lane: u32, live: &[u64]) -> Vec<Known> {
        let live: std::collections::HashSet<u64> = live.iter().copied().collect();
        let of_lane = self
            .0
            .iter()
            .filter(|((site, _), known)| &**site == publisher && known.lane == lane);
        of_lane
            .filter(|((_, target), _)| !live.contains(&target.stable_hash()))
            .map(|(key, known)| Known::new(key, known))
            .collect()
    }

    /// Returns the targets that nothing was heard of since `since_ms`, each once.
    pub fn expire(&mut self, since_ms: i64) -> Vec<Known> {
        let mut expired = Vec::new();
        for (key, known) in &mut self.0 {
            if known.heard_ms < since_ms && !known.is_expired {
                known.is_expired = true;
                expired.push(Known::new(key, known));
            }
        }
        expired
    }

    /// Tells whether a target is known, and was not heard of since it expired.
    pub fn is_expired(&self, known: &Known) -> bool {
        self.0.get(&known.key()).is_some_and(|now| now.is_expired)
    }

    /// Returns the targets of silent lanes whose series still live.
    pub fn of_lanes(&self, is_silent: impl Fn(&Arc<str>, u32) -> bool) -> Vec<Known> {
        let living = self.0.iter().filter(|(_, known)| !known.is_silent);
        let silent = living.filter(|((publisher, _), known)| is_silent(publisher, known.lane));
        silent.map(|(key, known)| Known::new(key, known)).collect()
    }

    /// Marks a target as silent; `false` if it was heard of meanwhile, or is marked already.
    pub fn end(&mut self, known: &Known) -> bool {
        match self.0.get_mut(&known.key()) {
            Some(now) if now.last_ms == known.last_ms && !now.is_silent => {
                now.is_silent = true;
                true
            }
            _ => false,
        }
    }

    /// Forgets the targets that nothing was heard of since `since_ms`.
    pub fn forget_unheard(&mut self, since_ms: i64) {
        self.0.retain(|_, known| known.heard_ms >= since_ms);
    }

    /// Returns how many targets are known.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Tells whether no target is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> Arc<str> {
        "USDC1".into()
    }

    fn target(instance: &str) -> Arc<Labels> {
        Arc::new(Labels::of_target("node", instance))
    }

    #[test]
    fn order_is_by_target_and_site() {
        let (site, a, b) = (site(), target("a:1"), target("b:1"));
        let mut targets = Targets::default();
        targets.note(&site, &a, 0, 1000, 1000);
        assert_eq!(targets.judge(&site, &a, 1001, 1001), Verdict::Admit);
        assert_eq!(
            targets.judge(&site, &a, 1000, 1001),
            Verdict::Drop(DropReason::Duplicate)
        );
        assert_eq!(
            targets.judge(&site, &a, 999, 1001),
            Verdict::Drop(DropReason::OutOfOrder)
        );
        assert_eq!(targets.judge(&site, &b, 999, 1001), Verdict::Admit);
        assert_eq!(
            targets.judge(&"EUDC1".into(), &a, 999, 1001),
            Verdict::Admit
        );
    }

    #[test]
    fn a_clock_that_was_once_far_ahead_shuts_nobody_out() {
        let (site, a) = (site(), target("a:1"));
        let mut targets = Targets::default();
        targets.note(&site, &a, 0, 86_400_000, 0);
        assert_eq!(targets.judge(&site, &a, 1, 1), Verdict::Admit);
    }

    #[test]
    fn a_heartbeat_tells_which_targets_of_its_lane_are_gone() {
        let (site, a, b, c) = (site(), target("a:1"), target("b:1"), target("c:1"));
        let mut targets = Targets::default();
        targets.note(&site, &a, 0, 1, 1);
        targets.note(&site, &b, 0, 1, 1);
        targets.note(&site, &c, 1, 1, 1);
        let gone = targets.missing(&site, 0, &[a.stable_hash()]);
        assert_eq!(
            gone,
            [Known {
                publisher: Arc::clone(&site),
                target: Arc::clone(&b),
                lane: 0,
                last_ms: 1,
            }]
        );
        targets.forget(&site, &b);
        assert_eq!(targets.missing(&site, 0, &[a.stable_hash()]), []);
    }

    #[test]
    fn targets_expire_once_until_they_are_heard_again() {
        let (site, a, b) = (site(), target("a:1"), target("b:1"));
        let mut targets = Targets::default();
        targets.note(&site, &a, 0, 1, 100);
        targets.note(&site, &b, 0, 1, 200);
        let expired = targets.expire(200);
        assert_eq!(expired.len(), 1);
        assert_eq!(expired[0].target, a);
        assert_eq!(targets.expire(200), []);
        assert!(targets.is_expired(&expired[0]));
        assert_eq!(targets.len(), 2, "its last time is still of use");
        targets.note(&site, &a, 0, 2, 200);
        assert!(!targets.is_expired(&expired[0]));
        assert_eq!(targets.expire(201).len(), 2);
        targets.forget_unheard(200);
        assert_eq!(targets.len(), 2);
        targets.forget_unheard(201);
        assert!(targets.is_empty());
    }

    #[test]
    fn the_targets_of_a_silent_lane_end_once_until_they_are_heard_again() {
        let (site, a, b) = (site(), target("a:1"), target("b:1"));
        let mut targets = Targets::default();
        targets.note(&site, &a, 0, 7, 100);
        targets.note(&site, &b, 1, 8, 100);
        let silent = |targets: &Targets| targets.of_lanes(|_, lane| lane == 0);
        let found = silent(&targets);
        assert_eq!(found.len(), 1);
        assert_eq!((&found[0].target, found[0].last_ms), (&a, 7));
        assert_eq!(silent(&targets), found, "nothing was done yet");
        assert!(targets.end(&found[0]));
        assert!(!targets.end(&found[0]));
        assert_eq!(silent(&targets), []);
        targets.note(&site, &a, 0, 9, 200);
        let again = silent(&targets);
        assert_eq!(again[0].last_ms, 9);
        targets.note(&site, &a, 0, 10, 300);
        assert!(!targets.end(&again[0]), "it was heard meanwhile");
    }
}
