//! From a shape and what is new in a body to the shape that follows, line by line.
//!
//! Nearly always a few series or comments are new. They are put between the lines of the old page;
//! only they are parsed, and only they are looked for among the others. What is not that simple is
//! left to the way of `build.rs`, which reads the body anew.

use std::sync::Arc;

use super::build::{ABSENT_SHARE, subject};
use super::kin::is_good;
use super::page::relation;
use super::{Page, Shape};
use crate::wire::columns::{Column, HAS_TIME};
use crate::wire::matching::{News, find_news, match_body};
use crate::wire::number::Value;

/// Text to put into a page.
struct Splice<'a> {
    at: usize,
    /// Bytes of the page that it stands for.
    removed: usize,
    /// A line, without its line break.
    text: &'a str,
    own: Own,
}

/// Where a series of a page is from.
enum Origin {
    /// It is this one of the old page.
    Old(usize),
    /// It is new and has this value.
    New(Value),
}

/// What a splice is.
#[derive(Clone, Copy)]
enum Own {
    Comment,
    /// A series, its value, and whether it has explicit timestamps.
    Series(Value, bool),
}

impl Shape {
    /// Builds the shape that follows this one from the lines that are new in a body; `None` where
    /// it takes more than that.
    pub(super) fn extend_by_lines(&self, body: &[u8]) -> Option<Self> {
        let old = &*self.page;
        let (news, known) = find_news(old, body).ok()?;
        if old.len().saturating_sub(known) * ABSENT_SHARE > old.len() {
            return None;
        }
        let splices = splices(old, &news)?;
        let (page, origins) = splice(old, &splices, &news.times)?;
        if !is_good(&page, Some(old)) {
            return None;
        }
        let mut template = Column::default();
        // Where a line of the old page is not one of the new page, or is read in another way, the
        // body may have both. All that is only added is found.
        if splices.iter().any(|splice| splice.removed > 0) || !news.times.is_empty() {
            match_body(&page, body, &mut template).ok()?;
        }
        template.clear(page.len(), page.has_times());
        for (at, origin) in origins.iter().enumerate() {
            let value = match origin {
                Origin::Old(at) => self.template.get(*at),
                Origin::New(value) => *value,
            };
            template.set(at, value);
        }
        Some(Self::new(
            Arc::clone(&self.target),
            Arc::new(page),
            template,
        ))
    }
}

/// Puts what is new into a page; tells for each series where it is from.
fn splice(old: &Page, splices: &[Splice<'_>], flipped: &[usize]) -> Option<(Page, Vec<Origin>)> {
    let added: usize = splices.iter().map(|splice| splice.text.len() + 1).sum();
    let mut text = String::with_capacity(old.text().len() + added);
    let mut origins = Vec::with_capacity(old.len() + splices.len());
    let mut times = Vec::with_capacity(origins.capacity());
    let mut copied = 0;
    let mut next = 0;
    // Takes over the series that begin before a place.
    let mut take_over = |until: usize, origins: &mut Vec<_>, times: &mut Vec<_>| {
        while old.span(next).is_some_and(|(key, _)| key < until) {
            origins.push(Origin::Old(next));
            times.push(old.has_time(next) != flipped.contains(&next));
            next += 1;
        }
    };
    for splice in splices {
        take_over(splice.at, &mut origins, &mut times);
        text.push_str(old.text().get(copied..splice.at)?);
        text.push_str(splice.text);
        text.push('\n');
        copied = splice.at + splice.removed;
        if let Own::Series(value, has_time) = splice.own {
            origins.push(Origin::New(value));
            times.push(has_time);
        }
    }
    take_over(usize::MAX, &mut origins, &mut times);
    text.push_str(old.text().get(copied..)?);
    let unrelated = times.iter().map(|has| if *has { HAS_TIME } else { 0 });
    let page = Page::new(old.format(), text.into(), unrelated.collect())?;
    Some((page.related()?, origins))
}

/// Lists the changes of a page's text in ascending order.
fn splices<'a>(old: &Page, news: &News<'a>) -> Option<Vec<Splice<'a>>> {
    let mut splices = Vec::new();
    let mut replaced: Vec<&'a str> = Vec::new();
    let mut put = |at, text, own| {
        let removed = 0;
        splices.push(Splice {
            at,
            removed,
            text,
            own,
        });
    };
    let known: Subjects<'_> = Subjects::of(old, news)?;
    // At one place series come first, as they stand behind the one above.
    for series in &news.series {
        let at = match series.behind {
            Some(behind) => old.span(behind)?.1,
            None => 0,
        };
        for comment in &series.comments {
            if known.find(comment).is_some() {
                replaced.push(comment);
            } else {
                put(at, comment, Own::Comment);
            }
        }
        put(at, series.key, Own::Series(series.value, series.has_time));
    }
    for (before, comments) in &news.comments {
        let (at, _) = old.span(*before)?;
        for comment in comments {
            if known.find(comment).is_some() {
                replaced.push(comment);
            } else {
                put(at, comment, Own::Comment);
            }
        }
    }
    let tail = old.text().len() - old.tail().len();
    for comment in &news.tail {
        put(tail, comment, Own::Comment);
    }
    for text in replaced {
        let (at, removed) = known.find(text)?;
        let own = Own::Comment;
        splices.push(Splice {
            at,
            removed,
            text,
            own,
        });
    }
    splices.sort_by_key(|splice| splice.at);
    Some(splices)
}

/// What new comments say something of, and where the old page says it.
struct Subjects<'a>(Vec<(&'a str, Option<(usize, usize)>)>);

impl<'a> Subjects<'a> {
    /// Looks for old comments of what new ones are about; `None` if there are two of one, or one
    /// behind all series: it would have to move.
    fn of(old: &Page, news: &News<'a>) -> Option<Self> {
        let of_series = news.series.iter().flat_map(|series| &series.comments);
        let of_known = news.comments.iter().flat_map(|(_, comments)| comments);
        let mut subjects = Vec::new();
        for new in of_series.chain(of_known).copied().filter_map(subject) {
            if subjects.iter().any(|(known, _)| *known == new) {
                return None;
            }
            subjects.push((new, None));
        }
        let mut found = Self(subjects);
        if found.0.is_empty() {
            return Some(found);
        }
        let start = old.text().as_ptr().addr();
        let tail = old.text().len() - old.tail().len();
        let leads = (0..old.len()).map(|at| old.lead(at));
        for lead in leads.chain([old.tail()]).filter(|lead| !lead.is_empty()) {
            for line in lead.split_inclusive('\n') {
                let Some(about) = subject(line) else { continue };
                if let Some((_, place)) = found.0.iter_mut().find(|(known, _)| *known == about) {
                    let at = line.as_ptr().addr() - start;
                    let is_in_tail = at >= tail;
                    if is_in_tail || place.replace((at, line.len())).is_some() {
                        return None;
                    }
                }
            }
        }
        Some(found)
    }

    fn find(&self, comment: &str) -> Option<(usize, usize)> {
        let about = subject(comment)?;
        let (_, place) = self.0.iter().find(|(known, _)| *known == about)?;
        *place
    }
}

impl Page {
    /// Notes how each series follows from those above it.
    fn related(self) -> Option<Self> {
        let mut above = [None, None];
        let flags: Vec<u8> = self
            .keys()
            .zip(self.flags())
            .map(|(key, flags)| {
                let flags = relation(key, above) | (flags & HAS_TIME);
                above = [Some(key), above[0]];
                flags
            })
            .collect();
        self.with_flags(flags.into())
    }
}
