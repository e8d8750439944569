//! What discovery counts.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::source::KINDS;
use crate::clock::Clock;

/// Counters of all sources.
#[derive(Debug, Clone)]
pub struct Metrics {
    clock: Clock,
    refreshes: Family<SourceLabels, Counter>,
    failures: Family<SourceLabels, Counter>,
    last_success: Family<SourceLabels, Gauge<f64, AtomicU64>>,
    targets: Family<JobLabel, Gauge>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabels {
    job: String,
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct JobLabel {
    job: String,
}

impl Metrics {
    /// Registers the counters; the clock stamps what succeeds.
    pub fn register(registry: &mut Registry, clock: Clock) -> Self {
        let metrics = Self {
            clock,
            refreshes: Family::default(),
            failures: Family::default(),
            last_success: Family::default(),
            targets: Family::default(),
        };
        registry.register(
            "refreshes",
            "Answers of discovery sources, good or bad, by job and kind",
            metrics.refreshes.clone(),
        );
        registry.register(
            "failures",
            "Answers of discovery sources that could not be had or used, by job and kind",
            metrics.failures.clone(),
        );
        registry.register(
            "last_success_timestamp_seconds",
            "When a discovery source last answered well, by job and kind",
            metrics.last_success.clone(),
        );
        registry.register(
            "targets",
            "Targets discovered by job, before relabelling",
            metrics.targets.clone(),
        );
        metrics
    }

    /// Removes what is known of a job that there is no more.
    pub fn forget(&self, job: &str) {
        let job = job.to_owned();
        for kind in KINDS {
            let labels = SourceLabels {
                job: job.clone(),
                kind,
            };
            self.refreshes.remove(&labels);
            self.failures.remove(&labels);
            self.last_success.remove(&labels);
        }
        self.targets.remove(&JobLabel { job });
    }

    pub(super) fn discovered(&self, job: &str, targets: usize) {
        let job = job.to_owned();
        let targets = i64::try_from(targets).unwrap_or(i64::MAX);
        self.targets.get_or_create(&JobLabel { job }).set(targets);
    }

    /// Returns the counters of one source; they are on the page from now on.
    pub(super) fn of_source(&self, job: &str, kind: &'static str) -> SourceMetrics {
        let labels = SourceLabels {
            job: job.to_owned(),
            kind,
        };
        SourceMetrics {
            clock: self.clock.clone(),
            refreshes: self.refreshes.get_or_create_owned(&labels),
            failures: self.failures.get_or_create_owned(&labels),
            last_success: self.last_success.get_or_create_owned(&labels),
        }
    }
}

/// The counters of one source.
#[derive(Debug)]
pub(super) struct SourceMetrics {
    clock: Clock,
    refreshes: Counter,
    failures: Counter,
    last_success: Gauge<f64, AtomicU64>,
}

impl SourceMetrics {
    pub(super) fn succeeded(&self) {
        self.refreshes.inc();
        #[expect(
            clippy::cast_precision_loss,
            reason = "milliseconds since 1970 are exact in a double for 285,000 years"
        )]
        let seconds = self.clock.now_ms() as f64 / 1000.0;
        self.last_success.set(seconds);
    }

    pub(super) fn failed(&self) {
        self.refreshes.inc();
        self.failures.inc();
    }
}
