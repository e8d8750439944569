//! The labels of a series as a sink gets them.

use std::borrow::Cow;

use crate::exposition::Label;
use crate::model::{Labels, labels};

/// The label that holds a series' name.
pub(super) const NAME: &str = "__name__";

/// What Prometheus puts before the name of a label that the target's labels displace.
const EXPORTED: &str = "exported_";

/// The label that names a site.
pub(super) const PUBLISHER: &str = "publisher";

/// The labels that every series of a target gets.
///
/// Reserved labels of the target are not among them: they say how its series are to be read.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a word of the target's of its own"
)]
pub(super) struct TargetLabels<'a> {
    /// Sorted by name.
    target: Vec<(&'a str, &'a str)>,
    external: &'a Labels,
    has_publisher: bool,
    honors_labels: bool,
    is_relabeled: bool,
    tracks_timestamps: bool,
    extra: Option<Extra>,
}

/// What the extra series about a scrape say of the target's settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Extra {
    /// Seconds.
    pub(super) timeout: f64,
    /// Samples; 0 for none.
    pub(super) sample_limit: f64,
}

/// What becomes of a series' label that is named as one of the target's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conflict {
    /// It stands, and the target's does not.
    Stands,
    /// It moves to `exported_…`.
    Moves,
    /// It is left out.
    Vanishes,
}

impl<'a> TargetLabels<'a> {
    /// The labels of a target; with a publisher, that one displaces the target's own word for it.
    pub(super) fn new(
        target: &'a Labels,
        publisher: Option<&'a str>,
        external: &'a Labels,
    ) -> Self {
        let pairs = target.iter();
        let mut pairs: Vec<_> = pairs
            .filter(|(name, _)| !name.starts_with(labels::RESERVED_PREFIX))
            .collect();
        let publisher = publisher.filter(|publisher| !publisher.is_empty());
        if let Some(publisher) = publisher {
            pairs.retain(|(name, _)| *name != PUBLISHER);
            let at = pairs.partition_point(|(name, _)| *name < PUBLISHER);
            pairs.insert(at, (PUBLISHER, publisher));
        }
        let is_set = |name| target.get(name) == Some("true");
        Self {
            target: pairs,
            external,
            has_publisher: publisher.is_some(),
            honors_labels: is_set(labels::HONOR_LABELS),
            is_relabeled: is_set(labels::METRIC_RELABEL),
            tracks_timestamps: is_set(labels::TRACK_TIMESTAMPS_STALENESS),
            extra: Extra::of(target),
        }
    }

    /// The target's own labels, sorted by name.
    pub(super) fn target(&self) -> &[(&'a str, &'a str)] {
        &self.target
    }

    /// Tells whether a label is the target's.
    pub(super) fn has(&self, name: &str) -> bool {
        self.target.iter().any(|(target, _)| *target == name)
    }

    /// Tells whether the poller has applied rules to the series.
    pub(super) fn is_relabeled(&self) -> bool {
        self.is_relabeled
    }

    /// Tells whether series with explicit timestamps get stale markers, too.
    pub(super) fn tracks_timestamps(&self) -> bool {
        self.tracks_timestamps
    }

    /// Returns what the extra series about the scrape say, if they are wanted.
    pub(super) fn extra(&self) -> Option<Extra> {
        self.extra
    }

    /// Joins a series' labels with ours and its name, sorted by name, each name once.
    ///
    /// As Prometheus does it with `honor_labels: false`: the target's labels win, and a displaced
    /// one moves to the first free name with `exported_` before it, shortest names first. Where the
    /// target honors labels, the series' label wins, and an empty one takes the target's away; but
    /// who the publisher is no target can say.
    pub(super) fn resolve<'s>(
        &'s self,
        name: &'s str,
        exposed: &'s [Label<'_>],
    ) -> Vec<(Cow<'s, str>, &'s str)> {
        self.join(name, exposed, |label, _| {
            let is_site = self.has_publisher && label == PUBLISHER;
            if self.honors_labels && !is_site {
                Conflict::Stands
            } else {
                Conflict::Moves
            }
        })
    }

    /// Returns the labels of a series about the target's scrape, sorted by name.
    ///
    /// As Prometheus has it: there is no label `exported_x` if there is a label `x` behind it in
    /// the order of names, since room for a displaced one is made anew for each label
    /// (`mutateReportSampleLabels` in `scrape/scrape.go`).
    pub(super) fn resolve_report<'s>(&'s self, name: &'s str) -> Vec<(Cow<'s, str>, &'s str)> {
        let mut labels = self.resolve(name, &[]);
        labels.retain(|(label, _)| {
            let displaced = label.strip_prefix(EXPORTED).filter(|_| self.has(label));
            displaced.is_none_or(|displaced| &**label > displaced || !self.has(displaced))
        });
        labels
    }

    /// As [`Self::resolve`] where the target's labels stand in any case: they are a grouping key.
    pub(super) fn resolve_in_group<'s>(
        &'s self,
        name: &'s str,
        exposed: &'s [Label<'_>],
    ) -> Vec<(Cow<'s, str>, &'s str)> {
        self.join(name, exposed, |label, value| {
            // What the series says as well was not displaced by anything.
            if self.honors_labels && self.target.contains(&(label, value)) {
                Conflict::Vanishes
            } else {
                Conflict::Moves
            }
        })
    }

    fn join<'s>(
        &'s self,
        name: &'s str,
        exposed: &'s [Label<'_>],
        conflict: impl Fn(&str, &str) -> Conflict,
    ) -> Vec<(Cow<'s, str>, &'s str)> {
        let most = 1 + exposed.len() + self.target.len() + self.external.len();
        let mut labels: Vec<(Cow<'s, str>, &'s str)> = Vec::with_capacity(most);
        labels.push((Cow::Borrowed(NAME), name));
        let mut displaced: Vec<(&str, &'s str)> = Vec::new();
        let mut standing: Vec<&str> = Vec::new();
        for label in exposed {
            let (name, value): (&str, &str) = (&label.name, &label.value);
            let conflict = self.has(name).then(|| conflict(name, value));
            if conflict == Some(Conflict::Stands) {
                standing.push(name);
            }
            match conflict {
                _ if value.is_empty() => {}
                None | Some(Conflict::Stands) => labels.push((Cow::Borrowed(name), value)),
                Some(Conflict::Moves) => displaced.push((name, value)),
                Some(Conflict::Vanishes) => {}
            }
        }
        let ours = self.target.iter();
        let ours = ours.filter(|(name, _)| !standing.contains(name));
        labels.extend(ours.map(|(name, value)| (Cow::Borrowed(*name), *value)));
        displaced.sort_by(|one, other| one.0.len().cmp(&other.0.len()).then(one.0.cmp(other.0)));
        for (name, value) in displaced {
            let mut free = format!("{EXPORTED}{name}");
            while labels.iter().any(|(taken, _)| *taken == free) {
                free.insert_str(0, EXPORTED);
            }
            labels.push((Cow::Owned(free), value));
        }
        for (name, value) in self.external.iter() {
            if !labels.iter().any(|(taken, _)| *taken == name) {
                labels.push((Cow::Borrowed(name), value));
            }
        }
        labels.sort_by(|one, other| one.0.cmp(&other.0));
        labels
    }
}

impl Extra {
    /// What cannot be read as a number was not written by our poller; it counts as none.
    fn of(target: &Labels) -> Option<Self> {
        let number = |text: &str| text.parse().unwrap_or_default();
        let timeout = target.get(labels::SCRAPE_TIMEOUT).map(number)?;
        let sample_limit = target.get(labels::SCRAPE_SAMPLE_LIMIT);
        Some(Self {
            timeout,
            sample_limit: sample_limit.map(number).unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Case {
        target: &'static [(&'static str, &'static str)],
        publisher: Option<&'static str>,
        external: &'static [(&'static str, &'static str)],
        exposed: &'static [(&'static str, &'static str)],
        is_in_group: bool,
    }

    const PLAIN: Case = Case {
        target: &[("job", "j"), ("instance", "i")],
        publisher: None,
        external: &[],
        exposed: &[],
        is_in_group: false,
    };

    const HONORS: Case = Case {
        target: &[
            ("job", "j"),
            ("instance", "i"),
            (labels::HONOR_LABELS, "true"),
        ],
        ..PLAIN
    };

    #[track_caller]
    fn check(case: &Case, expected: &str) {
        let labels = |pairs: &[(&'static str, &'static str)]| Labels::new(pairs.iter().copied());
        let (target, external) = (labels(case.target), labels(case.external));
        let exposed: Vec<_> = case
            .exposed
            .iter()
            .map(|(name, value)| Label {
                name: Cow::Borrowed(*name),
                value: Cow::Borrowed(*value),
            })
            .collect();
        let ours = TargetLabels::new(&target, case.publisher, &external);
        let written = if case.is_in_group {
            ours.resolve_in_group("up", &exposed)
        } else {
            ours.resolve("up", &exposed)
        };
        let written: Vec<_> = written
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(written.join(" "), expected);
    }

    #[test]
    fn joins_and_sorts() {
        check(&PLAIN, "__name__=up instance=i job=j");
        check(
            &Case {
                exposed: &[("zone", "z"), ("Alpha", "a"), ("empty", "")],
                ..PLAIN
            },
            "Alpha=a __name__=up instance=i job=j zone=z",
        );
    }

    #[test]
    fn a_displaced_label_is_exported() {
        check(
            &Case {
                exposed: &[("job", "mine"), ("instance", "")],
                ..PLAIN
            },
            "__name__=up exported_job=mine instance=i job=j",
        );
        check(
            &Case {
                exposed: &[("job", "mine"), ("exported_job", "theirs")],
                ..PLAIN
            },
            "__name__=up exported_exported_job=mine exported_job=theirs instance=i job=j",
        );
        check(
            &Case {
                target: &[("job", "j"), ("exported_job", "e")],
                exposed: &[("exported_job", "theirs"), ("job", "mine")],
                ..PLAIN
            },
            "__name__=up exported_exported_exported_job=theirs exported_exported_job=mine \
             exported_job=e job=j",
        );
    }

    #[test]
    fn the_publisher_displaces_every_other_word_for_it() {
        let target = &[("job", "j"), ("publisher", "forged"), ("zone", "z")];
        check(
            &Case {
                publisher: Some("site"),
                target,
                exposed: &[("publisher", "x")],
                ..PLAIN
            },
            "__name__=up exported_publisher=x job=j publisher=site zone=z",
        );
    }

    #[test]
    fn external_labels_stand_back() {
        check(
            &Case {
                external: &[("job", "far"), ("region", "eu"), ("zone", "far")],
                exposed: &[("zone", "near")],
                ..PLAIN
            },
            "__name__=up instance=i job=j region=eu zone=near",
        );
    }

    #[test]
    fn a_report_has_no_label_that_looks_like_a_displaced_one() {
        let target = Labels::new([
            ("a", "1"),
            ("exported_a", "2"),
            ("exported_job", "3"),
            ("exported_zone", "4"),
            ("job", "j"),
        ]);
        let external = Labels::default();
        let labels = TargetLabels::new(&target, None, &external);
        let written = labels.resolve_report("up").into_iter();
        let written: Vec<_> = written
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let expected = "__name__=up a=1 exported_a=2 exported_zone=4 job=j";
        assert_eq!(written.join(" "), expected);
    }

    #[test]
    fn reserved_labels_of_the_target_are_never_written() {
        check(
            &Case {
                target: &[
                    ("__other__", "x"),
                    (labels::SCRAPE_TIMEOUT, "10"),
                    (labels::TRACK_TIMESTAMPS_STALENESS, "true"),
                    (labels::HONOR_LABELS, "false"),
                    ("job", "j"),
                ],
                exposed: &[("job", "mine"), ("__own__", "y")],
                ..PLAIN
            },
            "__name__=up __own__=y exported_job=mine job=j",
        );
    }

    #[test]
    fn where_labels_are_honored_those_of_the_series_stand() {
        check(
            &Case {
                exposed: &[("job", "mine"), ("zone", "z")],
                ..HONORS
            },
            "__name__=up instance=i job=mine zone=z",
        );
        check(
            &Case {
                exposed: &[("job", ""), ("zone", "")],
                external: &[("zone", "far"), ("job", "external")],
                ..HONORS
            },
            "__name__=up instance=i job=external zone=far",
        );
        check(
            &Case {
                exposed: &[("exported_job", "theirs"), ("instance", "")],
                ..HONORS
            },
            "__name__=up exported_job=theirs job=j",
        );
    }

    #[test]
    fn no_series_chooses_its_publisher() {
        check(
            &Case {
                publisher: Some("site"),
                exposed: &[("publisher", "forged"), ("job", "mine")],
                ..HONORS
            },
            "__name__=up exported_publisher=forged instance=i job=mine publisher=site",
        );
        check(
            &Case {
                publisher: Some("site"),
                exposed: &[("publisher", "")],
                ..HONORS
            },
            "__name__=up instance=i job=j publisher=site",
        );
    }

    #[test]
    fn the_labels_of_a_group_stand_in_any_case() {
        check(
            &Case {
                is_in_group: true,
                exposed: &[("job", "mine"), ("instance", ""), ("zone", "z")],
                ..HONORS
            },
            "__name__=up exported_job=mine instance=i job=j zone=z",
        );
        check(
            &Case {
                is_in_group: true,
                exposed: &[("job", "j")],
                ..HONORS
            },
            "__name__=up instance=i job=j",
        );
        check(
            &Case {
                is_in_group: true,
                exposed: &[("job", "j")],
                ..PLAIN
            },
            "__name__=up exported_job=j instance=i job=j",
        );
    }

    #[test]
    fn extra_series_are_wanted_where_the_timeout_is_given() {
        let (none, target) = (
            Labels::default(),
            |pairs: &[(&'static str, &'static str)]| Labels::new(pairs.iter().copied()),
        );
        let extra = |target: &Labels| TargetLabels::new(target, None, &none).extra();
        assert_eq!(extra(&target(&[("__scrape_sample_limit__", "5")])), None);
        let of = |timeout, sample_limit| {
            Some(Extra {
                timeout,
                sample_limit,
            })
        };
        assert_eq!(
            extra(&target(&[("__scrape_timeout__", "2.5")])),
            of(2.5, 0.0)
        );
        let both = [
            ("__scrape_timeout__", "x"),
            ("__scrape_sample_limit__", "5"),
        ];
        assert_eq!(extra(&target(&both)), of(0.0, 5.0));
    }
}
