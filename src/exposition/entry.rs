//! What a body consists of.

use std::borrow::Cow;

use super::float_labels::normalized_labels;

/// One entry of a body, in the order of the body.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry<'p, 'a> {
    /// `# HELP`
    Help {
        /// The metric family, unescaped.
        family: Cow<'a, str>,
        /// The help text, unescaped.
        text: Cow<'a, str>,
    },
    /// `# TYPE`
    Type {
        /// The metric family, unescaped.
        family: Cow<'a, str>,
        /// Its type.
        kind: FamilyKind,
    },
    /// `# UNIT`; `OpenMetrics` only.
    Unit {
        /// The metric family, unescaped.
        family: Cow<'a, str>,
        /// Its unit, perhaps empty.
        unit: &'a str,
    },
    /// Any other line that begins with `#`, from there on, as far as it is UTF-8; text format only.
    Comment(&'a str),
    /// A value of a series.
    Sample(Sample<'p, 'a>),
}

/// A value of a series.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample<'p, 'a> {
    /// The metric name, unescaped, also when it stands in the braces.
    pub name: &'p str,
    /// The labels in the order of the body, each name once, without `__name__`.
    pub labels: &'p [Label<'a>],
    /// The value; every NaN has the bits of Prometheus's own.
    pub value: f64,
    /// Milliseconds since the Unix epoch, if the body says.
    pub timestamp_ms: Option<i64>,
    /// The exemplar; `OpenMetrics` only.
    pub exemplar: Option<Exemplar<'p, 'a>>,
    /// The line that the sample begins in, counted from 1.
    pub line: usize,
    /// Name and label set as written: the identity of the series within its target's bodies.
    pub text: &'a str,
    /// The type that the last `# TYPE` above says, of whichever family.
    pub kind: FamilyKind,
}

impl<'p, 'a> Sample<'p, 'a> {
    /// Returns the labels as Prometheus 3 stores them: bounds of histograms and quantiles of
    /// summaries are spelled as `OpenMetrics` spells them, such as `1.0` for `1`.
    ///
    /// As in Prometheus it is the last `# TYPE` above that counts, whatever the sample's name.
    pub fn normalized(&self) -> Cow<'p, [Label<'a>]> {
        normalized_labels(self.kind, self.labels)
    }
}

/// An example of what a sample counts, such as a trace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exemplar<'p, 'a> {
    /// The labels in the order of the body; their names may repeat.
    pub labels: &'p [Label<'a>],
    /// The value.
    pub value: f64,
    /// Milliseconds since the Unix epoch, if the body says.
    pub timestamp_ms: Option<i64>,
}

/// A label, unescaped. The value may be empty, which Prometheus reads as no label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label<'a> {
    /// The name.
    pub name: Cow<'a, str>,
    /// The value.
    pub value: Cow<'a, str>,
}

/// The type of a metric family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FamilyKind {
    /// Only ever rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Cumulative buckets that only ever rise.
    Histogram,
    /// Cumulative buckets that rise and fall; `OpenMetrics` only.
    GaugeHistogram,
    /// Quantiles.
    Summary,
    /// Always 1, the labels matter; `OpenMetrics` only.
    Info,
    /// One series per state; `OpenMetrics` only.
    StateSet,
    /// Not said; `untyped` in the text format.
    Unknown,
}

impl FamilyKind {
    /// Returns the type's word in `OpenMetrics`, which Prometheus's metadata uses too.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Summary => "summary",
            Self::Info => "info",
            Self::StateSet => "stateset",
            Self::Unknown => "unknown",
        }
    }

    pub(super) fn parse_text(word: &[u8]) -> Option<Self> {
        Some(match word {
            b"counter" => Self::Counter,
            b"gauge" => Self::Gauge,
            b"histogram" => Self::Histogram,
            b"summary" => Self::Summary,
            b"untyped" => Self::Unknown,
            _ => return None,
        })
    }

    pub(super) fn parse_openmetrics(word: &[u8]) -> Option<Self> {
        Some(match word {
            b"counter" => Self::Counter,
            b"gauge" => Self::Gauge,
            b"histogram" => Self::Histogram,
            b"gaugehistogram" => Self::GaugeHistogram,
            b"summary" => Self::Summary,
            b"info" => Self::Info,
            b"stateset" => Self::StateSet,
            b"unknown" => Self::Unknown,
            _ => return None,
        })
    }
}
