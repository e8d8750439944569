//! What we count and measure of an enrollment.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::Document;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Step {
    step: &'static str,
}

/// The metrics of one enrollment; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    expiry: Gauge<f64, AtomicU64>,
    refreshed: Gauge<f64, AtomicU64>,
    renewals: Counter,
    failures: Family<Step, Counter>,
}

impl Metrics {
    /// Registers all of them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "certificate_expiry_timestamp_seconds",
            "When our certificate ends; 0 as long as there is none",
            metrics.expiry.clone(),
        );
        registry.register(
            "refresh_timestamp_seconds",
            "When the CA's certificates and revocation lists were last fetched",
            metrics.refreshed.clone(),
        );
        registry.register(
            "renewals",
            "Certificates that took the place of an older one",
            metrics.renewals.clone(),
        );
        registry.register(
            "failures",
            "Steps that failed, by what was wanted",
            metrics.failures.clone(),
        );
        for document in Document::ALL {
            drop(metrics.failures.get_or_create(&step(document)));
        }
        metrics
    }

    #[expect(clippy::cast_precision_loss, reason = "seconds of this age are exact")]
    pub(super) fn expires(&self, not_after: i64) {
        self.expiry.set(not_after as f64);
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds of this age are exact"
    )]
    pub(super) fn refreshed(&self, now_ms: i64) {
        self.refreshed.set(now_ms as f64 / 1000.0);
    }

    pub(super) fn renewed(&self) {
        self.renewals.inc();
    }

    pub(super) fn failed(&self, document: Document) {
        self.failures.get_or_create(&step(document)).inc();
    }
}

fn step(document: Document) -> Step {
    Step {
        step: document.label(),
    }
}
