//! Relabel rules: `relabel_configs`, `metric_relabel_configs`, `write_relabel_configs`.

use super::block::{Block, Value};
use super::keys;
use super::problem::Report;
use super::values::{nearest, one_line, shown};
use crate::model::NameValidation;
use crate::relabel::{Action, Rule, RuleError, RuleSettings, Rules};

/// Reads a list of rules; those that are wrong are reported and left out.
pub(super) fn read(value: &Value<'_>, names: NameValidation, report: &mut Report) -> Rules {
    let items = value.items("a list", report);
    let rules = items.iter().filter_map(|item| {
        let block = Block::open(item, &keys::RELABEL, report)?;
        rule(&block, names, report)
    });
    Rules::new(rules.collect())
}

fn rule(block: &Block<'_>, names: NameValidation, report: &mut Report) -> Option<Rule> {
    let before = report.count();
    let default = RuleSettings::default();
    let settings = RuleSettings {
        source_labels: source_labels(block, report),
        separator: text(block, "separator", report).unwrap_or(default.separator),
        regex: text(block, "regex", report),
        modulus: block.number("modulus", report).unwrap_or_default(),
        target_label: text(block, "target_label", report).unwrap_or_default(),
        replacement: text(block, "replacement", report).unwrap_or(default.replacement),
        action: action(block, report).unwrap_or_default(),
        names,
    };
    if report.count() > before {
        return None;
    }
    match Rule::new(settings) {
        Ok(rule) => Some(rule),
        Err(error) => {
            let value = block.value(error.key());
            let place = value.map_or_else(|| block.place.clone(), |value| value.place);
            report.problem(&place, one_line(&error.to_string()), remedy(&error));
            None
        }
    }
}

/// Reads a text that may be empty; to Prometheus a key of a rule without a value is empty text.
fn text(block: &Block<'_>, key: &str, report: &mut Report) -> Option<String> {
    if block.is_null(key) {
        return Some(String::new());
    }
    let text = block.value(key)?.scalar("a string", report)?;
    Some(text.to_owned())
}

fn source_labels(block: &Block<'_>, report: &mut Report) -> Vec<String> {
    let Some(value) = block.value("source_labels") else {
        return Vec::new();
    };
    let mut labels = Vec::new();
    for item in value.items("a list", report) {
        match item.scalar("the name of a label", report) {
            Some("") => {
                let what = format!("`{}` is empty", item.place.name);
                report.problem(&item.place, what, "write the name of a label");
            }
            Some(name) => labels.push(name.to_owned()),
            None => {}
        }
    }
    labels
}

fn action(block: &Block<'_>, report: &mut Report) -> Option<Action> {
    if block.is_null("action")
        && let Some(place) = block.place_of_null("action")
    {
        report.problem(&place, "`action` is empty", "write one, or remove the key");
        return None;
    }
    let value = block.value("action")?;
    let word = value.scalar("an action", report)?;
    let action = Action::parse(word);
    if action.is_none() {
        let known = Action::ALL.map(Action::as_str);
        let remedy = match nearest(word, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known actions: `{}`", known.join("`, `")),
        };
        let what = format!("unknown relabel action `{}`", shown(word));
        report.problem(&value.place, what, remedy);
    }
    action
}

fn remedy(error: &RuleError) -> String {
    match error {
        RuleError::Pattern(_) => {
            "correct it; it must match the whole text, so it needs no `^` and no `$`".to_owned()
        }
        RuleError::NoModulus => "add `modulus`, at least 1".to_owned(),
        RuleError::NoTargetLabel(_) => "add `target_label`".to_owned(),
        RuleError::TargetLabel(..) => {
            "write letters, digits and `_`, not beginning with a digit".to_owned()
        }
        RuleError::Replacement(_) => "remove it".to_owned(),
        RuleError::InvalidReplacement(..) => {
            "write what makes a name: letters, digits, `_`, and `$1` or `${name}`".to_owned()
        }
        RuleError::Superfluous(..) => "remove the others".to_owned(),
    }
}
