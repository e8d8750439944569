//! Remote write 1.0: from scrapes to the series that Prometheus would have stored.
//!
//! In: deliveries, whose expositions are parsed here, or whose values are put behind labels that
//! were encoded once for their shape; both give the same bytes. Out: POST requests, each with the series of
//! many targets, and a verdict on every scrape. Stale markers and the series about the scrape
//! itself (`up` and its kin) are made here, so each target's last series are remembered; that
//! memory changes only when a scrape is decided, so a request that is tried again has the same
//! bytes. This module alone knows the protocol and the words of its servers; it never waits
//! between two tries, and never writes a target's scrapes in another order than given.

mod answer;
mod columns;
mod deliver;
mod encode;
mod exemplars;
mod histograms;
mod last;
/// The messages of the specification, for a second opinion.
#[cfg(test)]
#[path = "../../../tests/support/remote_write.rs"]
mod messages;
mod proto;
mod series;
mod shared;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use url::Url;

use super::removed::Removed;
use super::targets::{TARGETS_MAX, Targets};
use super::{Batching, TargetKey};
use crate::clock::Clock;
use crate::http::{self, Client, ClientError};
use crate::model::Labels;
use crate::relabel;
use crate::wire::Scrape;
use deliver::RAW_BYTES_MAX;
use encode::{After, Encoder, TargetState};
use series::SeriesHasher;
use shared::Shared;

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
    /// What becomes of each series once it has all its labels (`write_relabel_configs`).
    pub write_relabel: relabel::Rules,
    /// What is sent besides samples that are numbers.
    pub besides: Besides,
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

/// What an endpoint gets besides samples that are numbers; what it does not get is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Besides {
    /// Exemplars (`send_exemplars`).
    pub exemplars: bool,
    /// Native histograms (`send_native_histograms`).
    pub native_histograms: bool,
}

/// Exposition text per sample, about; measured on usual exporters, comments included.
const TEXT_BYTES_PER_SAMPLE: usize = 100;

/// A remote-write endpoint and what it was sent last.
#[derive(Debug)]
pub struct RemoteWrite {
    settings: Settings,
    client: Client,
    clock: Clock,
    shared: Shared,
    targets: Targets<TargetState>,
    /// Memory to write with; as many as there were calls at the same time.
    encoders: Mutex<Vec<Encoder>>,
    removed: Removed,
}

impl RemoteWrite {
    /// Builds the sink; connects with the first delivery.
    pub fn build(settings: Settings) -> Result<Self, ClientError> {
        let client = Client::build(settings.http.clone(), settings.timeout)?;
        let shared = Shared {
            hasher: SeriesHasher::new(),
            publisher_label: settings.publisher_label,
            external_labels: settings.external_labels.clone(),
            write_relabel: settings.write_relabel.clone(),
            besides: settings.besides,
        };
        Ok(Self {
            settings,
            client,
            clock: Clock::system(),
            shared,
            targets: Targets::new(TARGETS_MAX),
            encoders: Mutex::default(),
            removed: Removed::default(),
        })
    }

    /// Returns the name that metrics and logs carry.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Learns what was delivered in an earlier life, so that stale markers are not forgotten.
    pub fn prime(&self, publisher: &Arc<str>, scrape: &Scrape) {
        let key = TargetKey {
            publisher: Arc::clone(publisher),
            target: Arc::clone(&scrape.target),
        };
        let before = self.targets.get(&key);
        let mut encoder = self.take_encoder();
        let after = encoder.learn(publisher, scrape, before.as_ref(), &self.shared);
        self.keep_encoder(encoder);
        // What cannot be read was not delivered either.
        if let Ok(after) = after {
            self.commit(key, after);
        }
    }

    /// Returns the size of the batches that fill a request.
    pub fn batching(&self) -> Batching {
        let text_bytes = self
            .settings
            .max_samples_per_send
            .saturating_mul(TEXT_BYTES_PER_SAMPLE);
        Batching {
            concurrency: self.settings.concurrency.max(1),
            text_bytes_max: text_bytes.clamp(1, RAW_BYTES_MAX),
            linger: self.settings.batch_send_deadline,
            min_backoff: self.settings.min_backoff,
            max_backoff: self.settings.max_backoff,
        }
    }

    /// Returns how much was left out of the scrapes, by reason.
    pub fn removed(&self) -> Vec<(&'static str, u64)> {
        self.removed.counts()
    }

    fn commit(&self, key: TargetKey, after: After) {
        match after {
            After::Same => {}
            After::State(state) => self.targets.set(key, state),
            After::Gone => self.targets.forget(&key),
        }
    }

    fn take_encoder(&self) -> Encoder {
        let mut encoders = self
            .encoders
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        encoders.pop().unwrap_or_default()
    }

    fn keep_encoder(&self, encoder: Encoder) {
        let mut encoders = self
            .encoders
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if encoders.len() < self.settings.concurrency {
            encoders.push(encoder);
        }
    }
}
