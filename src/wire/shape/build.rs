//! From a body to a shape.

use std::collections::HashMap;
use std::sync::Arc;

use super::kin::is_good;
use super::page::{Find, relation};
use super::{Page, SERIES_MAX, Shape, TEXT_MAX};
use crate::exposition::{Entry, Parser};
use crate::model::{Format, Labels};
use crate::wire::columns::{Column, HAS_TIME};
use crate::wire::matching::{Changes, match_body};

/// Why a body's values cannot be coded by a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// It has lines that the shape does not know: another shape is needed.
    #[error("exposition has changed: {0}")]
    Changed(Changes),
    /// A series stands there twice, perhaps with several timestamps.
    #[error("a series stands twice in the exposition")]
    Repeated,
    /// It cannot be read, or not in the plain form that shapes have.
    #[error("exposition is not plain lines of text")]
    Unreadable,
    /// It is larger than a shape may be.
    #[error(
        "exposition is too large for a shape: at most {SERIES_MAX} series and {TEXT_MAX} bytes"
    )]
    TooLarge,
}

impl Misfit {
    /// Returns the label value: a closed set.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Changed(_) => "changed",
            Self::Repeated => "repeated",
            Self::Unreadable => "unreadable",
            Self::TooLarge => "too_large",
        }
    }
}

/// A series as a body has it.
struct Line<'a> {
    /// The comments before it, each with its line break.
    lead: String,
    key: &'a str,
    has_time: bool,
}

/// A body without its values.
struct Draft<'a> {
    lines: Vec<Line<'a>>,
    tail: String,
}

/// Part of a page's series that may be absent from a body before they are left out of the next
/// shape: a quarter.
pub(super) const ABSENT_SHARE: usize = 4;

impl Shape {
    /// Builds the shape of a body that no shape is known for.
    pub fn build(target: Arc<Labels>, body: &[u8], format: Format) -> Result<Self, Misfit> {
        let page = Draft::read(body, format)?.page(format)?;
        let mut template = Column::default();
        match_body(&page, body, &mut template).map_err(|misfit| match misfit {
            // Lines that the page has from this body and that are not found in it.
            Misfit::Changed(_) => Misfit::Unreadable,
            misfit => misfit,
        })?;
        strip(&mut template);
        Ok(Self::new(target, Arc::new(page), template))
    }

    /// Builds the shape that follows this one, of a body that has changed.
    ///
    /// Series that are absent stay, as they come and go in many targets, unless they are a large
    /// part; values of the template stay too, so that the new shape is a small patch.
    pub fn extend(&self, body: &[u8]) -> Result<Self, Misfit> {
        match self.extend_by_lines(body) {
            Some(shape) => Ok(shape),
            None => self.extend_by_parsing(body),
        }
    }

    /// Does so for any body.
    pub(super) fn extend_by_parsing(&self, body: &[u8]) -> Result<Self, Misfit> {
        let format = self.page.format();
        let draft = Draft::read(body, format)?;
        let present = draft.lines.iter();
        let known = present.filter(|line| self.page.find(line.key.as_bytes()).is_some());
        let absent = self.page.len() - known.count().min(self.page.len());
        let draft = if absent * ABSENT_SHARE > self.page.len() {
            draft
        } else {
            draft.beside(&self.page)
        };
        let page = draft.page(format)?;
        let mut template = Column::default();
        if match_body(&page, body, &mut template).is_err() {
            // What was kept is in the way of what is there now.
            return Self::build(Arc::clone(&self.target), body, format);
        }
        let mut expected = 0;
        for (at, key) in page.keys().enumerate() {
            let Some(found) = self.page.find_from(expected, key) else {
                continue;
            };
            expected = found + 1;
            template.set(at, self.template.get(found));
        }
        strip(&mut template);
        Ok(Self::new(
            Arc::clone(&self.target),
            Arc::new(page),
            template,
        ))
    }
}

/// Leaves out of a template what is no base of anything.
fn strip(template: &mut Column) {
    template.times.fill(0);
    template.exemplars = Vec::new();
}

impl<'a> Draft<'a> {
    fn read(body: &'a [u8], format: Format) -> Result<Self, Misfit> {
        let text = std::str::from_utf8(body).map_err(|_invalid| Misfit::Unreadable)?;
        let mut parser = Parser::new(body, format);
        let mut lines = Vec::new();
        let mut behind = 0;
        while let Some(entry) = parser.next() {
            let Entry::Sample(sample) = entry.map_err(|_refused| Misfit::Unreadable)? else {
                continue;
            };
            // A line break within quotes is the one way in which a line is not a line.
            if sample.text.contains('\n') || lines.len() == SERIES_MAX {
                return Err(Misfit::Unreadable);
            }
            let start = sample.text.as_ptr().addr() - body.as_ptr().addr();
            let end = start + sample.text.len();
            lines.push(Line {
                lead: comments(text.get(behind..start).unwrap_or_default()),
                key: sample.text,
                has_time: sample.timestamp_ms.is_some(),
            });
            let rest = body.get(end..).unwrap_or_default();
            behind = memchr::memchr(b'\n', rest).map_or(body.len(), |length| end + length + 1);
        }
        Ok(Self {
            lines,
            tail: comments(text.get(behind..).unwrap_or_default()),
        })
    }

    /// Puts what is new beside what a page has already.
    fn beside<'b>(self, page: &'b Page) -> Draft<'b>
    where
        'a: 'b,
    {
        // New series by the known one that they stand behind; `None` is before all.
        let mut new: HashMap<Option<usize>, Vec<Line<'b>>> = HashMap::new();
        let mut times: HashMap<usize, bool> = HashMap::new();
        let mut changed: HashMap<&str, String> = HashMap::new();
        let mut before: HashMap<usize, String> = HashMap::new();
        let comments: HashMap<&str, &str> = page
            .text()
            .split_inclusive('\n')
            .filter_map(|line| Some((subject(line)?, line)))
            .collect();
        let mut behind = None;
        for mut line in self.lines {
            let lead = unknown_comments(page, &line.lead);
            let found = page.find(line.key.as_bytes());
            let mut fresh = String::new();
            for comment in lead {
                match subject(comment).and_then(|subject| comments.get(subject)) {
                    Some(old) => drop(changed.insert(old, comment.to_owned())),
                    None => fresh.push_str(comment),
                }
            }
            if let Some(found) = found {
                times.insert(found, line.has_time);
                before.insert(found, fresh);
                behind = Some(found);
            } else {
                line.lead = fresh;
                new.entry(behind).or_default().push(line);
            }
        }
        let mut lines = new.remove(&None).unwrap_or_default();
        for (at, key) in page.keys().enumerate() {
            let mut lead: String = page
                .lead(at)
                .split_inclusive('\n')
                .map(|old| changed.get(old).map_or(old, String::as_str))
                .collect();
            lead.push_str(before.get(&at).map_or("", String::as_str));
            lines.push(Line {
                lead,
                key,
                has_time: times.get(&at).copied().unwrap_or_else(|| page.has_time(at)),
            });
            lines.extend(new.remove(&Some(at)).unwrap_or_default());
        }
        let new_tail = unknown_comments(page, &self.tail).concat();
        Draft {
            lines,
            tail: new_tail + page.tail(),
        }
    }

    fn page(&self, format: Format) -> Result<Page, Misfit> {
        let size = |line: &Line<'_>| line.lead.len() + line.key.len() + 1;
        let size = self.lines.iter().map(size).sum::<usize>() + self.tail.len();
        if size > TEXT_MAX {
            return Err(Misfit::TooLarge);
        }
        let mut text = String::with_capacity(size);
        let mut flags = Vec::with_capacity(self.lines.len());
        let mut above = [None, None];
        for line in &self.lines {
            text.push_str(&line.lead);
            text.push_str(line.key);
            text.push('\n');
            let time = if line.has_time { HAS_TIME } else { 0 };
            flags.push(relation(line.key, above) | time);
            above = [Some(line.key), above[0]];
        }
        text.push_str(&self.tail);
        let page = Page::new(format, text.into(), flags.into()).ok_or(Misfit::TooLarge)?;
        if !page.is_distinct() {
            return Err(Misfit::Repeated);
        }
        // Such as one with metadata over several lines: readers would refuse it.
        if !is_good(&page, None) {
            return Err(Misfit::Unreadable);
        }
        Ok(page)
    }
}

/// Returns the comments of a part of a body, without indentation and empty lines.
fn comments(part: &str) -> String {
    let mut comments = String::new();
    for line in part.split('\n') {
        let line = line.trim_start_matches([' ', '\t']);
        if line.starts_with('#') {
            comments.push_str(line);
            comments.push('\n');
        }
    }
    comments
}

fn unknown_comments<'c>(page: &Page, lead: &'c str) -> Vec<&'c str> {
    lead.split_inclusive('\n')
        .filter(|line| !page.has_comment(line.trim_end_matches('\n').as_bytes()))
        .collect()
}

/// Returns what a comment says something of: its keyword and the family.
pub(super) fn subject(comment: &str) -> Option<&str> {
    if !comment.starts_with("# HELP ") && !comment.starts_with("# TYPE ") {
        return None;
    }
    let (at, _) = comment.match_indices(' ').nth(2)?;
    comment.get(..at)
}
