//! Sources that are asked again and again.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::source::{Output, Running, Source};
use super::{DiscoverError, Group, TARGETS_MAX};
use crate::retry::{Backoff, Retry};

/// How to ask.
pub(in crate::discover) trait Refresh: Send + 'static {
    /// The kind of source.
    const KIND: &'static str;

    /// Asks once. A part that is in the answer no more is gone, with all its groups.
    ///
    /// It has to end by itself in a time that suits the refresh interval.
    fn refresh(&mut self) -> impl Future<Output = Vec<Part>> + Send;

    /// Returns when it should be asked before its time; cancel-safe.
    fn woken(&mut self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

/// What a part of a source answered, such as one file or one name.
pub(in crate::discover) struct Part {
    /// Its name among those of the source; empty if there is but one.
    pub(in crate::discover) name: Arc<str>,
    /// All its groups, or why they stay as they are. Names of groups are its own: no other part of
    /// the source may use them.
    pub(in crate::discover) groups: Result<Vec<Group>, DiscoverError>,
}

impl Part {
    /// The answer of a source that has one part.
    pub(in crate::discover) fn only(groups: Result<Vec<Group>, DiscoverError>) -> Vec<Self> {
        let name = "".into();
        vec![Self { name, groups }]
    }
}

/// Asks at once and then at each interval, and tells what has changed.
///
/// A part that fails keeps its last groups; groups and parts that vanish are told as gone.
pub(in crate::discover) struct Refresher<R> {
    refresh: R,
    interval: Duration,
    /// What was told, by part and name of the group.
    told: HashMap<Arc<str>, HashMap<Arc<str>, Arc<Group>>>,
}

impl<R: Refresh> Refresher<R> {
    /// Builds a source; it does nothing until it is run.
    pub(in crate::discover) fn new(refresh: R, interval: Duration) -> Self {
        Self {
            refresh,
            interval,
            told: HashMap::new(),
        }
    }

    async fn run(mut self, mut out: Output) {
        // A tenth of the interval is left to chance, so that pollers that were started together
        // do not ask the same server together for ever.
        let fifth = self.interval / 5;
        let mut spread = Backoff::new(fifth, fifth);
        loop {
            let begun = Instant::now();
            self.pass(&mut out).await;
            let wait = fifth
                .saturating_mul(4)
                .saturating_add(spread.next(Retry::Yes));
            tokio::select! {
                () = sleep_until(begun + wait) => {}
                () = self.refresh.woken() => {}
            }
        }
    }

    async fn pass(&mut self, out: &mut Output) {
        let mut updates = Vec::new();
        let mut present = HashSet::new();
        let mut total: usize = 0;
        for Part { name, groups } in self.refresh.refresh().await {
            present.insert(Arc::clone(&name));
            let groups = groups.and_then(|groups| {
                total = total.saturating_add(groups.iter().map(|group| group.targets.len()).sum());
                if total > TARGETS_MAX {
                    let (found, limit) = (total, TARGETS_MAX);
                    return Err(DiscoverError::TooManyTargets { found, limit });
                }
                Ok(groups)
            });
            match groups {
                Ok(groups) => {
                    out.succeeded(&name);
                    let told = self.told.entry(name).or_default();
                    tell_changes(told, groups, &mut updates);
                }
                Err(error) => out.failed(&name, error).await,
            }
        }
        self.told.retain(|name, told| {
            let is_present = present.contains(name);
            if !is_present {
                out.forget(name);
                updates.extend(told.keys().map(gone));
            }
            is_present
        });
        out.send(updates).await;
        out.complete().await;
    }
}

impl<R: Refresh> Source for Refresher<R> {
    fn kind(&self) -> &'static str {
        R::KIND
    }

    fn run(self: Box<Self>, out: Output) -> Running {
        Box::pin((*self).run(out))
    }
}

/// Notes all groups of a part, and adds those that are new, changed or gone to `updates`.
fn tell_changes(
    told: &mut HashMap<Arc<str>, Arc<Group>>,
    groups: Vec<Group>,
    updates: &mut Vec<Arc<Group>>,
) {
    let names: HashSet<Arc<str>> = groups
        .iter()
        .map(|group| Arc::clone(&group.source))
        .collect();
    told.retain(|name, _| {
        let is_there = names.contains(name);
        if !is_there {
            updates.push(gone(name));
        }
        is_there
    });
    for group in groups {
        if told.get(&group.source).is_none_or(|known| **known != group) {
            let group = Arc::new(group);
            told.insert(Arc::clone(&group.source), Arc::clone(&group));
            updates.push(group);
        }
    }
}

fn gone(name: &Arc<str>) -> Arc<Group> {
    Arc::new(Group {
        source: Arc::clone(name),
        ..Group::default()
    })
}
