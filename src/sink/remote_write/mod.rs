//! Remote write 1.0.

use crate::http;
use crate::model::Labels;
use std::time::Duration;
use url::Url;

/// A remote-write endpoint and how to write to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its name in metrics and logs and of its durable consumer.
    pub name: String,
    /// Where to send to.
    pub url: Url,
    /// Limit for each request.
    pub timeout: Duration,
    /// Whether series get the label `publisher`.
    pub publisher_label: bool,
    /// Labels for every series that does not have them.
    pub external_labels: Labels,
    /// Requests at the same time (`queue_config.max_shards`).
    pub concurrency: usize,
    /// Samples in one request, about (`queue_config.max_samples_per_send`).
    pub max_samples_per_send: usize,
    /// How long a sample waits for company (`queue_config.batch_send_deadline`).
    pub batch_send_deadline: Duration,
    /// The first wait after a failure.
    pub min_backoff: Duration,
    /// The longest wait after a failure.
    pub max_backoff: Duration,
    /// Whether 429 is worth another try.
    pub retry_on_http_429: bool,
    /// Authorization, TLS, headers.
    pub http: http::Settings,
}
