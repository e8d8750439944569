//! Writing text format 0.0.4, as strictly as Go's `expfmt` reads it.
//!
//! `expfmt`, which the Pushgateway uses, refuses a whole body for a second `TYPE` of one name, a
//! quantile that is no number, or a family that is named like a part of a histogram; and it
//! silently loses what does not fit a histogram or summary, fractions of its counts included.
//! So families are written such that nothing of this occurs; what cannot be written is counted.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::entry::{FamilyKind, Label};
use super::families::{Families, Family, FamilySample};
use super::number::parse_value;

/// How to write a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteOptions {
    /// What to do with timestamps.
    pub timestamps: Timestamps,
    /// What to do with names that need quotes.
    pub names: Names,
}

/// What to do with timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timestamps {
    /// Write them. The text format has none before 1970; samples that do are left out.
    Keep,
    /// Leave them out: the Pushgateway refuses them.
    Omit,
}

/// What to do with names that need quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// Write them in quotes, which Prometheus reads from version 3 on.
    Quote,
    /// Leave out the samples that have them: the Pushgateway 1.5 refuses them.
    LeaveOut,
}

/// What was written, and what was left out for which reason; all are numbers of samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Written.
    pub samples: usize,
    /// Left out: a name that needs quotes.
    pub bad_names: usize,
    /// Left out: the same series is there already.
    pub repeated: usize,
    /// Left out: the metric is named like a part of a histogram or summary of the same body.
    pub colliding: usize,
    /// Left out: a time before 1970.
    pub bad_timestamps: usize,
}

/// Writes families to the end of `out`. Exemplars and units are not written.
pub fn write_text(families: &Families<'_>, options: WriteOptions, out: &mut String) -> Written {
    let groups = group(families);
    let colliding = part_names(&groups);
    let mut written = Written::default();
    for group in &groups {
        if !group.has_parts() && colliding.contains(&*group.name) {
            written.colliding += group.samples.len();
        } else {
            group.write(options, out, &mut written);
        }
    }
    written
}

/// What becomes one family of the text format.
struct Group<'f, 'a> {
    name: Cow<'f, str>,
    kind: FamilyKind,
    help: Option<&'f str>,
    samples: Vec<&'f FamilySample<'a>>,
}

/// Forms the families of the text format: those of `OpenMetrics` fall apart where their samples
/// have several names and the text format has no such type.
fn group<'f, 'a>(families: &'f Families<'a>) -> Vec<Group<'f, 'a>> {
    let mut groups: Vec<Group<'f, 'a>> = Vec::new();
    let mut index: HashMap<&str, usize> = HashMap::new();
    for family in families {
        let has_parts = match family.kind {
            FamilyKind::Histogram => is_histogram(family),
            FamilyKind::Summary => is_summary(family),
            _ => false,
        };
        for sample in &family.samples {
            let is_part = has_parts && !is_created(family, sample);
            let (name, kind) = if is_part {
                (&*family.name, family.kind)
            } else {
                (&*sample.name, kind_alone(family, sample))
            };
            let at = *index.entry(name).or_insert_with(|| {
                groups.push(Group {
                    name: Cow::Borrowed(name),
                    kind,
                    help: family.help.as_deref(),
                    samples: Vec::new(),
                });
                groups.len() - 1
            });
            if let Some(group) = groups.get_mut(at) {
                group.samples.push(sample);
            }
        }
    }
    groups
}

/// Returns the names that belong to histograms and summaries, apart from their own.
fn part_names(groups: &[Group<'_, '_>]) -> HashSet<String> {
    let mut names = HashSet::new();
    for group in groups.iter().filter(|group| group.has_parts()) {
        names.insert(format!("{}_sum", group.name));
        names.insert(format!("{}_count", group.name));
        if group.kind == FamilyKind::Histogram {
            names.insert(format!("{}_bucket", group.name));
        }
    }
    names
}

fn is_created(family: &Family<'_>, sample: &FamilySample<'_>) -> bool {
    sample.name.strip_prefix(&*family.name) == Some("_created")
}

/// The type of a family that consists of one name of another family.
fn kind_alone(family: &Family<'_>, sample: &FamilySample<'_>) -> FamilyKind {
    match family.kind {
        _ if is_created(family, sample) => FamilyKind::Unknown,
        FamilyKind::Counter => FamilyKind::Counter,
        FamilyKind::Gauge | FamilyKind::Info | FamilyKind::StateSet => FamilyKind::Gauge,
        FamilyKind::Histogram
        | FamilyKind::GaugeHistogram
        | FamilyKind::Summary
        | FamilyKind::Unknown => FamilyKind::Unknown,
    }
}

fn is_histogram(family: &Family<'_>) -> bool {
    family.samples.iter().all(|sample| {
        let bound = sample.label("le");
        match sample.name.strip_prefix(&*family.name) {
            Some("_bucket") => bound.is_some_and(is_number) && is_count(sample.value),
            Some("_count") => bound.is_none() && is_count(sample.value),
            Some("_sum") => bound.is_none(),
            Some("_created") => true,
            _ => false,
        }
    })
}

fn is_summary(family: &Family<'_>) -> bool {
    family.samples.iter().all(|sample| {
        let quantile = sample.label("quantile");
        match sample.name.strip_prefix(&*family.name) {
            Some("") => quantile.is_some_and(is_number),
            Some("_count") => quantile.is_none() && is_count(sample.value),
            Some("_sum") => quantile.is_none(),
            Some("_created") => true,
            _ => false,
        }
    })
}

fn is_number(text: &str) -> bool {
    parse_value(text.as_bytes()).is_ok_and(|number| !number.is_nan())
}

/// Tells whether a value survives the unsigned integers that `expfmt` keeps counts in.
fn is_count(value: f64) -> bool {
    /// Up to here each whole number is a double of its own.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    (0.0..=EXACT_MAX).contains(&value) && value.fract() == 0.0 && value.is_sign_positive()
}

impl Group<'_, '_> {
    fn has_parts(&self) -> bool {
        matches!(self.kind, FamilyKind::Histogram | FamilyKind::Summary)
    }

    fn write(&self, options: WriteOptions, out: &mut String, written: &mut Written) {
        let may_quote = options.names == Names::Quote;
        if !may_quote && !is_metric_name(&self.name) {
            written.bad_names += self.samples.len();
            return;
        }
        let start = out.len();
        self.write_metadata(out);
        let samples_before = written.samples;
        let mut seen = HashSet::with_capacity(self.samples.len());
        for sample in &self.samples {
            let are_plain = sample.labels.iter().all(|label| is_label_name(&label.name));
            let timestamp_ms = match options.timestamps {
                Timestamps::Keep => sample.timestamp_ms,
                Timestamps::Omit => None,
            };
            if !may_quote && !are_plain {
                written.bad_names += 1;
            } else if timestamp_ms.is_some_and(|timestamp_ms| timestamp_ms < 0) {
                written.bad_timestamps += 1;
            } else if !seen.insert(identity(sample)) {
                written.repeated += 1;
            } else {
                written.samples += 1;
                write_sample(sample, timestamp_ms, out);
            }
        }
        if written.samples == samples_before {
            out.truncate(start);
        }
    }

    fn write_metadata(&self, out: &mut String) {
        if let Some(help) = self.help {
            out.push_str("# HELP ");
            push_name(&self.name, is_metric_name, out);
            out.push(' ');
            // Readers take blanks alone for part of what stands between name and text.
            let is_blank = help.bytes().all(|byte| matches!(byte, b' ' | b'\t'));
            let help = if is_blank { "" } else { help };
            push_escaped(help, &[('\\', "\\\\"), ('\n', "\\n")], out);
            out.push('\n');
        }
        out.push_str("# TYPE ");
        push_name(&self.name, is_metric_name, out);
        out.push_str(match self.kind {
            FamilyKind::Counter => " counter\n",
            FamilyKind::Gauge => " gauge\n",
            FamilyKind::Histogram => " histogram\n",
            FamilyKind::Summary => " summary\n",
            _ => " untyped\n",
        });
    }
}

/// What makes two samples the same series: label order and empty values do not.
fn identity<'s>(sample: &'s FamilySample<'_>) -> (&'s str, Vec<(&'s str, &'s str)>) {
    let mut labels: Vec<_> = sample
        .labels
        .iter()
        .filter(|label| !label.value.is_empty())
        .map(|label| (&*label.name, &*label.value))
        .collect();
    labels.sort_unstable();
    (&sample.name, labels)
}

fn write_sample(sample: &FamilySample<'_>, timestamp_ms: Option<i64>, out: &mut String) {
    let is_plain = is_metric_name(&sample.name);
    if is_plain {
        out.push_str(&sample.name);
    }
    if !is_plain || !sample.labels.is_empty() {
        out.push('{');
        let mut separator = "";
        if !is_plain {
            push_name(&sample.name, is_metric_name, out);
            separator = ",";
        }
        for Label { name, value } in &sample.labels {
            out.push_str(separator);
            push_name(name, is_label_name, out);
            out.push('=');
            push_string(value, out);
            separator = ",";
        }
        out.push('}');
    }
    out.push(' ');
    push_value(sample.value, out);
    if let Some(timestamp_ms) = timestamp_ms {
        out.push(' ');
        out.push_str(&timestamp_ms.to_string());
    }
    out.push('\n');
}

/// Writes a value such that it reads back as the same double.
pub(super) fn push_value(value: f64, out: &mut String) {
    /// Below and above, plain digits are longer than an exponent.
    const PLAIN: std::ops::Range<f64> = 1e-5..1e17;
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else {
        let is_plain = value == 0.0 || PLAIN.contains(&value.abs());
        let text = if is_plain {
            value.to_string()
        } else {
            format!("{value:e}")
        };
        out.push_str(&text);
    }
}

pub(super) fn push_name(name: &str, is_plain: impl Fn(&str) -> bool, out: &mut String) {
    if is_plain(name) {
        out.push_str(name);
    } else {
        push_string(name, out);
    }
}

pub(super) fn push_string(text: &str, out: &mut String) {
    out.push('"');
    push_escaped(text, &[('\\', "\\\\"), ('\n', "\\n"), ('"', "\\\"")], out);
    out.push('"');
}

pub(super) fn push_escaped(text: &str, escapes: &[(char, &str)], out: &mut String) {
    if !text.contains(['\\', '\n', '"']) {
        out.push_str(text);
        return;
    }
    for c in text.chars() {
        match escapes.iter().find(|(plain, _)| *plain == c) {
            Some((_, escaped)) => out.push_str(escaped),
            None => out.push(c),
        }
    }
}

/// Tells whether a metric name needs no quotes.
pub(super) fn is_metric_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':'))
}

/// Tells whether a label name needs no quotes.
pub(super) fn is_label_name(name: &str) -> bool {
    !name.contains(':') && is_metric_name(name)
}
