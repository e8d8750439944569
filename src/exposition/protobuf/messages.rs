//! The messages of `io.prometheus.client`, as they stand in a body.
//!
//! | message | fields |
//! | --- | --- |
//! | `MetricFamily` | 1 name, 2 help, 3 type, 4 metrics, 5 unit |
//! | `Metric` | 1 labels, 2 gauge, 3 counter, 4 summary, 5 untyped, 6 timestamp, 7 histogram |
//! | `Counter` | 1 value, 2 exemplar, 3 start timestamp |
//! | `Gauge`, `Untyped` | 1 value |
//! | `Summary` | 1 count, 2 sum, 3 quantiles (1 quantile, 2 value), 4 start timestamp |
//! | `Histogram` | see [`Histogram`] |
//! | `Exemplar` | 1 labels, 2 value, 3 timestamp (1 seconds, 2 nanoseconds) |
//!
//! A message that comes in several pieces is read as if they were one, and of a field that comes
//! several times the last counts, as everywhere in protobuf.

use super::error::{Fault, LIST_MAX};
use super::fields::{Fields, Value, low32, zigzag, zigzag32};

/// A metric family but for its metrics.
#[derive(Debug, Default)]
pub(super) struct Family<'a> {
    pub(super) name: &'a [u8],
    pub(super) help: &'a [u8],
    pub(super) unit: &'a [u8],
    pub(super) kind: u64,
    pub(super) has_metrics: bool,
}

/// The metric type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Summary,
    Untyped,
    Histogram,
    GaugeHistogram,
}

/// A metric of a family.
#[derive(Debug, Default)]
pub(super) struct Metric<'a> {
    pub(super) labels: Vec<(&'a str, &'a str)>,
    /// Of a counter, gauge or untyped metric.
    pub(super) value: f64,
    /// Of a counter.
    pub(super) exemplar: Option<Exemplar<'a>>,
    pub(super) summary: Summary,
    pub(super) histogram: Histogram<'a>,
    /// 0: none.
    pub(super) timestamp_ms: i64,
}

#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) count: u64,
    pub(super) sum: f64,
    /// Quantile and value.
    pub(super) quantiles: Vec<(f64, f64)>,
}

/// A histogram, classic, native or both.
///
/// | field | number | type |
/// | --- | --- | --- |
/// | count; as a double | 1; 4 | uint64; double |
/// | sum | 2 | double |
/// | classic buckets: cumulative count; as a double; upper bound; exemplar | 3: 1; 4; 2; 3 | |
/// | schema | 5 | sint32 |
/// | zero threshold; zero count; as a double | 6; 7; 8 | double; uint64; double |
/// | negative spans; deltas; counts | 9; 10; 11 | offset 1 sint32, length 2 uint32; sint64; double |
/// | positive spans; deltas; counts | 12; 13; 14 | |
/// | start timestamp | 15 | |
/// | exemplars of the native histogram | 16 | |
#[derive(Debug, Default)]
pub(super) struct Histogram<'a> {
    pub(super) count: u64,
    pub(super) count_float: f64,
    pub(super) sum: f64,
    pub(super) buckets: Vec<Bucket<'a>>,
    pub(super) schema: i32,
    pub(super) zero_threshold: f64,
    pub(super) zero_count: u64,
    pub(super) zero_count_float: f64,
    pub(super) negative: Side,
    pub(super) positive: Side,
    pub(super) created: Option<Timestamp>,
    pub(super) exemplars: Vec<Exemplar<'a>>,
}

/// A bucket of a classic histogram.
#[derive(Debug, Default)]
pub(super) struct Bucket<'a> {
    pub(super) count: u64,
    pub(super) count_float: f64,
    pub(super) bound: f64,
    pub(super) exemplar: Option<Exemplar<'a>>,
}

/// The buckets on one side of a native histogram.
#[derive(Debug, Default)]
pub(super) struct Side {
    pub(super) spans: Vec<Span>,
    pub(super) deltas: Vec<i64>,
    pub(super) counts: Vec<f64>,
}

/// Buckets that stand side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Empty buckets before it; of the first span the index of its first bucket.
    pub offset: i32,
    /// Its buckets.
    pub length: u32,
}

#[derive(Debug, Default)]
pub(super) struct Exemplar<'a> {
    pub(super) labels: Vec<(&'a str, &'a str)>,
    pub(super) value: f64,
    pub(super) timestamp: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Timestamp {
    pub(super) seconds: i64,
    pub(super) nanos: i32,
}

impl<'a> Family<'a> {
    pub(super) fn read(message: &'a [u8]) -> Result<Self, (Self, Fault)> {
        let mut family = Self::default();
        match family.read_fields(Fields::new(message)) {
            Ok(()) => Ok(family),
            Err(fault) => Err((family, fault)),
        }
    }

    fn read_fields(&mut self, mut fields: Fields<'a>) -> Result<(), Fault> {
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => self.name = value.bytes()?,
                2 => self.help = value.bytes()?,
                3 => self.kind = value.varint()?,
                4 => {
                    value.bytes()?;
                    self.has_metrics = true;
                }
                5 => self.unit = value.bytes()?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// Reads the metrics of a family one after the other.
pub(super) fn for_each_metric<'a, E: From<Fault>>(
    family: &'a [u8],
    kind: Kind,
    mut take: impl FnMut(&mut Metric<'a>) -> Result<(), E>,
) -> Result<(), E> {
    let mut fields = Fields::new(family);
    while let Some((number, value)) = fields.next()? {
        if number == 4 {
            let mut metric = Metric::default();
            metric.read(value.message()?, kind)?;
            take(&mut metric)?;
        }
    }
    Ok(())
}

impl Kind {
    pub(super) fn new(code: u64) -> Option<Self> {
        Some(match code {
            0 => Self::Counter,
            1 => Self::Gauge,
            2 => Self::Summary,
            3 => Self::Untyped,
            4 => Self::Histogram,
            5 => Self::GaugeHistogram,
            _ => return None,
        })
    }

    pub(super) fn is_histogram(self) -> bool {
        matches!(self, Self::Histogram | Self::GaugeHistogram)
    }
}

impl<'a> Metric<'a> {
    /// Reads the labels and what belongs to the type.
    fn read(&mut self, mut fields: Fields<'a>, kind: Kind) -> Result<(), Fault> {
        while let Some((number, value)) = fields.next()? {
            match (number, kind) {
                (1, _) => push(&mut self.labels, label(value)?, "labels")?,
                (2, Kind::Gauge) | (5, Kind::Untyped) | (3, Kind::Counter) => {
                    self.read_value(value.message()?, kind)?;
                }
                (4, Kind::Summary) => self.summary.read(value.message()?)?,
                (6, _) => self.timestamp_ms = value.signed()?,
                (7, kind) if kind.is_histogram() => self.histogram.read(value.message()?)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn read_value(&mut self, mut fields: Fields<'a>, kind: Kind) -> Result<(), Fault> {
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => self.value = value.double()?,
                2 if kind == Kind::Counter => self
                    .exemplar
                    .get_or_insert_default()
                    .read(value.message()?)?,
                _ => {}
            }
        }
        Ok(())
    }
}

impl Summary {
    fn read(&mut self, mut fields: Fields<'_>) -> Result<(), Fault> {
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => self.count = value.varint()?,
                2 => self.sum = value.double()?,
                3 => {
                    let quantile = pair(value.message()?)?;
                    push(&mut self.quantiles, quantile, "quantiles")?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn pair(mut fields: Fields<'_>) -> Result<(f64, f64), Fault> {
    let mut pair = (0.0, 0.0);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => pair.0 = value.double()?,
            2 => pair.1 = value.double()?,
            _ => {}
        }
    }
    Ok(pair)
}

impl<'a> Histogram<'a> {
    pub(super) fn read(&mut self, mut fields: Fields<'a>) -> Result<(), Fault> {
        while let Some((number, value)) = fields.next()? {
            self.field(number, value)?;
        }
        Ok(())
    }

    pub(super) fn field(&mut self, number: u32, value: Value<'a>) -> Result<(), Fault> {
        match number {
            1 => self.count = value.varint()?,
            2 => self.sum = value.double()?,
            3 => push(
                &mut self.buckets,
                Bucket::read(value.message()?)?,
                "buckets",
            )?,
            4 => self.count_float = value.double()?,
            5 => self.schema = zigzag32(value.varint()?),
            6 => self.zero_threshold = value.double()?,
            7 => self.zero_count = value.varint()?,
            8 => self.zero_count_float = value.double()?,
            9 => push(&mut self.negative.spans, span(value.message()?)?, "spans")?,
            10 => self.negative.read_deltas(value)?,
            11 => self.negative.read_counts(value)?,
            12 => push(&mut self.positive.spans, span(value.message()?)?, "spans")?,
            13 => self.positive.read_deltas(value)?,
            14 => self.positive.read_counts(value)?,
            15 => timestamp(self.created.get_or_insert_default(), value.message()?)?,
            16 => {
                let mut exemplar = Exemplar::default();
                exemplar.read(value.message()?)?;
                push(&mut self.exemplars, exemplar, "exemplars")?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Tells whether it has native buckets; one without any observation yet says so by an empty
    /// span or a threshold.
    pub(super) fn is_native(&self) -> bool {
        !self.positive.spans.is_empty()
            || !self.negative.spans.is_empty()
            || self.zero_threshold > 0.0
            || self.zero_count > 0
    }

    /// Returns the number of observations of a classic histogram.
    pub(super) fn classic_count(&self) -> f64 {
        either(self.count_float, self.count)
    }
}

impl<'a> Bucket<'a> {
    fn read(mut fields: Fields<'a>) -> Result<Self, Fault> {
        let mut bucket = Self::default();
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => bucket.count = value.varint()?,
                2 => bucket.bound = value.double()?,
                3 => bucket
                    .exemplar
                    .get_or_insert_default()
                    .read(value.message()?)?,
                4 => bucket.count_float = value.double()?,
                _ => {}
            }
        }
        Ok(bucket)
    }

    /// Returns the number of observations in it and below.
    pub(super) fn cumulative_count(&self) -> f64 {
        either(self.count_float, self.count)
    }
}

/// Of a count that can be a double, that one counts if there is one.
fn either(float: f64, whole: u64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "samples are doubles, as in Prometheus"
    )]
    if float == 0.0 { whole as f64 } else { float }
}

impl Side {
    fn read_deltas(&mut self, value: Value<'_>) -> Result<(), Fault> {
        value.varints(|delta| push(&mut self.deltas, zigzag(delta), "buckets"))
    }

    fn read_counts(&mut self, value: Value<'_>) -> Result<(), Fault> {
        value.doubles(|count| push(&mut self.counts, count, "buckets"))
    }
}

fn span(mut fields: Fields<'_>) -> Result<Span, Fault> {
    let mut span = Span::default();
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => span.offset = zigzag32(value.varint()?),
            2 => span.length = low32(value.varint()?),
            _ => {}
        }
    }
    Ok(span)
}

impl<'a> Exemplar<'a> {
    pub(super) fn read(&mut self, mut fields: Fields<'a>) -> Result<(), Fault> {
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => push(&mut self.labels, label(value)?, "labels")?,
                2 => self.value = value.double()?,
                3 => timestamp(self.timestamp.get_or_insert_default(), value.message()?)?,
                _ => {}
            }
        }
        Ok(())
    }
}

impl Timestamp {
    pub(super) fn millis(self) -> i64 {
        let millis = i64::from(self.nanos / 1_000_000);
        self.seconds.saturating_mul(1000).saturating_add(millis)
    }
}

fn timestamp(timestamp: &mut Timestamp, mut fields: Fields<'_>) -> Result<(), Fault> {
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => timestamp.seconds = value.signed()?,
            2 => timestamp.nanos = low32(value.varint()?).cast_signed(),
            _ => {}
        }
    }
    Ok(())
}

/// Reads a name and a value.
fn label(value: Value<'_>) -> Result<(&str, &str), Fault> {
    let (mut name, mut text) = ("", "");
    let mut fields = value.message()?;
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => name = value.text()?,
            2 => text = value.text()?,
            _ => {}
        }
    }
    if name.is_empty() {
        return Err(Fault::MissingLabelName);
    }
    if name.contains('\0') {
        return Err(Fault::NulByte);
    }
    Ok((name, text))
}

fn push<T>(list: &mut Vec<T>, item: T, what: &'static str) -> Result<(), Fault> {
    if list.len() >= LIST_MAX {
        return Err(Fault::TooMany(what));
    }
    list.push(item);
    Ok(())
}
