//! The fast path from a body to values: the lines stand where they stood, so that only numbers
//! are read.
//!
//! In: a body and the page that the target exposed last. Out: the values in the page's order, or
//! what keeps them from being coded by it. Whatever is accepted here reads the same with the
//! exposition parser: a page's lines come from it, and numbers are read by the same rules.
//! It must never guess: a line that is neither known nor plain is a [`Misfit`].

mod line;

use std::fmt;

use super::columns::{Column, Exemplar};
use super::number::{self, ABSENT, Value};
use super::shape::{Find, Misfit, Page};
use crate::exposition::parse_seconds;
use crate::model::Format;
use line::{key_length, split_exemplar, strip, text, trim};

/// What a body has that its page does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changes {
    /// Series that are not in the page.
    pub series: usize,
    /// Lines of comments that are not in the page.
    pub comments: usize,
    /// Series that have explicit timestamps now, or have none any more.
    pub times: usize,
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            series,
            comments,
            times,
        } = self;
        write!(
            f,
            "{series} new series, {comments} new comments, {times} other timestamps"
        )
    }
}

/// What a body has of its page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Matched {
    /// Series that have a value.
    pub samples: usize,
    /// Lines that did not stand where they stood.
    pub moved: usize,
}

/// Reads the values of a body by its page; series that it lacks are absent.
///
/// After a [`Misfit`] the column holds nothing of use.
pub fn match_body(page: &Page, body: &[u8], column: &mut Column) -> Result<Matched, Misfit> {
    let mut walk = Walk::new(page, body, column, None);
    walk.run()?;
    if walk.changes != Changes::default() {
        return Err(Misfit::Changed(walk.changes));
    }
    Ok(walk.matched)
}

/// What a body has that its page does not, in the order of the body.
#[derive(Debug, Default)]
pub(super) struct News<'b> {
    /// Series that are new.
    pub(super) series: Vec<NewSeries<'b>>,
    /// New comments, by the known series that they stand before.
    pub(super) comments: Vec<(usize, Vec<&'b str>)>,
    /// New comments behind all series.
    pub(super) tail: Vec<&'b str>,
    /// Known series that have explicit timestamps now, or have none any more.
    pub(super) times: Vec<usize>,
    /// New comments whose series has not come yet.
    pending: Vec<&'b str>,
}

/// A series that a page lacks.
#[derive(Debug)]
pub(super) struct NewSeries<'b> {
    /// The known series that stands before it.
    pub(super) behind: Option<usize>,
    /// The new comments before it.
    pub(super) comments: Vec<&'b str>,
    /// What is probably its name and labels: nobody has parsed them.
    pub(super) key: &'b str,
    pub(super) value: Value,
    pub(super) has_time: bool,
}

/// Collects what of a body is not in its page; the number is that of known series that it has.
pub(super) fn find_news<'b>(page: &'b Page, body: &'b [u8]) -> Result<(News<'b>, usize), Misfit> {
    let (mut news, mut column) = (News::default(), Column::default());
    let mut walk = Walk::new(page, body, &mut column, Some(&mut news));
    walk.run()?;
    let known = walk.matched.samples + walk.changes.times;
    news.tail = std::mem::take(&mut news.pending);
    Ok((news, known))
}

struct Walk<'a, 'w> {
    page: &'a Page,
    rest: &'a [u8],
    column: &'w mut Column,
    /// Where to put what is new; without, it is only counted.
    news: Option<&'w mut News<'a>>,
    /// The series whose line should come.
    expected: usize,
    /// Whether its lines were compared already: once, so that comments that repeat do not make
    /// each comparison long.
    has_compared: bool,
    matched: Matched,
    changes: Changes,
    /// Whether the line that ends an `OpenMetrics` body was seen.
    has_ended: bool,
}

impl<'a, 'w> Walk<'a, 'w> {
    fn new(
        page: &'a Page,
        body: &'a [u8],
        column: &'w mut Column,
        news: Option<&'w mut News<'a>>,
    ) -> Self {
        column.clear(page.len(), page.has_times());
        Self {
            page,
            rest: body,
            column,
            news,
            expected: 0,
            has_compared: false,
            matched: Matched::default(),
            changes: Changes::default(),
            has_ended: false,
        }
    }

    fn run(&mut self) -> Result<(), Misfit> {
        while !self.rest.is_empty() {
            if self.has_ended || !self.expected_line()? {
                self.other_line()?;
            }
        }
        self.finish()
    }

    /// Reads the lines of the next series if they are what comes.
    #[inline]
    fn expected_line(&mut self) -> Result<bool, Misfit> {
        let Some((line, has_time)) = self.page.line(self.expected) else {
            return Ok(false);
        };
        let all = if self.has_compared {
            None
        } else {
            strip(self.rest, line)
        };
        self.has_compared = true;
        let Some(rest) = all.or_else(|| self.strip_key()) else {
            return Ok(false);
        };
        let Some((value, length)) = number::read(rest) else {
            return Ok(false);
        };
        let Some((after, rest)) = rest.get(length..).and_then(<[u8]>::split_first) else {
            // The last line of a text may lack its line break.
            return Ok(false);
        };
        if *after != b'\n' || has_time {
            return Ok(false);
        }
        self.rest = rest;
        self.put(self.expected, value)?;
        Ok(true)
    }

    /// Steps over the series alone, where its comments stand elsewhere.
    #[inline(never)]
    fn strip_key(&self) -> Option<&'a [u8]> {
        let lines = self.page.lines(self.expected)?;
        strip(self.rest, lines.key.as_bytes())
    }

    #[inline]
    fn put(&mut self, series: usize, value: Value) -> Result<(), Misfit> {
        match self.column.scales.get(series) {
            Some(&ABSENT) => {}
            _ => return Err(Misfit::Repeated),
        }
        self.column.set(series, value);
        if let Some(news) = &mut self.news {
            news.stand_before(series);
        }
        self.expected = series + 1;
        self.has_compared = false;
        self.matched.samples += 1;
        Ok(())
    }

    /// Reads a line that is not just the next series' and its value.
    fn other_line(&mut self) -> Result<(), Misfit> {
        let length = memchr::memchr(b'\n', self.rest);
        let (line, rest) = match length {
            Some(length) => (
                self.rest.get(..length).unwrap_or_default(),
                self.rest.get(length + 1..).unwrap_or_default(),
            ),
            None => (self.rest, <&[u8]>::default()),
        };
        self.rest = rest;
        if self.has_ended {
            return Err(Misfit::Unreadable);
        }
        let is_openmetrics = self.page.format() == Format::OpenMetrics;
        if is_openmetrics && line == b"# EOF" {
            self.has_ended = true;
            return Ok(());
        }
        if is_openmetrics && length.is_none() {
            return Err(Misfit::Unreadable);
        }
        let line = if is_openmetrics { line } else { trim(line) };
        match line.first() {
            None if is_openmetrics => Err(Misfit::Unreadable),
            None => Ok(()),
            Some(b'#') => {
                if !self.page.has_comment(line) {
                    self.changes.comments += 1;
                    if let Some(news) = &mut self.news {
                        news.pending.push(text(line)?);
                    }
                }
                Ok(())
            }
            Some(_) => self.series(line),
        }
    }

    /// Reads a series' line wherever it stands.
    fn series(&mut self, line: &'a [u8]) -> Result<(), Misfit> {
        let (key, rest) = line
            .split_at_checked(key_length(line))
            .ok_or(Misfit::Unreadable)?;
        let expected = self.page.lines(self.expected);
        let found = if expected.is_some_and(|lines| lines.key.as_bytes() == key) {
            Some(self.expected)
        } else {
            self.matched.moved += 1;
            self.page.find(key)
        };
        if found.is_none() {
            self.changes.series += 1;
            if self.news.is_none() {
                return Ok(());
            }
        }
        let rest = self.blank(rest)?;
        let (value, length) = number::read(rest).ok_or(Misfit::Unreadable)?;
        let rest = rest.get(length..).unwrap_or_default();
        let (rest, exemplar) = split_exemplar(self.page.format(), rest)?;
        let time = self.time(rest)?;
        let Some(found) = found else {
            let behind = self.expected.checked_sub(1);
            if let Some(news) = &mut self.news {
                news.series.push(NewSeries {
                    behind,
                    comments: std::mem::take(&mut news.pending),
                    key: text(key)?,
                    value,
                    has_time: time.is_some(),
                });
            }
            return Ok(());
        };
        if time.is_some() != self.page.has_time(found) {
            self.changes.times += 1;
            if let Some(news) = &mut self.news {
                news.stand_before(found);
                news.times.push(found);
                (self.expected, self.has_compared) = (found + 1, false);
            }
            return Ok(());
        }
        self.put(found, value)?;
        if let Some(time) = time {
            self.column.set_time(found, time);
        }
        if let Some(text) = exemplar {
            self.column.exemplars.push(Exemplar {
                series: u32::try_from(found).map_err(|_too_large| Misfit::TooLarge)?,
                text: text.into(),
            });
        }
        Ok(())
    }

    /// Steps over what parts two words of a line.
    fn blank<'r>(&self, rest: &'r [u8]) -> Result<&'r [u8], Misfit> {
        match self.page.format() {
            Format::Text => Ok(trim(rest)),
            Format::OpenMetrics => rest.strip_prefix(b" ").ok_or(Misfit::Unreadable),
        }
    }

    /// Reads the timestamp at the end of a line, if there is one.
    fn time(&self, rest: &[u8]) -> Result<Option<i64>, Misfit> {
        if rest.is_empty() {
            return Ok(None);
        }
        let word = self.blank(rest)?;
        match self.page.format() {
            Format::Text => {
                let digits = word
                    .iter()
                    .position(|byte| !byte.is_ascii_digit())
                    .unwrap_or(word.len());
                let (digits, rest) = word.split_at_checked(digits).ok_or(Misfit::Unreadable)?;
                if !trim(rest).is_empty() {
                    return Err(Misfit::Unreadable);
                }
                if digits.is_empty() {
                    return Ok(None);
                }
                let mut time = 0_i64;
                for digit in digits {
                    time = time
                        .checked_mul(10)
                        .and_then(|tens| tens.checked_add(i64::from(digit & 0xf)))
                        .ok_or(Misfit::Unreadable)?;
                }
                Ok(Some(time))
            }
            Format::OpenMetrics => {
                if word.is_empty() || word.iter().any(|byte| matches!(byte, b' ' | 0)) {
                    return Err(Misfit::Unreadable);
                }
                let time = parse_seconds(word).map_err(|_refused| Misfit::Unreadable)?;
                Ok(Some(time))
            }
        }
    }

    fn finish(&mut self) -> Result<(), Misfit> {
        // Lines may have moved.
        self.column
            .exemplars
            .sort_unstable_by_key(|exemplar| exemplar.series);
        // A body with lines of another shape is judged when that one is made.
        let is_judged_later = self.changes != Changes::default() && self.news.is_none();
        if self.page.format() == Format::OpenMetrics && !self.has_ended && !is_judged_later {
            return Err(Misfit::Unreadable);
        }
        Ok(())
    }
}

impl News<'_> {
    /// Gives the comments that wait to a known series.
    #[inline]
    fn stand_before(&mut self, series: usize) {
        if !self.pending.is_empty() {
            let comments = std::mem::take(&mut self.pending);
            self.comments.push((series, comments));
        }
    }
}

#[cfg(test)]
mod tests;
