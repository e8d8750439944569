//! Writing YAML: single values with the quotes that they need, and whole trees.
//!
//! What is written here is read back by `crate::yaml` as the same values; other readers, which
//! make numbers and dates of some texts, see strings where [`string`] wrote them.

use std::fmt::Write as _;

use super::draft::{Change, Edit};
use crate::yaml::{Entry, Kind, Node, Position};

/// Spaces of one level.
const INDENT: usize = 2;

/// Writes a single value of which it is not known whether it stood in quotes.
pub(super) fn scalar(text: &str) -> String {
    let is_null = matches!(text, "null" | "Null" | "NULL");
    if is_plain(text) && !is_null {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// Writes a text that no reader may take for a number, a date or a truth.
pub(super) fn string(text: &str) -> String {
    const WORDS: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let is_word = WORDS.iter().any(|word| text.eq_ignore_ascii_case(word));
    let is_number = text.starts_with(|c: char| c.is_ascii_digit());
    if is_plain(text) && !is_word && !is_number {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// Tells whether a text needs no quotes: fewer do than could.
fn is_plain(text: &str) -> bool {
    let inner = |c: char| c.is_alphanumeric() || "_./:@+-%=&?~$ ".contains(c);
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '$'))
        && text.chars().all(inner)
        && !text.contains(": ")
        && !text.contains("  ")
        && !text.ends_with([':', ' '])
}

/// Writes a text in quotes: single ones, unless it has something in it that these cannot show.
pub(super) fn quoted(text: &str) -> String {
    let is_shown = |c: char| c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric();
    if text.chars().all(is_shown) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_shown(c) => out.push(c),
            c => drop(write!(out, "\\U{:08X}", u32::from(c))),
        }
    }
    out.push('"');
    out
}

/// Writes the tree of a mapping, with what changes in it.
pub(super) struct Emitter<'a> {
    pub(super) changes: &'a [Change],
    pub(super) lines: Vec<String>,
}

impl Emitter<'_> {
    /// Writes one key with its value.
    pub(super) fn entry(&mut self, entry: &Entry, level: usize) {
        let pad = " ".repeat(level * INDENT);
        let mut key = &*entry.key;
        for change in self.changes.iter().filter(|change| change.key == entry.at) {
            match &change.edit {
                Edit::LeaveOut(why) => {
                    // What it was is in the source; written anew it would look like a choice.
                    let line = format!("{pad}# {} left out: {why}", entry.key);
                    self.lines.push(line);
                    return;
                }
                Edit::Rename { to, note } => {
                    self.lines.push(format!("{pad}# {note}"));
                    key = to;
                }
                Edit::Advise(advice) => self.lines.push(format!("{pad}# {advice}")),
                Edit::SetValue { .. } => {}
            }
        }
        let head = format!("{pad}{}:", scalar(key));
        match &entry.value.kind {
            // A key without a value is as good as none.
            Kind::Null => {}
            Kind::Scalar(text) => {
                let text = self.changed(entry.value.at).unwrap_or_else(|| scalar(text));
                self.lines.push(format!("{head} {text}"));
            }
            Kind::List(items) if items.is_empty() => self.lines.push(format!("{head} []")),
            Kind::Map(entries) if entries.is_empty() => self.lines.push(format!("{head} {{}}")),
            Kind::List(_) | Kind::Map(_) => {
                self.lines.push(head);
                self.node(&entry.value, level + 1);
            }
        }
    }

    fn changed(&self, at: Position) -> Option<String> {
        self.changes.iter().find_map(|change| match &change.edit {
            Edit::SetValue { at: place, new, .. } if *place == at => Some(new.clone()),
            _ => None,
        })
    }

    fn node(&mut self, node: &Node, level: usize) {
        match &node.kind {
            Kind::Map(entries) => {
                for entry in entries {
                    self.entry(entry, level);
                }
            }
            Kind::List(items) => {
                for item in items {
                    self.item(item, level);
                }
            }
            Kind::Null => {}
            Kind::Scalar(text) => {
                let pad = " ".repeat(level * INDENT);
                self.lines.push(format!("{pad}{}", scalar(text)));
            }
        }
    }

    /// Writes an item: as it is, with the dash in the room before its first key.
    fn item(&mut self, item: &Node, level: usize) {
        let pad = " ".repeat(level * INDENT);
        let first = self.lines.len();
        self.node(item, level + 1);
        let is_key = |line: &&mut String| !line.trim_start().starts_with("# ");
        let added = self.lines.iter_mut().skip(first);
        match { added }.find(is_key) {
            Some(line) => {
                let rest = line.trim_start().to_owned();
                *line = format!("{pad}- {rest}");
            }
            None if matches!(item.kind, Kind::List(_)) => self.lines.push(format!("{pad}- []")),
            None => self.lines.push(format!("{pad}- {{}}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::yaml;

    /// Reads `key: value` back.
    fn read_back(written: &str) -> Option<String> {
        let document = yaml::parse(&format!("key: {written}\n"));
        assert!(
            document.faults.is_empty(),
            "{written}: {:?}",
            document.faults
        );
        let root = document.root?;
        let Kind::Map(entries) = &root.kind else {
            return None;
        };
        match &entries[0].value.kind {
            Kind::Scalar(text) => Some(text.to_string()),
            _ => None,
        }
    }

    #[track_caller]
    fn check(text: &str, written: &str) {
        assert_eq!(string(text), written);
        assert_eq!(read_back(written).as_deref(), Some(text));
    }

    #[test]
    fn texts_have_quotes_where_they_need_them() {
        check("choria1", "choria1");
        check("/choria/prometheus", "/choria/prometheus");
        check("two words", "two words");
        check("10.0.0.1:9100", "'10.0.0.1:9100'");
        check("true", "'true'");
        check("Null", "'Null'");
        check("~", "'~'");
        check("", "''");
        check("<<", "'<<'");
        check("it's", "'it''s'");
        check("a: b", "'a: b'");
        check("a #b", "'a #b'");
        check("- a", "'- a'");
        check("*a", "'*a'");
        check("[::1]:9100", "'[::1]:9100'");
        check("a\nb", "\"a\\nb\"");
        check("\u{85}\u{feff}", "\"\\U00000085\\U0000FEFF\"");
    }

    #[test]
    fn numbers_stay_numbers_where_nobody_knows() {
        assert_eq!(scalar("9100"), "9100");
        assert_eq!(scalar("true"), "true");
        assert_eq!(scalar("null"), "'null'");
    }

    proptest! {
        #[test]
        fn every_text_is_read_back(text in any::<String>()) {
            prop_assert_eq!(read_back(&string(&text)), Some(text.clone()));
            prop_assert_eq!(read_back(&scalar(&text)), Some(text));
        }

        #[test]
        fn awkward_texts_are_read_back(text in "[-?:,\\[\\]{}#&*!|>'\"%@` a1~\n\t]{0,8}") {
            prop_assert_eq!(read_back(&string(&text)), Some(text.clone()));
            prop_assert_eq!(read_back(&scalar(&text)), Some(text));
        }
    }
}
