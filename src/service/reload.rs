//! Requests to read the configuration again, and what came of the last one.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::scrape;
use crate::telemetry::Metrics;

/// Requests that wait; whoever asks while so many do is told to ask again.
const REQUESTS: usize = 4;

/// What came of a reload: nothing to say, or what is wrong.
pub type Outcome = Result<(), String>;

/// Someone who asked for a reload, and may wait for what comes of it.
#[derive(Debug)]
pub(super) struct Request(Option<oneshot::Sender<Outcome>>);

/// Asks for reloads.
#[derive(Debug, Clone)]
pub struct Reloads(mpsc::Sender<Request>);

impl Reloads {
    pub(super) fn new() -> (Self, mpsc::Receiver<Request>) {
        // Signals and our own pages write; the life of the program reads.
        let (requests_tx, requests_rx) = mpsc::channel(REQUESTS);
        (Self(requests_tx), requests_rx)
    }

    /// Asks and waits for what comes of it.
    pub async fn request(&self) -> Outcome {
        let (answer_tx, answer) = oneshot::channel();
        let is_full = |_full| "too many reloads are waiting".to_owned();
        self.0.try_send(Request(Some(answer_tx))).map_err(is_full)?;
        answer
            .await
            .unwrap_or_else(|_ended| Err("the program is stopping".to_owned()))
    }

    /// Asks; when requests are waiting already, they will read the same file.
    pub(super) fn request_soon(&self) {
        drop(self.0.try_send(Request(None)));
    }
}

impl Request {
    pub(super) fn answer(self, outcome: Outcome) {
        // Whoever asked may have gone.
        self.0.map(|asker| asker.send(outcome));
    }
}

/// New scrape configurations for a part that runs.
#[derive(Debug)]
pub struct ScrapeReload {
    /// The configurations.
    pub settings: scrape::Settings,
    answer: oneshot::Sender<Outcome>,
}

impl ScrapeReload {
    pub(super) fn new(settings: scrape::Settings, answer: oneshot::Sender<Outcome>) -> Self {
        Self { settings, answer }
    }

    /// Says what came of them.
    pub fn answer(self, outcome: Outcome) {
        // Nobody waits when the program ends.
        drop(self.answer.send(outcome));
    }
}

/// Tells on our own page how the last reload went, by the names that Prometheus has for it.
#[derive(Debug, Clone, Default)]
pub(super) struct ReloadMetrics {
    successful: Gauge,
    success_time: Gauge<f64, AtomicU64>,
}

impl ReloadMetrics {
    pub(super) fn register(&self, metrics: &Metrics) {
        metrics.register("config", |registry| {
            registry.register(
                "last_reload_successful",
                "Whether the last attempt to read the configuration succeeded",
                self.successful.clone(),
            );
            registry.register(
                "last_reload_success_timestamp_seconds",
                "When the configuration was last read with success",
                self.success_time.clone(),
            );
        });
    }

    pub(super) fn succeeded(&self, clock: &Clock) {
        self.successful.set(1);
        #[expect(
            clippy::cast_precision_loss,
            reason = "milliseconds of this age are exact"
        )]
        let seconds = clock.now_ms() as f64 / 1000.0;
        self.success_time.set(seconds);
    }

    pub(super) fn failed(&self) {
        self.successful.set(0);
    }
}
