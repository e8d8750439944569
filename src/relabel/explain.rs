//! What each rule does to some labels, for people.

use std::fmt;

use super::builder::Builder;
use super::rule::{Action, DEFAULT_PATTERN, DEFAULT_SEPARATOR, Rule};

/// What one rule did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The rule's number, from 1.
    pub number: usize,
    /// The rule.
    pub rule: Rule,
    /// The joined values of its source labels.
    pub value: String,
    /// What changed, by name of label.
    pub changes: Vec<Change>,
    /// Whether it dropped the labels.
    pub is_dropped: bool,
}

/// What became of one label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// Its value before; empty: it was not there.
    pub before: String,
    /// Its value afterwards; empty: it was removed.
    pub after: String,
}

pub(super) fn explain(rules: &[Rule], labels: &Builder) -> Vec<Step> {
    let mut labels = labels.clone();
    let mut steps = Vec::with_capacity(rules.len());
    for (index, rule) in rules.iter().enumerate() {
        let before = labels.clone();
        let is_dropped = !rule.apply(&mut labels);
        steps.push(Step {
            number: index.saturating_add(1),
            rule: rule.clone(),
            value: rule.value(&before),
            changes: changes(&before, &labels),
            is_dropped,
        });
        if is_dropped {
            break;
        }
    }
    steps
}

fn changes(before: &Builder, after: &Builder) -> Vec<Change> {
    let change = |name: &str| Change {
        name: name.to_owned(),
        before: before.get(name).to_owned(),
        after: after.get(name).to_owned(),
    };
    let mut names: Vec<&str> = before
        .iter()
        .chain(after.iter())
        .map(|(name, _)| name)
        .collect();
    names.sort_unstable();
    names.dedup();
    let changes = names.into_iter().map(change);
    changes
        .filter(|change| change.before != change.after)
        .collect()
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = &self.settings;
        write!(f, "{}", settings.action)?;
        if !settings.source_labels.is_empty() {
            write!(f, " source_labels=[{}]", settings.source_labels.join(", "))?;
        }
        if settings.separator != DEFAULT_SEPARATOR {
            write!(f, " separator={:?}", settings.separator)?;
        }
        let has_pattern = !matches!(
            settings.action,
            Action::KeepEqual
                | Action::DropEqual
                | Action::HashMod
                | Action::Lowercase
                | Action::Uppercase
        );
        if has_pattern {
            let regex = settings.regex.as_deref().unwrap_or(DEFAULT_PATTERN);
            write!(f, " regex=`{regex}`")?;
        }
        if settings.modulus != 0 {
            write!(f, " modulus={}", settings.modulus)?;
        }
        if !settings.target_label.is_empty() {
            write!(f, " target_label={}", settings.target_label)?;
        }
        if matches!(settings.action, Action::Replace | Action::LabelMap) {
            write!(f, " replacement={:?}", settings.replacement)?;
        }
        Ok(())
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            before,
            after,
        } = self;
        match (&**before, &**after) {
            ("", after) => write!(f, "+ {name}={after:?}"),
            (before, "") => write!(f, "- {name}={before:?}"),
            (before, after) => write!(f, "~ {name}={after:?} (was {before:?})"),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. {}", self.number, self.rule)?;
        if !self.rule.settings.source_labels.is_empty() {
            write!(f, "\n   value: {:?}", self.value)?;
        }
        if self.is_dropped {
            return write!(f, "\n   dropped");
        }
        if self.changes.is_empty() {
            return write!(f, "\n   no change");
        }
        for change in &self.changes {
            write!(f, "\n   {change}")?;
        }
        Ok(())
    }
}
