//! One target's worker.

use std::sync::Arc;
use std::time::Duration;

use ::http::HeaderValue;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, debug, info, info_span, warn};

use super::reading::{Cause, Exposition, ReadError, Reading};
use super::schedule::Stamps;
use super::shapes::Shapes;
use super::{Config, Metrics, Protocol, Target, schedule};
use crate::clock::Clock;
use crate::exposition::protobuf::{self, NativeHistogram, ProtobufError};
use crate::exposition::{self, ContentTypeError, MediaType};
use crate::http::{self, FetchError, Fetcher, Fetching, Session};
use crate::model::{FailureReason, Format, Outcome, Tally, Text};
use crate::telemetry::chain;
use crate::tls::TlsError;
use crate::wire::{Body, Record, Scrape};

/// Scrapes one target until it is told to stop.
pub struct Worker {
    order: Order,
    orders: watch::Receiver<Order>,
    session: Session,
    clock: Clock,
    metrics: Metrics,
    shapes: Shapes,
    reading: Reading,
    /// The format of text that the last protobuf messages were brought into.
    last_format: Option<Format>,
    failures_in_a_row: u64,
}

/// What a worker is to scrape, and how.
#[derive(Debug, Clone)]
pub struct Order {
    /// The target; its labels stay the same as long as the worker lives.
    pub target: Arc<Target>,
    /// What its configuration needs for that.
    pub means: Arc<Means>,
    /// Whether each scrape fails because the configuration has more targets than it may.
    pub is_over_limit: bool,
}

/// How the targets of a scrape configuration are fetched from.
#[derive(Debug)]
pub struct Means {
    fetcher: Fetcher,
    /// What is asked for.
    accept: HeaderValue,
}

impl Means {
    /// Builds a client as the configuration says.
    pub fn new(config: &Config) -> Result<Self, TlsError> {
        let accept = exposition::accept_header(&config.protocols, config.name_escaping);
        Ok(Self {
            fetcher: Fetcher::new(&config.client)?,
            // It is made of words that every header may have.
            accept: HeaderValue::try_from(accept)
                .unwrap_or_else(|_invalid| HeaderValue::from_static("*/*")),
        })
    }
}

/// A single scrape, for a look at what would be published.
#[derive(Debug)]
pub struct Probe {
    /// What would be published.
    pub outcome: Outcome<Body>,
    /// Why it failed, with all causes.
    pub error: Option<String>,
    /// What was scraped.
    pub summary: String,
}

/// What all workers share.
#[derive(Debug, Clone)]
pub struct Tools {
    /// When scrapes are.
    pub clock: Clock,
    /// What they count.
    pub metrics: Metrics,
    /// The shapes of all targets.
    pub shapes: Shapes,
}

/// An answer as text, and what no text has.
struct Answer {
    text: Text,
    histograms: Vec<NativeHistogram>,
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
    #[error("cannot tell what the answer is")]
    ContentType(#[from] ContentTypeError),
    #[error("cannot read the exposition")]
    Protobuf(#[from] ProtobufError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("there are more targets than the `target_limit` of the scrape configuration")]
    TargetLimit,
}

/// A failed scrape.
struct Failure {
    error: ScrapeError,
    tally: Tally,
}

impl<E: Into<ScrapeError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            error: error.into(),
            tally: Tally::default(),
        }
    }
}

impl ScrapeError {
    fn reason(&self) -> FailureReason {
        match self {
            Self::Fetch(error) => error.reason(),
            Self::Protobuf(_) => FailureReason::BadSyntax,
            Self::ContentType(_) => FailureReason::ContentType,
            Self::Read(error) => error.reason(),
            Self::TargetLimit => FailureReason::TargetLimit,
        }
    }
}

impl Worker {
    /// Builds a worker; it does nothing until it is run.
    pub fn new(mut orders: watch::Receiver<Order>, tools: Tools) -> Self {
        let order = orders.borrow_and_update().clone();
        let Tools {
            clock,
            metrics,
            shapes,
        } = tools;
        let target = &order.target;
        Self {
            session: order.means.fetcher.session(),
            reading: Reading::new(Arc::clone(&target.labels), Arc::clone(&target.config)),
            order,
            orders,
            clock,
            metrics,
            shapes,
            last_format: None,
            failures_in_a_row: 0,
        }
    }

    /// Scrapes at the target's phase of each interval until `stop` or until nobody listens.
    ///
    /// When `records` is full the worker waits: its lane is busy encoding, and a scrape that was
    /// taken is never dropped here.
    pub async fn run(mut self, records: mpsc::Sender<Record>, stop: CancellationToken) {
        let labels = Arc::clone(&self.order.target.labels);
        let span = info_span!("target", job = labels.job(), instance = labels.instance());
        let scraping = async {
            let work = self.scrape_until_closed(&records);
            // A scrape that is under way when we stop is given up, as in Prometheus.
            stop.run_until_cancelled(work).await;
        };
        scraping.instrument(span).await;
    }

    /// Takes one scrape at once.
    pub async fn probe(mut self) -> Probe {
        let begin = Instant::now();
        match self.fetch(self.clock.now_ms()).await {
            Ok(fetched) => {
                let Exposition {
                    samples,
                    published,
                    cause,
                    ..
                } = fetched.exposition;
                let (bytes, seconds) = (fetched.bytes, fetched.duration.as_secs_f64());
                let form = match cause.map(Cause::as_str) {
                    None => "values by a shape".to_owned(),
                    Some(cause) => format!("text, because of {cause}"),
                };
                Probe {
                    outcome: self.succeeded(fetched),
                    error: None,
                    summary: format!(
                        "{samples} samples in {bytes} bytes, in {seconds:.3} s; \
                         {published} are published, as {form}"
                    ),
                }
            }
            Err(error) => {
                let duration = begin.elapsed();
                Probe {
                    error: Some(chain(&error.error)),
                    outcome: self.failed(&error, duration),
                    summary: format!("it failed after {:.3} s", duration.as_secs_f64()),
                }
            }
        }
    }

    async fn scrape_until_closed(&mut self, records: &mpsc::Sender<Record>) {
        // Each round has one interval.
        loop {
            let interval = self.order.target.interval;
            let hash = self.order.target.labels.stable_hash();
            let wait = schedule::first_wait(self.clock.now_ms(), hash, interval);
            let mut ticks = tokio::time::interval_at(Instant::now() + wait, interval);
            // Late scrapes are skipped, so that the phase stays.
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            let mut next = Instant::now() + wait;
            let mut stamps = None;
            while self.order.target.interval == interval {
                let due = tokio::select! {
                    due = ticks.tick() => due,
                    Ok(()) = self.orders.changed() => {
                        self.take_order();
                        continue;
                    }
                };
                let missed = schedule::missed(due.saturating_duration_since(next), interval);
                if missed > 0 {
                    self.metrics.skipped(self.order.target.labels.job(), missed);
                }
                next = due + interval;
                let now_ms = self.clock.now_ms();
                let stamps = stamps.get_or_insert_with(|| Stamps::new(now_ms, interval));
                let record = Record::Scrape(self.scrape(stamps.stamp(now_ms)).await);
                if records.send(record).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Goes on by a new order; what is known of the target stays as far as it still holds.
    fn take_order(&mut self) {
        let order = self.orders.borrow_and_update().clone();
        let (old, new) = (&self.order.target, &order.target);
        if !Arc::ptr_eq(&old.config, &new.config) {
            self.session = order.means.fetcher.session();
            if old.config.series_settings() != new.config.series_settings() {
                self.reading = Reading::new(Arc::clone(&new.labels), Arc::clone(&new.config));
            }
        }
        self.order = order;
    }

    /// Takes one scrape.
    async fn scrape(&mut self, time_ms: i64) -> Scrape {
        let begin = Instant::now();
        let result = if self.order.is_over_limit {
            Err(ScrapeError::TargetLimit.into())
        } else {
            self.fetch(time_ms).await
        };
        let duration = begin.elapsed();
        let outcome = match result {
            Ok(fetched) => self.succeeded(fetched),
            Err(failure) => self.failed(&failure, duration),
        };
        Scrape {
            target: Arc::clone(&self.order.target.labels),
            time_ms,
            outcome,
        }
    }

    async fn fetch(&mut self, time_ms: i64) -> Result<Fetched, Failure> {
        let begin = Instant::now();
        let target = &self.order.target;
        let fetched = self
            .session
            .fetch(Fetching {
                url: &target.url,
                timeout: target.timeout,
                body_size_limit: target.config.limits.body_size,
                accept: &self.order.means.accept,
                is_compressed: target.config.enable_compression,
            })
            .await?;
        let duration = begin.elapsed();
        let bytes = fetched.body.len();
        let answer = self.answer(fetched)?;
        let Answer { text, histograms } = answer;
        let native = histograms.len() as u64;
        let read = self.reading.read(&text, histograms, time_ms, &self.shapes);
        let read = read.map_err(|error| Failure {
            error: error.into(),
            tally: self.reading.tally(&text).and(native),
        });
        self.session.recycle(text.text);
        Ok(Fetched {
            exposition: read?,
            bytes,
            duration,
        })
    }

    /// Tells what an answer is, and brings it into a form of text.
    fn answer(&mut self, fetched: http::Fetched) -> Result<Answer, ScrapeError> {
        let http::Fetched { body, content_type } = fetched;
        let target = &self.order.target;
        let fallback = target.config.fallback_protocol.map(Protocol::media_type);
        let media = if body.is_empty() {
            // There is nothing to read.
            MediaType::Text
        } else {
            exposition::choose(content_type.as_deref(), fallback)?
        };
        let format = match media {
            MediaType::Text => Format::Text,
            MediaType::OpenMetrics => Format::OpenMetrics,
            MediaType::Protobuf => {
                let options = protobuf::Options {
                    native_histograms: target.native_histograms,
                    classic_histograms: target.always_scrape_classic_histograms,
                    honor_timestamps: target.config.honor_timestamps,
                    last: self.last_format,
                    text_limit: target.config.limits.body_size,
                };
                let read = protobuf::read(&body, &options)?;
                self.session.recycle(body);
                self.last_format = Some(read.format);
                let text = Text {
                    text: read.text.into(),
                    format: read.format,
                };
                return Ok(Answer {
                    text,
                    histograms: read.histograms,
                });
            }
        };
        Ok(Answer {
            text: Text { text: body, format },
            histograms: Vec::new(),
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
            published,
            lost_histograms,
            cause,
        } = exposition;
        self.metrics.lost_histograms(lost_histograms);
        self.metrics
            .exposed(self.order.target.labels.job(), samples, bytes);
        if self.failures_in_a_row > 0 {
            info!(failures = self.failures_in_a_row, "target answers again");
        }
        self.failures_in_a_row = 0;
        let text_because = cause.map(Cause::as_str);
        if let Some(reason) = text_because {
            self.metrics.raw(reason);
        }
        let seconds = duration.as_secs_f64();
        debug!(samples, published, bytes, seconds, text_because, "scraped");
        Outcome::Exposed { body, duration }
    }

    fn failed(&mut self, failure: &Failure, duration: Duration) -> Outcome<Body> {
        let Failure { error, tally } = failure;
        let reason = error.reason();
        self.metrics.failed(self.order.target.labels.job(), reason);
        // The change is worth a line; its repetitions are counted.
        if self.failures_in_a_row == 0 {
            warn!(%reason, error = chain(error), "scrape failed");
        } else {
            debug!(%reason, error = chain(error), "scrape failed again");
        }
        self.failures_in_a_row += 1;
        Outcome::Failed {
            reason,
            duration,
            tally: *tally,
        }
    }
}
