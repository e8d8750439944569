//! What a sink remembers of each target, within a bound.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::TargetKey;

/// Targets that a sink remembers: twenty times a large site's; at some 100 bytes for each key a
/// full map costs tens of megabytes, what the values hold comes on top.
pub(super) const TARGETS_MAX: usize = 200_000;

/// A map from target to state that forgets the longest unused ones when it is full.
///
/// A sixteenth goes at a time, so that a map that is always full does not search for the oldest
/// one with each insertion.
#[derive(Debug)]
pub(super) struct Targets<T> {
    inner: Mutex<Inner<T>>,
    max: usize,
}

#[derive(Debug)]
struct Inner<T> {
    states: HashMap<TargetKey, Used<T>>,
    /// Counts the uses; it is the clock by which the oldest is found.
    uses: u64,
}

#[derive(Debug)]
struct Used<T> {
    state: T,
    at: u64,
}

impl<T: Clone> Targets<T> {
    /// Makes an empty map that holds `max` targets.
    pub(super) fn new(max: usize) -> Self {
        Self {
            inner: Mutex::new(Inner {
                states: HashMap::new(),
                uses: 0,
            }),
            max,
        }
    }

    /// Returns a target's state and marks it as used.
    pub(super) fn get(&self, key: &TargetKey) -> Option<T> {
        let mut inner = self.lock();
        inner.uses += 1;
        let now = inner.uses;
        let used = inner.states.get_mut(key)?;
        used.at = now;
        Some(used.state.clone())
    }

    /// Remembers a target's state; when full, the longest unused targets are forgotten.
    pub(super) fn set(&self, key: TargetKey, state: T) {
        let mut inner = self.lock();
        inner.uses += 1;
        let at = inner.uses;
        inner.states.insert(key, Used { state, at });
        if inner.states.len() > self.max {
            inner.evict(self.max / 16 + 1);
        }
    }

    /// Forgets a target.
    pub(super) fn forget(&self, key: &TargetKey) {
        self.lock().states.remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        // No code that can panic runs under the lock, and each step leaves the map whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Inner<T> {
    fn evict(&mut self, count: usize) {
        let mut ages: Vec<u64> = self.states.values().map(|used| used.at).collect();
        let last = count.min(ages.len()).saturating_sub(1);
        let (_, &mut oldest_kept, _) = ages.select_nth_unstable(last);
        self.states.retain(|_, used| used.at > oldest_kept);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::Labels;

    fn key(number: usize) -> TargetKey {
        TargetKey {
            publisher: Arc::from("site"),
            target: Arc::new(Labels::of_target("node", &number.to_string())),
        }
    }

    #[test]
    fn remembers_and_forgets() {
        let targets = Targets::new(10);
        targets.set(key(1), "one");
        assert_eq!(targets.get(&key(1)), Some("one"));
        targets.forget(&key(1));
        assert_eq!(targets.get(&key(1)), None);
    }

    #[test]
    fn a_full_map_forgets_the_longest_unused() {
        let targets = Targets::new(32);
        for number in 0..32 {
            targets.set(key(number), number);
        }
        assert_eq!(targets.get(&key(0)), Some(0));
        targets.set(key(32), 32);
        assert_eq!(targets.get(&key(0)), Some(0), "it was used just now");
        assert_eq!(targets.get(&key(1)), None);
        assert_eq!(targets.get(&key(32)), Some(32));
        assert_eq!(targets.lock().states.len(), 30);
    }
}
