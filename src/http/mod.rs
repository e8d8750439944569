//! HTTP clients with their limits: one for sinks and discovery, one for scraping.
//!
//! In: [`Settings`] as filled by `config`, and requests. Out: bodies of bounded size, and errors
//! with a kind. Both take the same proxies, credentials, headers and TLS; credentials and
//! configured headers go to the configured host only, wherever a redirect leads. This module alone
//! knows reqwest and hyper; nobody else makes a connection over HTTP, but for the client of a
//! Kubernetes cluster that a kubeconfig describes. A URL in a log or an error is always passed
//! through [`redact`].

mod auth;
mod client;
mod connect;
mod connection;
mod fetch;
mod fetch_error;
mod headers;
mod incoming;
mod no_proxy;
mod oauth2;
mod proxy;
mod redirect;
mod settings;
mod stream;
mod transport;
mod trust;

pub use auth::AuthError;
pub use client::{Answer, Client, ClientError};
pub use fetch::{Fetched, Fetcher, Fetching, Session};
pub use fetch_error::FetchError;
pub use incoming::Incoming;
pub use oauth2::TokenError;
pub use settings::{Auth, OAuth2, Proxy, Settings};

use std::time::Duration;

/// How we present ourselves to every server.
const USER_AGENT: &str = concat!("prometheus-streams/", env!("CARGO_PKG_VERSION"));

/// The answer body of an error is read up to this size; more is not worth a log line.
pub const ERROR_BODY_MAX: usize = 512;

/// How long a connection may take to come up; the whole request has its own time-out.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Returns a URL without its user, password and query, fit for a log.
pub fn redact(url: &url::Url) -> String {
    let mut url = url.clone();
    // Both fail only for URLs that cannot have a user, and then there is nothing to hide.
    if !url.username().is_empty() {
        url.set_username("").unwrap_or_default();
    }
    if url.password().is_some() {
        url.set_password(None).unwrap_or_default();
    }
    if url.query().is_some() {
        url.set_query(Some("***"));
    }
    url.to_string()
}

#[cfg(test)]
mod tests;
