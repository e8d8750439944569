//! Metrics of protobuf messages in the words of the text formats.

use std::fmt::Write as _;

use super::super::entry::FamilyKind;
use super::super::float_labels::openmetrics_float;
use super::super::write::{
    is_label_name, is_metric_name, push_escaped, push_name, push_string, push_value,
};
use super::error::Fault;
use super::messages::{Exemplar, Histogram, Kind, Metric, Summary};
use crate::model::Format;

/// Why a body cannot go on as it began.
#[derive(Debug)]
pub(super) enum Stop {
    /// It is refused.
    Fault(Fault),
    /// The text format has no word for it, `OpenMetrics` has.
    NeedsOpenMetrics,
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// A body as text, as far as it is written.
pub(super) struct Writer {
    pub(super) format: Format,
    pub(super) text: String,
    /// How long all texts may become together.
    limit: usize,
    /// The length of the texts that are no part of the body.
    beside: usize,
}

/// A series of a metric: the family's name and a suffix, the metric's labels and one of ours.
#[derive(Clone, Copy)]
pub(super) struct Series<'s> {
    pub(super) name: &'s str,
    pub(super) suffix: &'static str,
    pub(super) labels: &'s [(&'s str, &'s str)],
    pub(super) own: Option<(&'static str, &'s str)>,
}

impl Writer {
    pub(super) fn new(format: Format, limit: usize) -> Self {
        Self {
            format,
            text: String::new(),
            limit,
            beside: 0,
        }
    }

    /// Writes help, type and unit of a family.
    pub(super) fn metadata(
        &mut self,
        name: &str,
        kind: Kind,
        (help, unit): (&str, &str),
    ) -> Result<(), Stop> {
        let is_openmetrics = self.format == Format::OpenMetrics;
        // A byte 0 has no place there.
        if !help.is_empty() && !help.contains('\0') {
            self.comment("# HELP ", name);
            push_escaped(help, &[('\\', "\\\\"), ('\n', "\\n")], &mut self.text);
            self.text.push('\n');
        }
        let word = match kind {
            Kind::Untyped if !is_openmetrics => "untyped",
            Kind::Untyped => FamilyKind::Unknown.as_str(),
            Kind::Counter => FamilyKind::Counter.as_str(),
            Kind::Gauge => FamilyKind::Gauge.as_str(),
            Kind::Summary => FamilyKind::Summary.as_str(),
            Kind::Histogram => FamilyKind::Histogram.as_str(),
            Kind::GaugeHistogram if !is_openmetrics => return Err(Stop::NeedsOpenMetrics),
            Kind::GaugeHistogram => FamilyKind::GaugeHistogram.as_str(),
        };
        self.comment("# TYPE ", name);
        self.text.push_str(word);
        self.text.push('\n');
        // Only a unit that the name ends in can be spelled.
        let is_in_name = |unit| {
            let stem = name.strip_suffix(unit);
            stem.is_some_and(|stem| stem.ends_with('_'))
        };
        let is_plain = !unit.contains(['\n', '\0']);
        if !unit.is_empty() && is_plain && is_in_name(unit) {
            if !is_openmetrics {
                return Err(Stop::NeedsOpenMetrics);
            }
            self.comment("# UNIT ", name);
            self.text.push_str(unit);
            self.text.push('\n');
        }
        self.check_limit()
    }

    fn comment(&mut self, start: &str, name: &str) {
        self.text.push_str(start);
        push_name(name, is_metric_name, &mut self.text);
        self.text.push(' ');
    }

    /// Writes a counter, gauge or untyped metric.
    pub(super) fn simple(&mut self, name: &str, metric: &Metric<'_>) -> Result<(), Stop> {
        let series = Series::plain(name, metric);
        let exemplar = metric.exemplar.as_ref();
        self.sample(series, metric.value, metric.timestamp_ms, exemplar)
    }

    /// Writes a summary: quantiles first, as text always has them.
    pub(super) fn summary(&mut self, name: &str, metric: &Metric<'_>) -> Result<(), Stop> {
        let series = Series::plain(name, metric);
        let time = metric.timestamp_ms;
        let Summary {
            count,
            sum,
            quantiles,
        } = &metric.summary;
        for (quantile, value) in quantiles {
            let quantile = openmetrics_float(*quantile);
            let series = series.with("quantile", &quantile)?;
            self.sample(series, *value, time, None)?;
        }
        self.sample(series.part("_sum"), *sum, time, None)?;
        #[expect(
            clippy::cast_precision_loss,
            reason = "samples are doubles, as in Prometheus"
        )]
        self.sample(series.part("_count"), *count as f64, time, None)
    }

    /// Writes a classic histogram; what stands behind the bucket without a bound is left out.
    pub(super) fn histogram(&mut self, name: &str, metric: &Metric<'_>) -> Result<(), Stop> {
        let series = Series::plain(name, metric);
        let time = metric.timestamp_ms;
        let histogram: &Histogram<'_> = &metric.histogram;
        let count = histogram.classic_count();
        let mut has_last = false;
        for bucket in &histogram.buckets {
            let bound = openmetrics_float(bucket.bound);
            let series = series.part("_bucket").with("le", &bound)?;
            let exemplar = bucket.exemplar.as_ref();
            self.sample(series, bucket.cumulative_count(), time, exemplar)?;
            has_last = bucket.bound == f64::INFINITY;
            if has_last {
                break;
            }
        }
        if !has_last {
            let series = series.part("_bucket").with("le", "+Inf")?;
            self.sample(series, count, time, None)?;
        }
        self.sample(series.part("_sum"), histogram.sum, time, None)?;
        self.sample(series.part("_count"), count, time, None)
    }

    fn sample(
        &mut self,
        series: Series<'_>,
        value: f64,
        time_ms: i64,
        exemplar: Option<&Exemplar<'_>>,
    ) -> Result<(), Stop> {
        series.put(&mut self.text);
        self.text.push(' ');
        push_value(value, &mut self.text);
        // In these messages 0 is no time.
        if time_ms != 0 {
            self.text.push(' ');
            match self.format {
                Format::Text if time_ms < 0 => return Err(Stop::NeedsOpenMetrics),
                Format::Text => self.text.push_str(&time_ms.to_string()),
                Format::OpenMetrics => push_seconds(time_ms, &mut self.text),
            }
        }
        if let Some(exemplar) = exemplar {
            if self.format == Format::Text {
                return Err(Stop::NeedsOpenMetrics);
            }
            push_exemplar(exemplar, &mut self.text);
        }
        self.text.push('\n');
        self.check_limit()
    }

    /// Returns a series' name and labels as they would stand in the body.
    pub(super) fn beside(&mut self, name: &str, metric: &Metric<'_>) -> Result<Box<str>, Stop> {
        let mut text = String::new();
        Series::plain(name, metric).put(&mut text);
        self.beside += text.len();
        self.check_limit()?;
        Ok(text.into())
    }

    fn check_limit(&self) -> Result<(), Stop> {
        if self.text.len() + self.beside > self.limit {
            return Err(Stop::Fault(Fault::TooLarge(self.limit)));
        }
        Ok(())
    }

    /// Ends the body.
    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text.into_bytes()
    }
}

impl<'s> Series<'s> {
    fn plain(name: &'s str, metric: &'s Metric<'_>) -> Self {
        Self {
            name,
            suffix: "",
            labels: &metric.labels,
            own: None,
        }
    }

    fn part(self, suffix: &'static str) -> Self {
        Self { suffix, ..self }
    }

    fn with(self, name: &'static str, value: &'s str) -> Result<Self, Fault> {
        if self.labels.iter().any(|(known, _)| *known == name) {
            return Err(Fault::DuplicateLabel(name.into()));
        }
        Ok(Self {
            own: Some((name, value)),
            ..self
        })
    }

    fn put(self, out: &mut String) {
        let is_plain = is_metric_name(self.name);
        if is_plain {
            out.push_str(self.name);
            out.push_str(self.suffix);
        }
        if is_plain && self.labels.is_empty() && self.own.is_none() {
            return;
        }
        let mut separator = "{";
        if !is_plain {
            out.push('{');
            push_string(&[self.name, self.suffix].concat(), out);
            separator = ",";
        }
        for (name, value) in self.labels.iter().copied().chain(self.own) {
            out.push_str(separator);
            push_label(name, value, out);
            separator = ",";
        }
        out.push('}');
    }
}

fn push_label(name: &str, value: &str, out: &mut String) {
    push_name(name, is_label_name, out);
    out.push('=');
    push_string(value, out);
}

fn push_exemplar(exemplar: &Exemplar<'_>, out: &mut String) {
    out.push_str(" # {");
    let mut separator = "";
    for (name, value) in &exemplar.labels {
        out.push_str(separator);
        push_label(name, value, out);
        separator = ",";
    }
    out.push_str("} ");
    push_value(exemplar.value, out);
    if let Some(timestamp) = exemplar.timestamp {
        out.push(' ');
        push_seconds(timestamp.millis(), out);
    }
}

/// Writes a time in seconds.
fn push_seconds(time_ms: i64, out: &mut String) {
    if time_ms < 0 {
        out.push('-');
    }
    let (seconds, millis) = (time_ms.unsigned_abs() / 1000, time_ms.unsigned_abs() % 1000);
    // Readers multiply by 1000 and cut off, so half a millisecond keeps it from being one less.
    // A `String` takes everything.
    write!(out, "{seconds}.{millis:03}5").ok();
}
