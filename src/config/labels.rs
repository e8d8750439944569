//! `external_labels`: at the top level of our own file, and in `global` as Prometheus reads it.

use super::block::{Block, Value};
use super::problem::{Place, Report};
use super::values::printable;
use crate::model::{Labels, NameValidation};

/// External labels: each is sent with every series.
const EXTERNAL_LABELS_MAX: usize = 100;

/// Reads the labels at the top level: as they are, with names that every endpoint takes.
pub(super) fn of_top(block: &Block<'_>, report: &mut Report) -> Labels {
    read(block, report, |name, text, place, report| {
        let is_name = NameValidation::Legacy.is_label_name(name) && !name.starts_with("__");
        if !is_name {
            let remedy = "write letters, digits and `_`, not beginning with a digit or `__`";
            refuse_name(name, remedy, place, report);
        }
        text.to_owned()
    })
}

/// Reads the labels in `global`: references to the environment are replaced.
pub(super) fn of_global(block: &Block<'_>, names: NameValidation, report: &mut Report) -> Labels {
    read(block, report, |name, text, place, report| {
        if !names.is_label_name(name) {
            let remedy = match names {
                NameValidation::Utf8 => "write a name",
                NameValidation::Legacy => {
                    "write letters, digits and `_`, not beginning with a digit"
                }
            };
            refuse_name(name, remedy, place, report);
        }
        expand(text, |variable| {
            // An empty one is as good as none, as in Prometheus.
            let value = std::env::var(variable).unwrap_or_default();
            if value.is_empty() {
                let what = format!("the environment has no variable `{}`", printable(variable));
                report.warn(place, what, "set it, or write `$$` for a plain `$`");
            }
            value
        })
    })
}

fn refuse_name(name: &str, remedy: &str, place: &Place, report: &mut Report) {
    let what = format!("`{}` is not a valid label name", printable(name));
    report.problem(place, what, remedy);
}

/// Reads the mapping; `value_of` checks a name and makes its value.
fn read(
    block: &Block<'_>,
    report: &mut Report,
    value_of: impl Fn(&str, &str, &Place, &mut Report) -> String,
) -> Labels {
    let Some(value) = block.value("external_labels") else {
        return Labels::default();
    };
    let entries = value.entries("a mapping", report);
    if entries.len() > EXTERNAL_LABELS_MAX {
        let what = format!("`external_labels` has more than {EXTERNAL_LABELS_MAX} labels");
        report.problem(&value.place, what, "remove some");
        return Labels::default();
    }
    let mut labels = Vec::with_capacity(entries.len());
    for entry in entries {
        let place = value.place.key(&entry.key, entry.at);
        let item = Value {
            place: place.at(entry.value.at),
            node: &entry.value,
        };
        let text = item.scalar("a string", report).unwrap_or_default();
        labels.push((&*entry.key, value_of(&entry.key, text, &place, report)));
    }
    Labels::new(labels)
}

/// Replaces `$name` and `${name}`, as Go's `os.Expand`.
fn expand(text: &str, mut value_of: impl FnMut(&str) -> String) -> String {
    let is_special = |c: char| c.is_ascii_digit() || "*#$@!?-".contains(c);
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let first = after.chars().next();
        let (name, after) = match first {
            Some('{') => {
                let inner = after.get(1..).unwrap_or_default();
                // Without its end, the brace alone is left out.
                inner.split_once('}').unwrap_or(("", inner))
            }
            Some(c) if is_special(c) => after.split_at(c.len_utf8()),
            _ => {
                let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let end = after.find(|c| !is_part(c)).unwrap_or(after.len());
                after.split_at(end)
            }
        };
        rest = after;
        match name {
            "" if first == Some('{') => {}
            "" | "$" => expanded.push('$'),
            name => expanded.push_str(&value_of(name)),
        }
    }
    expanded.push_str(rest);
    expanded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(expand(text, |name| format!("<{name}>")), expected, "{text}");
    }

    #[test]
    fn variables_are_replaced_as_in_go() {
        check("plain", "plain");
        check("$a-${b}c", "<a>-<b>c");
        check("$a_b.c", "<a_b>.c");
        check("$$a", "$a");
        check("${$}", "$");
        check("$1x", "<1>x");
        check("a$", "a$");
        check("a$.b", "a$.b");
        check("${}x", "x");
        check("${ax", "ax");
    }
}
