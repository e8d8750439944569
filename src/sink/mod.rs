//! Places the receiver delivers to: Pushgateway and remote-write endpoints.
//!
//! In: [`Delivery`]s of one or more lanes, in the order of each lane. Out: each marked with what
//! became of it. A sink delivers the scrapes of one target strictly in the order given; between
//! two tries the caller may mark more of them as dropped. This module alone knows the sinks'
//! protocols; it never acknowledges, waits between tries or looks at a scrape's age.

pub mod pushgateway;
pub mod remote_write;

mod labels;
mod removed;
mod retry_after;
mod targets;

use std::sync::Arc;

use crate::http::ClientError;
use crate::model::Labels;
use crate::retry::{Retry, Retryable};
use crate::wire::Scrape;

/// A place to deliver to.
#[derive(Debug)]
pub enum Sink {
    /// A Pushgateway.
    Pushgateway(pushgateway::Pushgateway),
    /// A remote-write endpoint.
    RemoteWrite(remote_write::RemoteWrite),
}

impl Sink {
    /// Returns the name that metrics, logs and the durable consumer carry.
    pub fn name(&self) -> &str {
        match self {
            Self::Pushgateway(sink) => sink.name(),
            Self::RemoteWrite(sink) => sink.name(),
        }
    }

    /// Tries every pending delivery once.
    ///
    /// On an error the undecided ones are left pending, and for each target all behind the first
    /// pending one as well. Dropping the future leaves the decided ones decided.
    pub async fn deliver(&self, batch: &mut [Delivery]) -> Result<(), DeliverError> {
        match self {
            Self::Pushgateway(sink) => sink.deliver(batch).await,
            Self::RemoteWrite(sink) => sink.deliver(batch).await,
        }
    }

    /// Learns what was delivered in an earlier life, without delivering it.
    pub fn prime(&self, publisher: &Arc<str>, scrape: &Scrape) {
        match self {
            Self::Pushgateway(sink) => sink.prime(publisher, scrape),
            Self::RemoteWrite(sink) => sink.prime(publisher, scrape),
        }
    }

    /// Returns the size of the batches that the sink likes best.
    pub fn batching(&self) -> Batching {
        match self {
            Self::Pushgateway(sink) => sink.batching(),
            Self::RemoteWrite(sink) => sink.batching(),
        }
    }

    /// Tells whether scrapes of many lanes share a request.
    ///
    /// Where they do, a failure says something about the sink and holds all of them; where they
    /// do not, it may be about one target only, and other lanes go on.
    pub fn shares_requests(&self) -> bool {
        match self {
            Self::Pushgateway(_) => false,
            Self::RemoteWrite(_) => true,
        }
    }

    /// Tells whether the sink takes word of sites, too, which is none of a target's.
    pub fn takes_sites(&self) -> bool {
        match self {
            Self::Pushgateway(_) => false,
            Self::RemoteWrite(_) => true,
        }
    }

    /// Returns what was left out of the scrapes since the start: reason and count.
    ///
    /// The reasons are a closed set, fit for a label value.
    pub fn removed(&self) -> Vec<(&'static str, u64)> {
        match self {
            Self::Pushgateway(sink) => sink.removed(),
            Self::RemoteWrite(sink) => sink.removed(),
        }
    }
}

/// One scrape on its way to one sink.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The site it comes from.
    pub publisher: Arc<str>,
    /// What to deliver.
    pub scrape: Arc<Scrape>,
    /// What became of it so far.
    pub state: State,
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Not yet tried, or to be tried again.
    Pending,
    /// The sink has it.
    Delivered,
    /// The sink refuses it for good.
    Rejected {
        /// A label value from a closed set, such as `bad_request`.
        reason: &'static str,
        /// The sink's own words.
        detail: String,
    },
    /// The guard dropped it; set by the caller, never by a sink.
    Dropped,
}

/// Why some deliveries are still pending.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// There is no answer.
    #[error("cannot reach the sink")]
    Client(#[from] ClientError),
    /// The sink cannot take it now.
    #[error("the sink answers {status}: {detail}")]
    Later {
        /// The HTTP status.
        status: u16,
        /// The sink's own words.
        detail: String,
        /// When to try again.
        retry: Retry,
    },
}

impl Retryable for DeliverError {
    fn retry(&self) -> Retry {
        match self {
            Self::Client(error) => error.retry(),
            Self::Later { retry, .. } => *retry,
        }
    }
}

/// The key of a target's state: the same target at two sites is two targets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TargetKey {
    /// The site.
    pub publisher: Arc<str>,
    /// The target's labels.
    pub target: Arc<Labels>,
}

impl TargetKey {
    /// The key of a delivery's target.
    pub fn of(delivery: &Delivery) -> Self {
        Self {
            publisher: Arc::clone(&delivery.publisher),
            target: Arc::clone(&delivery.scrape.target),
        }
    }
}

/// How the caller should gather deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batching {
    /// Calls of [`Sink::deliver`] at the same time, each with lanes of its own.
    pub concurrency: usize,
    /// A batch is closed when the exposition text in it reaches this size.
    pub text_bytes_max: usize,
    /// How long the first delivery may wait for company.
    pub linger: std::time::Duration,
    /// The first wait after a failure.
    pub min_backoff: std::time::Duration,
    /// The longest wait after a failure.
    pub max_backoff: std::time::Duration,
}
