//! Relabel rules: what they match, and what they do to a set of labels.
//!
//! In: rules as `config` has read them, and the labels of a target or a series. Out: other labels,
//! or word that the target or series is dropped. This module alone knows what an action does; it
//! does no I/O and knows neither targets nor sinks.

/// Rules that are applied one after the other; none at all leaves everything as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules;

impl Rules {
    /// Tells whether there is no rule.
    pub fn is_empty(&self) -> bool {
        true
    }
}
