//! Values side by side: of one scrape, and of the base it is coded against.

use super::HAS_TIME;
use super::numbers::length_of;
use crate::wire::number::{ABSENT, Value};

/// The values of one scrape in the order of its shape.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Column {
    pub(in crate::wire) mantissas: Vec<i64>,
    pub(in crate::wire) scales: Vec<u8>,
    /// Explicit timestamps, milliseconds since the Unix epoch; empty in a shape without any.
    pub(in crate::wire) times: Vec<i64>,
    pub(in crate::wire) exemplars: Vec<Exemplar>,
    pub(in crate::wire) histograms: Vec<NativeHistogram>,
}

/// An example of what a sample counts, such as a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exemplar {
    /// The place of its series, which has a value.
    pub series: u32,
    /// Labels, value and timestamp as written: what stands behind ` # ` in `OpenMetrics`.
    pub text: Box<str>,
}

/// A native histogram, for which the text formats have no line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeHistogram {
    /// Its series, name and labels as the text format writes them.
    pub series: Box<str>,
    /// An `io.prometheus.client.Histogram` message.
    pub message: bytes::Bytes,
}

impl Column {
    /// Makes room for so many series, none of which has a value.
    pub fn clear(&mut self, series: usize, has_times: bool) {
        self.mantissas.clear();
        self.mantissas.resize(series, 0);
        self.scales.clear();
        self.scales.resize(series, ABSENT);
        self.times.clear();
        self.times.resize(if has_times { series } else { 0 }, 0);
        self.exemplars.clear();
        self.histograms.clear();
    }

    /// Leaves out what is behind so many series, or makes room.
    pub(in crate::wire) fn fit(&mut self, series: usize, has_times: bool) {
        self.mantissas.resize(series, 0);
        self.scales.resize(series, ABSENT);
        self.times.resize(if has_times { series } else { 0 }, 0);
    }

    /// Takes some series out, as a column of their own.
    ///
    /// Native histograms, which stand beside the series, go with the first.
    pub fn stretch(&self, series: std::ops::Range<usize>, has_times: bool) -> Self {
        let mut own = Self::default();
        own.clear(series.len(), has_times);
        for (at, series) in series.clone().enumerate() {
            own.set(at, self.get(series));
            if let Some(time) = self.time(series) {
                own.set_time(at, time);
            }
        }
        for exemplar in &self.exemplars {
            let at = (exemplar.series as usize).checked_sub(series.start);
            if let Some(at) = at.filter(|at| *at < series.len()) {
                own.exemplars.push(Exemplar {
                    series: u32::try_from(at).unwrap_or(u32::MAX),
                    text: exemplar.text.clone(),
                });
            }
        }
        if series.start == 0 {
            own.histograms.clone_from(&self.histograms);
        }
        own
    }

    /// Puts columns one behind the other.
    pub(in crate::wire) fn join<'c>(
        parts: impl Iterator<Item = &'c Self>,
        series: usize,
        has_times: bool,
    ) -> Self {
        let mut joined = Self {
            mantissas: Vec::with_capacity(series),
            scales: Vec::with_capacity(series),
            times: Vec::with_capacity(if has_times { series } else { 0 }),
            ..Self::default()
        };
        for part in parts {
            let before = u32::try_from(joined.scales.len()).unwrap_or(u32::MAX);
            let exemplars = part.exemplars.iter().map(|exemplar| Exemplar {
                series: exemplar.series.saturating_add(before),
                text: exemplar.text.clone(),
            });
            joined.exemplars.extend(exemplars);
            joined.histograms.extend_from_slice(&part.histograms);
            joined.mantissas.extend_from_slice(&part.mantissas);
            joined.scales.extend_from_slice(&part.scales);
            if has_times {
                // A part without any has none of its own.
                joined.times.extend_from_slice(&part.times);
                joined.times.resize(joined.scales.len(), 0);
            }
        }
        joined.fit(series, has_times);
        joined
    }

    /// Returns the number of series.
    pub fn len(&self) -> usize {
        self.scales.len()
    }

    /// Tells whether there is no series.
    pub fn is_empty(&self) -> bool {
        self.scales.is_empty()
    }

    /// Returns the value of a series; none when it has none or is none.
    pub fn get(&self, series: usize) -> Value {
        match (self.mantissas.get(series), self.scales.get(series)) {
            (Some(&mantissa), Some(&scale)) => Value { mantissa, scale },
            _ => Value::NONE,
        }
    }

    /// Sets the value of a series.
    #[inline]
    pub fn set(&mut self, series: usize, value: Value) {
        if let Some(mantissa) = self.mantissas.get_mut(series) {
            *mantissa = value.mantissa;
        }
        if let Some(scale) = self.scales.get_mut(series) {
            *scale = value.scale;
        }
    }

    /// Returns the explicit timestamp of a series, in milliseconds; only series that have the
    /// flag in their shape, and a value, have one.
    pub fn time(&self, series: usize) -> Option<i64> {
        self.times.get(series).copied()
    }

    /// Sets the explicit timestamp of a series.
    #[inline]
    pub fn set_time(&mut self, series: usize, time_ms: i64) {
        if let Some(time) = self.times.get_mut(series) {
            *time = time_ms;
        }
    }

    /// Returns the exemplars, in the order of their series.
    pub fn exemplars(&self) -> &[Exemplar] {
        &self.exemplars
    }

    /// Returns the native histograms.
    pub fn histograms(&self) -> &[NativeHistogram] {
        &self.histograms
    }

    /// Adds a native histogram.
    pub fn add_histogram(&mut self, histogram: NativeHistogram) {
        self.histograms.push(histogram);
    }

    /// Adds an exemplar of a series that has a value, behind those of the series before it.
    pub fn add_exemplar(&mut self, series: usize, text: Box<str>) {
        if let Ok(series) = u32::try_from(series) {
            self.exemplars.push(Exemplar { series, text });
        }
    }

    /// Leaves out samples whose explicit timestamp is later; returns their number.
    pub fn drop_later_than(&mut self, time_ms: i64) -> usize {
        let late = |at: &usize| self.times.get(*at).is_some_and(|time| *time > time_ms);
        let late: Vec<usize> = (0..self.times.len()).filter(late).collect();
        for at in &late {
            self.set(*at, Value::NONE);
            self.set_time(*at, 0);
        }
        if !late.is_empty() {
            let is_late = |series: u32| late.binary_search(&(series as usize)).is_ok();
            self.exemplars.retain(|exemplar| !is_late(exemplar.series));
        }
        late.len()
    }

    /// Iterates over the values.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Value> {
        let columns = self.mantissas.iter().zip(&self.scales);
        columns.map(|(&mantissa, &scale)| Value { mantissa, scale })
    }

    /// Returns the number of series that have a value.
    pub fn samples(&self) -> usize {
        self.scales.iter().filter(|&&scale| scale != ABSENT).count()
    }

    /// Iterates over the longest runs of series that have a value.
    pub fn runs(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let rest = self.scales.get(at..)?;
            let start = at + rest.iter().position(|&scale| scale != ABSENT)?;
            let rest = self.scales.get(start..)?;
            let length = memchr::memchr(ABSENT, rest).unwrap_or(rest.len());
            at = start + length;
            Some(start..at)
        })
    }

    /// Calls `put` with the bits of each value of some series, in their order; what is absent has
    /// [`ABSENT_BITS`].
    #[inline]
    pub fn each_bits(&self, series: std::ops::Range<usize>, mut put: impl FnMut(u64)) {
        let mantissas = self.mantissas.get(series.clone()).unwrap_or_default();
        let scales = self.scales.get(series).unwrap_or_default();
        for (mantissas, scales) in mantissas.chunks(8).zip(scales.chunks(8)) {
            // Most stand among others that are whole, too, and need no division.
            if scales == [0; 8] {
                for &mantissa in mantissas {
                    put(Value { mantissa, scale: 0 }.whole_bits());
                }
            } else {
                for (&mantissa, &scale) in mantissas.iter().zip(scales) {
                    let value = Value { mantissa, scale };
                    put(value.get().map_or(ABSENT_BITS, f64::to_bits));
                }
            }
        }
    }

    /// Iterates over whether each series has a value: 64 in a word, the first in the lowest bit.
    pub fn presence(&self) -> impl Iterator<Item = u64> {
        let words = self.scales.chunks(u64::BITS as usize);
        words.map(|scales| {
            let from_last = scales.iter().rev();
            from_last.fold(0, |word, &scale| word << 1 | u64::from(scale != ABSENT))
        })
    }

    /// Adds the doubles and times to a check value, so that coding that went astray is seen.
    pub(in crate::wire) fn check(
        &self,
        flags: &[u8],
        check: &mut crc32fast::Hasher,
        buffer: &mut Vec<u8>,
    ) {
        // Never cleared: what is longer than the column is not looked at.
        let length = self.mantissas.len() * size_of::<u64>();
        if buffer.len() < length {
            buffer.resize(length, 0);
        }
        let (places, _) = buffer.as_chunks_mut();
        let mut places = places.iter_mut();
        self.each_bits(0..self.mantissas.len(), |bits| {
            if let Some(place) = places.next() {
                *place = bits.to_le_bytes();
            }
        });
        buffer.truncate(length);
        for ((time, flags), scale) in self.times.iter().zip(flags).zip(&self.scales) {
            if flags & HAS_TIME != 0 && *scale != ABSENT {
                buffer.extend_from_slice(&time.to_le_bytes());
            }
        }
        check.update(buffer);
    }
}

/// What stands for an absent value in the check: the stale marker, which no body can spell.
const ABSENT_BITS: u64 = 0x7ff0_0000_0000_0002;

/// What is kept of a series between scrapes: its value at the base, and what was learned of it.
#[derive(Debug, Clone, Copy)]
pub(in crate::wire) struct Cell {
    mantissa: i64,
    /// The series above whose moves this one repeats.
    pub(super) source: u32,
    /// The series above that moved alike last time.
    pub(super) candidate: u32,
    /// Since the last fresh scrape, how long residuals were together; for the encoder only.
    lengths: u16,
    /// How many there were; for the encoder only.
    changes: u8,
    scale: u8,
    /// Length of the last residual times 4, and two bits of how often it changes.
    pub(in crate::wire) class: u8,
}

impl Cell {
    pub(super) const NO_SOURCE: u32 = u32::MAX;

    pub(in crate::wire) fn new(value: Value, class: u8) -> Self {
        Self {
            mantissa: value.mantissa,
            source: Self::NO_SOURCE,
            candidate: Self::NO_SOURCE,
            lengths: 0,
            changes: 0,
            scale: value.scale,
            class,
        }
    }

    /// Returns the cell as it is in another shape, where the series above are others.
    pub(in crate::wire) fn moved(self) -> Self {
        Self {
            source: Self::NO_SOURCE,
            candidate: Self::NO_SOURCE,
            ..self
        }
    }

    #[inline]
    pub(in crate::wire) fn value(&self) -> Value {
        Value {
            mantissa: self.mantissa,
            scale: self.scale,
        }
    }

    #[inline]
    pub(super) fn set(&mut self, value: Value) {
        self.mantissa = value.mantissa;
        self.scale = value.scale;
    }

    #[inline]
    pub(super) fn last_length(&self) -> u32 {
        u32::from(self.class >> 2)
    }

    /// Learns from a residual that the next scrape follows.
    #[inline]
    pub(super) fn adapt(&mut self, residual: i64) {
        self.class = Self::class_of(residual, ((self.class & 1) << 1) | 1);
    }

    /// Returns the class of a series whose last residual is known.
    #[inline]
    pub(in crate::wire) fn class_of(residual: i64, history: u8) -> u8 {
        let length = length_of(residual).min(63).to_le_bytes()[0];
        (length << 2) | history
    }

    /// Learns that the value was as predicted.
    #[inline]
    pub(super) fn keep(&mut self) {
        self.class = (self.class & !0b11) | ((self.class & 1) << 1);
    }

    /// Sets a value on the scale that it has.
    #[inline]
    pub(super) fn set_mantissa(&mut self, mantissa: i64) {
        self.mantissa = mantissa;
    }

    /// Counts a residual against a base that stays.
    #[inline]
    pub(super) fn count(&mut self, residual: i64) {
        if residual != 0 {
            self.changes = self.changes.saturating_add(1);
            let length = u16::from(length_of(residual).to_le_bytes()[0]);
            self.lengths = self.lengths.saturating_add(length);
        }
    }

    /// Returns the class to announce after so many scrapes against one base.
    pub(in crate::wire) fn counted_class(&self, scrapes: u16) -> u8 {
        if scrapes == 0 {
            return self.class;
        }
        let changes = u16::from(self.changes);
        if changes == 0 {
            return 0;
        }
        let mean = (self.lengths / changes).min(63).to_le_bytes()[0];
        // Parts of 20 at which how often a series changes is told apart.
        let often = match changes * 20 / scrapes {
            0..=3 => 0,
            4..=10 => 1,
            11..=18 => 2,
            _ => 3,
        };
        (mean << 2) | often
    }
}

/// Memory that is used again for each scrape.
pub(in crate::wire) struct Scratch {
    /// How far each series of this scrape moved.
    deltas: Vec<i64>,
    /// The first series that moved so far, by a hash of how far.
    firsts: Box<[(i64, u32); FIRSTS]>,
}

/// Distinct moves that are remembered in one scrape.
const FIRSTS: usize = 256;

/// A multiplier that spreads near numbers: 2^64 divided by the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

impl Scratch {
    pub(in crate::wire) fn new() -> Self {
        Self {
            deltas: Vec::new(),
            firsts: Box::new([(0, Cell::NO_SOURCE); FIRSTS]),
        }
    }

    pub(super) fn begin(&mut self, series: usize) {
        self.deltas.clear();
        self.deltas.resize(series, 0);
        self.firsts.fill((0, Cell::NO_SOURCE));
    }

    #[inline]
    pub(super) fn delta(&self, series: u32) -> Option<i64> {
        self.deltas.get(series as usize).copied()
    }

    #[inline]
    pub(super) fn set_delta(&mut self, series: usize, delta: i64) {
        if let Some(place) = self.deltas.get_mut(series) {
            *place = delta;
        }
    }

    /// Returns the series that was the first to move so far, or none and remembers this one.
    #[inline]
    pub(super) fn first_with(&mut self, delta: i64, series: usize) -> u32 {
        // A shape has far fewer.
        let series = u32::try_from(series).unwrap_or(Cell::NO_SOURCE);
        let hash = delta.cast_unsigned().wrapping_mul(SPREAD) >> 56;
        let slot = usize::try_from(hash).unwrap_or(0);
        match self.firsts.get_mut(slot) {
            Some((known, first)) if *known == delta && *first != Cell::NO_SOURCE => *first,
            Some(slot) => {
                *slot = (delta, series);
                Cell::NO_SOURCE
            }
            None => Cell::NO_SOURCE,
        }
    }
}
