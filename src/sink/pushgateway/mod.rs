//! Pushgateway.

use crate::http;
use std::time::Duration;
use url::Url;

/// A Pushgateway and how to push to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its address, with a path prefix if it has one.
    pub url: Url,
    /// Whether the site becomes part of the grouping key.
    pub publisher_label: bool,
    /// What happens to a group whose target fails, is gone or silent.
    pub on_failure: OnFailure,
    /// Pushes at the same time.
    pub concurrency: usize,
    /// Limit for each request.
    pub timeout: Duration,
    /// The first wait after a failure.
    pub min_backoff: Duration,
    /// The longest wait after a failure.
    pub max_backoff: Duration,
    /// Authorization, TLS, headers.
    pub http: http::Settings,
}

/// What happens to a group whose target does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// It is deleted, so that the gateway never shows dead values.
    Delete,
    /// It stays as last pushed.
    Keep,
}
