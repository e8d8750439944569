//! The labels of a series as a sink gets them.

use std::borrow::Cow;

use crate::exposition::Label;
use crate::model::Labels;

/// The label that holds a series' name.
pub(super) const NAME: &str = "__name__";

/// What Prometheus puts before the name of a label that the target's labels displace.
const EXPORTED: &str = "exported_";

/// The labels that every series of a target gets.
#[derive(Debug, Clone)]
pub(super) struct TargetLabels<'a> {
    /// Sorted by name.
    target: Vec<(&'a str, &'a str)>,
    external: &'a Labels,
}

impl<'a> TargetLabels<'a> {
    /// The labels of a target; with a publisher, that one displaces the target's own word for it.
    pub(super) fn new(
        target: &'a Labels,
        publisher: Option<&'a str>,
        external: &'a Labels,
    ) -> Self {
        const PUBLISHER: &str = "publisher";
        let mut pairs: Vec<_> = target.iter().collect();
        if let Some(publisher) = publisher.filter(|publisher| !publisher.is_empty()) {
            pairs.retain(|(name, _)| *name != PUBLISHER);
            let at = pairs.partition_point(|(name, _)| *name < PUBLISHER);
            pairs.insert(at, (PUBLISHER, publisher));
        }
        Self {
            target: pairs,
            external,
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

    /// Joins a series' labels with ours and its name, sorted by name, each name once.
    ///
    /// As Prometheus does it with `honor_labels: false`: the target's labels win, and a displaced
    /// one moves to the first free name with `exported_` before it, shortest names first.
    pub(super) fn resolve<'s>(
        &'s self,
        name: &'s str,
        exposed: &'s [Label<'_>],
    ) -> Vec<(Cow<'s, str>, &'s str)> {
        let most = 1 + exposed.len() + self.target.len() + self.external.len();
        let mut labels: Vec<(Cow<'s, str>, &'s str)> = Vec::with_capacity(most);
        labels.push((Cow::Borrowed(NAME), name));
        let mut displaced: Vec<(&str, &'s str)> = Vec::new();
        for label in exposed.iter().filter(|label| !label.value.is_empty()) {
            let (name, value): (&str, &str) = (&label.name, &label.value);
            if self.has(name) {
                displaced.push((name, value));
            } else {
                labels.push((Cow::Borrowed(name), value));
            }
        }
        labels.extend(
            self.target
                .iter()
                .map(|(name, value)| (Cow::Borrowed(*name), *value)),
        );
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

#[cfg(test)]
mod tests {
    use super::*;

    struct Case {
        target: &'static [(&'static str, &'static str)],
        publisher: Option<&'static str>,
        external: &'static [(&'static str, &'static str)],
        exposed: &'static [(&'static str, &'static str)],
    }

    const PLAIN: Case = Case {
        target: &[("job", "j"), ("instance", "i")],
        publisher: None,
        external: &[],
        exposed: &[],
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
        let written: Vec<_> = ours.resolve("up", &exposed);
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
}
