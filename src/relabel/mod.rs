//! Relabel rules: what they match, and what they do to a set of labels.
//!
//! In: rules as `config` has read them, and the labels of a target or a series. Out: other labels,
//! or word that the target or series is dropped. This module alone knows what an action does and
//! how Prometheus's regular expressions (RE2) are written in those of the `regex` crate; it does no
//! I/O and knows neither targets nor sinks.
//!
//! `rule` checks what was configured, `pattern` translates regular expressions, `matcher` runs them
//! or something cheaper, `template` fills in what they captured, `apply` holds the actions, and
//! `explain` tells what each rule did.

mod apply;
mod builder;
mod explain;
mod matcher;
mod pattern;
mod rule;
mod template;

pub use builder::Builder;
pub use explain::{Change, Step};
pub use pattern::PatternError;
pub use rule::{Action, DEFAULT_PATTERN, DEFAULT_REPLACEMENT, DEFAULT_SEPARATOR};
pub use rule::{Rule, RuleError, RuleSettings};

use std::sync::Arc;

/// Rules that are applied one after the other; none at all leaves everything as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules(Option<Arc<[Rule]>>);

impl Rules {
    /// Takes rules in the order in which they are applied.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self((!rules.is_empty()).then(|| rules.into()))
    }

    /// Tells whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns the rules, in their order.
    pub fn as_slice(&self) -> &[Rule] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Applies one rule after the other; `false` as soon as one of them drops the labels.
    pub fn apply(&self, labels: &mut Builder) -> bool {
        self.as_slice().iter().all(|rule| rule.apply(labels))
    }

    /// Tells what each rule does to some labels; the last step is the one that drops them, if any.
    pub fn explain(&self, labels: &Builder) -> Vec<Step> {
        explain::explain(self.as_slice(), labels)
    }
}

#[cfg(test)]
mod tests;
