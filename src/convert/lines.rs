//! A file as lines: blocks of its top level are dropped or replaced, single keys changed, and
//! everything else stays as it was written.

use std::ops::Range;

use super::draft::{Change, Edit};
use crate::yaml::{Kind, Node, Position};

/// One line of the source and what becomes of it.
struct Line<'a> {
    source: &'a str,
    /// Lines to come before it.
    above: Vec<String>,
    fate: Fate,
    /// Lines to come after it.
    below: Vec<String>,
}

enum Fate {
    Kept,
    Changed(String),
    Dropped,
}

/// A key of the top level, with its lines.
struct Block<'a> {
    key: &'a str,
    /// From the comments that belong to it to its last line.
    all: Range<usize>,
    /// The line of the key.
    first: usize,
}

pub(super) struct Lines<'a> {
    all: Vec<Line<'a>>,
    blocks: Vec<Block<'a>>,
    top: Vec<String>,
}

impl<'a> Lines<'a> {
    /// Reads a text whose top level is written in lines.
    pub(super) fn read(text: &'a str, root: &'a Node) -> Option<Self> {
        let all: Vec<Line<'a>> = text
            .lines()
            .map(|source| Line {
                source,
                above: Vec::new(),
                fate: Fate::Kept,
                below: Vec::new(),
            })
            .collect();
        let mut lines = Self {
            all,
            blocks: Vec::new(),
            top: Vec::new(),
        };
        let Kind::Map(entries) = &root.kind else {
            return None;
        };
        for entry in entries {
            let first = lines.begins_line(entry.at)?;
            let end = lines.end_of(first, entry.at);
            let start = lines.start_of(first);
            lines.blocks.push(Block {
                key: &entry.key,
                all: start..end,
                first,
            });
        }
        Some(lines)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.blocks.iter().any(|block| block.key == key)
    }

    pub(super) fn drop_block(&mut self, key: &str) {
        self.replace_block(key, Vec::new());
    }

    /// Returns the comments right above a block, indented.
    pub(super) fn comments_of(&self, key: &str, indent: usize) -> Vec<String> {
        let block = self.blocks.iter().find(|block| block.key == key);
        let lines = block.and_then(|block| self.all.get(block.all.start..block.first));
        let pad = " ".repeat(indent);
        let lines = lines.unwrap_or_default().iter();
        lines
            .map(|line| format!("{pad}{}", line.source.trim()))
            .collect()
    }

    /// Puts lines where a block stands; nothing happens if there is no such block.
    pub(super) fn replace_block(&mut self, key: &str, with: Vec<String>) {
        let Some(block) = self.blocks.iter().find(|block| block.key == key) else {
            return;
        };
        // The comments above a block that is replaced speak of its successor as well.
        let from = if with.is_empty() {
            block.all.start
        } else {
            block.first
        };
        let all = from..block.all.end;
        let first = block.first;
        for line in self.all.get_mut(all).into_iter().flatten() {
            line.fate = Fate::Dropped;
        }
        if let Some(line) = self.all.get_mut(first) {
            line.above.extend(with);
        }
    }

    /// Adds lines at the end of a block.
    pub(super) fn append_to(&mut self, key: &str, added: Vec<String>) {
        let block = self.blocks.iter().find(|block| block.key == key);
        let last = block.and_then(|block| block.all.end.checked_sub(1));
        if let Some(line) = last.and_then(|last| self.all.get_mut(last)) {
            line.below.extend(added);
        }
    }

    /// Adds a paragraph after a block.
    pub(super) fn follow(&mut self, key: &str, mut added: Vec<String>) {
        let block = self.blocks.iter().find(|block| block.key == key);
        let next = block.and_then(|block| self.all.get(block.all.end));
        if next.is_some_and(|next| !next.source.trim().is_empty()) {
            added.push(String::new());
        }
        self.append_to(key, added);
    }

    /// Returns how far the dashes of a list are indented.
    pub(super) fn dash_of(&self, key: &str) -> Option<usize> {
        let block = self.blocks.iter().find(|block| block.key == key)?;
        let mut inner = self.all.get(block.first + 1..block.all.end)?.iter();
        let rest = |line: &Line<'_>| line.source.trim_start().to_owned();
        let first = inner.find(|line| !rest(line).is_empty() && !rest(line).starts_with('#'))?;
        rest(first).starts_with("- ").then(|| indent(first.source))
    }

    /// Tells whether a place does not stay.
    pub(super) fn is_dropped(&self, at: Position) -> bool {
        let line = index(at).and_then(|index| self.all.get(index));
        line.is_some_and(|line| matches!(line.fate, Fate::Dropped))
    }

    /// Changes a key; `None` if its line is no line of its own.
    pub(super) fn change(&mut self, change: &Change) -> Option<()> {
        let number = index(change.key)?;
        match &change.edit {
            Edit::LeaveOut(why) => {
                let first = self.begins_line(change.key)?;
                let end = self.end_of(first, change.key);
                let pad = " ".repeat(indent(self.all.get(first)?.source));
                for line in self.all.get_mut(first..end)? {
                    let rest = line.source.get(pad.len()..);
                    if let Some(rest) = rest.filter(|rest| !rest.trim().is_empty()) {
                        line.fate = Fate::Changed(format!("{pad}# {rest}"));
                    }
                }
                self.say(first, &format!("Left out, for it has no effect: {why}."));
            }
            Edit::Rename { to, note } => {
                let old = self.word_at(change.key)?;
                self.replace_at(change.key, &old, to)?;
                self.say(number, note);
            }
            Edit::SetValue { at, old, new } => self.replace_at(*at, old, new)?,
            Edit::Advise(advice) => self.say(number, advice),
        }
        Some(())
    }

    /// Puts a comment above a line, unless it stands there already.
    fn say(&mut self, number: usize, words: &str) {
        let before = number
            .checked_sub(1)
            .and_then(|before| self.all.get(before));
        let is_said = before.is_some_and(|before| before.source.contains(words));
        if let Some(line) = self.all.get_mut(number)
            && !is_said
        {
            let pad = " ".repeat(indent(line.source));
            line.above.push(format!("{pad}# {words}"));
        }
    }

    /// The plain word at a place.
    fn word_at(&self, at: Position) -> Option<String> {
        let line = self.all.get(index(at)?)?;
        let rest = line.source.get(offset(line.source, at)?..)?;
        let is_word = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
        Some(rest.chars().take_while(is_word).collect())
    }

    fn replace_at(&mut self, at: Position, old: &str, new: &str) -> Option<()> {
        let line = self.all.get_mut(index(at)?)?;
        let start = offset(line.source, at)?;
        // One change in a line; a second one would have to know of the first.
        if old.is_empty() || !matches!(line.fate, Fate::Kept) {
            return None;
        }
        let (before, rest) = line.source.split_at_checked(start)?;
        let rest = rest.strip_prefix(old)?;
        line.fate = Fate::Changed(format!("{before}{new}{rest}"));
        Some(())
    }

    /// Puts lines at the beginning: what is said before the mark of the document, keys after it.
    pub(super) fn begin_with(&mut self, head: &[String], first: &[String]) {
        self.top.extend(head.iter().cloned());
        if first.is_empty() {
            return;
        }
        let mark = self
            .all
            .iter()
            .position(|line| line.source.trim_end() == "---");
        let begins = self.blocks.iter().map(|block| block.first).min();
        let mark = mark.filter(|mark| begins.is_none_or(|first| *mark < first));
        if let Some(line) = mark.and_then(|mark| self.all.get_mut(mark)) {
            line.below.extend(first.iter().cloned());
        } else {
            self.top.push("---".to_owned());
            self.top.extend(first.iter().cloned());
        }
    }

    pub(super) fn finish(self) -> String {
        let mut out: Vec<String> = self.top;
        // Where a block went, the empty lines around it would meet.
        let mut is_gap = false;
        for line in self.all {
            out.extend(line.above);
            match line.fate {
                Fate::Kept => {
                    let is_empty = line.source.trim().is_empty();
                    let follows_empty = out.last().is_none_or(|last| last.trim().is_empty());
                    if !(is_gap && is_empty && follows_empty) {
                        out.push(line.source.to_owned());
                    }
                    is_gap &= is_empty;
                }
                Fate::Changed(text) => out.push(text),
                Fate::Dropped => is_gap = true,
            }
            out.extend(line.below);
        }
        if is_gap {
            while out.last().is_some_and(|line| line.trim().is_empty()) {
                out.pop();
            }
        }
        out.push(String::new());
        out.join("\n")
    }

    /// Returns the line of a key with nothing before it.
    fn begins_line(&self, at: Position) -> Option<usize> {
        let number = index(at)?;
        let source = self.all.get(number)?.source;
        let before = source.get(..offset(source, at)?)?;
        before.bytes().all(|byte| byte == b' ').then_some(number)
    }

    /// Returns the line behind the last one of a key's value.
    fn end_of(&self, first: usize, at: Position) -> usize {
        let column = usize::try_from(at.column)
            .unwrap_or(usize::MAX)
            .saturating_sub(1);
        let mut end = first + 1;
        for (number, line) in self.all.iter().enumerate().skip(end) {
            let text = line.source.trim();
            if text.is_empty() {
                continue;
            }
            let own = indent(line.source);
            // The items of a list may stand right below their key.
            let is_item = own == column && (text == "-" || text.starts_with("- "));
            // A comment may stand wherever it likes; it counts if something of the value follows.
            if own <= column && text.starts_with('#') {
                continue;
            }
            if own <= column && !is_item {
                break;
            }
            end = number + 1;
        }
        end
    }

    /// Returns the first line of the comments right above a line.
    fn start_of(&self, first: usize) -> usize {
        let above = self.all.get(..first).unwrap_or_default().iter().rev();
        let count = above
            .take_while(|line| line.source.trim_start().starts_with('#'))
            .count();
        first.saturating_sub(count)
    }
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

fn index(at: Position) -> Option<usize> {
    usize::try_from(at.line).ok()?.checked_sub(1)
}

/// Returns where a place is in its line, in bytes.
fn offset(line: &str, at: Position) -> Option<usize> {
    let column = usize::try_from(at.column).ok()?.checked_sub(1)?;
    let mut starts = line.char_indices().map(|(start, _)| start);
    starts
        .nth(column)
        .or_else(|| (line.chars().count() == column).then_some(line.len()))
}
