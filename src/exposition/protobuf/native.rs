//! A native histogram by itself: checked, without empty buckets, and its message on the wire.

use super::error::{Fault, HistogramFault};
use super::fields::Fields;
use super::messages::{self, Side, Span};
use super::put;

/// A native histogram that holds what Prometheus demands of one.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// Its numbers of observations.
    pub counts: Counts,
    /// The sum of the observed values.
    pub sum: f64,
    /// -4 to 8, or [`CUSTOM_SCHEMA`].
    pub schema: i32,
    /// How far the zero bucket reaches to both sides.
    pub zero_threshold: f64,
    /// The upper bounds of custom buckets, which have no others; finite and rising.
    pub custom_bounds: Vec<f64>,
    /// Whether the numbers may fall, which is no reset then.
    pub is_gauge: bool,
    /// The sample's own time, milliseconds since the Unix epoch, if the body says.
    pub timestamp_ms: Option<i64>,
    /// When it began to count, milliseconds since the Unix epoch.
    pub created_ms: Option<i64>,
    /// Examples of what it counts; all have a time.
    pub exemplars: Vec<HistogramExemplar>,
}

/// Numbers of observations.
#[derive(Debug, Clone, PartialEq)]
pub enum Counts {
    /// Whole ones.
    Whole(Buckets<u64>),
    /// Others.
    Float(Buckets<f64>),
}

/// The buckets of a native histogram.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Buckets<T> {
    /// All observations.
    pub count: T,
    /// Those in the zero bucket.
    pub zero_count: T,
    /// Those above: indexes, which rise, and numbers, none of them 0.
    pub positive: Vec<(i32, T)>,
    /// Those below.
    pub negative: Vec<(i32, T)>,
}

/// An example of what a native histogram counts, such as a trace.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramExemplar {
    /// The labels in the order of the body.
    pub labels: Vec<(String, String)>,
    /// The value.
    pub value: f64,
    /// Milliseconds since the Unix epoch.
    pub timestamp_ms: i64,
}

/// The schema of custom buckets. The messages of expositions have no place of their own for the
/// bounds: they are the upper bounds of the classic buckets.
pub const CUSTOM_SCHEMA: i32 = -53;

const SCHEMA_MIN: i32 = -4;
const SCHEMA_MAX: i32 = 8;
/// Schemas up to this one are brought to [`SCHEMA_MAX`], as Prometheus does.
const SCHEMA_KNOWN_MAX: i32 = 52;

/// No bucket of doubles is further from 1 than this: at schema 52 an octave has 2^52 buckets, but
/// whoever exposes such an index has no sensible one.
const INDEX_MAX: i64 = 1 << 30;

/// Fields that the message on the wire has and that of an exposition has not: there they stand in
/// the metric or its family. Readers that do not know them step over them.
const TIMESTAMP_FIELD: u32 = 100;
const GAUGE_FIELD: u32 = 101;

impl Histogram {
    /// Takes what a body says.
    pub(super) fn new(
        raw: &messages::Histogram<'_>,
        is_gauge: bool,
        timestamp_ms: Option<i64>,
    ) -> Result<Self, HistogramFault> {
        let is_float = raw.count_float > 0.0 || raw.zero_count_float > 0.0;
        let is_custom = raw.schema == CUSTOM_SCHEMA;
        let mut counts = if is_float {
            Counts::Float(Buckets {
                count: raw.count_float,
                zero_count: raw.zero_count_float,
                positive: float_side(&raw.positive)?,
                negative: float_side(&raw.negative)?,
            })
        } else {
            Counts::Whole(Buckets {
                count: raw.count,
                zero_count: raw.zero_count,
                positive: whole_side(&raw.positive)?,
                negative: whole_side(&raw.negative)?,
            })
        };
        let schema = if (SCHEMA_MAX..=SCHEMA_KNOWN_MAX).contains(&raw.schema) {
            counts.reduce((raw.schema - SCHEMA_MAX).unsigned_abs());
            SCHEMA_MAX
        } else {
            raw.schema
        };
        let bounds = raw.buckets.iter().map(|bucket| bucket.bound);
        let custom_bounds = if is_custom {
            bounds.take_while(|bound| *bound != f64::INFINITY).collect()
        } else {
            Vec::new()
        };
        let histogram = Self {
            counts,
            sum: raw.sum,
            schema,
            zero_threshold: raw.zero_threshold,
            custom_bounds,
            is_gauge,
            timestamp_ms,
            created_ms: raw.created.map(messages::Timestamp::millis),
            exemplars: exemplars(raw),
        };
        histogram.check()?;
        Ok(histogram)
    }

    /// Reads the message of a native histogram on the wire.
    pub fn decode(message: &[u8]) -> Result<Self, Fault> {
        let mut raw = messages::Histogram::default();
        let (mut timestamp_ms, mut is_gauge) = (None, false);
        let mut fields = Fields::new(message);
        while let Some((number, value)) = fields.next()? {
            match number {
                TIMESTAMP_FIELD => timestamp_ms = Some(value.signed()?),
                GAUGE_FIELD => is_gauge = value.varint()? != 0,
                _ => raw.field(number, value)?,
            }
        }
        Ok(Self::new(&raw, is_gauge, timestamp_ms)?)
    }

    /// Writes the message of a native histogram on the wire.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put::double(&mut out, 2, self.sum);
        for bound in &self.custom_bounds {
            put::message(&mut out, 3, |bucket| put::double(bucket, 2, *bound));
        }
        put::zigzag(&mut out, 5, i64::from(self.schema));
        put::double(&mut out, 6, self.zero_threshold);
        match &self.counts {
            Counts::Whole(buckets) => {
                put::varint(&mut out, 1, buckets.count);
                put::varint(&mut out, 7, buckets.zero_count);
                for (first, side) in [(9, &buckets.negative), (12, &buckets.positive)] {
                    put::spans(&mut out, first, &spans(side));
                    put::packed_zigzags(&mut out, first + 1, deltas(side));
                }
            }
            Counts::Float(buckets) => {
                put::double(&mut out, 4, buckets.count);
                put::double(&mut out, 8, buckets.zero_count);
                for (first, side) in [(9, &buckets.negative), (12, &buckets.positive)] {
                    put::spans(&mut out, first, &spans(side));
                    put::packed_doubles(&mut out, first + 2, side.iter().map(|(_, count)| *count));
                }
            }
        }
        if let Some(created_ms) = self.created_ms {
            put::message(&mut out, 15, |message| put::timestamp(message, created_ms));
        }
        for exemplar in &self.exemplars {
            put::message(&mut out, 16, |message| exemplar.put(message));
        }
        if let Some(timestamp_ms) = self.timestamp_ms {
            put::required_varint(&mut out, TIMESTAMP_FIELD, timestamp_ms.cast_unsigned());
        }
        put::varint(&mut out, GAUGE_FIELD, u64::from(self.is_gauge));
        out
    }

    /// Tells whether it is what Prometheus takes.
    fn check(&self) -> Result<(), HistogramFault> {
        let (has_zero, sides, are_negative) = match &self.counts {
            Counts::Whole(buckets) => (
                buckets.zero_count != 0,
                [indexes(&buckets.positive), indexes(&buckets.negative)],
                false,
            ),
            Counts::Float(buckets) => (
                buckets.zero_count != 0.0,
                [indexes(&buckets.positive), indexes(&buckets.negative)],
                buckets.are_negative(),
            ),
        };
        if are_negative {
            return Err(HistogramFault::NegativeCount);
        }
        if self.schema == CUSTOM_SCHEMA {
            let [positive, negative] = sides;
            if has_zero || self.zero_threshold != 0.0 || negative.is_some() {
                return Err(HistogramFault::CustomSides);
            }
            check_bounds(&self.custom_bounds, positive)?;
        } else if !(SCHEMA_MIN..=SCHEMA_MAX).contains(&self.schema) {
            return Err(HistogramFault::Schema(self.schema));
        }
        match &self.counts {
            Counts::Whole(buckets) => buckets.check_count(self.sum.is_nan()),
            Counts::Float(_) => Ok(()),
        }
    }
}

impl Counts {
    /// Makes 2^`steps` buckets one.
    fn reduce(&mut self, steps: u32) {
        match self {
            Self::Whole(buckets) => {
                buckets.positive = reduced(&buckets.positive, steps, u64::saturating_add);
                buckets.negative = reduced(&buckets.negative, steps, u64::saturating_add);
            }
            Self::Float(buckets) => {
                buckets.positive = reduced(&buckets.positive, steps, |one, other| one + other);
                buckets.negative = reduced(&buckets.negative, steps, |one, other| one + other);
            }
        }
    }
}

impl Buckets<u64> {
    fn check_count(&self, is_nan: bool) -> Result<(), HistogramFault> {
        let sides = self.positive.iter().chain(&self.negative);
        let counted = sides.fold(self.zero_count, |sum, (_, count)| {
            sum.saturating_add(*count)
        });
        // What was observed as NaN is in no bucket.
        let is_right = counted == self.count || (is_nan && counted < self.count);
        let said = self.count;
        if is_right {
            Ok(())
        } else {
            Err(HistogramFault::Count { counted, said })
        }
    }
}

impl Buckets<f64> {
    fn are_negative(&self) -> bool {
        let mut sides = self.positive.iter().chain(&self.negative);
        self.count < 0.0 || self.zero_count < 0.0 || sides.any(|(_, count)| *count < 0.0)
    }
}

impl HistogramExemplar {
    fn put(&self, out: &mut Vec<u8>) {
        for (name, value) in &self.labels {
            put::message(out, 1, |label| {
                put::bytes(label, 1, name.as_bytes());
                put::bytes(label, 2, value.as_bytes());
            });
        }
        put::double(out, 2, self.value);
        put::message(out, 3, |time| put::timestamp(time, self.timestamp_ms));
    }
}

/// Returns the exemplars that have a time: those of the native histogram, or if there are none
/// at all, those of its classic buckets.
fn exemplars(raw: &messages::Histogram<'_>) -> Vec<HistogramExemplar> {
    let owned = |exemplar: &messages::Exemplar<'_>| {
        Some(HistogramExemplar {
            timestamp_ms: exemplar.timestamp?.millis(),
            value: exemplar.value,
            labels: exemplar
                .labels
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        })
    };
    if raw.exemplars.is_empty() {
        let buckets = raw.buckets.iter();
        let exemplars = buckets.filter_map(|bucket| bucket.exemplar.as_ref());
        return exemplars.filter_map(owned).collect();
    }
    raw.exemplars.iter().filter_map(owned).collect()
}

fn whole_side(side: &Side) -> Result<Vec<(i32, u64)>, HistogramFault> {
    let mut running = 0_i64;
    let counts = side.deltas.iter().map(|delta| {
        running = running
            .checked_add(*delta)
            .ok_or(HistogramFault::NegativeCount)?;
        u64::try_from(running).map_err(|_negative| HistogramFault::NegativeCount)
    });
    place(&side.spans, counts)
}

fn float_side(side: &Side) -> Result<Vec<(i32, f64)>, HistogramFault> {
    place(&side.spans, side.counts.iter().map(|count| Ok(*count)))
}

/// Gives each bucket its index; empty ones are left out.
fn place<T: Default + PartialEq>(
    spans: &[Span],
    mut counts: impl ExactSizeIterator<Item = Result<T, HistogramFault>>,
) -> Result<Vec<(i32, T)>, HistogramFault> {
    let needed = spans.iter().map(|span| u64::from(span.length)).sum();
    let found = counts.len();
    if needed != found as u64 {
        return Err(HistogramFault::SpanLength { needed, found });
    }
    let mut placed: Vec<(i32, T)> = Vec::new();
    let mut next = 0_i64;
    for span in spans {
        next += i64::from(span.offset);
        for count in counts.by_ref().take(span.length as usize) {
            let (index, count) = (next, count?);
            next += 1;
            if count == T::default() {
                continue;
            }
            let is_behind = placed.last().is_none_or(|last| index > i64::from(last.0));
            let index = i32::try_from(index).ok();
            let index = index.filter(|index| is_behind && i64::from(*index).abs() <= INDEX_MAX);
            placed.push((index.ok_or(HistogramFault::SpanOffset)?, count));
        }
    }
    Ok(placed)
}

/// Joins buckets: each power of two of a lower schema holds several of a higher one.
fn reduced<T: Copy>(buckets: &[(i32, T)], steps: u32, add: impl Fn(T, T) -> T) -> Vec<(i32, T)> {
    let mut joined: Vec<(i32, T)> = Vec::new();
    for (index, count) in buckets {
        // A bucket is named by its upper bound, hence the step aside.
        let index = (i64::from(*index) - 1) >> steps.min(63);
        let index = i32::try_from(index + 1).unwrap_or_default();
        match joined.last_mut() {
            Some((last, sum)) if *last == index => *sum = add(*sum, *count),
            _ => joined.push((index, *count)),
        }
    }
    joined
}

/// Returns the first and the last index; none of no bucket.
fn indexes<T>(side: &[(i32, T)]) -> Option<(i32, i32)> {
    Some((side.first()?.0, side.last()?.0))
}

fn check_bounds(bounds: &[f64], positive: Option<(i32, i32)>) -> Result<(), HistogramFault> {
    let rise = bounds.is_sorted_by(|one, next| one < next);
    let is_nan = bounds.iter().any(|bound| bound.is_nan());
    if !rise || is_nan {
        return Err(HistogramFault::CustomBounds);
    }
    // Above the last bound there is one more bucket.
    let last = i32::try_from(bounds.len()).unwrap_or(i32::MAX);
    match positive {
        Some((first, end)) if first < 0 || end > last => Err(HistogramFault::CustomBuckets),
        _ => Ok(()),
    }
}

/// Returns which buckets stand side by side.
pub(crate) fn spans<T>(side: &[(i32, T)]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut next = 0;
    for (index, _) in side {
        match spans.last_mut() {
            Some(span) if *index == next => span.length += 1,
            _ => spans.push(Span {
                // Indexes are limited, and so are their differences.
                offset: index.wrapping_sub(next),
                length: 1,
            }),
        }
        next = index.wrapping_add(1);
    }
    spans
}

/// Returns how each number of observations differs from the one before it.
pub(crate) fn deltas(side: &[(i32, u64)]) -> impl Iterator<Item = i64> {
    let mut last = 0_i64;
    side.iter().map(move |(_, count)| {
        let count = count.cast_signed();
        let delta = count.wrapping_sub(last);
        last = count;
        delta
    })
}
