//! What each action does.

use md5::{Digest, Md5};

use super::builder::Builder;
use super::rule::{Action, Rule};

impl Rule {
    /// Applies the rule; `false`: the labels are dropped.
    pub(super) fn apply(&self, labels: &mut Builder) -> bool {
        let value = self.value(labels);
        let target = &*self.settings.target_label;
        match self.settings.action {
            Action::Keep => return self.matcher.is_match(&value),
            Action::Drop => return !self.matcher.is_match(&value),
            Action::KeepEqual => return labels.get(target) == value,
            Action::DropEqual => return labels.get(target) != value,
            Action::Replace => self.replace(&value, labels),
            Action::Lowercase => labels.set(target, &lowercase(&value)),
            Action::Uppercase => labels.set(target, &uppercase(&value)),
            Action::HashMod => {
                let remainder = hash(&value).checked_rem(self.settings.modulus);
                labels.set(target, &remainder.unwrap_or_default().to_string());
            }
            Action::LabelMap => self.map_names(labels),
            Action::LabelDrop => labels.retain(|name| !self.matcher.is_match(name)),
            Action::LabelKeep => labels.retain(|name| self.matcher.is_match(name)),
        }
        true
    }

    /// Joins the values of the source labels.
    pub(super) fn value(&self, labels: &Builder) -> String {
        let mut joined = String::new();
        for (index, name) in self.settings.source_labels.iter().enumerate() {
            if index > 0 {
                joined.push_str(&self.settings.separator);
            }
            joined.push_str(labels.get(name));
        }
        joined
    }

    fn replace(&self, value: &str, labels: &mut Builder) {
        let Some(found) = self.matcher.find(value) else {
            return;
        };
        let mut expanded = String::new();
        let target = if let Some(target) = self.target.constant() {
            target
        } else {
            self.target.expand(&found, &mut expanded);
            &expanded
        };
        if !self.settings.names.is_label_name(target) {
            return;
        }
        let mut replacement = String::new();
        self.replacement.expand(&found, &mut replacement);
        labels.set(target, &replacement);
    }

    fn map_names(&self, labels: &mut Builder) {
        // What is written may match as well, but is not looked at again.
        let mapped: Vec<(String, String)> = labels
            .iter()
            .filter(|(name, _)| self.matcher.is_match(name))
            .map(|(name, value)| {
                let name = self.matcher.replace(name, &self.replacement);
                (name, value.to_owned())
            })
            .collect();
        for (name, value) in mapped {
            labels.set(&name, &value);
        }
    }
}

/// The last eight bytes of the MD5 sum, the most significant first.
fn hash(value: &str) -> u64 {
    let sum: [u8; 16] = Md5::digest(value.as_bytes()).into();
    let [_, _, _, _, _, _, _, _, last @ ..] = sum;
    u64::from_be_bytes(last)
}

/// Maps each character by itself, as Go does: the length in characters stays.
fn lowercase(value: &str) -> String {
    // `İ` alone has two characters, of which the first is the one that Go takes.
    let lower = |c: char| c.to_lowercase().next().unwrap_or(c);
    value.chars().map(lower).collect()
}

fn uppercase(value: &str) -> String {
    let upper = |c: char| {
        let mut mapped = c.to_uppercase();
        match (mapped.next(), mapped.next()) {
            (Some(upper), None) => upper,
            // What becomes several characters, such as `ß`, stays as it is, but for Greek letters
            // with an iota below, of which there are capitals.
            _ => titlecase(c),
        }
    };
    value.chars().map(upper).collect()
}

fn titlecase(c: char) -> char {
    let step = match c {
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => 8,
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => 9,
        _ => 0,
    };
    char::from_u32(u32::from(c).saturating_add(step)).unwrap_or(c)
}
