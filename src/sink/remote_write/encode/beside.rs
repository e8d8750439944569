//! What a scrape has besides samples that are numbers: native histograms and exemplars.

use std::sync::Arc;

use super::exposed::Exposed;
use super::{Output, STALE};
use crate::exposition::protobuf::Histogram;
use crate::sink::labels::TargetLabels;
use crate::sink::remote_write::Besides;
use crate::sink::remote_write::exemplars::{ExemplarSet, Exemplars, Owner};
use crate::sink::remote_write::histograms::{HistogramSet, Known, Reading, put_histogram};
use crate::sink::remote_write::proto;
use crate::sink::remote_write::series::{End, Marker};
use crate::sink::removed::{Removal, Removals};
use crate::wire::{Columns, NativeHistogram};

/// What is remembered of them between two scrapes of a target.
#[derive(Debug, Clone, Default)]
pub(super) struct Beside {
    histograms: Arc<HistogramSet>,
    pub(super) exemplars: Arc<ExemplarSet>,
}

/// What was written of them.
#[derive(Debug, Default)]
pub(super) struct PutBeside {
    pub(super) beside: Beside,
    /// Native histograms: each is a sample.
    pub(super) scraped: u64,
    /// Those that the last scrape did not have.
    pub(super) added: u64,
}

impl Beside {
    /// Ends every native histogram.
    pub(super) fn put_stale(
        &self,
        out: &mut Output<'_>,
        time_ms: i64,
        target: &TargetLabels<'_>,
        besides: Besides,
    ) {
        if besides.native_histograms {
            for known in self.histograms.iter() {
                out.end_histogram(known, End::of_gone(known.has_time), time_ms, target);
            }
        }
    }
}

impl Exposed<'_> {
    /// Writes the native histograms, and behind all samples the exemplars.
    pub(super) fn put_beside(
        &self,
        histograms: &[NativeHistogram],
        out: &mut Output<'_>,
        removals: &mut Removals,
    ) -> PutBeside {
        let mut put = PutBeside {
            beside: self.beside.cloned().unwrap_or_default(),
            ..PutBeside::default()
        };
        let last = Arc::clone(&put.beside.histograms);
        if !histograms.is_empty() || last.iter().next().is_some() {
            let are_sent = self.shared.besides.native_histograms;
            let reading = Reading {
                last: &last,
                are_sent,
                hasher: &self.shared.hasher,
            };
            let walked = reading.walk(
                histograms,
                removals,
                |labels, sample| self.shared.put_labels(labels, sample, self.labels),
                |known, histogram| out.put_histogram(known, histogram, self.time_ms),
            );
            if self.was_alive && are_sent {
                for (known, end) in walked.ends(&last) {
                    out.end_histogram(known, end, self.time_ms, self.labels);
                }
            }
            (put.scraped, put.added) = (walked.scraped, walked.added);
            put.beside.histograms = walked.set;
        }
        let gathered = out.exemplars.finish();
        removals.add_many(Removal::Exemplar, gathered.left_out);
        out.bytes.extend_from_slice(&gathered.plain);
        out.timed.extend_from_slice(&gathered.timed);
        out.series += gathered.sent;
        put.beside.exemplars = gathered.set;
        put
    }

    /// Takes the exemplars of values.
    pub(super) fn add_exemplars<'l>(
        &self,
        columns: &Columns,
        labels_of: impl Fn(usize) -> Option<&'l [u8]>,
        exemplars: &mut Exemplars<'_>,
    ) {
        let (page, column) = (columns.shape.page(), &columns.column);
        for exemplar in column.exemplars() {
            let series = exemplar.series as usize;
            let Some(labels) = labels_of(series).filter(|labels| !proto::is_hidden(labels)) else {
                continue;
            };
            let has_time = page.has_time(series);
            let own_time = column.time(series).filter(|_| has_time);
            let owner = Owner {
                labels,
                time_ms: own_time.unwrap_or(self.time_ms),
                has_time,
            };
            exemplars.add_text(owner, &exemplar.text);
        }
    }

    /// Returns what [`Self::put_beside`] would of what is remembered of values.
    pub(super) fn learn_beside<'l>(
        &self,
        columns: &Columns,
        labels_of: impl Fn(usize) -> Option<&'l [u8]>,
    ) -> Beside {
        let mut unsent = Vec::new();
        let mut out = Output::new(&mut unsent, Vec::new(), self.exemplars());
        self.add_exemplars(columns, labels_of, &mut out.exemplars);
        let histograms = columns.column.histograms();
        self.put_beside(histograms, &mut out, &mut Removals::default())
            .beside
    }
}

impl Output<'_> {
    fn put_histogram(&mut self, known: &Known, histogram: &Histogram, time_ms: i64) {
        let (out, time_ms) = match histogram.timestamp_ms {
            Some(own_ms) => (&mut self.timed, own_ms),
            None => (&mut *self.bytes, time_ms),
        };
        put_histogram(out, known.labels(), histogram, time_ms);
        self.series += 1;
        let owner = Owner {
            labels: known.labels(),
            time_ms,
            has_time: known.has_time,
        };
        for exemplar in &histogram.exemplars {
            self.exemplars.add_of_histogram(owner, exemplar);
        }
    }

    fn end_histogram(&mut self, known: &Known, end: End, time_ms: i64, target: &TargetLabels<'_>) {
        let marker = end.marker(time_ms, target.tracks_timestamps());
        let Some(marker) = marker.filter(|_| !proto::is_hidden(known.labels())) else {
            return;
        };
        let out = match marker {
            Marker::Plain => &mut *self.bytes,
            Marker::Timed => &mut self.timed,
        };
        known.put_stale(out, STALE, time_ms);
        self.series += 1;
    }
}
