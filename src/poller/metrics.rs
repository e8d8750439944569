//! What the poller counts, beside its scrapes.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::spool::{Entry, Kind};

/// Counters of lanes, backlog and publishers.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    targets: Family<JobLabel, Gauge>,
    found: Family<StateLabel, Gauge>,
    published: Counter,
    published_messages: Family<KindLabel, Counter>,
    published_bytes: Family<KindLabel, Counter>,
    repeated: Counter,
    dropped: Family<ReasonLabel, Counter>,
    waiting_bytes: Gauge,
    waiting_frames: Gauge,
    spooled: Counter,
    spool_bytes: Gauge,
    spool_frames: Gauge,
}

/// Why a scrape was not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DropReason {
    /// The backlog was full and it was the oldest.
    BufferFull,
    /// The poller was stopped before NATS took it.
    Shutdown,
    /// The server takes no message as large.
    TooLarge,
    /// The spool was full and it was the oldest.
    SpoolFull,
    /// It was in the spool for too long.
    SpoolMaxAge,
    /// The spool's files were damaged.
    SpoolDamaged,
    /// The spool could not be written to.
    SpoolError,
}

impl DropReason {
    const ALL: [Self; 7] = [
        Self::BufferFull,
        Self::Shutdown,
        Self::TooLarge,
        Self::SpoolFull,
        Self::SpoolMaxAge,
        Self::SpoolDamaged,
        Self::SpoolError,
    ];

    fn label(self) -> ReasonLabel {
        ReasonLabel {
            reason: self.as_str(),
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::BufferFull => "buffer_full",
            Self::Shutdown => "shutdown",
            Self::TooLarge => "payload_too_large",
            Self::SpoolFull => "spool_full",
            Self::SpoolMaxAge => "spool_max_age",
            Self::SpoolDamaged => "spool_damaged",
            Self::SpoolError => "spool_error",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct JobLabel {
    job: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    job: String,
    state: &'static str,
}

/// What becomes of targets that discovery has found.
const STATES: [&str; 3] = ["kept", "dropped", "invalid"];

fn job_label(job: &str) -> JobLabel {
    JobLabel {
        job: job.to_owned(),
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

fn kind_label(kind: Kind) -> &'static str {
    match kind {
        Kind::Shape { .. } => "shape",
        Kind::Key => "key",
        Kind::Delta => "delta",
    }
}

impl Metrics {
    /// Registers the counters; every reason begins at 0.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        for reason in DropReason::ALL {
            drop(metrics.dropped.get_or_create(&reason.label()));
        }
        registry.register("targets", "Targets being scraped", metrics.targets.clone());
        registry.register(
            "relabelled_targets",
            "Targets that discovery has found: kept, dropped by a rule, or not usable",
            metrics.found.clone(),
        );
        registry.register(
            "published",
            "Scrapes, failed ones included, that the stream has confirmed",
            metrics.published.clone(),
        );
        registry.register(
            "published_messages",
            "Messages that the stream has confirmed: shapes, key frames, other frames",
            metrics.published_messages.clone(),
        );
        registry.register(
            "published_bytes",
            "Bytes of messages that the stream has confirmed",
            metrics.published_bytes.clone(),
        );
        registry.register(
            "repeated_publishes",
            "Frames sent again because they were not confirmed",
            metrics.repeated.clone(),
        );
        registry.register(
            "dropped",
            "Scrapes that were taken and could not be published",
            metrics.dropped.clone(),
        );
        registry.register(
            "waiting_bytes",
            "Bytes of frames that wait to be confirmed",
            metrics.waiting_bytes.clone(),
        );
        registry.register(
            "waiting_frames",
            "Frames that wait to be confirmed",
            metrics.waiting_frames.clone(),
        );
        registry.register(
            "spooled",
            "Scrapes put into the spool because NATS did not take them",
            metrics.spooled.clone(),
        );
        registry.register(
            "spool_bytes",
            "Bytes of frames in the spool that are not confirmed",
            metrics.spool_bytes.clone(),
        );
        registry.register(
            "spool_frames",
            "Frames in the spool that are not confirmed",
            metrics.spool_frames.clone(),
        );
        metrics
    }

    /// Counts a target that is scraped from now on.
    pub(super) fn target_started(&self, job: &str) {
        self.targets.get_or_create(&job_label(job)).inc();
    }

    /// Counts a target that is not scraped any more.
    pub(super) fn target_ended(&self, job: &str) {
        self.targets.get_or_create(&job_label(job)).dec();
    }

    /// Tells what became of the targets that a job's discovery has found.
    pub(super) fn discovered(&self, job: &str, kept: usize, dropped: usize, invalid: usize) {
        for (state, count) in STATES.into_iter().zip([kept, dropped, invalid]) {
            let label = StateLabel {
                job: job.to_owned(),
                state,
            };
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            self.found.get_or_create(&label).set(count);
        }
    }

    /// Removes what is known of a job that there is no more.
    pub(super) fn forget(&self, job: &str) {
        for state in STATES {
            self.found.remove(&StateLabel {
                job: job.to_owned(),
                state,
            });
        }
    }

    pub(super) fn published(&self, entry: &Entry) {
        let kind = KindLabel {
            kind: kind_label(entry.kind),
        };
        let bytes = entry.payload.len() as u64;
        self.published.inc_by(entry.scrapes);
        self.published_messages.get_or_create(&kind).inc();
        self.published_bytes.get_or_create(&kind).inc_by(bytes);
    }

    pub(super) fn repeated(&self) {
        self.repeated.inc();
    }

    pub(super) fn dropped(&self, reason: DropReason, scrapes: u64) {
        if scrapes > 0 {
            self.dropped.get_or_create(&reason.label()).inc_by(scrapes);
        }
    }

    pub(super) fn spooled(&self, scrapes: u64) {
        self.spooled.inc_by(scrapes);
    }

    pub(super) fn spool(&self, bytes: u64, frames: u64) {
        self.spool_bytes
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.spool_frames
            .set(i64::try_from(frames).unwrap_or(i64::MAX));
    }

    pub(super) fn waiting(&self, bytes: usize, frames: usize) {
        self.waiting_bytes
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.waiting_frames
            .set(i64::try_from(frames).unwrap_or(i64::MAX));
    }

    #[cfg(test)]
    pub(super) fn dropped_total(&self, reason: DropReason) -> u64 {
        self.dropped.get_or_create(&reason.label()).get()
    }
}
