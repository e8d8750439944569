//! Differences that are meant to be there, each with its reason.
//!
//! We do as Prometheus 3 does; the reference is what a distribution has, and may be older. What is
//! not on this list makes the proof fail; an entry that nothing agrees with any more shows as 0.

use super::compare::{Difference, Kind};

/// Why something differs.
#[derive(Clone, Copy)]
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

/// What is different where Prometheus 2 fails a scrape and we do not.
const ACCEPTED_BODY: &[Kind] = &[
    Kind::ExtraSeries,
    Kind::ExtraSample,
    Kind::MissingMarker,
    Kind::ExtraMarker,
    Kind::Value,
];

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
    Reason {
        target: "openmetrics-of-3",
        kinds: ACCEPTED_BODY,
        metrics: &[],
        why: "Prometheus 2 fails an OpenMetrics text with a comma behind the last label, or with \
              exemplars for other series than `_total` and `_bucket`; Prometheus 3 takes both",
    },
    Reason {
        target: "leading-blank",
        kinds: ACCEPTED_BODY,
        metrics: &[],
        why: "Prometheus takes a blank before a name for a part of the name, so that 2 fails the \
              scrape and 3 stores ` a`; by the format's description leading blanks are ignored",
    },
    Reason {
        target: "zero-byte",
        kinds: &[Kind::MissingSample, Kind::ExtraMarker, Kind::Value],
        metrics: &[],
        why: "Prometheus takes a zero byte for the end of the text, and the scrape for a good one; \
              we fail it, as with other bytes that cannot stand there",
    },
    Reason {
        target: "duplicates",
        kinds: &[Kind::MissingSample],
        metrics: &["timed"],
        why: "of a series that is there twice in one text with two times, Prometheus stores both; \
              the format's description leaves undefined what is done, and we store the first",
    },
    ADDED_BY_TEXT[0],
    ADDED_BY_TEXT[1],
    ADDED_BY_TEXT[2],
    ADDED_BY_TEXT[3],
];

/// Prometheus knows series again by how they are written, us by their labels.
const ADDED_BY_TEXT: [Reason; 4] = [
    added_by_text("duplicates"),
    added_by_text("empty-labels"),
    added_by_text("relabel-clash"),
    added_by_text("syntax"),
];

const fn added_by_text(target: &'static str) -> Reason {
    Reason {
        target,
        kinds: &[Kind::Value],
        metrics: &["scrape_series_added"],
        why: "`scrape_series_added`, which is documented as approximate, counts one series twice \
              in Prometheus if it is written in two ways, or two texts are relabelled to one",
    }
}

/// Bounds that are not written as floats are compared as if they were.
pub(super) const BOUNDS: &str = "Prometheus 2 keeps `le=\"1\"` and `quantile=\"0\"` of a text as \
     they are; Prometheus 3 writes `1.0` and `0.0`";

/// What comes of a body that is bad from some sample on.
pub(super) const ABORTED: &str = "where a body is bad from some sample on, Prometheus (2 and 3) \
     gives no stale marker to the series before that sample, although `up` is 0 and none of the \
     samples is stored; it gives it in the next scrape if that has them not, also to series that \
     never had a sample, and counts them as added in the wrong one of the two; we mark all series \
     of a failed scrape";
