//! What is published of a target whose series are not published as they are exposed.
//!
//! The target's own lines have a page, with which bodies are compared; what is published has
//! another. Between the two stands, for each series, its place or that a rule drops it. So rules
//! are asked once for each new series, and a scrape only moves values from place to place.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::series::{Fate, RefusedSeries, SeriesRules};
use crate::exposition::{Entry, Parser, Sample, SyntaxError};
use crate::model::Format;
use crate::model::labels::{BODY_SIZE, SAMPLES_KEPT, SAMPLES_SCRAPED};
use crate::wire::{Column, Misfit, Page, Shape, Value};

/// Series that the text of scrapes had and whose fate is remembered; more are forgotten all at
/// once, since a target whose series change all the time never asks for them again.
const FATES_MAX: usize = 1 << 16;

/// How a target's exposition is published where it is not as it is.
#[derive(Debug)]
pub(super) struct Edition {
    /// What is published.
    shape: Arc<Shape>,
    /// For each series of the target's own page where it stands in that of the shape.
    places: Box<[Place]>,
    /// For each series a hash of the labels that it gets.
    hashes: Box<[u64]>,
}

/// What is known of a scrape besides its series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Report {
    /// Samples before any rule.
    pub(super) samples: usize,
    /// The body's size, where it is wanted.
    pub(super) body_size: Option<usize>,
    /// Samples that pass the rules, and are left out since their time is far ahead.
    pub(super) late: usize,
}

/// Values as they are published.
#[derive(Debug)]
pub(super) struct Edited {
    pub(super) column: Column,
    /// Samples among them, without those of the report.
    pub(super) published: usize,
    /// Samples that pass the rules, whether they are published or not.
    pub(super) kept: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Here.
    At(u32),
    /// A rule drops the series.
    Dropped,
    /// The series was never there when the shape was made.
    Unknown,
}

/// Why there is no edition.
#[derive(Debug)]
pub(super) enum EditionError {
    /// The scrape fails.
    Refused(RefusedSeries),
    /// No shape holds it.
    Misfit(Misfit),
}

impl From<Misfit> for EditionError {
    fn from(misfit: Misfit) -> Self {
        Self::Misfit(misfit)
    }
}

impl From<RefusedSeries> for EditionError {
    fn from(refused: RefusedSeries) -> Self {
        Self::Refused(refused)
    }
}

impl Edition {
    /// Makes the edition of a body whose lines are all in `page`; `before` is that of the page
    /// before it.
    pub(super) fn build(
        rules: &SeriesRules,
        target: &Arc<crate::model::Labels>,
        page: &Page,
        before: Option<(&Page, &Self)>,
        body: &[u8],
        report: Report,
    ) -> Result<(Shape, Fates), EditionError> {
        let fates = Fates::decide(rules, page, before)?;
        let mut written = HashSet::new();
        // Where all that passes the rules is published, there is nothing more to say.
        let has_kept = report.late > 0 || fates.have_clashes();
        let wanted = (report, has_kept.then_some(0));
        let text = rewrite(body, page.format(), rules, wanted, |sample| {
            let at = page.position(sample.text)?;
            let key = fates.keys.get(at)?.as_deref()?;
            written.insert(key).then_some(Cow::Borrowed(key))
        });
        let text = text.map_err(|_refused| Misfit::Unreadable)?;
        let shape = match before {
            Some((_, before)) if before.shape.page().format() == page.format() => {
                before.shape.extend(&text)?
            }
            _ => Shape::build(Arc::clone(target), &text, page.format())?,
        };
        Ok((shape, fates))
    }

    /// Asks the rules about the series of a page that the one before it lacks.
    pub(super) fn check(
        rules: &SeriesRules,
        page: &Page,
        before: Option<&Page>,
    ) -> Result<(), EditionError> {
        let is_new = |at: usize| {
            let key = page.key_at(at);
            let known = key.and_then(|key| before?.position(key));
            known.is_none()
        };
        decide(rules, page, is_new).map(drop)
    }

    /// Finds the places of a page's series in the shape that was built for it.
    pub(super) fn new(shape: Arc<Shape>, fates: Fates) -> Self {
        let page = shape.page();
        let places = fates.keys.iter().map(|key| match key {
            None => Place::Dropped,
            Some(key) => page.position(key).map_or(Place::Unknown, |at| {
                u32::try_from(at).map_or(Place::Unknown, Place::At)
            }),
        });
        Self {
            places: places.collect(),
            hashes: fates.hashes.into(),
            shape,
        }
    }

    pub(super) fn shape(&self) -> &Arc<Shape> {
        &self.shape
    }

    /// Brings the values of the target's own series to their places; `None` where the shape lacks
    /// one of them.
    pub(super) fn apply(&self, own: &Column, report: Report) -> Option<Edited> {
        let page = self.shape.page();
        let mut column = Column::default();
        column.clear(page.len(), page.has_times());
        let mut moved = Vec::new();
        let mut kept = report.late;
        for ((at, value), place) in own.iter().enumerate().zip(&self.places) {
            if value.is_absent() {
                continue;
            }
            let place = match place {
                Place::At(place) => *place as usize,
                Place::Dropped => continue,
                Place::Unknown => return None,
            };
            kept += 1;
            // Of two series that have become one the first counts, as in Prometheus.
            if !column.get(place).is_absent() {
                continue;
            }
            column.set(place, value);
            if let Some(time_ms) = own.time(at).filter(|_| page.has_time(place)) {
                column.set_time(place, time_ms);
            }
            moved.push((at, place));
        }
        let published = moved.len();
        let mut moved = moved.into_iter().peekable();
        let mut exemplars = Vec::new();
        for exemplar in own.exemplars() {
            let at = exemplar.series as usize;
            while moved.next_if(|(own, _)| *own < at).is_some() {}
            if let Some((_, place)) = moved.next_if(|(own, _)| *own == at) {
                exemplars.push((place, exemplar.text.clone()));
            }
        }
        exemplars.sort_unstable_by_key(|(place, _)| *place);
        for (place, text) in exemplars {
            column.add_exemplar(place, text);
        }
        let has_kept = kept != published || page.position(SAMPLES_KEPT).is_some();
        for (name, number) in report.series(has_kept.then_some(kept)) {
            #[expect(clippy::cast_precision_loss, reason = "far below what a double holds")]
            let value = Value::new(number as f64);
            column.set(page.position(name)?, value);
        }
        Some(Edited {
            column,
            published,
            kept,
        })
    }

    /// Returns what is published of a series of the target's own page.
    fn key_of(&self, at: usize) -> Option<Reused> {
        match self.places.get(at)? {
            Place::At(place) => Some(Reused::Key(
                self.shape.page().key_at(*place as usize)?.into(),
                *self.hashes.get(at)?,
            )),
            Place::Dropped => Some(Reused::Dropped),
            Place::Unknown => None,
        }
    }
}

enum Reused {
    Key(Box<str>, u64),
    Dropped,
}

impl Report {
    /// Returns the series by which the poller tells it, and how many samples pass the rules where
    /// these are not all that are published.
    fn series(self, kept: Option<usize>) -> impl Iterator<Item = (&'static str, usize)> {
        let kept = kept.map(|kept| (SAMPLES_KEPT, kept));
        let size = self.body_size.map(|size| (BODY_SIZE, size));
        std::iter::once((SAMPLES_SCRAPED, self.samples))
            .chain(kept)
            .chain(size)
    }
}

/// By which text each series of a page is published; `None`: not at all.
pub(super) struct Fates {
    keys: Vec<Option<Box<str>>>,
    hashes: Vec<u64>,
}

impl Fates {
    /// Tells whether two series are published by one text.
    fn have_clashes(&self) -> bool {
        let mut seen = HashSet::new();
        self.keys.iter().flatten().any(|key| !seen.insert(key))
    }

    fn decide(
        rules: &SeriesRules,
        page: &Page,
        before: Option<(&Page, &Edition)>,
    ) -> Result<Self, EditionError> {
        let known = |key: &str| {
            let (page, edition) = before?;
            edition.key_of(page.position(key)?)
        };
        let known: Vec<Option<Reused>> = page.keys().map(known).collect();
        let is_new = |at: usize| known.get(at).is_some_and(Option::is_none);
        let mut new = decide(rules, page, is_new)?.into_iter();
        let mut fates = Self {
            keys: Vec::with_capacity(page.len()),
            hashes: Vec::with_capacity(page.len()),
        };
        // Two series that get the same labels are published by one text.
        let mut by_labels: HashMap<u64, usize> = HashMap::new();
        for (key, known) in page.keys().zip(&known) {
            let fate = match known {
                Some(Reused::Key(key, hash)) => Some((key.clone(), *hash)),
                Some(Reused::Dropped) => None,
                None => new.next().and_then(|fate| self::known(fate, key)),
            };
            let (key, hash) = fate.unzip();
            let hash = hash.unwrap_or_default();
            let key = key.map(|key| {
                let at = *by_labels.entry(hash).or_insert(fates.keys.len());
                fates.keys.get(at).cloned().flatten().unwrap_or(key)
            });
            fates.keys.push(key);
            fates.hashes.push(hash);
        }
        Ok(fates)
    }
}

/// Asks the rules about some of a page's series.
fn decide(
    rules: &SeriesRules,
    page: &Page,
    is_wanted: impl FnMut(usize) -> bool,
) -> Result<Vec<Fate>, EditionError> {
    decide_all(rules, &page.write_series(is_wanted), page.format())
}

fn decide_all(rules: &SeriesRules, text: &[u8], format: Format) -> Result<Vec<Fate>, EditionError> {
    let mut fates = Vec::new();
    let mut parser = Parser::new(text, format);
    while let Some(entry) = parser.next() {
        if let Entry::Sample(sample) = entry.map_err(|_refused| Misfit::Unreadable)? {
            fates.push(rules.decide(&sample)?);
        }
    }
    Ok(fates)
}

/// Rewrites bodies that no shape holds, and remembers what becomes of their series.
#[derive(Debug, Default)]
pub(super) struct TextEdition {
    /// Published text and labels' hash, by the target's own text.
    fates: HashMap<Box<str>, Option<(Box<str>, u64)>>,
}

/// A body as it is published.
#[derive(Debug)]
pub(super) struct Rewritten {
    pub(super) text: Vec<u8>,
    /// Samples in it, without those of the report.
    pub(super) samples: usize,
    /// Samples that pass the rules, whether they are in it or not.
    pub(super) kept: usize,
}

/// Why a body is not published.
#[derive(Debug, thiserror::Error)]
pub(super) enum RewriteError {
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    #[error(transparent)]
    Series(#[from] RefusedSeries),
}

/// What is remembered of a series' fate.
fn known(fate: Fate, text: &str) -> Option<(Box<str>, u64)> {
    match fate {
        Fate::Kept(labels) => Some((text.into(), labels.stable_hash())),
        Fate::Rewritten(key, labels) => Some((key.into(), labels.stable_hash())),
        Fate::Dropped => None,
    }
}

impl TextEdition {
    /// Returns by which text a series is published that stands beside the body; `None`: it is not.
    pub(super) fn publish(
        &mut self,
        series: &str,
        rules: &SeriesRules,
    ) -> Result<Option<Box<str>>, EditionError> {
        if self.fates.len() > FATES_MAX {
            self.fates.clear();
        }
        if !self.fates.contains_key(series) {
            let line = format!("{series} 0\n");
            let fate = decide_all(rules, line.as_bytes(), Format::Text)?.pop();
            let fate = fate.and_then(|fate| known(fate, series));
            self.fates.insert(series.into(), fate);
        }
        let fate = self.fates.get(series).and_then(Option::as_ref);
        Ok(fate.map(|(key, _)| key.clone()))
    }

    /// Rewrites a body; samples later than `time_max_ms` are left out.
    pub(super) fn rewrite(
        &mut self,
        body: &[u8],
        format: Format,
        rules: &SeriesRules,
        report: Report,
        time_max_ms: i64,
    ) -> Result<Rewritten, RewriteError> {
        if self.fates.len() > FATES_MAX {
            self.fates.clear();
        }
        let fates = &mut self.fates;
        let mut refused = None;
        // By the labels' hash the text that stands for them in this body.
        let mut texts: HashMap<u64, Box<str>> = HashMap::new();
        let mut samples = 0;
        let mut late = 0;
        let mut text = rewrite(body, format, rules, (report, None), |sample| {
            if refused.is_some() {
                return None;
            }
            if !fates.contains_key(sample.text) {
                match rules.decide(sample) {
                    Ok(fate) => drop(fates.insert(sample.text.into(), known(fate, sample.text))),
                    Err(error) => {
                        refused = Some(error);
                        return None;
                    }
                }
            }
            let (key, hash) = fates.get(sample.text)?.as_ref()?;
            if is_late(sample, rules, time_max_ms) {
                late += 1;
                return None;
            }
            let text = texts.entry(*hash).or_insert_with(|| key.clone());
            samples += 1;
            Some(Cow::Owned(text.to_string()))
        })?;
        let kept = samples + late;
        if late > 0 {
            let line = format!("{SAMPLES_KEPT} {kept}\n");
            text.splice(..0, line.into_bytes());
        }
        match refused {
            Some(refused) => Err(refused.into()),
            None => Ok(Rewritten {
                text,
                samples,
                kept,
            }),
        }
    }
}

/// Tells whether a sample's own time is so late that Prometheus would not take it.
fn is_late(sample: &Sample<'_, '_>, rules: &SeriesRules, time_max_ms: i64) -> bool {
    rules.config().honor_timestamps && sample.timestamp_ms.is_some_and(|time| time > time_max_ms)
}

/// Writes a body anew, with other texts for its series; `None` leaves a sample out.
fn rewrite<'k>(
    body: &[u8],
    format: Format,
    rules: &SeriesRules,
    report: (Report, Option<usize>),
    mut key_of: impl FnMut(&Sample<'_, '_>) -> Option<Cow<'k, str>>,
) -> Result<Vec<u8>, SyntaxError> {
    let mut out = Vec::with_capacity(body.len() + 128);
    let (report, kept) = report;
    for (name, number) in report.series(kept) {
        out.extend_from_slice(format!("{name} {number}\n").as_bytes());
    }
    let mut parser = Parser::new(body, format);
    let mut copied = 0;
    while let Some(entry) = parser.next() {
        let Entry::Sample(sample) = entry? else {
            continue;
        };
        let start = sample.text.as_ptr().addr() - body.as_ptr().addr();
        let rest = start + sample.text.len();
        // What stands before it since the last sample: comments.
        out.extend_from_slice(body.get(copied..start).unwrap_or_default());
        let tail = body.get(rest..).unwrap_or_default();
        let length = memchr::memchr(b'\n', tail).unwrap_or(tail.len());
        copied = (rest + length + 1).min(body.len());
        let Some(key) = key_of(&sample) else {
            continue;
        };
        out.extend_from_slice(key.as_bytes());
        let tail = tail.get(..length).unwrap_or_default();
        if sample.timestamp_ms.is_none() || rules.config().honor_timestamps {
            if !tail.starts_with(b" ") {
                out.push(b' ');
            }
            out.extend_from_slice(tail);
        } else {
            put_without_time(tail, &mut out);
        }
        out.push(b'\n');
    }
    out.extend_from_slice(body.get(copied..).unwrap_or_default());
    Ok(out)
}

/// Appends what stands behind a series, without the second word.
fn put_without_time(tail: &[u8], out: &mut Vec<u8>) {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let mut words = tail
        .split(|byte| is_blank(byte))
        .filter(|word| !word.is_empty());
    out.push(b' ');
    out.extend_from_slice(words.next().unwrap_or_default());
    for word in words.skip(1) {
        out.push(b' ');
        out.extend_from_slice(word);
    }
}
