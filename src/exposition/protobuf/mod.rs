//! The protobuf format: delimited `io.prometheus.client.MetricFamily` messages.
//!
//! In: a body. Out: its series as text that says the same, and its native histograms, for which
//! the text formats have no words, as messages of their own ([`Histogram::decode`] reads them).
//! What is read and what is refused is what Prometheus 3 reads and refuses; the names, bounds and
//! quantiles are those that it stores.
//! This module alone knows these messages. It must never panic, take memory for what is not there,
//! or write more text than it is allowed to, whatever the bytes: a few of them can stand for many
//! lines, each with the labels of all.

mod error;
mod fields;
mod messages;
mod native;
pub(crate) mod put;
mod text;

/// The messages as a generator reads and writes them, for a second opinion.
#[cfg(test)]
#[path = "../../../tests/support/client_model.rs"]
mod client_model;
#[cfg(test)]
mod tests;

pub use error::{Fault, HistogramFault, ProtobufError};
pub use messages::Span;
pub use native::{Buckets, CUSTOM_SCHEMA, Counts, Histogram, HistogramExemplar};
pub(crate) use native::{deltas, spans};

use std::collections::HashSet;

use bytes::Bytes;

use crate::model::Format;
use fields::Fields;
use messages::{Family, Kind, Metric, for_each_metric};
use text::{Stop, Writer};

/// How to read a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Whether native histograms are taken (`scrape_native_histograms`); without, they are read
    /// as classic ones.
    pub native_histograms: bool,
    /// Whether those that are taken have their classic series, too
    /// (`always_scrape_classic_histograms`).
    pub classic_histograms: bool,
    /// Whether explicit timestamps are taken (`honor_timestamps`).
    pub honor_timestamps: bool,
    /// The format that was chosen for the target's last body. `OpenMetrics` stays, so that the
    /// target keeps its shape when an exemplar or the like comes and goes.
    pub last: Option<Format>,
    /// Bytes that the text may have.
    pub text_limit: usize,
}

/// A body in other words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// All series with numbers for values.
    pub text: Vec<u8>,
    /// The format of the text: 0.0.4, unless something is there that only `OpenMetrics` has:
    /// exemplars, units, histograms of gauges, or times before 1970.
    pub format: Format,
    /// The native histograms, in the order of the body.
    pub histograms: Vec<NativeHistogram>,
}

/// A sample whose value is a native histogram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeHistogram {
    /// Its series, name and labels as the text formats write them.
    pub series: Box<str>,
    /// The histogram; see [`Histogram::decode`].
    pub message: Bytes,
}

/// Reads a body.
pub fn read(body: &[u8], options: &Options) -> Result<Read, ProtobufError> {
    let format = options.last.unwrap_or(Format::Text);
    match Reader::new(options, format).run(body) {
        Ok(read) => Ok(read),
        Err((_, _, Stop::NeedsOpenMetrics)) => Reader::new(options, Format::OpenMetrics)
            .run(body)
            .map_err(located),
        Err(stopped) => Err(located(stopped)),
    }
}

/// Where it was stopped: at which byte, in which family.
type Stopped<'a> = (usize, &'a [u8], Stop);

fn located((at, family, stop): Stopped<'_>) -> ProtobufError {
    let fault = match stop {
        Stop::Fault(fault) => fault,
        // `OpenMetrics` has words for everything.
        Stop::NeedsOpenMetrics => Fault::WireType,
    };
    fault.locate(at, family)
}

struct Reader<'o> {
    options: &'o Options,
    writer: Writer,
    histograms: Vec<NativeHistogram>,
}

impl<'o> Reader<'o> {
    fn new(options: &'o Options, format: Format) -> Self {
        Self {
            options,
            writer: Writer::new(format, options.text_limit),
            histograms: Vec::new(),
        }
    }

    fn run(mut self, body: &[u8]) -> Result<Read, Stopped<'_>> {
        let mut messages = Fields::new(body);
        loop {
            let at = body.len() - messages.remaining();
            let message = messages
                .delimited()
                .map_err(|fault| (at, &[][..], Stop::Fault(fault)))?;
            let Some(message) = message else { break };
            let family = Family::read(message)
                .map_err(|(family, fault)| (at, family.name, Stop::Fault(fault)))?;
            self.family(message, &family)
                .map_err(|stop| (at, family.name, stop))?;
        }
        Ok(Read {
            format: self.writer.format,
            text: self.writer.finish(),
            histograms: self.histograms,
        })
    }

    fn family(&mut self, message: &[u8], family: &Family<'_>) -> Result<(), Stop> {
        if !family.has_metrics {
            return Ok(());
        }
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_invalid| Fault::Utf8);
        let (name, help) = (text(family.name)?, text(family.help)?);
        let unit = text(family.unit).unwrap_or_default();
        if name.is_empty() {
            return Err(Fault::MissingName.into());
        }
        if name.contains('\0') {
            return Err(Fault::NulByte.into());
        }
        let kind = Kind::new(family.kind).ok_or(Fault::UnknownType(family.kind))?;
        let mut has_metadata = false;
        for_each_metric(message, kind, |metric| {
            self.metric(name, kind, metric, |writer| {
                if has_metadata {
                    return Ok(());
                }
                has_metadata = true;
                writer.metadata(name, kind, (help, unit))
            })
        })
    }

    /// Writes a metric; `metadata` goes before the first of a family that is written as text.
    fn metric(
        &mut self,
        name: &str,
        kind: Kind,
        metric: &mut Metric<'_>,
        metadata: impl FnOnce(&mut Writer) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        check_distinct(&metric.labels)?;
        if !self.options.honor_timestamps {
            metric.timestamp_ms = 0;
        }
        let is_native =
            kind.is_histogram() && self.options.native_histograms && metric.histogram.is_native();
        if is_native {
            self.native(name, kind, metric)?;
            let is_classic = !metric.histogram.buckets.is_empty();
            if !self.options.classic_histograms || !is_classic {
                return Ok(());
            }
        }
        metadata(&mut self.writer)?;
        match kind {
            Kind::Counter | Kind::Gauge | Kind::Untyped => self.writer.simple(name, metric),
            Kind::Summary => self.writer.summary(name, metric),
            Kind::Histogram | Kind::GaugeHistogram => self.writer.histogram(name, metric),
        }
    }

    fn native(&mut self, name: &str, kind: Kind, metric: &Metric<'_>) -> Result<(), Stop> {
        let timestamp_ms = Some(metric.timestamp_ms).filter(|time_ms| *time_ms != 0);
        let is_gauge = kind == Kind::GaugeHistogram;
        let histogram = Histogram::new(&metric.histogram, is_gauge, timestamp_ms);
        let histogram = histogram.map_err(Fault::Histogram)?;
        self.histograms.push(NativeHistogram {
            series: self.writer.beside(name, metric)?,
            message: histogram.encode().into(),
        });
        Ok(())
    }
}

/// Up to so many labels comparing with each other is faster than hashing.
const COMPARED_MAX: usize = 16;

/// Refuses labels of one name; the name of the metric is one.
fn check_distinct(labels: &[(&str, &str)]) -> Result<(), Fault> {
    let mut seen = HashSet::new();
    for (at, (name, _)) in labels.iter().enumerate() {
        let is_known = if labels.len() <= COMPARED_MAX {
            labels.iter().take(at).any(|(known, _)| known == name)
        } else {
            !seen.insert(*name)
        };
        if is_known || *name == "__name__" {
            return Err(Fault::DuplicateLabel((*name).into()));
        }
    }
    Ok(())
}
