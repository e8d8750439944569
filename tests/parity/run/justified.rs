//! Differences that are meant to be there, each with its reason.
//!
//! We do as Prometheus 3 does; the reference is what a distribution has, and may be older. What is
//! not on this list makes the proof fail, and so does an entry that nothing agrees with any more.

use super::compare::{Aborted, Difference, Kind};

/// Why something differs.
pub(super) struct Reason {
    /// The target.
    pub(super) target: &'static str,
    /// What may differ.
    pub(super) kinds: &'static [Kind],
    /// In which series; all, if empty.
    pub(super) metrics: &'static [&'static str],
    /// Which Prometheus does otherwise, and why we do as we do.
    pub(super) why: &'static str,
}

impl Reason {
    /// Tells whether it is about this difference.
    pub(super) fn fits(&self, difference: &Difference) -> bool {
        self.target == difference.target
            && self.kinds.contains(&difference.kind)
            && (self.metrics.is_empty() || self.metrics.contains(&&*difference.metric))
    }
}

/// What is different for series of which Prometheus 2 stores values and Prometheus 3 none.
const REFUSED_BODY: &[Kind] = &[Kind::MissingSeries, Kind::Value];

/// All reasons.
pub(super) const REASONS: &[Reason] = &[
    Reason {
        target: "wrong-type",
        kinds: REFUSED_BODY,
        metrics: &[],
        why: "Prometheus 2 reads a body of a type that it does not know as text; Prometheus 3 \
              fails the scrape if there is no `fallback_scrape_protocol`",
    },
    Reason {
        target: "no-type",
        kinds: REFUSED_BODY,
        metrics: &[],
        why: "Prometheus 2 reads a body without a type as text; Prometheus 3 fails the scrape if \
              there is no `fallback_scrape_protocol`",
    },
];

/// Bounds that are not written as floats are compared as if they were.
pub(super) const BOUNDS: &str = "Prometheus 2 keeps `le=\"1\"` and `quantile=\"0\"` of a text as \
     they are; Prometheus 3 writes `1.0` and `0.0`";

/// What is justified of a scrape that fails after some samples of its body.
pub(super) const ABORTED: [(Aborted, &str); 1] = [(
    Aborted::Markers,
    "where a body is bad from some sample on, Prometheus (2 and 3) gives no stale marker to the \
     series before that sample, although `up` is 0 and their samples are not stored; it gives it \
     in the next scrape if that has them not; we mark all series of a failed scrape",
)];
