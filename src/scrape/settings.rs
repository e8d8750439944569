//! What `config` fills for each target.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::model::Labels;

/// Everything that the poller scrapes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The targets, no two with the same labels.
    pub targets: Vec<Target>,
}

/// One thing to scrape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its labels, `job` and `instance` among them.
    pub labels: Arc<Labels>,
    /// Where it exposes its metrics.
    pub url: Url,
    /// Time from one scrape to the next.
    pub interval: Duration,
    /// Time that a whole scrape may take, never more than the interval.
    pub timeout: Duration,
    /// The largest body to take, after decompression.
    pub body_size_limit: usize,
}
