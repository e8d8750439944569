//! The exemplars of a scrape: those that the last one did not have, behind their series' samples.
//!
//! A target exposes its last exemplar of a series until there is another. Prometheus stores it
//! once, and so it is sent once: what was in the target's last scrape is known by a hash of series
//! and exemplar.
//!
//! | message | field | number | type |
//! | --- | --- | --- | --- |
//! | `TimeSeries` | `exemplars` | 3 | `Exemplar`, repeated; here always one |
//! | `Exemplar` | `labels` | 1 | `Label`, repeated, sorted by name |
//! | `Exemplar` | `value`, `timestamp` | 2, 3 | double; int64, milliseconds |

use std::collections::HashSet;
use std::sync::Arc;

use super::proto;
use super::series::SeriesHasher;
use crate::exposition::protobuf::{HistogramExemplar, put};
use crate::exposition::{Exemplar, with_exemplar};

/// The exemplars of a target's last scrape: a hash of each.
pub(super) type ExemplarSet = HashSet<u64>;

/// The field of a series that holds an exemplar.
const EXEMPLARS: u32 = 3;

/// The exemplars of a scrape as they are gathered.
#[derive(Debug)]
pub(super) struct Exemplars<'e> {
    hasher: &'e SeriesHasher,
    /// Where they are not wanted they are only counted.
    are_sent: bool,
    last: Arc<ExemplarSet>,
    now: ExemplarSet,
    /// Those of series without times of their own, as fields of a request.
    plain: Vec<u8>,
    /// Those of the others; they go behind the samples of those series.
    timed: Vec<u8>,
    sent: usize,
    left_out: usize,
    buffer: Vec<u8>,
}

/// The series of an exemplar.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner<'o> {
    /// Its encoded labels.
    pub(super) labels: &'o [u8],
    /// The time of its sample.
    pub(super) time_ms: i64,
    /// Whether that is its own.
    pub(super) has_time: bool,
}

/// What became of them.
#[derive(Debug)]
pub(super) struct Gathered {
    /// Those of this scrape.
    pub(super) set: Arc<ExemplarSet>,
    /// Fields of a request: of series without times of their own, and of the others.
    pub(super) plain: Vec<u8>,
    pub(super) timed: Vec<u8>,
    /// How many there are in these fields.
    pub(super) sent: usize,
    /// How many were not wanted.
    pub(super) left_out: usize,
}

impl<'e> Exemplars<'e> {
    pub(super) fn new(
        last: Option<&Arc<ExemplarSet>>,
        are_sent: bool,
        hasher: &'e SeriesHasher,
    ) -> Self {
        Self {
            hasher,
            are_sent,
            last: last.cloned().unwrap_or_default(),
            now: ExemplarSet::new(),
            plain: Vec::new(),
            timed: Vec::new(),
            sent: 0,
            left_out: 0,
            buffer: Vec::new(),
        }
    }

    /// Takes the exemplar of a sample; one without a time has that of the sample.
    pub(super) fn add(&mut self, owner: Owner<'_>, exemplar: &Exemplar<'_, '_>) {
        if !self.are_sent {
            self.left_out += 1;
            return;
        }
        let labels = exemplar.labels.iter();
        let mut labels: Vec<_> = labels.map(|label| (&*label.name, &*label.value)).collect();
        self.put(owner, &mut labels, exemplar.value, exemplar.timestamp_ms);
    }

    /// Takes an exemplar as it stands behind ` # ` in a line.
    pub(super) fn add_text(&mut self, owner: Owner<'_>, text: &str) {
        // Whoever read it from the wire knows that it is one.
        with_exemplar(format!(" # {text}").as_bytes(), |exemplar| {
            self.add(owner, &exemplar);
        });
    }

    /// Takes an exemplar of a native histogram.
    pub(super) fn add_of_histogram(&mut self, owner: Owner<'_>, exemplar: &HistogramExemplar) {
        if !self.are_sent {
            self.left_out += 1;
            return;
        }
        let labels = exemplar.labels.iter();
        let mut labels: Vec<_> = labels.map(|(name, value)| (&**name, &**value)).collect();
        let time = Some(exemplar.timestamp_ms);
        self.put(owner, &mut labels, exemplar.value, time);
    }

    fn put(
        &mut self,
        owner: Owner<'_>,
        labels: &mut [(&str, &str)],
        value: f64,
        timestamp_ms: Option<i64>,
    ) {
        labels.sort_unstable();
        let start = owner.labels.len();
        self.buffer.clear();
        self.buffer.extend_from_slice(owner.labels);
        for (name, value) in labels {
            proto::put_label(&mut self.buffer, name, value);
        }
        put::double(&mut self.buffer, 2, value);
        // What has no time of its own is the same exemplar in the next scrape, too.
        if let Some(timestamp_ms) = timestamp_ms {
            put::varint(&mut self.buffer, 3, timestamp_ms.cast_unsigned());
        }
        let hash = self.hasher.hash(&self.buffer);
        if !self.now.insert(hash) || self.last.contains(&hash) {
            return;
        }
        if timestamp_ms.is_none() {
            put::varint(&mut self.buffer, 3, owner.time_ms.cast_unsigned());
        }
        let out = if owner.has_time {
            &mut self.timed
        } else {
            &mut self.plain
        };
        let exemplar = self.buffer.get(start..).unwrap_or_default();
        proto::put_series_of(out, owner.labels, EXEMPLARS, exemplar);
        self.sent += 1;
    }

    /// Ends the scrape.
    pub(super) fn finish(&mut self) -> Gathered {
        let now = std::mem::take(&mut self.now);
        // Most targets have none, or the same ones for a while.
        let set = if now == *self.last {
            Arc::clone(&self.last)
        } else {
            Arc::new(now)
        };
        Gathered {
            set,
            plain: std::mem::take(&mut self.plain),
            timed: std::mem::take(&mut self.timed),
            sent: self.sent,
            left_out: self.left_out,
        }
    }
}
