//! What a scrape configuration makes of a target's series: their labels, and what is too much.
//!
//! The rules are Prometheus's (`mutateSampleLabels` and `verifyLabelLimits` in
//! `scrape/scrape.go`). They are asked once for each series of a shape, not at each scrape.

use std::sync::Arc;

use super::{Config, NameValidation};
use crate::exposition::{Label, Sample};
use crate::model::Labels;
use crate::relabel::Builder;

/// The label that holds a series' name.
const NAME: &str = "__name__";

/// What Prometheus puts before the name of a label that the target's labels displace.
const EXPORTED: &str = "exported_";

/// A target's labels and what its configuration says of its series.
#[derive(Debug, Clone)]
pub(super) struct SeriesRules {
    /// Without those that are reserved.
    target: Labels,
    config: Arc<Config>,
}

/// What becomes of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is published as the target writes it.
    Kept(Labels),
    /// A rule drops it.
    Dropped,
    /// It is published by this name and these labels, written as in an exposition.
    Rewritten(String, Labels),
}

/// Why a series fails the whole scrape.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum RefusedSeries {
    /// It has too many labels.
    #[error("series `{series}` has {count} labels; `label_limit` is {limit}")]
    LabelCount {
        /// Its name.
        series: Box<str>,
        /// Labels that it has.
        count: u64,
        /// Labels that it may have.
        limit: u64,
    },
    /// The name of one of its labels is too long.
    #[error(
        "label name `{name}` of series `{series}` has {length} bytes; `label_name_length_limit` is {limit}"
    )]
    LabelName {
        /// Its name.
        series: Box<str>,
        /// The label, cut off.
        name: Box<str>,
        /// Bytes that it has.
        length: u64,
        /// Bytes that it may have.
        limit: u64,
    },
    /// The value of one of its labels is too long.
    #[error(
        "the value of label `{name}` of series `{series}` has {length} bytes; `label_value_length_limit` is {limit}"
    )]
    LabelValue {
        /// Its name.
        series: Box<str>,
        /// The label.
        name: Box<str>,
        /// Bytes that its value has.
        length: u64,
        /// Bytes that it may have.
        limit: u64,
    },
    /// Relabelling took its name.
    #[error("a series has no name after `metric_relabel_configs`")]
    NoName,
    /// Its name, or that of a label, is not valid.
    #[error(
        "`{0}` is no valid name of a metric or label; `metric_name_validation_scheme` says which are"
    )]
    BadName(Box<str>),
}

impl SeriesRules {
    pub(super) fn new(target: &Labels, config: Arc<Config>) -> Self {
        Self {
            target: target.plain(),
            config,
        }
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// Tells whether every series is published as it is, whatever it is.
    pub(super) fn are_trivial(&self) -> bool {
        let Config {
            limits,
            name_validation,
            metric_relabel,
            ..
        } = &*self.config;
        metric_relabel.is_empty()
            && *name_validation == NameValidation::Utf8
            && limits.labels.is_none()
            && limits.label_name_length.is_none()
            && limits.label_value_length.is_none()
    }

    /// Decides on a series.
    pub(super) fn decide(&self, sample: &Sample<'_, '_>) -> Result<Fate, RefusedSeries> {
        // As in Prometheus: rules see bounds and quantiles in their one spelling.
        let exposed = sample.normalized();
        let mut labels = self.merge(sample.name, &exposed);
        let rules = &self.config.metric_relabel;
        if rules.is_empty() {
            let labels = labels.to_labels();
            self.check(&labels)?;
            return Ok(Fate::Kept(labels));
        }
        let before = labels.to_labels();
        if !rules.apply(&mut labels) {
            return Ok(Fate::Dropped);
        }
        let labels = labels.to_labels();
        if labels.is_empty() {
            return Ok(Fate::Dropped);
        }
        self.check(&labels)?;
        if labels == before && *exposed == *sample.labels && self.reads_the_same(&exposed) {
            return Ok(Fate::Kept(labels));
        }
        Ok(Fate::Rewritten(self.write(&labels), labels))
    }

    /// Joins a series' labels with the target's.
    fn merge(&self, name: &str, exposed: &[Label<'_>]) -> Builder {
        let named = std::iter::once((NAME, name));
        if self.config.honor_labels {
            let mut labels = Builder::new(self.target.iter().chain(named));
            // An empty value removes the target's.
            for label in exposed {
                labels.set(&label.name, &label.value);
            }
            return labels;
        }
        let mut labels = Builder::new(named);
        let mut displaced: Vec<&Label<'_>> = Vec::new();
        for label in exposed.iter().filter(|label| !label.value.is_empty()) {
            if self.target.get(&label.name).is_some() {
                displaced.push(label);
            } else {
                labels.set(&label.name, &label.value);
            }
        }
        for (name, value) in self.target.iter() {
            labels.set(name, value);
        }
        displaced.sort_by_key(|label| (label.name.len(), &label.name));
        for label in displaced {
            let mut free = format!("{EXPORTED}{}", label.name);
            while !labels.get(&free).is_empty() {
                free.insert_str(0, EXPORTED);
            }
            labels.set(&free, &label.value);
        }
        labels
    }

    /// Tells whether a series as it is exposed becomes what it is here when its labels are honored.
    fn reads_the_same(&self, exposed: &[Label<'_>]) -> bool {
        self.config.honor_labels
            || exposed
                .iter()
                .all(|label| self.target.get(&label.name).is_none())
    }

    fn check(&self, labels: &Labels) -> Result<(), RefusedSeries> {
        let name = labels.get(NAME).ok_or(RefusedSeries::NoName)?;
        if self.config.name_validation == NameValidation::Legacy {
            let is_bad = |(name, _): &(&str, &str)| !is_legacy(name, false);
            let bad = labels.iter().find(is_bad).map(|(name, _)| name);
            if let Some(bad) = bad.or_else(|| (!is_legacy(name, true)).then_some(name)) {
                return Err(RefusedSeries::BadName(shortened(bad)));
            }
        }
        let limits = self.config.limits;
        let length = |text: &str| text.len() as u64;
        if let Some(limit) = limits.labels
            && labels.len() as u64 > limit
        {
            return Err(RefusedSeries::LabelCount {
                series: shortened(name),
                count: labels.len() as u64,
                limit,
            });
        }
        for (label, value) in labels.iter() {
            if let Some(limit) = limits.label_name_length
                && length(label) > limit
            {
                return Err(RefusedSeries::LabelName {
                    series: shortened(name),
                    name: shortened(label),
                    length: length(label),
                    limit,
                });
            }
            if let Some(limit) = limits.label_value_length
                && length(value) > limit
            {
                return Err(RefusedSeries::LabelValue {
                    series: shortened(name),
                    name: shortened(label),
                    length: length(value),
                    limit,
                });
            }
        }
        Ok(())
    }

    /// Writes a series such that it has these labels once the target's that it lacks are added.
    fn write(&self, labels: &Labels) -> String {
        let removed = self.target.iter().filter_map(|(name, _)| {
            let is_removed = labels.get(name).is_none();
            is_removed.then_some((name, ""))
        });
        let own = labels
            .iter()
            .filter(|(name, value)| *name != NAME && self.target.get(name) != Some(value));
        write_series(labels.get(NAME).unwrap_or_default(), own.chain(removed))
    }
}

/// Writes a name and labels as an exposition has them.
pub(super) fn write_series<'l>(
    name: &str,
    labels: impl Iterator<Item = (&'l str, &'l str)>,
) -> String {
    let mut out = String::with_capacity(64);
    let is_plain = is_legacy(name, true);
    if is_plain {
        out.push_str(name);
    }
    let mut separator = '{';
    let mut begin = |out: &mut String| {
        out.push(separator);
        separator = ',';
    };
    if !is_plain {
        begin(&mut out);
        quote(name, &mut out);
    }
    let mut has_labels = !is_plain;
    for (name, value) in labels {
        begin(&mut out);
        if is_legacy(name, false) {
            out.push_str(name);
        } else {
            quote(name, &mut out);
        }
        out.push('=');
        quote(value, &mut out);
        has_labels = true;
    }
    if has_labels {
        out.push('}');
    }
    out
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Tells whether a name is valid everywhere; only that of a metric may have colons.
fn is_legacy(name: &str, is_metric: bool) -> bool {
    let is_start = |c: char| c.is_ascii_alphabetic() || c == '_' || (is_metric && c == ':');
    name.starts_with(is_start) && name.chars().all(|c| is_start(c) || c.is_ascii_digit())
}

/// Names are shown up to here.
const SHOWN_MAX: usize = 100;

fn shortened(text: &str) -> Box<str> {
    let mut short: String = text.chars().take(SHOWN_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::{Entry, Parser};
    use crate::model::Format;
    use crate::relabel::{Action, Rule, RuleSettings, Rules};
    use crate::scrape::tests::config;

    /// A target in zone `z`, with what its configuration says.
    fn rules(change: impl FnOnce(&mut Config)) -> SeriesRules {
        let mut config = config();
        change(&mut config);
        let target = [
            ("instance", "i"),
            ("job", "j"),
            ("zone", "z"),
            ("__honor_labels__", "true"),
        ];
        SeriesRules::new(&Labels::new(target), Arc::new(config))
    }

    fn decide(rules: &SeriesRules, series: &str) -> Result<Fate, RefusedSeries> {
        let line = format!("{series} 1\n");
        let mut parser = Parser::new(line.as_bytes(), Format::Text);
        let Some(Ok(Entry::Sample(sample))) = parser.next() else {
            panic!("{series} is no series");
        };
        rules.decide(&sample)
    }

    fn rule(settings: RuleSettings) -> Rules {
        Rules::new(vec![Rule::new(settings).unwrap()])
    }

    #[track_caller]
    fn check(rules: &SeriesRules, series: &str, expected: &str, labels: &str) {
        let (text, got) = match decide(rules, series).unwrap() {
            Fate::Kept(labels) => (series.to_owned(), labels),
            Fate::Rewritten(text, labels) => (text, labels),
            Fate::Dropped => ("dropped".to_owned(), Labels::default()),
        };
        assert_eq!(text, expected, "{series}");
        let got: Vec<_> = got.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(got.join(" "), labels, "{series}");
    }

    #[test]
    fn what_no_rule_changes_is_published_as_it_is() {
        let plain = rules(|config| config.limits.labels = Some(10));
        check(
            &plain,
            "up{a=\"b\"}",
            "up{a=\"b\"}",
            "__name__=up a=b instance=i job=j zone=z",
        );
        check(
            &plain,
            "up{job=\"mine\",zone=\"\"}",
            "up{job=\"mine\",zone=\"\"}",
            "__name__=up exported_job=mine instance=i job=j zone=z",
        );
    }

    #[test]
    fn honored_labels_win_and_empty_ones_remove() {
        let honoring = rules(|config| {
            config.honor_labels = true;
            config.limits.labels = Some(10);
        });
        let series = "up{job=\"mine\",zone=\"\"}";
        check(&honoring, series, series, "__name__=up instance=i job=mine");
    }

    #[test]
    fn rules_see_the_labels_of_the_target_and_may_change_them() {
        let settings = |action| RuleSettings {
            action,
            ..RuleSettings::default()
        };
        let renaming = rules(|config| {
            config.metric_relabel = rule(RuleSettings {
                source_labels: vec!["__name__".to_owned(), "zone".to_owned()],
                regex: Some("(.*);z".to_owned()),
                target_label: "__name__".to_owned(),
                replacement: "${1}_z".to_owned(),
                ..settings(Action::Replace)
            });
        });
        check(
            &renaming,
            "up{b=\"1\",a=\"q\\\"\"}",
            "up_z{a=\"q\\\"\",b=\"1\"}",
            "__name__=up_z a=q\" b=1 instance=i job=j zone=z",
        );
        let without_job = rules(|config| {
            config.metric_relabel = rule(RuleSettings {
                regex: Some("job|exported_job".to_owned()),
                ..settings(Action::LabelDrop)
            });
        });
        check(
            &without_job,
            "up{job=\"mine\"}",
            "up{job=\"\"}",
            "__name__=up instance=i zone=z",
        );
        check(
            &without_job,
            "up",
            "up{job=\"\"}",
            "__name__=up instance=i zone=z",
        );
        let dropping = rules(|config| {
            config.metric_relabel = rule(RuleSettings {
                source_labels: vec!["__name__".to_owned()],
                regex: Some("go_.*".to_owned()),
                ..settings(Action::Drop)
            });
        });
        check(&dropping, "go_threads", "dropped", "");
        // A displaced label has its new name already when rules see it, so it must be written so.
        check(
            &dropping,
            "up{job=\"mine\"}",
            "up{exported_job=\"mine\"}",
            "__name__=up exported_job=mine instance=i job=j zone=z",
        );
    }

    #[test]
    fn limits_count_the_labels_of_the_target_and_the_name() {
        let limited = rules(|config| config.limits.labels = Some(4));
        decide(&limited, "up").unwrap();
        let error = decide(&limited, "up{a=\"b\"}").unwrap_err();
        assert_eq!(
            error.to_string(),
            "series `up` has 5 labels; `label_limit` is 4"
        );
        let limited = rules(|config| config.limits.label_name_length = Some(8));
        decide(&limited, "up{abcdefgh=\"1\"}").unwrap();
        let error = decide(&limited, "up{abcdefghi=\"1\"}").unwrap_err();
        assert!(matches!(error, RefusedSeries::LabelName { .. }), "{error}");
        let limited = rules(|config| config.limits.label_value_length = Some(3));
        decide(&limited, "up{a=\"123\"}").unwrap();
        let error = decide(&limited, "up{a=\"1234\"}").unwrap_err();
        assert!(matches!(error, RefusedSeries::LabelValue { .. }), "{error}");
    }

    #[test]
    fn rules_see_bounds_in_their_one_spelling() {
        let labeling = rules(|config| {
            config.metric_relabel = rule(RuleSettings {
                source_labels: vec!["le".to_owned()],
                regex: Some("1\\.0".to_owned()),
                target_label: "one".to_owned(),
                replacement: "yes".to_owned(),
                ..RuleSettings::default()
            });
        });
        let body = b"# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"2\"} 1\n";
        let mut parser = Parser::new(body, Format::Text);
        let mut written = Vec::new();
        while let Some(entry) = parser.next() {
            if let Entry::Sample(sample) = entry.unwrap() {
                match labeling.decide(&sample).unwrap() {
                    Fate::Rewritten(text, _) => written.push(text),
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(
            written,
            ["h_bucket{le=\"1.0\",one=\"yes\"}", "h_bucket{le=\"2.0\"}"]
        );
    }

    #[test]
    fn names_of_all_of_utf8_may_be_refused() {
        let legacy = rules(|config| config.name_validation = NameValidation::Legacy);
        decide(&legacy, "a:b{c=\"d\"}").unwrap();
        for series in ["{\"my.metric\"}", "up{\"a.b\"=\"c\"}", "{\"1\"}"] {
            let error = decide(&legacy, series).unwrap_err();
            assert!(matches!(error, RefusedSeries::BadName(_)), "{error}");
        }
    }

    #[test]
    fn names_that_need_quotes_get_them() {
        let written = write_series("a.b", [("c d", "e\nf\\")].into_iter());
        assert_eq!(written, r#"{"a.b","c d"="e\nf\\"}"#);
        assert_eq!(write_series("a", std::iter::empty()), "a");
        assert_eq!(write_series("ä", std::iter::empty()), r#"{"ä"}"#);
    }
}
