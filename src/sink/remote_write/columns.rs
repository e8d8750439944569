//! The series of a shape, encoded once, and which of them a scrape has.
//!
//! A target that answers as it did before sends values alone. So for each target the encoded
//! series of its shape's page are kept up to where a value goes; a scrape is written by copying
//! them, without a look at text, labels or hashes. What changes from scrape to scrape is a bit for
//! each series: whether it is there.
//!
//! A series takes its labels, some 140 bytes with those of the target, and 10 bytes more; the bits
//! and the page, which targets of one kind share, are next to nothing.

use std::collections::HashSet;
use std::sync::Arc;

use super::proto::{self, UsualTime};
use super::series::{SeriesHasher, SeriesSet, TooLarge};
use crate::exposition::{Entry, NORMAL_NAN, Parser};
use crate::wire::{Column, Columns, Page, Value};

/// The encoded series of one target's page.
#[derive(Debug)]
pub(super) struct ShapeSeries {
    page: Arc<Page>,
    /// The head of each series, one after the other; see [`proto::put_head`].
    heads: Box<[u8]>,
    /// Where each ends.
    ends: Box<[u32]>,
}

/// Which series of a page a scrape has: a bit each, from the lowest of each word on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Presence(Arc<[u64]>);

impl ShapeSeries {
    /// Encodes the series of a page, each only once; `put_labels` appends a series' labels.
    ///
    /// `None` where two series have the same labels once those of the target are added, so that it
    /// depends on the values which of them counts, and where the labels are too large.
    pub(super) fn build(
        columns: &Columns,
        hasher: &SeriesHasher,
        mut put_labels: impl FnMut(&mut Vec<u8>, &crate::exposition::Sample<'_, '_>),
    ) -> Option<Self> {
        let page = columns.shape.page();
        let mut zeros = Column::default();
        zeros.clear(page.len(), page.has_times());
        for at in 0..page.len() {
            zeros.set(at, Value::new(0.0));
        }
        let mut text = Vec::new();
        columns.shape.write_text(&zeros, &mut text);
        let (mut heads, mut ends) = (Vec::new(), Vec::with_capacity(page.len()));
        let (mut labels, mut seen) = (Vec::new(), HashSet::with_capacity(page.len()));
        let mut parser = Parser::new(&text, page.format());
        while let Some(entry) = parser.next() {
            let Entry::Sample(sample) = entry.ok()? else {
                continue;
            };
            labels.clear();
            put_labels(&mut labels, &sample);
            if !seen.insert(hasher.hash(&labels)) {
                return None;
            }
            proto::put_head(&mut heads, &labels);
            ends.push(u32::try_from(heads.len()).ok()?);
        }
        (ends.len() == page.len()).then(|| Self {
            page: Arc::clone(page),
            heads: heads.into(),
            ends: ends.into(),
        })
    }

    /// Tells whether these are the series of a page.
    pub(super) fn is_of(&self, page: &Arc<Page>) -> bool {
        Arc::ptr_eq(&self.page, page)
    }

    fn heads(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let head = self.heads.get(start..end as usize).unwrap_or_default();
            start = end as usize;
            head
        })
    }

    /// Iterates over the labels of the series that are there, and whether they get a stale marker
    /// when they are gone.
    pub(super) fn labels<'s>(
        &'s self,
        presence: &'s Presence,
    ) -> impl Iterator<Item = (&'s [u8], bool)> {
        let heads = self.heads().enumerate();
        let present = heads.filter(|(at, _)| presence.has(*at));
        present.map(|(at, head)| (proto::labels_of_head(head), !self.page.has_time(at)))
    }

    /// Returns the series that are there as those of a text.
    pub(super) fn to_set(
        &self,
        presence: &Presence,
        hasher: &SeriesHasher,
    ) -> Result<SeriesSet, TooLarge> {
        let series = self.page.keys().zip(self.heads()).enumerate();
        let present = series.filter(|(at, _)| presence.has(*at));
        let present = present
            .map(|(at, (text, head))| (text, proto::labels_of_head(head), self.page.has_time(at)));
        SeriesSet::collect(present, hasher)
    }

    /// Appends the samples of a scrape; those with times of their own to `timed`.
    pub(super) fn put(
        &self,
        column: &Column,
        time_ms: i64,
        out: &mut Vec<u8>,
        timed: &mut Vec<u8>,
    ) {
        out.reserve(self.heads.len() + self.ends.len() * proto::TAIL_LEN);
        let usual = UsualTime::new(time_ms);
        let samples = self.heads().zip(column.iter());
        if let (Some(time), false) = (usual, self.page.has_times()) {
            for (head, value) in samples {
                if let Some(value) = value.get() {
                    proto::put_known(out, head, normal(value), time);
                }
            }
            return;
        }
        for (at, (head, value)) in samples.enumerate() {
            let Some(value) = value.get() else { continue };
            let (out, time_ms, time) = if self.page.has_time(at) {
                let time_ms = column.time(at).unwrap_or_default();
                (&mut *timed, time_ms, UsualTime::new(time_ms))
            } else {
                (&mut *out, time_ms, usual)
            };
            if let Some(time) = time {
                proto::put_known(out, head, normal(value), time);
            } else {
                let labels = proto::labels_of_head(head);
                proto::put_series(out, labels, normal(value), time_ms);
            }
        }
    }
}

impl Presence {
    /// Notes which series have a value; `words` is memory to use. Returns their number, too.
    ///
    /// When they are the same as last time, what was kept of them then is shared.
    pub(super) fn of(column: &Column, last: Option<&Self>, words: &mut Vec<u64>) -> (Self, u64) {
        words.clear();
        words.extend(column.presence());
        let count = words.iter().map(|word| u64::from(word.count_ones())).sum();
        let same = last.filter(|last| *last.0 == **words);
        let presence = same.map_or_else(|| Self(words.as_slice().into()), Self::clone);
        (presence, count)
    }

    fn has(&self, series: usize) -> bool {
        let word = self.0.get(series / WORD).copied().unwrap_or_default();
        word >> (series % WORD) & 1 != 0
    }

    /// Tells whether the memory is shared.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Returns how many series are there that are not in another set.
    pub(super) fn count_without(&self, other: &Self) -> u64 {
        let words = self.0.iter().zip(&*other.0);
        words
            .map(|(word, other)| u64::from((word & !other).count_ones()))
            .sum()
    }

    /// Returns the series that are there and not in another set.
    pub(super) fn without(&self, other: &Self) -> Self {
        let words = self.0.iter().zip(&*other.0);
        Self(words.map(|(word, other)| word & !other).collect())
    }
}

/// Bits in a word.
const WORD: usize = u64::BITS as usize;

/// Returns the value as a body spells it: there is one NaN.
#[inline]
fn normal(value: f64) -> f64 {
    if value.is_nan() { NORMAL_NAN } else { value }
}
