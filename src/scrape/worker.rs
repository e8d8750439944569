//! One target's worker.

use std::time::Duration;

use http::HeaderValue;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, info, info_span, warn};

use super::reading::{Cause, Exposition, Reading};
use super::shapes::Shapes;
use super::{Metrics, Settings, Target, schedule};
use crate::clock::Clock;
use crate::exposition::{self, SyntaxError};
use crate::http::{FetchError, Fetcher, Fetching, Session};
use crate::model::{Outcome, Text};
use crate::telemetry::chain;
use crate::tls::{self, TlsError};
use crate::wire::{Body, Record, Scrape};

/// What we would rather read; Prometheus's order of preference.
static ACCEPT: HeaderValue = HeaderValue::from_static(
    "application/openmetrics-text;version=1.0.0;q=0.6,\
    application/openmetrics-text;version=0.0.1;q=0.5,\
    text/plain;version=0.0.4;q=0.4,*/*;q=0.3",
);

/// Scrapes one target until it is told to stop.
pub struct Worker {
    target: Target,
    session: Session,
    clock: Clock,
    metrics: Metrics,
    shapes: Shapes,
    reading: Reading,
    failures_in_a_row: u64,
}

/// A scrape that brought an exposition.
struct Fetched {
    exposition: Exposition,
    bytes: usize,
    duration: Duration,
}

/// Why a scrape failed.
#[derive(Debug, thiserror::Error)]
enum ScrapeError {
    #[error("cannot fetch the exposition")]
    Fetch(#[from] FetchError),
    #[error("cannot read the exposition")]
    Syntax(#[from] SyntaxError),
}

/// Returns the TLS configuration for all targets.
///
/// Where no target asks for TLS, a machine without any trusted certificate is no obstacle.
pub fn tls_for(settings: &Settings) -> Result<rustls::ClientConfig, TlsError> {
    let config = tls::client_config(&tls::Settings::default());
    if settings
        .targets
        .iter()
        .any(|target| target.url.scheme() == "https")
    {
        return config;
    }
    config.or_else(|_no_roots| tls::distrusting_config())
}

impl Worker {
    /// Builds a worker; it does nothing until it is run.
    pub fn new(
        target: Target,
        fetcher: &Fetcher,
        clock: Clock,
        metrics: Metrics,
        shapes: Shapes,
    ) -> Self {
        Self {
            target,
            session: fetcher.session(),
            clock,
            metrics,
            shapes,
            reading: Reading::default(),
            failures_in_a_row: 0,
        }
    }

    /// Scrapes at the target's phase of each interval until `stop` or until nobody listens.
    ///
    /// When `records` is full the worker waits: its lane is busy encoding, and a scrape that was
    /// taken is never dropped here.
    pub async fn run(mut self, records: mpsc::Sender<Record>, stop: CancellationToken) {
        let labels = &self.target.labels;
        let span = info_span!("target", job = labels.job(), instance = labels.instance());
        let scraping = async {
            let work = self.scrape_until_closed(&records);
            // A scrape that is under way when we stop is given up, as in Prometheus.
            stop.run_until_cancelled(work).await;
        };
        scraping.instrument(span).await;
    }

    async fn scrape_until_closed(&mut self, records: &mpsc::Sender<Record>) {
        let hash = self.target.labels.stable_hash();
        let interval = self.target.interval;
        let wait = schedule::first_wait(self.clock.now_ms(), hash, interval);
        let mut ticks = tokio::time::interval_at(Instant::now() + wait, interval);
        // Late scrapes are skipped, so that the phase stays.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut next = Instant::now() + wait;
        loop {
            let due = ticks.tick().await;
            let missed = schedule::missed(due.saturating_duration_since(next), interval);
            if missed > 0 {
                self.metrics.skipped(self.target.labels.job(), missed);
            }
            next = due + interval;
            let record = Record::Scrape(self.scrape().await);
            if records.send(record).await.is_err() {
                return;
            }
        }
    }

    /// Takes one scrape.
    async fn scrape(&mut self) -> Scrape {
        let time_ms = self.clock.now_ms();
        let begin = Instant::now();
        let result = self.fetch().await;
        let duration = begin.elapsed();
        let outcome = match result {
            Ok(fetched) => self.succeeded(fetched),
            Err(error) => self.failed(&error, duration),
        };
        Scrape {
            target: std::sync::Arc::clone(&self.target.labels),
            time_ms,
            outcome,
        }
    }

    async fn fetch(&mut self) -> Result<Fetched, ScrapeError> {
        let begin = Instant::now();
        let fetched = self
            .session
            .fetch(Fetching {
                url: &self.target.url,
                timeout: self.target.timeout,
                body_size_limit: self.target.body_size_limit,
                accept: &ACCEPT,
                is_compressed: true,
            })
            .await?;
        let duration = begin.elapsed();
        let bytes = fetched.body.len();
        let format = exposition::format_of(fetched.content_type.as_deref());
        let text = Text {
            text: fetched.body,
            format,
        };
        let read = self.reading.read(&self.target.labels, &text, &self.shapes);
        self.session.recycle(text.text);
        Ok(Fetched {
            exposition: read?,
            bytes,
            duration,
        })
    }

    fn succeeded(&mut self, fetched: Fetched) -> Outcome<Body> {
        let Fetched {
            exposition,
            bytes,
            duration,
        } = fetched;
        let Exposition {
            body,
            samples,
            cause,
        } = exposition;
        self.metrics
            .exposed(self.target.labels.job(), samples, bytes);
        if self.failures_in_a_row > 0 {
            info!(failures = self.failures_in_a_row, "target answers again");
        }
        self.failures_in_a_row = 0;
        let text_because = cause.map(Cause::as_str);
        if let Some(reason) = text_because {
            self.metrics.raw(reason);
        }
        let seconds = duration.as_secs_f64();
        debug!(samples, bytes, seconds, text_because, "scraped");
        Outcome::Exposed { body, duration }
    }

    fn failed(&mut self, error: &ScrapeError, duration: Duration) -> Outcome<Body> {
        let reason = match error {
            ScrapeError::Fetch(error) => error.reason(),
            ScrapeError::Syntax(_) => crate::model::FailureReason::BadSyntax,
        };
        self.metrics.failed(self.target.labels.job(), reason);
        // The change is worth a line; its repetitions are counted.
        if self.failures_in_a_row == 0 {
            warn!(%reason, error = chain(error), "scrape failed");
        } else {
            debug!(%reason, error = chain(error), "scrape failed again");
        }
        self.failures_in_a_row += 1;
        Outcome::Failed { reason, duration }
    }
}
