//! Which targets are scraped, for which job, in which lane.
//!
//! In: the targets that a job wants now. Out: which of them are new, changed or gone. A target
//! keeps its lane as long as it is scraped, also when the site grows and gets more lanes, since
//! order holds within a lane only. It does no I/O.

use std::collections::HashMap;
use std::sync::Arc;

use super::backlog::LANES_MAX;
use crate::model::Labels;
use crate::scrape::Target;

/// Targets of one lane; a site with more has more lanes.
///
/// A lane publishes one frame after the other, so its targets share one round trip at a time;
/// fewer, larger frames cost fewer bytes.
const TARGETS_PER_LANE: usize = 250;

/// Names a job as long as the program runs.
pub(super) type JobId = u64;

/// All targets of a site.
#[derive(Debug)]
pub(super) struct Roster {
    entries: HashMap<Arc<Labels>, Entry>,
    /// A power of two, so that a site that grows moves as few targets as can be when it starts
    /// anew.
    lanes: usize,
}

#[derive(Debug)]
struct Entry {
    job: JobId,
    lane: u32,
    wanted: Wanted,
}

/// A target, and whether it is one too many.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) target: Arc<Target>,
    pub(super) is_over_limit: bool,
}

/// What an update changes.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) started: Vec<(u32, Wanted)>,
    pub(super) changed: Vec<Wanted>,
    pub(super) removed: Vec<(u32, Arc<Target>)>,
    /// Targets with the labels of another job's target, which is scraped instead.
    pub(super) shadowed: usize,
}

impl Wanted {
    fn is_same(&self, other: &Self) -> bool {
        let Self {
            target,
            is_over_limit,
        } = self;
        let new = &other.target;
        *is_over_limit == other.is_over_limit
            && Arc::ptr_eq(&target.config, &new.config)
            && (&target.url, target.interval, target.timeout)
                == (&new.url, new.interval, new.timeout)
    }
}

impl Roster {
    pub(super) fn new() -> Self {
        Self {
            entries: HashMap::new(),
            lanes: 1,
        }
    }

    /// Makes lanes for so many targets; there are never fewer than before.
    pub(super) fn expect(&mut self, targets: usize) {
        let lanes = targets.div_ceil(TARGETS_PER_LANE).max(1);
        self.lanes = self.lanes.max(lanes.next_power_of_two().min(LANES_MAX));
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the lane of a target that is scraped.
    pub(super) fn lane(&self, labels: &Labels) -> Option<u32> {
        self.entries.get(labels).map(|entry| entry.lane)
    }

    /// Gives the targets of a job to the one that takes its place.
    pub(super) fn hand_over(&mut self, from: JobId, to: JobId) {
        for entry in self.entries.values_mut() {
            if entry.job == from {
                entry.job = to;
            }
        }
    }

    /// Takes what a job wants now.
    pub(super) fn update(&mut self, job: JobId, wanted: Vec<Wanted>) -> Changes {
        let mut changes = Changes::default();
        let mut stay: HashMap<Arc<Labels>, Wanted> = HashMap::with_capacity(wanted.len());
        for wanted in wanted {
            let labels = Arc::clone(&wanted.target.labels);
            let is_taken = self
                .entries
                .get(&labels)
                .is_some_and(|entry| entry.job != job);
            if is_taken || stay.contains_key(&labels) {
                changes.shadowed += 1;
            } else {
                stay.insert(labels, wanted);
            }
        }
        self.entries.retain(|labels, entry| {
            if entry.job != job {
                return true;
            }
            let Some(wanted) = stay.remove(labels) else {
                let target = Arc::clone(&entry.wanted.target);
                changes.removed.push((entry.lane, target));
                return false;
            };
            if !wanted.is_same(&entry.wanted) {
                entry.wanted = wanted.clone();
                changes.changed.push(wanted);
            }
            true
        });
        self.expect(self.entries.len() + stay.len());
        for (labels, wanted) in stay {
            let lane = self.lane_of(&labels);
            let entry = Entry {
                job,
                lane,
                wanted: wanted.clone(),
            };
            self.entries.insert(labels, entry);
            changes.started.push((lane, wanted));
        }
        changes
    }

    /// The phase uses the low bits of the same hash, so the lane takes the high ones.
    fn lane_of(&self, labels: &Labels) -> u32 {
        let hash = usize::try_from(labels.stable_hash() >> 32).unwrap_or(0);
        u32::try_from(hash % self.lanes).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::discover::tests::group;
    use crate::scrape::{self, Config};

    fn wanted(config: &Arc<Config>, names: &[&str]) -> Vec<Wanted> {
        let found = scrape::targets(config, &[Arc::new(group("", names))]);
        let wanted = found.kept.into_iter().map(|target| Wanted {
            target: Arc::new(target),
            is_over_limit: false,
        });
        wanted.collect()
    }

    fn numbered(config: &Arc<Config>, numbers: std::ops::Range<usize>) -> Vec<Wanted> {
        let names: Vec<String> = numbers.map(|n| format!("host{n}:9100")).collect();
        wanted(
            config,
            &names.iter().map(String::as_str).collect::<Vec<_>>(),
        )
    }

    fn config() -> Arc<Config> {
        Arc::new(scrape::tests::config())
    }

    /// Names what an update changed.
    #[track_caller]
    fn check(changes: &Changes, started: &[&str], changed: &[&str], removed: &[&str]) {
        let names = |targets: Vec<&Arc<Target>>| {
            let mut names: Vec<String> = targets
                .iter()
                .map(|target| target.labels.instance().to_owned())
                .collect();
            names.sort();
            names
        };
        let targets = changes.started.iter().map(|(_, wanted)| &wanted.target);
        assert_eq!(names(targets.collect()), started, "started");
        let targets = changes.changed.iter().map(|wanted| &wanted.target);
        assert_eq!(names(targets.collect()), changed, "changed");
        let targets = changes.removed.iter().map(|(_, target)| target);
        assert_eq!(names(targets.collect()), removed, "removed");
    }

    #[test]
    fn tells_what_is_new_changed_or_gone() {
        let (mut roster, config) = (Roster::new(), config());
        check(
            &roster.update(1, wanted(&config, &["a", "b"])),
            &["a", "b"],
            &[],
            &[],
        );
        check(
            &roster.update(1, wanted(&config, &["b", "a"])),
            &[],
            &[],
            &[],
        );
        let mut slower = wanted(&config, &["b", "c"]);
        Arc::make_mut(&mut slower[0].target).interval = Duration::from_secs(30);
        check(&roster.update(1, slower), &["c"], &["b"], &["a"]);
        let mut many = wanted(&config, &["b", "c"]);
        many[1].is_over_limit = true;
        check(&roster.update(1, many), &[], &["b", "c"], &[]);
        check(&roster.update(1, Vec::new()), &[], &[], &["b", "c"]);
    }

    #[test]
    fn labels_belong_to_the_job_that_had_them_first() {
        let (mut roster, config) = (Roster::new(), config());
        roster.update(1, wanted(&config, &["a"]));
        let changes = roster.update(2, wanted(&config, &["a", "b"]));
        check(&changes, &["b"], &[], &[]);
        assert_eq!(changes.shadowed, 1);
        roster.update(1, Vec::new());
        check(
            &roster.update(2, wanted(&config, &["a", "b"])),
            &["a"],
            &[],
            &[],
        );
    }

    #[test]
    fn a_job_that_takes_the_place_of_another_keeps_its_targets() {
        let (mut roster, config) = (Roster::new(), config());
        roster.update(1, wanted(&config, &["a", "b"]));
        roster.hand_over(1, 2);
        let other = Arc::new((*config).clone());
        let changes = roster.update(2, wanted(&other, &["b", "c"]));
        check(&changes, &["c"], &["b"], &["a"]);
    }

    #[test]
    fn a_large_site_is_spread_evenly() {
        let (mut roster, config) = (Roster::new(), config());
        let changes = roster.update(1, numbered(&config, 0..4000));
        let mut lanes = vec![0; 16];
        for (lane, _) in changes.started {
            lanes[lane as usize] += 1;
        }
        assert!(
            lanes.iter().all(|count| (150..350).contains(count)),
            "{lanes:?}"
        );
    }

    #[test]
    fn a_small_site_has_one_lane() {
        let (mut roster, config) = (Roster::new(), config());
        let changes = roster.update(1, numbered(&config, 0..250));
        assert!(changes.started.iter().all(|(lane, _)| *lane == 0));
    }

    #[test]
    fn a_target_keeps_its_lane_when_the_site_grows_or_starts_anew() {
        let config = config();
        let lane_of = |changes: &Changes| {
            let is_it =
                |(_, wanted): &&(u32, Wanted)| wanted.target.labels.instance() == "host7:9100";
            changes.started.iter().find(is_it).map(|(lane, _)| *lane)
        };
        let mut roster = Roster::new();
        let small = lane_of(&roster.update(1, numbered(&config, 0..600)));
        let grown = roster.update(1, numbered(&config, 0..3000));
        assert_eq!((lane_of(&grown), grown.removed.len()), (None, 0));
        assert_eq!(
            lane_of(&Roster::new().update(1, numbered(&config, 0..900))),
            small
        );
    }
}
