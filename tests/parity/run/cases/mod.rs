//! The targets, and the scrape configurations that each is scraped by.

mod bodies;
mod failures;
mod labels;
mod syntax;

use super::script::{Answer, Ask};

/// What a target answers to a scrape.
type Script = fn(&Ask<'_>) -> Answer;

/// A scrape configuration and its targets.
pub(super) struct Case {
    /// The name of the job, and of its first target.
    pub(super) name: &'static str,
    /// Keys beside `job_name`, as they stand in the file. `ADDRESS` is that of the server,
    /// `REFUSED` that of the one that goes away. Without a word about targets there is one.
    pub(super) options: &'static str,
    /// What its targets answer: the first step of the path, which is also the label `t`.
    pub(super) targets: &'static [(&'static str, Script)],
}

/// Cases for a short run.
pub(super) const QUICK: &[&str] = &[
    "plain",
    "histogram",
    "openmetrics",
    "timestamps",
    "conflicts",
    "conflicts-honored",
    "flapping",
    "churn",
    "status",
    "bad-line",
    "sample-limit",
    "special",
    "metric-relabel",
    "resets",
];

/// Returns all cases.
pub(super) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(bodies::cases());
    cases.extend(labels::cases());
    cases.extend(failures::cases());
    cases.extend(syntax::cases());
    cases
}
