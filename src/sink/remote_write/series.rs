//! The series of a target's last scrape, and how the next one differs from them.
//!
//! Nearly every scrape of a target has the same series in the same order. So a set keeps, for
//! each line of the exposition, a hash of the series as written, and the labels as encoded for
//! the endpoint; a scrape that repeats the lines needs one hash per sample and allocates nothing.
//!
//! The hashes are 64 bits with a seed of this process: that two series of one target collide by
//! chance is a matter of 1 in 10^10 even for a target with 50,000 of them, and nobody outside
//! knows the seed. A collision would show as a wrong label set, so never lower the width.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;

use rapidhash::v3::{RapidSecrets, rapidhash_v3_seeded};

use crate::sink::removed::{Removal, Removals};

/// How far the set is searched for a series that is not next: a removed metric family may take
/// some dozens of lines away; what is not found is encoded anew, which is slower but the same.
const LOOKAHEAD: usize = 64;

/// The series of one scrape, in the order of its exposition.
#[derive(Debug, Default)]
pub(super) struct SeriesSet {
    lines: Box<[Line]>,
    /// The encoded labels of all series, one after the other.
    labels: Box<[u8]>,
}

/// One sample's series.
#[derive(Debug, Clone, Copy)]
struct Line {
    /// Hash of the series as written.
    text: u64,
    /// Where its labels end; they begin where those of the line before end.
    labels_end: u32,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A series that gets a stale marker when it is gone.
    Tracked,
    /// A sample with a time of its own: whoever wrote it cares for its end, as a rule.
    Timestamped,
    /// A series that stands further up already; no labels are kept.
    Duplicate,
}

/// Why a series of the last scrape may need a stale marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It is gone.
    Gone,
    /// It is gone, and its samples had times of their own.
    GoneTimed,
    /// Its sample has this time of its own, and the last one had none: who writes times cares for
    /// the end, so nobody waits for the next one any more.
    NowTimed(i64),
}

impl End {
    /// Tells how a series ends that is gone.
    pub(super) fn of_gone(has_time: bool) -> Self {
        if has_time {
            Self::GoneTimed
        } else {
            Self::Gone
        }
    }

    /// Returns where the marker with a scrape's time goes, if there is to be one; `is_tracked`: the
    /// target wants one for series with times of their own, too.
    ///
    /// One that is known to lie before the sample is not written: it would be refused, and the
    /// other samples with it.
    pub(super) fn marker(self, time_ms: i64, is_tracked: bool) -> Option<Marker> {
        match (self, is_tracked) {
            (Self::Gone, _) => Some(Marker::Plain),
            (Self::GoneTimed, true) => Some(Marker::Timed),
            (Self::NowTimed(own_ms), false) if own_ms < time_ms => Some(Marker::Timed),
            (Self::GoneTimed, false) | (Self::NowTimed(_), _) => None,
        }
    }
}

/// Where a stale marker goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    /// To the samples that have the scrape's time.
    Plain,
    /// To those with times of their own: an older one may lie behind it, and then it is refused, as
    /// the other samples of such series may be.
    Timed,
}

/// The labels of a scrape take more than a set can hold (4 GiB).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the labels of the scrape take more than 4 GiB")]
pub(super) struct TooLarge;

/// The seeded hash of this process.
#[derive(Debug)]
pub(super) struct SeriesHasher(RapidSecrets);

impl SeriesHasher {
    pub(super) fn new() -> Self {
        // The standard library draws its keys from the system.
        let seed = RandomState::new().build_hasher().finish();
        Self(RapidSecrets::seed(seed))
    }

    pub(super) fn hash(&self, bytes: &[u8]) -> u64 {
        rapidhash_v3_seeded(bytes, &self.0)
    }
}

/// Memory that is used again from scrape to scrape.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    lines: Vec<Line>,
    labels: Vec<u8>,
    /// Hashes of the labels in this scrape.
    seen: HashSet<u64>,
    /// Of these, the times of those with one of their own that the last one may have had without.
    timed: HashMap<u64, i64>,
    /// Hashes of the labels in the last one.
    known: HashSet<u64>,
}

impl Scratch {
    /// Compares series that are no walk away from the last ones: by their labels alone.
    ///
    /// `last` says for each whether it has times of its own, `now` which. Returns how many are new;
    /// `on_stale` gets those that end.
    pub(super) fn compare<'s>(
        &mut self,
        hasher: &SeriesHasher,
        last: &[(&[u8], bool)],
        now: impl Iterator<Item = (&'s [u8], Option<i64>)>,
        on_stale: impl FnMut(&[u8], End),
    ) -> u64 {
        self.known.clear();
        self.known
            .extend(last.iter().map(|(labels, _)| hasher.hash(labels)));
        self.seen.clear();
        self.timed.clear();
        for (labels, own_ms) in now {
            let hash = hasher.hash(labels);
            self.seen.insert(hash);
            self.timed.extend(own_ms.map(|own_ms| (hash, own_ms)));
        }
        self.find_ends(hasher, last.iter().copied(), on_stale);
        self.seen.difference(&self.known).count() as u64
    }

    /// Calls `on_stale` with those of the last series that end with this scrape.
    fn find_ends<'s>(
        &self,
        hasher: &SeriesHasher,
        last: impl Iterator<Item = (&'s [u8], bool)>,
        mut on_stale: impl FnMut(&[u8], End),
    ) {
        for (labels, has_time) in last {
            let hash = hasher.hash(labels);
            if !self.seen.contains(&hash) {
                on_stale(labels, End::of_gone(has_time));
            } else if let Some(own_ms) = self.timed.get(&hash).filter(|_| !has_time) {
                on_stale(labels, End::NowTimed(*own_ms));
            }
        }
    }
}

/// A walk along the last scrape's series, one step for each sample of the new one.
#[derive(Debug)]
pub(super) struct Walk<'w> {
    last: &'w Arc<SeriesSet>,
    hasher: &'w SeriesHasher,
    scratch: &'w mut Scratch,
    /// The line of the last set that comes next.
    next: usize,
    /// Set with the first difference; from then on a new set is built.
    is_changed: bool,
    added: u64,
}

/// Where a walk ended.
#[derive(Debug)]
pub(super) struct Walked {
    /// The series of the new scrape: the last ones themselves if nothing changed.
    pub(super) series: Arc<SeriesSet>,
    /// How many of them are new.
    pub(super) added: u64,
}

impl SeriesSet {
    /// Collects series: their text, encoded labels, and whether they have times of their own.
    ///
    /// No two of them may have the same labels.
    pub(super) fn collect<'s>(
        series: impl Iterator<Item = (&'s str, &'s [u8], bool)>,
        hasher: &SeriesHasher,
    ) -> Result<Self, TooLarge> {
        let (mut lines, mut encoded) = (Vec::new(), Vec::new());
        for (text, labels, has_timestamp) in series {
            encoded.extend_from_slice(labels);
            lines.push(Line {
                text: hasher.hash(text.as_bytes()),
                labels_end: u32::try_from(encoded.len()).map_err(|_too_large| TooLarge)?,
                kind: Kind::of(has_timestamp),
            });
        }
        Ok(Self {
            lines: lines.into(),
            labels: encoded.into(),
        })
    }

    /// Iterates over the labels of all series, and whether they have times of their own.
    pub(super) fn labels(&self) -> impl Iterator<Item = (&[u8], bool)> {
        self.with_labels()
            .filter(|(line, _)| line.has_labels())
            .map(|(line, labels)| (labels, line.kind == Kind::Timestamped))
    }

    fn with_labels(&self) -> impl Iterator<Item = (Line, &[u8])> {
        let lines = self.lines.iter().enumerate();
        lines.map(|(at, line)| (*line, self.labels_of(at)))
    }

    fn labels_of(&self, at: usize) -> &[u8] {
        let end_of = |line: &Line| line.labels_end as usize;
        let end = self.lines.get(at).map_or(0, end_of);
        let before = at.checked_sub(1).and_then(|before| self.lines.get(before));
        self.labels
            .get(before.map_or(0, end_of)..end)
            .unwrap_or_default()
    }
}

impl Kind {
    fn of(has_timestamp: bool) -> Self {
        if has_timestamp {
            Self::Timestamped
        } else {
            Self::Tracked
        }
    }
}

impl Line {
    fn has_labels(self) -> bool {
        self.kind != Kind::Duplicate
    }
}

impl<'w> Walk<'w> {
    pub(super) fn new(
        last: &'w Arc<SeriesSet>,
        hasher: &'w SeriesHasher,
        scratch: &'w mut Scratch,
    ) -> Self {
        Self {
            last,
            hasher,
            scratch,
            next: 0,
            is_changed: false,
            added: 0,
        }
    }

    /// Takes the next sample and returns its encoded labels, or `None` if it is left out.
    ///
    /// `encode` appends the labels; it is called only for a series that is not known.
    pub(super) fn step(
        &mut self,
        text: &str,
        timestamp_ms: Option<i64>,
        removals: &mut Removals,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Option<&[u8]>, TooLarge> {
        let text = self.hasher.hash(text.as_bytes());
        let kind = Kind::of(timestamp_ms.is_some());
        if !self.is_changed {
            match self.last.lines.get(self.next) {
                Some(line) if line.text == text && (line.kind == kind || !line.has_labels()) => {
                    return Ok(self.repeat(*line, removals));
                }
                _ => self.begin_change(),
            }
        }
        self.change(text, timestamp_ms, removals, encode)
    }

    /// The line is the one that stood here last time.
    fn repeat(&mut self, line: Line, removals: &mut Removals) -> Option<&[u8]> {
        let at = self.next;
        self.next += 1;
        if line.kind == Kind::Duplicate {
            removals.add(Removal::Duplicate);
            return None;
        }
        Some(self.last.labels_of(at))
    }

    /// Something is different: what was the same so far becomes the start of a new set.
    fn begin_change(&mut self) {
        self.is_changed = true;
        let Scratch {
            lines,
            labels,
            seen,
            timed,
            known,
        } = &mut *self.scratch;
        lines.clear();
        labels.clear();
        seen.clear();
        timed.clear();
        known.clear();
        for (at, (line, bytes)) in self.last.with_labels().enumerate() {
            let hash = line.has_labels().then(|| self.hasher.hash(bytes));
            known.extend(hash);
            if at < self.next {
                seen.extend(hash);
                lines.push(line);
                labels.extend_from_slice(bytes);
            }
        }
    }

    fn change(
        &mut self,
        text: u64,
        timestamp_ms: Option<i64>,
        removals: &mut Removals,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Option<&[u8]>, TooLarge> {
        let start = self.scratch.labels.len();
        if let Some(at) = self.find(text) {
            self.next = at + 1;
            self.scratch
                .labels
                .extend_from_slice(self.last.labels_of(at));
        } else {
            encode(&mut self.scratch.labels);
        }
        let labels = self.scratch.labels.get(start..).unwrap_or_default();
        let hash = self.hasher.hash(labels);
        let is_first = self.scratch.seen.insert(hash);
        if !is_first {
            self.scratch.labels.truncate(start);
            removals.add(Removal::Duplicate);
        } else if !self.scratch.known.contains(&hash) {
            self.added += 1;
        }
        if is_first {
            let time = timestamp_ms.map(|own_ms| (hash, own_ms));
            self.scratch.timed.extend(time);
        }
        let labels_end = self.scratch.labels.len();
        let labels_end = u32::try_from(labels_end).map_err(|_too_large| TooLarge)?;
        let kind = if is_first {
            Kind::of(timestamp_ms.is_some())
        } else {
            Kind::Duplicate
        };
        self.scratch.lines.push(Line {
            text,
            labels_end,
            kind,
        });
        Ok(is_first.then(|| self.scratch.labels.get(start..).unwrap_or_default()))
    }

    /// Searches the last set, from the next line on, for a series whose labels are kept.
    fn find(&self, text: u64) -> Option<usize> {
        let rest = self.last.lines.get(self.next..)?;
        let ahead = rest
            .iter()
            .take(LOOKAHEAD)
            .position(|line| line.text == text && line.has_labels());
        ahead.map(|ahead| self.next + ahead)
    }

    /// Ends the walk; `on_stale` gets the labels of each series that ends.
    pub(super) fn finish(mut self, on_stale: impl FnMut(&[u8], End)) -> Walked {
        if !self.is_changed {
            if self.next == self.last.lines.len() {
                return Walked {
                    series: Arc::clone(self.last),
                    added: 0,
                };
            }
            self.begin_change();
        }
        let last = self.last.labels();
        self.scratch.find_ends(self.hasher, last, on_stale);
        let series = SeriesSet {
            lines: self.scratch.lines.as_slice().into(),
            labels: self.scratch.labels.as_slice().into(),
        };
        Walked {
            series: Arc::new(series),
            added: self.added,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Walks from one scrape to the next: words are series, `t:` marks a timestamp; the
    /// part before `=` alone makes the labels.
    struct Steps {
        last: Arc<SeriesSet>,
        hasher: SeriesHasher,
        scratch: Scratch,
    }

    impl Steps {
        fn new() -> Self {
            Self {
                last: Arc::default(),
                hasher: SeriesHasher::new(),
                scratch: Scratch::default(),
            }
        }

        #[track_caller]
        fn check(&mut self, scrape: &str, written: &str, stale: &str, added: u64) {
            let mut walk = Walk::new(&self.last, &self.hasher, &mut self.scratch);
            let mut removals = Removals::default();
            let mut out = Vec::new();
            for word in scrape.split_whitespace() {
                let series = word.trim_start_matches("t:");
                let encode = |labels: &mut Vec<u8>| {
                    let name = series.split('=').next().unwrap();
                    labels.extend_from_slice(name.as_bytes());
                };
                let labels = walk.step(
                    series,
                    word.starts_with("t:").then_some(7),
                    &mut removals,
                    encode,
                );
                if let Some(labels) = labels.unwrap() {
                    out.push(String::from_utf8(labels.to_vec()).unwrap());
                }
            }
            let mut gone = Vec::new();
            let walked = walk.finish(|labels, end| {
                if end != End::GoneTimed {
                    gone.push(String::from_utf8(labels.to_vec()).unwrap());
                }
            });
            assert_eq!(out.join(" "), written, "written");
            assert_eq!(gone.join(" "), stale, "stale");
            assert_eq!(walked.added, added, "added");
            self.last = walked.series;
        }
    }

    #[test]
    fn an_unchanged_scrape_shares_its_set() {
        let mut steps = Steps::new();
        steps.check("a b c", "a b c", "", 3);
        let first = Arc::clone(&steps.last);
        steps.check("a b c", "a b c", "", 0);
        assert!(Arc::ptr_eq(&first, &steps.last));
    }

    #[test]
    fn finds_what_is_new_and_what_is_gone() {
        let mut steps = Steps::new();
        steps.check("a b c d", "a b c d", "", 4);
        steps.check("a c d", "a c d", "b", 0);
        steps.check("a c", "a c", "d", 0);
        steps.check("x a c y", "x a c y", "", 2);
        steps.check("y c a x", "y c a x", "", 0);
        steps.check("", "", "y c a x", 0);
        steps.check("", "", "", 0);
        steps.check("a", "a", "", 1);
    }

    #[test]
    fn of_duplicates_the_first_counts_also_when_they_move() {
        let mut steps = Steps::new();
        steps.check("a=1 b a=2 b", "a b", "", 2);
        let first = Arc::clone(&steps.last);
        steps.check("a=1 b a=2 b", "a b", "", 0);
        assert!(Arc::ptr_eq(&first, &steps.last));
        steps.check("b a=2 a=1", "b a", "", 0);
        steps.check("a=2 b", "a b", "", 0);
    }

    #[test]
    fn a_series_with_its_own_time_gets_a_stale_marker_only_when_it_begins_to_have_one() {
        let mut steps = Steps::new();
        steps.check("a t:b", "a b", "", 2);
        steps.check("a t:b", "a b", "", 0);
        steps.check("a", "a", "", 0);
        steps.check("t:a", "a", "a", 0);
        steps.check("t:a", "a", "", 0);
        steps.check("a", "a", "", 0);
        steps.check("c t:a", "c a", "a", 1);
        steps.check("", "", "c", 0);
    }

    #[test]
    fn a_large_hole_is_encoded_anew() {
        let mut steps = Steps::new();
        let words = |range: std::ops::Range<usize>| {
            range
                .map(|number| format!("s{number}"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        let (all, rest) = (words(0..300), words(200..300));
        steps.check(&all, &all, "", 300);
        steps.check(&rest, &rest, &words(0..200), 0);
        steps.check(&all, &all, "", 200);
    }

    /// What a plain reading of the rules gives: written, stale, added.
    fn expected(last: &[(u8, bool)], scrape: &[(u8, bool)]) -> (String, String, u64) {
        let first = |list: &[(u8, bool)]| -> Vec<(u8, bool)> {
            let mut firsts: Vec<(u8, bool)> = Vec::new();
            for (name, timed) in list {
                if !firsts.iter().any(|(known, _)| known == name) {
                    firsts.push((*name, *timed));
                }
            }
            firsts
        };
        let (last, now) = (first(last), first(scrape));
        let is_in = |list: &[(u8, bool)], name: u8| list.iter().any(|(known, _)| *known == name);
        let words = |list: Vec<u8>| {
            list.iter()
                .map(|name| format!("s{name}"))
                .collect::<Vec<_>>()
                .join(" ")
        };
        let gone = last
            .iter()
            .filter(|(name, timed)| !timed && !now.contains(&(*name, false)));
        let added = now.iter().filter(|(name, _)| !is_in(&last, *name)).count() as u64;
        let written = now.iter().map(|(name, _)| *name).collect();
        (
            words(written),
            words(gone.map(|(name, _)| *name).collect()),
            added,
        )
    }

    proptest::proptest! {
        #[test]
        fn any_scrapes_follow_the_rules(
            scrapes in proptest::collection::vec(
                proptest::collection::vec((0_u8..8, proptest::bool::weighted(0.2)), 0..12),
                1..8,
            ),
        ) {
            let mut steps = Steps::new();
            let mut last: Vec<(u8, bool)> = Vec::new();
            for scrape in scrapes {
                let words = scrape.iter().enumerate();
                // The part behind `=` makes texts of one series differ, as spaces would.
                let words = words.map(|(at, (name, timed))| {
                    format!("{}s{name}={}", if *timed { "t:" } else { "" }, at % 2)
                });
                let words: Vec<_> = words.collect();
                let (written, stale, added) = expected(&last, &scrape);
                steps.check(&words.join(" "), &written, &stale, added);
                last = scrape;
            }
        }
    }
}
