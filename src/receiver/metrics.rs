//! What the receiver counts.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::guard::DropReason;

/// Counters of all feeds.
#[derive(Debug, Clone)]
pub struct Metrics {
    received: Family<SinkPublisher, Counter>,
    delivered: Family<SinkPublisher, Counter>,
    dropped: Family<Dropped, Counter>,
    rejected: Family<Rejected, Counter>,
    retries: Family<SinkLabel, Counter>,
    redelivered: Family<SinkLabel, Counter>,
    invalid: Family<Invalid, Counter>,
    undecodable: Family<Dropped, Counter>,
    orphaned: Family<SinkPublisher, Counter>,
    incomplete: Family<SinkPublisher, Counter>,
    silent: Family<SinkPublisher, Counter>,
    missing: Family<SinkPublisher, Counter>,
    key_requests: Family<PublisherLabel, Counter>,
    shapes: Gauge,
    shape_bytes: Gauge,
    dead_letters: Family<OutcomeLabel, Counter>,
    waiting_bytes: Family<SinkLabel, Gauge>,
    waiting_messages: Family<SinkLabel, Gauge>,
    targets: Family<SinkLabel, Gauge>,
    clock_ahead: Family<PublisherLabel, Gauge<f64, AtomicU64>>,
    delivery_age: Family<SinkLabel, Histogram, fn() -> Histogram>,
}

/// From the scrape to the delivery that was acknowledged, in seconds: a healthy path takes one or
/// two; what is older than ten minutes has left most streams.
const AGE_BUCKETS: [f64; 13] = [
    0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0,
];

/// What became of a dead letter.
#[derive(Debug, Clone, Copy)]
pub(super) enum DeadLetterOutcome {
    Published,
    Failed,
    Dropped,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SinkLabel {
    sink: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PublisherLabel {
    publisher: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SinkPublisher {
    sink: String,
    publisher: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Dropped {
    sink: String,
    reason: &'static str,
    publisher: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Rejected {
    sink: String,
    reason: &'static str,
    job: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Invalid {
    sink: String,
    reason: &'static str,
    publisher: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let ages: fn() -> Histogram = || Histogram::new(AGE_BUCKETS);
        Self {
            received: Family::default(),
            delivered: Family::default(),
            dropped: Family::default(),
            rejected: Family::default(),
            retries: Family::default(),
            redelivered: Family::default(),
            invalid: Family::default(),
            undecodable: Family::default(),
            orphaned: Family::default(),
            incomplete: Family::default(),
            silent: Family::default(),
            missing: Family::default(),
            key_requests: Family::default(),
            shapes: Gauge::default(),
            shape_bytes: Gauge::default(),
            dead_letters: Family::default(),
            waiting_bytes: Family::default(),
            waiting_messages: Family::default(),
            targets: Family::default(),
            clock_ahead: Family::default(),
            delivery_age: Family::new_with_constructor(ages),
        }
    }
}

impl Metrics {
    /// Registers the counters.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "received",
            "Scrapes received, failed ones included",
            metrics.received.clone(),
        );
        registry.register(
            "delivered",
            "Scrapes that a sink has taken",
            metrics.delivered.clone(),
        );
        registry.register(
            "dropped",
            "Scrapes that were not delivered, by reason",
            metrics.dropped.clone(),
        );
        registry.register(
            "rejected",
            "Scrapes that a sink refused for good",
            metrics.rejected.clone(),
        );
        registry.register(
            "retries",
            "Deliveries that a sink could not take and that are tried again",
            metrics.retries.clone(),
        );
        registry.register(
            "redelivered",
            "Messages that came again and had been dealt with",
            metrics.redelivered.clone(),
        );
        metrics.register_reading(registry);
        metrics.register_state(registry);
        metrics
    }

    /// Registers what is counted where messages are read.
    fn register_reading(&self, registry: &mut Registry) {
        let metrics = self;
        registry.register(
            "invalid_messages",
            "Messages that cannot be read, by reason",
            metrics.invalid.clone(),
        );
        registry.register(
            "undecodable_scrapes",
            "Scrapes in frames that could not be decoded, by reason",
            metrics.undecodable.clone(),
        );
        registry.register(
            "orphaned_frames",
            "Frames from before the first key frame of their lane that the stream still has",
            metrics.orphaned.clone(),
        );
        registry.register(
            "incomplete_scrapes",
            "Scrapes of which a part never came",
            metrics.incomplete.clone(),
        );
        registry.register(
            "key_requests",
            "Key frames that pollers were asked for",
            metrics.key_requests.clone(),
        );
        registry.register(
            "missing_frames",
            "Frames that a poller numbered and that never came",
            metrics.missing.clone(),
        );
    }

    fn register_state(&self, registry: &mut Registry) {
        let metrics = self;
        registry.register("shapes", "Shapes that are known", metrics.shapes.clone());
        registry.register(
            "shape_bytes",
            "Bytes of memory that the known shapes take",
            metrics.shape_bytes.clone(),
        );
        registry.register(
            "dead_letters",
            "Messages and scrapes kept as dead letters, or not",
            metrics.dead_letters.clone(),
        );
        registry.register(
            "waiting_bytes",
            "Bytes of messages that wait for their sink",
            metrics.waiting_bytes.clone(),
        );
        registry.register(
            "waiting_messages",
            "Messages that wait for their sink",
            metrics.waiting_messages.clone(),
        );
        registry.register(
            "targets",
            "Targets that a sink has heard of",
            metrics.targets.clone(),
        );
        registry.register(
            "silent_targets",
            "Targets whose series were ended because nothing was heard of their lane",
            metrics.silent.clone(),
        );
        registry.register(
            "publisher_clock_ahead_seconds",
            "How far a poller's clock runs ahead of the stream's",
            metrics.clock_ahead.clone(),
        );
        registry.register(
            "delivery_age_seconds",
            "Time from the scrape to its delivery",
            metrics.delivery_age.clone(),
        );
    }

    /// Returns the counters with one sink's name filled in.
    pub(super) fn of(&self, sink: &str) -> SinkMetrics {
        let label = SinkLabel {
            sink: sink.to_owned(),
        };
        SinkMetrics {
            sink: sink.to_owned(),
            delivery_age: self.delivery_age.get_or_create(&label).clone(),
            retries: self.retries.get_or_create(&label).clone(),
            redelivered: self.redelivered.get_or_create(&label).clone(),
            waiting_bytes: self.waiting_bytes.get_or_create(&label).clone(),
            waiting_messages: self.waiting_messages.get_or_create(&label).clone(),
            targets: self.targets.get_or_create(&label).clone(),
            all: self.clone(),
        }
    }

    pub(super) fn key_request(&self, publisher: &str) {
        let label = PublisherLabel {
            publisher: publisher.to_owned(),
        };
        self.key_requests.get_or_create(&label).inc();
    }

    pub(super) fn dead_letter(&self, outcome: DeadLetterOutcome) {
        let outcome = match outcome {
            DeadLetterOutcome::Published => "published",
            DeadLetterOutcome::Failed => "failed",
            DeadLetterOutcome::Dropped => "dropped",
        };
        self.dead_letters
            .get_or_create(&OutcomeLabel { outcome })
            .inc();
    }
}

/// Counters of one feed.
#[derive(Debug, Clone)]
pub(super) struct SinkMetrics {
    sink: String,
    all: Metrics,
    delivery_age: Histogram,
    pub(super) retries: Counter,
    pub(super) redelivered: Counter,
    waiting_bytes: Gauge,
    waiting_messages: Gauge,
    targets: Gauge,
}

impl SinkMetrics {
    fn publisher(&self, publisher: &str) -> SinkPublisher {
        SinkPublisher {
            sink: self.sink.clone(),
            publisher: publisher.to_owned(),
        }
    }

    pub(super) fn received(&self, publisher: &str) {
        self.all
            .received
            .get_or_create(&self.publisher(publisher))
            .inc();
    }

    pub(super) fn delivered(&self, publisher: &str, age: Duration) {
        self.all
            .delivered
            .get_or_create(&self.publisher(publisher))
            .inc();
        self.delivery_age.observe(age.as_secs_f64());
    }

    pub(super) fn dropped(&self, reason: DropReason, publisher: &str) {
        let labels = self.reason(reason.as_str(), publisher);
        self.all.dropped.get_or_create(&labels).inc();
    }

    /// Counts scrapes that are too old, whatever is in them.
    pub(super) fn aged(&self, publisher: &str, scrapes: u64) {
        let labels = self.publisher(publisher);
        self.all.received.get_or_create(&labels).inc_by(scrapes);
        let labels = self.reason(DropReason::MaxAge.as_str(), publisher);
        self.all.dropped.get_or_create(&labels).inc_by(scrapes);
    }

    pub(super) fn undecodable(&self, reason: &'static str, publisher: &str, scrapes: u64) {
        let labels = self.reason(reason, publisher);
        self.all.undecodable.get_or_create(&labels).inc_by(scrapes);
    }

    pub(super) fn orphaned(&self, publisher: &str) {
        let labels = self.publisher(publisher);
        self.all.orphaned.get_or_create(&labels).inc();
    }

    pub(super) fn incomplete(&self, publisher: &str, scrapes: u64) {
        let labels = self.publisher(publisher);
        self.all.incomplete.get_or_create(&labels).inc_by(scrapes);
    }

    pub(super) fn silent(&self, publisher: &str) {
        let labels = self.publisher(publisher);
        self.all.silent.get_or_create(&labels).inc();
    }

    fn reason(&self, reason: &'static str, publisher: &str) -> Dropped {
        Dropped {
            sink: self.sink.clone(),
            reason,
            publisher: publisher.to_owned(),
        }
    }

    pub(super) fn rejected(&self, reason: &'static str, job: &str) {
        let labels = Rejected {
            sink: self.sink.clone(),
            reason,
            job: job.to_owned(),
        };
        self.all.rejected.get_or_create(&labels).inc();
    }

    pub(super) fn invalid(&self, reason: &'static str, publisher: &str) {
        let labels = Invalid {
            sink: self.sink.clone(),
            reason,
            publisher: publisher.to_owned(),
        };
        self.all.invalid.get_or_create(&labels).inc();
    }

    pub(super) fn missing(&self, publisher: &str, frames: u64) {
        self.all
            .missing
            .get_or_create(&self.publisher(publisher))
            .inc_by(frames);
    }

    pub(super) fn clock_ahead(&self, publisher: &str, ahead: Duration) {
        let label = PublisherLabel {
            publisher: publisher.to_owned(),
        };
        self.all
            .clock_ahead
            .get_or_create(&label)
            .set(ahead.as_secs_f64());
    }

    pub(super) fn waiting(&self, bytes: usize, messages: usize) {
        self.waiting_bytes
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
        self.waiting_messages
            .set(i64::try_from(messages).unwrap_or(i64::MAX));
    }

    pub(super) fn targets(&self, targets: usize) {
        self.targets.set(i64::try_from(targets).unwrap_or(i64::MAX));
    }

    pub(super) fn shapes(&self, (shapes, bytes): (usize, usize)) {
        self.all
            .shapes
            .set(i64::try_from(shapes).unwrap_or(i64::MAX));
        self.all
            .shape_bytes
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}
