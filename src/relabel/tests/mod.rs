//! What rules do, as tables.

mod actions;
mod patterns;
mod reference;
mod validation;

use super::*;

/// A rule from the default, changed.
#[track_caller]
fn rule(change: impl FnOnce(&mut RuleSettings)) -> Rule {
    let mut settings = RuleSettings::default();
    change(&mut settings);
    Rule::new(settings.clone()).unwrap_or_else(|error| panic!("{settings:?}: {error}"))
}

fn sources(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// Applies rules to labels written as `a=1 b=2`; a result of `-` is a drop.
#[track_caller]
fn check(labels: &str, rules: Vec<Rule>, expected: &str) {
    let pairs = labels
        .split_whitespace()
        .filter_map(|pair| pair.split_once('='));
    let mut builder = Builder::new(pairs);
    let rules = Rules::new(rules);
    let steps = rules.explain(&builder);
    let is_kept = rules.apply(&mut builder);
    let found: Vec<String> = builder
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let found = if is_kept {
        found.join(" ")
    } else {
        "-".to_owned()
    };
    assert_eq!(found, expected, "{steps:#?}");
    let is_dropped = steps.last().is_some_and(|step| step.is_dropped);
    assert_eq!(is_dropped, !is_kept);
}
