//! The targets of a scrape configuration, out of the groups that discovery found.

use std::collections::HashSet;
use std::sync::Arc;

use super::populate::{Origin, PopulateError, Populated, Target, populate};
use super::settings::Config;
use crate::discover::Group;

/// What became of all targets of a scrape configuration.
#[derive(Debug, Default)]
pub struct Targets {
    /// What is scraped, in the order of discovery; no two have the same labels.
    pub kept: Vec<Target>,
    /// What relabelling dropped, at most as many as `keep_dropped_targets` says.
    pub dropped: Vec<Origin>,
    /// How many were dropped.
    pub dropped_count: usize,
    /// What cannot be scraped.
    pub invalid: Vec<InvalidTarget>,
    /// Whether there are more than `target_limit`: then each scrape of each of them fails.
    pub is_over_limit: bool,
}

/// A target that cannot be scraped.
#[derive(Debug, Clone)]
pub struct InvalidTarget {
    /// What discovery says about it.
    pub origin: Origin,
    /// Why.
    pub error: PopulateError,
}

/// Builds the targets of a scrape configuration; of equal ones the first counts.
pub fn targets(config: &Arc<Config>, groups: &[Arc<Group>]) -> Targets {
    let mut targets = Targets::default();
    let mut identities = HashSet::new();
    let mut labels = HashSet::new();
    let dropped_max = config
        .limits
        .keep_dropped_targets
        .map_or(usize::MAX, clamped);
    let origins = groups.iter().flat_map(|group| {
        (0..group.targets.len()).map(|index| Origin {
            group: Arc::clone(group),
            index,
        })
    });
    for origin in origins {
        match populate(config, &origin) {
            Ok(Populated::Dropped) => {
                targets.dropped_count = targets.dropped_count.saturating_add(1);
                if targets.dropped.len() < dropped_max {
                    targets.dropped.push(origin);
                }
            }
            Ok(Populated::Target(target)) => {
                // To Prometheus these are one target that was found twice.
                if !identities.insert((target.identity.clone(), target.url.clone())) {
                    continue;
                }
                if labels.insert(Arc::clone(&target.labels)) {
                    targets.kept.push(*target);
                } else {
                    // Prometheus scrapes both, and stores a mixture of the two. Here labels are
                    // all that the receiver knows of a target.
                    let error = PopulateError::SameLabels;
                    targets.invalid.push(InvalidTarget { origin, error });
                }
            }
            Err(error) => targets.invalid.push(InvalidTarget { origin, error }),
        }
    }
    let limit = config.limits.targets.map_or(usize::MAX, clamped);
    targets.is_over_limit = identities.len() > limit;
    targets
}

fn clamped(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
