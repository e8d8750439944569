//! The series of a shape, encoded once, and which of them a scrape has.
//!
//! A target that answers as it did before sends values alone. So for each target the encoded
//! series of its shape's page are kept one behind the other, with room for value and time; a scrape
//! is written by copying them, as many at once as are there side by side, and filling in the
//! samples, without a look at text, labels or hashes. What changes from scrape to scrape is a bit
//! for each series: whether it is there.
//!
//! A series takes its labels, some 140 bytes with those of the target, and 25 bytes more; the bits
//! and the page, which targets of one kind share, are next to nothing.

use std::collections::HashSet;
use std::sync::Arc;

use super::proto::{self, UsualTime};
use super::series::{SeriesHasher, SeriesSet, TooLarge};
use super::shared::{Report, Reported};
use crate::exposition::{Entry, NORMAL_NAN, Parser};
use crate::wire::{Column, Page};

/// The encoded series of one target's page.
#[derive(Debug)]
pub(super) struct ShapeSeries {
    page: Arc<Page>,
    /// The series, one after the other, without their samples; see [`proto::put_blank`].
    blanks: Box<[u8]>,
    /// Where each ends.
    ends: Box<[u32]>,
    /// Whether some of them are not sent.
    has_hidden: bool,
    /// Those that are the poller's word about the scrape, and where they stand.
    reports: Box<[(Report, usize)]>,
}

/// Which series of a page a scrape has: a bit each, from the lowest of each word on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Presence(Arc<[u64]>);

/// The labels of a series, and whether it has times of its own.
type Labeled<'s> = (&'s [u8], bool);

/// The labels of a series, and the time of its own that its sample has.
pub(super) type Timed<'s> = (&'s [u8], Option<i64>);

impl ShapeSeries {
    /// Encodes the series of a page, each only once; `put_labels` appends a series' labels.
    ///
    /// Those that the target's last page has too are copied from `before`. `None` where two series
    /// have the same labels once those of the target are added, so that it depends on the values
    /// which of them counts, and where the labels are too large.
    pub(super) fn build(
        page: &Arc<Page>,
        before: Option<&Self>,
        hasher: &SeriesHasher,
        put_labels: impl FnMut(&mut Vec<u8>, &crate::exposition::Sample<'_, '_>),
    ) -> Option<Self> {
        let before = before.filter(|before| before.page.format() == page.format());
        let origins = match before {
            Some(before) => {
                let known: Vec<&str> = before.page.keys().collect();
                origins(&known, page.keys())
            }
            None => vec![None; page.len()],
        };
        let new = encode(page, &origins, put_labels)?;
        let mut new = new.iter();
        let room = new.as_slice().iter().map(|labels| labels.len() + 32);
        let room = before.map_or(0, |before| before.blanks.len()) + room.sum::<usize>();
        let mut blanks = Vec::with_capacity(room);
        let mut ends = Vec::with_capacity(page.len());
        for run in origins.chunk_by(|above, below| above.map(|at| at + 1) == *below) {
            match (run.first().copied().flatten(), before) {
                (Some(first), Some(before)) => {
                    let known = first..first + run.len();
                    let (start, known) = (blanks.len(), before.copy(known, &mut blanks)?);
                    for end in known {
                        ends.push(u32::try_from(start + end).ok()?);
                    }
                }
                _ => {
                    for _ in run {
                        proto::put_blank(&mut blanks, new.next()?);
                        ends.push(u32::try_from(blanks.len()).ok()?);
                    }
                }
            }
        }
        let mut series = Self {
            page: Arc::clone(page),
            blanks: blanks.into(),
            ends: ends.into(),
            has_hidden: false,
            reports: Box::default(),
        };
        series.find_hidden();
        series.are_distinct(&origins, hasher).then_some(series)
    }

    /// Notes which series are not sent.
    fn find_hidden(&mut self) {
        let labels = self.blanks().map(proto::labels_of_blank);
        let mut has_hidden = false;
        let mut reports = Vec::new();
        for (at, labels) in labels.enumerate() {
            if proto::is_hidden(labels) {
                has_hidden = true;
                reports.extend(Report::of_labels(labels).map(|report| (report, at)));
            }
        }
        self.has_hidden = has_hidden;
        self.reports = reports.into();
    }

    /// Returns what the poller says of a scrape.
    pub(super) fn reported(&self, column: &Column) -> Reported {
        let mut reported = Reported::default();
        for (report, at) in &self.reports {
            if let Some(value) = column.get(*at).get() {
                reported.note(*report, normal(value));
            }
        }
        reported
    }

    /// Tells whether no two series have the same labels; those with an origin have not among
    /// themselves.
    fn are_distinct(&self, origins: &[Option<usize>], hasher: &SeriesHasher) -> bool {
        let blanks: Vec<&[u8]> = self.blanks().collect();
        let new = || blanks.iter().zip(origins).filter(|(_, at)| at.is_none());
        if new().count() <= COMPARED_MAX {
            let stands_once =
                |new: &[u8]| blanks.iter().filter(|blank| **blank == new).count() == 1;
            return new().all(|(blank, _)| stands_once(blank));
        }
        let mut seen = HashSet::with_capacity(blanks.len());
        blanks.iter().all(|blank| seen.insert(hasher.hash(blank)))
    }

    /// Returns the labels of a scrape's series that may not be in the next one, and of those of the
    /// next one that may not be in it; with whether those have times of their own, and which these
    /// have.
    ///
    /// Left out are series that are in both, unless they begin to have times of their own.
    pub(super) fn unlike<'s>(
        &'s self,
        presence: &Presence,
        (next, then, column): (&'s Self, &Presence, &Column),
    ) -> (Vec<Labeled<'s>>, Vec<Timed<'s>>) {
        let blanks: Vec<&[u8]> = self.blanks().collect();
        let origins = origins(&blanks, next.blanks());
        let mut is_gone: Vec<bool> = (0..blanks.len()).map(|at| presence.has(at)).collect();
        let mut new = Vec::new();
        for ((at, blank), origin) in next.blanks().enumerate().zip(origins) {
            if !then.has(at) {
                continue;
            }
            let has_time = next.page.has_time(at);
            let is_alike = |origin: &usize| !has_time || self.page.has_time(*origin);
            let origin = origin.filter(is_alike);
            match origin.and_then(|origin| is_gone.get_mut(origin)) {
                Some(is_gone) if *is_gone => *is_gone = false,
                _ => new.push((proto::labels_of_blank(blank), next.own_time(column, at))),
            }
        }
        let gone = blanks.iter().enumerate().zip(is_gone);
        let gone = gone.filter(|(_, is_gone)| *is_gone);
        let gone = gone
            .map(|((at, blank), _)| (proto::labels_of_blank(blank), self.page.has_time(at)))
            .collect();
        (gone, new)
    }

    /// Returns the encoded labels of a series, by its place in the page.
    pub(super) fn labels_at(&self, series: usize) -> Option<&[u8]> {
        let (start, end) = (self.start_of(series)?, *self.ends.get(series)?);
        let blank = self.blanks.get(start..end as usize)?;
        Some(proto::labels_of_blank(blank))
    }

    /// Tells whether these are the series of a page.
    pub(super) fn is_of(&self, page: &Arc<Page>) -> bool {
        Arc::ptr_eq(&self.page, page)
    }

    fn blanks(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let blank = self.blanks.get(start..end as usize).unwrap_or_default();
            start = end as usize;
            blank
        })
    }

    /// Iterates over the labels of the series that are there, and whether they have times of their
    /// own.
    pub(super) fn labels<'s>(
        &'s self,
        presence: &'s Presence,
    ) -> impl Iterator<Item = Labeled<'s>> {
        let blanks = self.blanks().enumerate();
        let present = blanks.filter(|(at, _)| presence.has(*at));
        present.map(|(at, blank)| (proto::labels_of_blank(blank), self.page.has_time(at)))
    }

    /// Iterates over the labels of the series that are there, and the times of their own that their
    /// samples have.
    pub(super) fn timed<'s>(
        &'s self,
        presence: &'s Presence,
        column: &'s Column,
    ) -> impl Iterator<Item = Timed<'s>> {
        let blanks = self.blanks().enumerate();
        let present = blanks.filter(|(at, _)| presence.has(*at));
        present.map(|(at, blank)| (proto::labels_of_blank(blank), self.own_time(column, at)))
    }

    /// Returns the time of its own that a series' sample has.
    fn own_time(&self, column: &Column, series: usize) -> Option<i64> {
        let has_time = self.page.has_time(series);
        has_time.then(|| column.time(series).unwrap_or_default())
    }

    /// Returns the series that are there as those of a text.
    pub(super) fn to_set(
        &self,
        presence: &Presence,
        hasher: &SeriesHasher,
    ) -> Result<SeriesSet, TooLarge> {
        let series = self.page.keys().zip(self.blanks()).enumerate();
        let present = series.filter(|(at, _)| presence.has(*at));
        let present = present.map(|(at, (text, blank))| {
            (text, proto::labels_of_blank(blank), self.page.has_time(at))
        });
        SeriesSet::collect(present, hasher)
    }

    /// Appends the samples of a scrape; those with times of their own to `timed`. Returns how many
    /// there are that are not sent.
    pub(super) fn put(
        &self,
        column: &Column,
        time_ms: i64,
        out: &mut Vec<u8>,
        timed: &mut Vec<u8>,
    ) -> usize {
        out.reserve(self.blanks.len());
        let usual = UsualTime::new(time_ms);
        let is_odd = self.page.has_times() || self.has_hidden;
        if let (Some(time), false) = (usual, is_odd) {
            for run in column.runs() {
                self.put_run(run, column, time, out);
            }
            return 0;
        }
        let mut hidden = 0;
        for (at, (blank, value)) in self.blanks().zip(column.iter()).enumerate() {
            let Some(value) = value.get().map(normal) else {
                continue;
            };
            if self.has_hidden && proto::is_hidden(proto::labels_of_blank(blank)) {
                hidden += 1;
                continue;
            }
            let (out, time_ms, time) = if let Some(own_ms) = self.own_time(column, at) {
                (&mut *timed, own_ms, UsualTime::new(own_ms))
            } else {
                (&mut *out, time_ms, usual)
            };
            if let Some(time) = time {
                out.extend_from_slice(blank);
                proto::fill_in(out, value.to_bits(), time);
            } else {
                let labels = proto::labels_of_blank(blank);
                proto::put_series(out, labels, value, time_ms);
            }
        }
        hidden
    }

    /// Appends the samples of series that stand side by side and have a value.
    fn put_run(
        &self,
        run: std::ops::Range<usize>,
        column: &Column,
        time: UsualTime,
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        let Some(mut ends) = self.copy(run.clone(), out) else {
            return;
        };
        let series = out.get_mut(start..).unwrap_or_default();
        column.each_bits(run, |bits| {
            let end = ends.next().unwrap_or_default();
            if let Some(series) = series.get_mut(..end) {
                proto::fill_in(series, normal_bits(bits), time);
            }
        });
    }

    /// Appends the series of a range as they are kept, and returns where each ends in what was
    /// appended; `None` if there are not so many.
    fn copy<'s>(
        &'s self,
        series: std::ops::Range<usize>,
        out: &mut Vec<u8>,
    ) -> Option<impl Iterator<Item = usize> + use<'s>> {
        let start = self.start_of(series.start)?;
        let ends = self.ends.get(series)?;
        let end = ends.last().map_or(start, |end| *end as usize);
        out.extend_from_slice(self.blanks.get(start..end)?);
        Some(ends.iter().map(move |end| *end as usize - start))
    }

    /// Returns where a series begins.
    fn start_of(&self, series: usize) -> Option<usize> {
        match series.checked_sub(1) {
            None => Some(0),
            Some(above) => self.ends.get(above).map(|end| *end as usize),
        }
    }
}

impl Presence {
    /// Notes which series have a value; `words` is memory to use. Returns their number, too.
    ///
    /// The poller's word about the scrape is not among them. When they are the same as last time,
    /// what was kept of them then is shared.
    pub(super) fn of(
        column: &Column,
        series: &ShapeSeries,
        last: Option<&Self>,
        words: &mut Vec<u64>,
    ) -> (Self, u64) {
        words.clear();
        words.extend(column.presence());
        for (_, at) in &series.reports {
            if let Some(word) = words.get_mut(at / WORD) {
                *word &= !(1 << (at % WORD));
            }
        }
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

/// Finds items of one list in another at ascending places.
///
/// What moved further than it is looked for is not found.
fn origins<'i, T: PartialEq + ?Sized + 'i>(
    known: &[&T],
    items: impl Iterator<Item = &'i T>,
) -> Vec<Option<usize>> {
    let mut expected = 0;
    let find = |item: &T| {
        let near = known.iter().skip(expected).take(LOOKAHEAD);
        let found = expected + near.into_iter().position(|known| *known == item)?;
        expected = found + 1;
        Some(found)
    };
    items.map(find).collect()
}

/// Encodes the labels of the series of a page that have no origin.
///
/// The types above them say how bounds and quantiles are spelled.
fn encode(
    page: &Page,
    origins: &[Option<usize>],
    mut put_labels: impl FnMut(&mut Vec<u8>, &crate::exposition::Sample<'_, '_>),
) -> Option<Vec<Vec<u8>>> {
    let is_new = |at: usize| origins.get(at).is_some_and(Option::is_none);
    let text = page.write_series(is_new);
    let mut parser = Parser::new(&text, page.format());
    let mut encoded = Vec::new();
    while let Some(entry) = parser.next() {
        if let Entry::Sample(sample) = entry.ok()? {
            let mut labels = Vec::new();
            put_labels(&mut labels, &sample);
            encoded.push(labels);
        }
    }
    Some(encoded)
}

/// How far a series is searched for that is not next: what is not found is encoded anew, which is
/// slower but the same.
const LOOKAHEAD: usize = 64;

/// Of more new series than this the labels are hashed with all others; of fewer, comparing them is
/// faster.
const COMPARED_MAX: usize = 32;

/// Bits in a word.
const WORD: usize = u64::BITS as usize;

/// Returns the value as a body spells it: there is one NaN.
#[inline]
fn normal(value: f64) -> f64 {
    if value.is_nan() { NORMAL_NAN } else { value }
}

/// Returns the bits of the value as a body spells it.
#[inline]
fn normal_bits(bits: u64) -> u64 {
    normal(f64::from_bits(bits)).to_bits()
}
