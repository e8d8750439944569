//! What scraping counts.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::model::FailureReason;

/// Counters of all target workers.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    scrapes: Family<ScrapeLabels, Counter>,
    samples: Family<JobLabel, Counter>,
    bytes: Family<JobLabel, Counter>,
    skipped: Family<JobLabel, Counter>,
    raw: Family<ReasonLabel, Counter>,
    lost_histograms: Counter,
    shapes: Gauge,
    shape_bytes: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ScrapeLabels {
    job: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct JobLabel {
    job: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

impl Metrics {
    /// Registers the counters.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "scrapes",
            "Scrapes by job and outcome: success or the reason of the failure",
            metrics.scrapes.clone(),
        );
        registry.register("samples", "Samples scraped", metrics.samples.clone());
        registry.register(
            "scraped_bytes",
            "Bytes of exposition scraped",
            metrics.bytes.clone(),
        );
        registry.register(
            "skipped_scrapes",
            "Scrapes that did not begin because the one before took too long",
            metrics.skipped.clone(),
        );
        registry.register(
            "raw_scrapes",
            "Scrapes that travel as text because no shape holds them",
            metrics.raw.clone(),
        );
        registry.register(
            "lost_native_histograms",
            "Native histograms left out of scrapes that travel as text, which has none",
            metrics.lost_histograms.clone(),
        );
        registry.register(
            "shapes",
            "Shapes of what the targets expose",
            metrics.shapes.clone(),
        );
        registry.register(
            "shape_bytes",
            "Bytes of memory that the shapes take",
            metrics.shape_bytes.clone(),
        );
        metrics
    }

    pub(super) fn exposed(&self, job: &str, samples: usize, bytes: usize) {
        self.count(job, "success");
        let job = JobLabel {
            job: job.to_owned(),
        };
        self.samples.get_or_create(&job).inc_by(samples as u64);
        self.bytes.get_or_create(&job).inc_by(bytes as u64);
    }

    pub(super) fn failed(&self, job: &str, reason: FailureReason) {
        self.count(job, reason.as_str());
    }

    pub(super) fn skipped(&self, job: &str, scrapes: u64) {
        self.skipped
            .get_or_create(&JobLabel {
                job: job.to_owned(),
            })
            .inc_by(scrapes);
    }

    pub(super) fn raw(&self, reason: &'static str) {
        self.raw.get_or_create(&ReasonLabel { reason }).inc();
    }

    pub(super) fn lost_histograms(&self, count: usize) {
        self.lost_histograms.inc_by(count as u64);
    }

    pub(super) fn shapes(&self, count: usize, bytes: usize) {
        self.shapes.set(i64::try_from(count).unwrap_or(i64::MAX));
        self.shape_bytes
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    fn count(&self, job: &str, outcome: &'static str) {
        self.scrapes
            .get_or_create(&ScrapeLabels {
                job: job.to_owned(),
                outcome,
            })
            .inc();
    }
}
