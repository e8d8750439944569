//! What is to become of a file, before it is written in one of two ways: into its own lines, or
//! anew from its tree.

use super::emit::Emitter;
use super::jobs::Jobs;
use super::lines::Lines;
use crate::yaml::{Kind, Node, Position};

/// A change of one key or its value.
#[derive(Debug, Clone)]
pub(super) struct Change {
    /// Where the key stands.
    pub(super) key: Position,
    pub(super) edit: Edit,
}

#[derive(Debug, Clone)]
pub(super) enum Edit {
    /// It has no effect, for this reason.
    LeaveOut(String),
    /// It has another name now.
    Rename { to: &'static str, note: String },
    /// Its single value is written in another way.
    SetValue {
        at: Position,
        old: String,
        new: String,
    },
    /// It stays, and something is said about it.
    Advise(String),
}

/// What is to become of a file.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// Lines that say where the file comes from.
    pub(super) head: Vec<String>,
    /// Lines with keys that the source does not have, before its first key.
    pub(super) first: Vec<String>,
    /// Keys at the top level that do not stay.
    pub(super) dropped: Vec<String>,
    pub(super) changes: Vec<Change>,
    /// What `jobs` is made into.
    pub(super) jobs: Option<Jobs>,
    /// A block at the top level, and a paragraph that follows it.
    pub(super) after: Vec<(&'static str, Vec<String>)>,
}

impl Draft {
    /// Tells whether anything changes but what is said about it.
    pub(super) fn is_empty(&self) -> bool {
        let says = |change: &Change| matches!(change.edit, Edit::Advise(_));
        self.first.is_empty()
            && self.dropped.is_empty()
            && self.jobs.is_none()
            && self.changes.iter().all(says)
    }

    /// Writes it into the lines of the source, which keeps everything else as it is.
    ///
    /// `None` if that cannot be done, since keys share a line or a value has an uncommon form.
    pub(super) fn edit(&self, text: &str, root: &Node) -> Option<String> {
        let mut lines = Lines::read(text, root)?;
        for key in &self.dropped {
            lines.drop_block(key);
        }
        if let Some(jobs) = &self.jobs {
            if lines.has("scrape_configs") {
                let indent = lines.dash_of("scrape_configs")?;
                let mut items = lines.comments_of("jobs", indent);
                items.extend(jobs.items(indent));
                lines.drop_block("jobs");
                lines.append_to("scrape_configs", items);
            } else {
                lines.replace_block("jobs", jobs.block());
            }
        }
        for change in &self.changes {
            if !lines.is_dropped(change.key) {
                lines.change(change)?;
            }
        }
        for (key, added) in &self.after {
            lines.follow(key, added.clone());
        }
        lines.begin_with(&self.head, &self.first);
        Some(lines.finish())
    }

    /// Writes it anew from the tree; the source's comments are lost.
    pub(super) fn rewrite(&self, root: &Node) -> String {
        let mut emitter = Emitter {
            changes: &self.changes,
            lines: Vec::new(),
        };
        let lines = &mut emitter.lines;
        lines.extend(self.head.iter().cloned());
        lines.push("# Comments of the source could not be kept.".to_owned());
        lines.push("---".to_owned());
        lines.extend(self.first.iter().cloned());
        let Kind::Map(entries) = &root.kind else {
            return String::new();
        };
        let is_there = |key: &str| {
            let is_it = |entry: &&crate::yaml::Entry| &*entry.key == key;
            let found = entries.iter().find(is_it);
            found.is_some_and(|entry| !matches!(entry.value.kind, Kind::Null))
        };
        for entry in entries {
            let key = &*entry.key;
            if self.dropped.iter().any(|dropped| dropped == key) {
                continue;
            }
            match &self.jobs {
                Some(jobs) if key == "jobs" => {
                    if !is_there("scrape_configs") {
                        emitter.lines.extend(jobs.block());
                    }
                    continue;
                }
                _ => emitter.entry(entry, 0),
            }
            if let Some(jobs) = &self.jobs
                && key == "scrape_configs"
                && is_there(key)
            {
                emitter.lines.extend(jobs.items(2));
            }
            for (_, added) in self.after.iter().filter(|(after, _)| *after == key) {
                emitter.lines.extend(added.iter().cloned());
                emitter.lines.push(String::new());
            }
        }
        emitter.lines.push(String::new());
        emitter.lines.join("\n")
    }
}
