//! The native histograms of a scrape: their samples, and which of them begin and end.
//!
//! | message | field | number | type |
//! | --- | --- | --- | --- |
//! | `TimeSeries` | `histograms` | 4 | `Histogram`, repeated; here always one |
//! | `Histogram` | count: whole, or a double | 1, 2 | uint64, double; one of them |
//! | | sum, schema, zero threshold | 3, 4, 5 | double, sint32, double |
//! | | zero count: whole, or a double | 6, 7 | uint64, double; one of them |
//! | | negative spans, deltas, counts | 8, 9, 10 | `BucketSpan`, sint64, double; repeated |
//! | | positive spans, deltas, counts | 11, 12, 13 | the same |
//! | | reset hint, time, custom bounds | 14, 15, 16 | enum, int64 in milliseconds, double |
//!
//! A histogram that is gone is ended by one without observations whose sum is the stale marker.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::proto;
use super::series::{End, SeriesHasher};
use crate::exposition::protobuf::{Buckets, Counts, Histogram, deltas, put, spans};
use crate::exposition::{Entry, Parser, Sample};
use crate::model::Format;
use crate::sink::removed::{Removal, Removals};
use crate::wire::NativeHistogram;

/// The field of a series that holds a histogram.
const HISTOGRAMS: u32 = 4;

/// The reset hint of a gauge, which is never reset.
const GAUGE_HINT: u64 = 3;

/// The native histograms of one scrape, in the order in which it has them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct HistogramSet(Box<[Known]>);

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    series: Arc<Series>,
    /// Whether its numbers are doubles; what ends it is of the same kind.
    is_float: bool,
    /// Whether its sample has a time of its own.
    pub(super) has_time: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Series {
    /// As on the wire.
    text: Box<str>,
    /// As encoded.
    labels: Box<[u8]>,
}

/// What a scrape's histograms are read with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading<'r> {
    /// Those of the last scrape.
    pub(super) last: &'r Arc<HistogramSet>,
    /// Without, they are only counted.
    pub(super) are_sent: bool,
    pub(super) hasher: &'r SeriesHasher,
}

/// What a scrape has.
#[derive(Debug)]
pub(super) struct Walked {
    pub(super) set: Arc<HistogramSet>,
    /// Samples: one for each histogram.
    pub(super) scraped: u64,
    /// Series that the last scrape did not have.
    pub(super) added: u64,
    /// The samples' own times, by the place of their series in the set.
    times: Vec<Option<i64>>,
}

impl Walked {
    /// Iterates over those of the last scrape that end with this one.
    pub(super) fn ends<'s>(
        &'s self,
        last: &'s Arc<HistogramSet>,
    ) -> impl Iterator<Item = (&'s Known, End)> {
        // Mostly they are the same ones.
        let all: &[Known] = if Arc::ptr_eq(last, &self.set) {
            &[]
        } else {
            &last.0
        };
        let now = self.set.iter().zip(&self.times);
        let there: HashMap<&[u8], Option<i64>> = match all {
            [] => HashMap::new(),
            _ => now.map(|(known, time)| (known.labels(), *time)).collect(),
        };
        all.iter().filter_map(move |known| {
            let end = match there.get(known.labels()) {
                None => End::of_gone(known.has_time),
                Some(Some(own_ms)) if !known.has_time => End::NowTimed(*own_ms),
                Some(_) => return None,
            };
            Some((known, end))
        })
    }
}

impl HistogramSet {
    /// Returns how many are not in another set.
    fn count_without(&self, other: &Self) -> u64 {
        let there: HashSet<&[u8]> = other.0.iter().map(Known::labels).collect();
        let new = self.0.iter();
        let new = new.filter(|known| !there.contains(known.labels()));
        new.count() as u64
    }

    /// Iterates over all of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Known> {
        self.0.iter()
    }
}

impl Known {
    /// Returns the encoded labels.
    pub(super) fn labels(&self) -> &[u8] {
        &self.series.labels
    }

    /// Appends what ends the histogram.
    pub(super) fn put_stale(&self, out: &mut Vec<u8>, stale: f64, time_ms: i64) {
        let counts = if self.is_float {
            Counts::Float(Buckets::default())
        } else {
            Counts::Whole(Buckets::default())
        };
        let end = Histogram {
            counts,
            sum: stale,
            schema: 0,
            zero_threshold: 0.0,
            custom_bounds: Vec::new(),
            is_gauge: false,
            timestamp_ms: None,
            created_ms: None,
            exemplars: Vec::new(),
        };
        put_histogram(out, self.labels(), &end, time_ms);
    }
}

impl Reading<'_> {
    /// Reads histograms and calls `on_sample` with those that are to be sent.
    ///
    /// `put_labels` appends the labels of a series that the last scrape did not have.
    pub(super) fn walk(
        self,
        histograms: &[NativeHistogram],
        removals: &mut Removals,
        mut put_labels: impl FnMut(&mut Vec<u8>, &Sample<'_, '_>),
        mut on_sample: impl FnMut(&Known, &Histogram),
    ) -> Walked {
        let mut found = Finder::new(self.last);
        let mut seen = HashSet::new();
        let mut set = Vec::with_capacity(histograms.len());
        let mut times = Vec::with_capacity(histograms.len());
        for histogram in histograms {
            let series = found.find(&histogram.series).map_or_else(
                || Series::encode(&histogram.series, &mut put_labels).map(Arc::new),
                |series| Some(Arc::clone(series)),
            );
            let Some(series) = series else {
                removals.add(Removal::BadHistogram);
                continue;
            };
            if !seen.insert(self.hasher.hash(&series.labels)) {
                removals.add(Removal::Duplicate);
                continue;
            }
            let mut known = Known {
                series,
                is_float: false,
                has_time: false,
            };
            if !self.are_sent {
                removals.add(Removal::NativeHistogram);
                set.push(known);
                times.push(None);
                continue;
            }
            let Ok(histogram) = Histogram::decode(&histogram.message) else {
                removals.add(Removal::BadHistogram);
                continue;
            };
            known.is_float = matches!(histogram.counts, Counts::Float(_));
            known.has_time = histogram.timestamp_ms.is_some();
            if proto::is_hidden(known.labels()) {
                removals.add(Removal::Relabeled);
            } else {
                on_sample(&known, &histogram);
            }
            set.push(known);
            times.push(histogram.timestamp_ms);
        }
        let set = HistogramSet(set.into());
        let (set, added) = if set == **self.last {
            (Arc::clone(self.last), 0)
        } else {
            let added = set.count_without(self.last);
            (Arc::new(set), added)
        };
        Walked {
            set,
            scraped: histograms.len() as u64,
            added,
            times,
        }
    }
}

/// Finds the series of the last scrape: mostly they come in the same order.
struct Finder<'f> {
    last: &'f [Known],
    next: usize,
    /// Made when one stands elsewhere than it stood.
    index: Option<HashMap<&'f str, usize>>,
}

impl<'f> Finder<'f> {
    fn new(last: &'f HistogramSet) -> Self {
        Self {
            last: &last.0,
            next: 0,
            index: None,
        }
    }

    fn find(&mut self, text: &str) -> Option<&'f Arc<Series>> {
        let expected = self.last.get(self.next);
        let at = match expected {
            Some(known) if *known.series.text == *text => self.next,
            _ => {
                let last = self.last;
                let index = self.index.get_or_insert_with(|| {
                    let all = last.iter().enumerate();
                    all.map(|(at, known)| (&*known.series.text, at)).collect()
                });
                *index.get(text)?
            }
        };
        self.next = at + 1;
        self.last.get(at).map(|known| &known.series)
    }
}

impl Series {
    /// Reads name and labels; `None` if there is anything else.
    fn encode(
        text: &str,
        put_labels: &mut impl FnMut(&mut Vec<u8>, &Sample<'_, '_>),
    ) -> Option<Self> {
        let line = format!("{text} 0\n");
        let mut parser = Parser::new(line.as_bytes(), Format::Text);
        let Some(Ok(Entry::Sample(sample))) = parser.next() else {
            return None;
        };
        if sample.text != text {
            return None;
        }
        let mut labels = Vec::new();
        put_labels(&mut labels, &sample);
        Some(Self {
            text: text.into(),
            labels: labels.into(),
        })
    }
}

/// Appends a series with one histogram; `labels` is what [`proto::put_label`] wrote.
pub(super) fn put_histogram(out: &mut Vec<u8>, labels: &[u8], histogram: &Histogram, time_ms: i64) {
    let mut message = Vec::new();
    match &histogram.counts {
        Counts::Whole(buckets) => put::required_varint(&mut message, 1, buckets.count),
        Counts::Float(buckets) => put::required_double(&mut message, 2, buckets.count),
    }
    put::double(&mut message, 3, histogram.sum);
    put::zigzag(&mut message, 4, i64::from(histogram.schema));
    put::double(&mut message, 5, histogram.zero_threshold);
    match &histogram.counts {
        Counts::Whole(buckets) => {
            put::required_varint(&mut message, 6, buckets.zero_count);
            for (first, side) in [(8, &buckets.negative), (11, &buckets.positive)] {
                put::spans(&mut message, first, &spans(side));
                put::packed_zigzags(&mut message, first + 1, deltas(side));
            }
        }
        Counts::Float(buckets) => {
            put::required_double(&mut message, 7, buckets.zero_count);
            for (first, side) in [(8, &buckets.negative), (11, &buckets.positive)] {
                put::spans(&mut message, first, &spans(side));
                let counts = side.iter().map(|(_, count)| *count);
                put::packed_doubles(&mut message, first + 2, counts);
            }
        }
    }
    if histogram.is_gauge {
        put::varint(&mut message, 14, GAUGE_HINT);
    }
    put::varint(&mut message, 15, time_ms.cast_unsigned());
    put::packed_doubles(&mut message, 16, histogram.custom_bounds.iter().copied());
    proto::put_series_of(out, labels, HISTOGRAMS, &message);
}
