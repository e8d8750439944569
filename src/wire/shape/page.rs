//! What an exposition says besides its values.

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::sync::OnceLock;

use rapidhash::fast::RandomState;

use super::{SERIES_MAX, TEXT_MAX};
use crate::model::Format;
use crate::wire::columns::{Column, HAS_TIME, RELATION_ABOVE, RELATION_MASK, RELATION_SECOND};

/// The lines of an exposition without their values.
///
/// The text has a line for each series, its name and labels as written, and before it the lines
/// of comments that stood there; comments behind the last series end the text.
#[derive(Debug)]
pub struct Page {
    format: Format,
    text: Box<str>,
    series: Box<[Place]>,
    flags: Box<[u8]>,
    has_times: bool,
    index: OnceLock<Index>,
}

/// Where a series stands in the text; its comments begin behind the line above.
#[derive(Debug, Clone, Copy)]
struct Place {
    key: u32,
    end: u32,
}

/// A series' lines, to compare a body with.
#[derive(Debug, Clone, Copy)]
pub(in crate::wire) struct Lines<'a> {
    /// Comments and series.
    pub(in crate::wire) all: &'a str,
    /// The series alone: name and labels.
    pub(in crate::wire) key: &'a str,
    pub(in crate::wire) has_time: bool,
}

/// What a page is asked for by a line that does not stand where it stood.
pub(in crate::wire) trait Find {
    /// Returns the position of a series.
    fn find(&self, key: &[u8]) -> Option<usize>;

    /// Tells whether a line of comment is anywhere in the page.
    fn has_comment(&self, line: &[u8]) -> bool;
}

impl PartialEq for Page {
    fn eq(&self, other: &Self) -> bool {
        self.format == other.format && self.text == other.text && self.flags == other.flags
    }
}

impl Page {
    /// Takes a text and the flags of its series; `None` when they do not fit together.
    pub(super) fn new(format: Format, text: Box<str>, flags: Box<[u8]>) -> Option<Self> {
        if text.len() > TEXT_MAX || flags.len() > SERIES_MAX {
            return None;
        }
        let mut series = Vec::with_capacity(flags.len());
        let bytes = text.as_bytes();
        let mut key = 0_u32;
        for end in memchr::memchr_iter(b'\n', bytes) {
            let end = u32::try_from(end).ok()?;
            if bytes.get(key as usize) != Some(&b'#') {
                series.push(Place { key, end });
            }
            key = end + 1;
        }
        if key as usize != bytes.len() {
            return None;
        }
        let page = Self {
            format,
            text,
            series: series.into(),
            flags: Box::default(),
            has_times: false,
            index: OnceLock::new(),
        };
        page.with_flags(flags)
    }

    /// Takes the flags of the series; `None` when they do not fit.
    pub(super) fn with_flags(self, flags: Box<[u8]>) -> Option<Self> {
        let are_known = flags.iter().enumerate().all(|(at, flags)| {
            let relation = flags & RELATION_MASK;
            flags & !(RELATION_MASK | HAS_TIME) == 0
                && relation <= RELATION_SECOND
                && at >= usize::from(relation)
        });
        (self.series.len() == flags.len() && are_known).then(|| Self {
            has_times: flags.iter().any(|flags| flags & HAS_TIME != 0),
            flags,
            ..self
        })
    }

    /// Returns the text format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Returns the number of series.
    pub fn len(&self) -> usize {
        self.flags.len()
    }

    /// Tells whether there is no series.
    pub fn is_empty(&self) -> bool {
        self.flags.is_empty()
    }

    /// Tells whether any series has explicit timestamps.
    pub fn has_times(&self) -> bool {
        self.has_times
    }

    /// Tells whether a series has explicit timestamps.
    pub fn has_time(&self, series: usize) -> bool {
        self.flags
            .get(series)
            .is_some_and(|flags| flags & HAS_TIME != 0)
    }

    /// Iterates over the series: name and labels as the target writes them.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.series.iter().map(|place| self.key(*place))
    }

    /// Returns the place of a series by its name and labels as the target writes them.
    pub fn position(&self, key: &str) -> Option<usize> {
        self.find(key.as_bytes())
    }

    /// Returns the text: comments and series, a line each.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Writes an exposition of the series that are asked for, each with the value 0, in their order,
    /// with all that the page says of types.
    pub fn write_series(&self, mut is_wanted: impl FnMut(usize) -> bool) -> Vec<u8> {
        let mut text = Vec::new();
        for series in 0..self.len() {
            let Some(lines) = self.lines(series) else {
                continue;
            };
            let is_wanted = is_wanted(series);
            for line in lines.all.split('\n') {
                if line.starts_with('#') {
                    if line.contains("TYPE") {
                        text.extend_from_slice(line.as_bytes());
                        text.push(b'\n');
                    }
                } else if is_wanted {
                    text.extend_from_slice(line.as_bytes());
                    text.extend_from_slice(b" 0\n");
                }
            }
        }
        if self.format == Format::OpenMetrics {
            text.extend_from_slice(b"# EOF\n");
        }
        text
    }

    /// Returns the bytes of memory that it takes, without the index of moved lines.
    pub fn memory(&self) -> usize {
        self.text.len() + self.len() * (size_of::<Place>() + 1) + size_of::<Self>()
    }

    pub(in crate::wire) fn flags(&self) -> &[u8] {
        &self.flags
    }

    #[inline]
    fn key(&self, place: Place) -> &str {
        self.text
            .get(place.key as usize..place.end as usize)
            .unwrap_or_default()
    }

    /// Returns a series' name and labels as the target writes them.
    pub fn key_at(&self, series: usize) -> Option<&str> {
        self.series.get(series).map(|place| self.key(*place))
    }

    /// Returns the lines of a series.
    #[inline]
    pub(in crate::wire) fn lines(&self, series: usize) -> Option<Lines<'_>> {
        let place = self.series.get(series)?;
        let start = match series.checked_sub(1) {
            None => 0,
            Some(above) => self.series.get(above)?.end as usize + 1,
        };
        Some(Lines {
            all: self.text.get(start..place.end as usize)?,
            key: self.text.get(place.key as usize..place.end as usize)?,
            has_time: self.flags.get(series)? & HAS_TIME != 0,
        })
    }

    /// Returns where in the text a series' own line begins, and where the next line does.
    pub(super) fn span(&self, series: usize) -> Option<(usize, usize)> {
        let place = self.series.get(series)?;
        Some((place.key as usize, place.end as usize + 1))
    }

    /// Returns comments and series as one, and whether the series has explicit timestamps.
    #[inline]
    pub(in crate::wire) fn line(&self, series: usize) -> Option<(&[u8], bool)> {
        let end = self.series.get(series)?.end as usize;
        let start = match series.checked_sub(1) {
            None => 0,
            Some(above) => self.series.get(above)?.end as usize + 1,
        };
        let line = self.text.as_bytes().get(start..end)?;
        Some((line, self.flags.get(series)? & HAS_TIME != 0))
    }

    /// Returns the comments before a series.
    pub(super) fn lead(&self, series: usize) -> &str {
        self.lines(series)
            .and_then(|lines| lines.all.strip_suffix(lines.key))
            .unwrap_or_default()
    }

    /// Returns the comments behind the last series.
    pub(in crate::wire) fn tail(&self) -> &str {
        let start = self.series.last().map_or(0, |last| last.end as usize + 1);
        self.text.get(start..).unwrap_or_default()
    }

    /// Finds a series that is probably at `expected`.
    pub(super) fn find_from(&self, expected: usize, key: &str) -> Option<usize> {
        if self.key_at(expected) == Some(key) {
            return Some(expected);
        }
        self.find(key.as_bytes())
    }

    /// Tells whether every series stands there once.
    pub(super) fn is_distinct(&self) -> bool {
        self.keys()
            .enumerate()
            .all(|(at, key)| self.find(key.as_bytes()) == Some(at))
    }

    /// The index is made when a line first stands elsewhere than it stood; in most expositions
    /// none ever does.
    fn index(&self) -> &Index {
        self.index.get_or_init(|| Index::build(self))
    }

    /// Writes an exposition.
    pub(super) fn write_text(&self, column: &Column, out: &mut Vec<u8>) {
        let mut exemplars = column.exemplars().iter().peekable();
        for (at, value) in column.iter().enumerate() {
            let Some(lines) = self.lines(at) else {
                continue;
            };
            let Some(value) = value.get() else {
                // The comments of a family stay before what is left of it.
                out.extend_from_slice(self.lead(at).as_bytes());
                continue;
            };
            out.extend_from_slice(lines.all.as_bytes());
            out.push(b' ');
            write_value(value, out);
            if lines.has_time {
                out.push(b' ');
                write_time(column.time(at).unwrap_or(0), self.format, out);
            }
            if let Some(exemplar) = exemplars.next_if(|next| next.series as usize == at) {
                out.extend_from_slice(b" # ");
                out.extend_from_slice(exemplar.text.as_bytes());
            }
            out.push(b'\n');
        }
        out.extend_from_slice(self.tail().as_bytes());
    }
}

impl Find for Page {
    fn find(&self, key: &[u8]) -> Option<usize> {
        self.index().find(self, key)
    }

    fn has_comment(&self, line: &[u8]) -> bool {
        let index = self.index();
        index.comments.contains(&index.state.hash_one(line))
    }
}

/// Where each series stands, by a hash with a key of this process.
#[derive(Debug)]
struct Index {
    state: RandomState,
    /// Open addressing, at most half full; [`u32::MAX`] is free.
    slots: Box<[u32]>,
    comments: HashSet<u64, RandomState>,
}

impl Index {
    fn build(page: &Page) -> Self {
        let state = RandomState::new();
        let size = (page.len() * 2).next_power_of_two();
        let mut index = Self {
            state,
            slots: vec![u32::MAX; size].into(),
            // An exposition has two comments for a few series.
            comments: HashSet::with_capacity_and_hasher(page.len(), RandomState::default()),
        };
        for (at, key) in (0..).zip(page.keys()) {
            // Of two series with one text the first stays, so that a second one is noticed.
            let slot = index.slot(page, key.as_bytes());
            if let Some(free) = slot.and_then(|slot| index.slots.get_mut(slot))
                && *free == u32::MAX
            {
                *free = at;
            }
        }
        let leads = (0..page.len()).map(|at| page.lead(at));
        for lead in leads.chain([page.tail()]).filter(|lead| !lead.is_empty()) {
            // Not `lines`: a carriage return at the end belongs to the comment, in a body too.
            for line in lead.split_terminator('\n') {
                index.comments.insert(index.state.hash_one(line.as_bytes()));
            }
        }
        index
    }

    /// Returns the slot of a key, or the free one where it would stand.
    fn slot(&self, page: &Page, key: &[u8]) -> Option<usize> {
        let mask = self.slots.len() - 1;
        let hash = self.state.hash_one(key);
        let mut slot = usize::try_from(hash & mask as u64).ok()?;
        for _ in 0..self.slots.len() {
            match self.slots.get(slot) {
                Some(&at) if at != u32::MAX => {
                    if page.key_at(at as usize).map(str::as_bytes) == Some(key) {
                        return Some(slot);
                    }
                    slot = (slot + 1) & mask;
                }
                _ => return Some(slot),
            }
        }
        None
    }

    fn find(&self, page: &Page, key: &[u8]) -> Option<usize> {
        let at = *self.slots.get(self.slot(page, key)?)?;
        (at != u32::MAX).then_some(at as usize)
    }
}

/// Writes a value as Go prints it, near enough: every reader reads the same double.
fn write_value(value: f64, out: &mut Vec<u8>) {
    /// Magnitudes that are written without an exponent.
    const PLAIN: std::ops::Range<f64> = 1e-5..1e17;
    let magnitude = value.abs();
    let text = if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else if magnitude == 0.0 || PLAIN.contains(&magnitude) {
        format!("{value}")
    } else {
        format!("{value:e}")
    };
    out.extend_from_slice(text.as_bytes());
}

fn write_time(time_ms: i64, format: Format, out: &mut Vec<u8>) {
    let text = match format {
        Format::Text => format!("{time_ms}"),
        Format::OpenMetrics => {
            let sign = if time_ms < 0 { "-" } else { "" };
            let (seconds, millis) = (time_ms.unsigned_abs() / 1000, time_ms.unsigned_abs() % 1000);
            // Readers multiply by 1000 and cut off, so half a millisecond keeps it from being one
            // less.
            format!("{sign}{seconds}.{millis:03}5")
        }
    };
    out.extend_from_slice(text.as_bytes());
}

/// Returns how the next series of a page follows from those above it.
///
/// `above` are the names and labels of the series directly above and of the one above that.
pub(super) fn relation(key: &str, above: [Option<&str>; 2]) -> u8 {
    let (own_name, own_labels) = split(key);
    if own_name.ends_with("_bucket") {
        let Some((above_name, above_labels)) = above[0].map(split) else {
            return 0;
        };
        let follows = own_labels.contains("le=\"")
            && above_name == own_name
            && !above_labels.contains("le=\"+In");
        return if follows { RELATION_ABOVE } else { 0 };
    }
    let Some(stem) = own_name.strip_suffix("_count") else {
        return 0;
    };
    let is_bucket = |above: Option<&str>| {
        above.is_some_and(|above| split(above).0.strip_suffix("_bucket") == Some(stem))
    };
    if is_bucket(above[0]) {
        RELATION_ABOVE
    } else if is_bucket(above[1]) {
        RELATION_SECOND
    } else {
        0
    }
}

/// Parts the name of a series from its labels.
fn split(key: &str) -> (&str, &str) {
    let name = memchr::memchr(b'{', key.as_bytes()).unwrap_or(key.len());
    let name = key.get(..name).unwrap_or_default().trim_end().len();
    key.split_at_checked(name).unwrap_or((key, ""))
}
