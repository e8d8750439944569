//! What a rule matches: a regular expression, or something cheaper that means the same.

use std::collections::HashSet;
use std::ops::Range;

use regex::{Captures, Regex};

use super::pattern::{self, PatternError, Translated};

/// More alternatives than this are looked up by their hash.
const LISTED_MAX: usize = 8;

/// A pattern that a whole value must match.
#[derive(Debug, Clone)]
pub(super) struct Matcher {
    kind: Kind,
    /// The groups' names by number; the first is that of the whole match, which has none.
    names: Vec<String>,
}

#[derive(Debug, Clone)]
enum Kind {
    /// `.*`, with a group around it or without.
    Anything,
    /// `.+`, likewise.
    Something,
    /// `a|b|c`, few of them.
    Listed(Vec<Box<str>>),
    /// `a|b|c`, many of them.
    Hashed(HashSet<Box<str>>),
    /// Everything else.
    Regex(Regex),
}

/// A match and what its groups captured.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// The whole value, as the whole match and as so many groups.
    Whole(&'a str, usize),
    /// What the regular expression captured.
    Captures(Captures<'a>),
}

impl<'a> Found<'a> {
    /// Returns what a group captured, if it is there and took part.
    pub(super) fn group(&self, group: usize) -> Option<&str> {
        match self {
            Self::Whole(value, groups) => (group <= *groups).then_some(*value),
            Self::Captures(captures) => captures.get(group).map(|group| group.as_str()),
        }
    }

    fn range(&self) -> Range<usize> {
        match self {
            Self::Whole(value, _) => 0..value.len(),
            Self::Captures(captures) => captures.get(0).map_or(0..0, |whole| whole.range()),
        }
    }

    fn of_captures(captures: Captures<'a>) -> Self {
        Self::Captures(captures)
    }
}

impl Matcher {
    /// Reads a pattern in RE2's syntax.
    pub(super) fn new(pattern: &str) -> Result<Self, PatternError> {
        // Only what cannot fail to be read is shortened, so that bad patterns are refused alike.
        let plain = |kind| Self {
            kind,
            names: vec![String::new()],
        };
        let grouped = |kind| Self {
            kind,
            names: vec![String::new(), String::new()],
        };
        match pattern {
            ".*" | "(?:.*)" => return Ok(plain(Kind::Anything)),
            "(.*)" => return Ok(grouped(Kind::Anything)),
            ".+" | "(?:.+)" => return Ok(plain(Kind::Something)),
            "(.+)" => return Ok(grouped(Kind::Something)),
            _ => {}
        }
        if let Some(literals) = pattern::literals(pattern) {
            return Ok(plain(if literals.len() > LISTED_MAX {
                Kind::Hashed(literals.into_iter().map(Into::into).collect())
            } else {
                Kind::Listed(literals.into_iter().map(Into::into).collect())
            }));
        }
        Self::by_regex(pattern)
    }

    /// Reads a pattern, and takes no shorter way even if there is one.
    pub(super) fn by_regex(pattern: &str) -> Result<Self, PatternError> {
        let Translated { regex, names } = pattern::translate(pattern)?;
        Ok(Self {
            kind: Kind::Regex(pattern::compile(&regex)?),
            names,
        })
    }

    /// Returns the groups' names by number, empty where there is none.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// Tells whether a value matches.
    pub(super) fn is_match(&self, value: &str) -> bool {
        match &self.kind {
            Kind::Anything => true,
            Kind::Something => !value.is_empty(),
            Kind::Listed(list) => list.iter().any(|literal| **literal == *value),
            Kind::Hashed(set) => set.contains(value),
            Kind::Regex(regex) => regex.is_match(value),
        }
    }

    /// Matches a value, and tells what the groups captured.
    pub(super) fn find<'a>(&self, value: &'a str) -> Option<Found<'a>> {
        match &self.kind {
            Kind::Regex(regex) => regex.captures(value).map(Found::of_captures),
            _ => self
                .is_match(value)
                .then(|| Found::Whole(value, self.names.len().saturating_sub(1))),
        }
    }

    /// Replaces each match, as Go's `ReplaceAllString`; nearly always there is one, of the whole.
    pub(super) fn replace(&self, value: &str, template: &super::template::Template) -> String {
        let mut replaced = String::new();
        let mut done = 0;
        let mut replace = |found: &Found<'_>| {
            let range = found.range();
            replaced.push_str(value.get(done..range.start).unwrap_or_default());
            template.expand(found, &mut replaced);
            done = range.end;
        };
        match &self.kind {
            Kind::Regex(regex) => {
                for captures in regex.captures_iter(value) {
                    replace(&Found::of_captures(captures));
                }
            }
            _ => {
                if let Some(found) = self.find(value) {
                    replace(&found);
                }
            }
        }
        replaced.push_str(value.get(done..).unwrap_or_default());
        replaced
    }
}
