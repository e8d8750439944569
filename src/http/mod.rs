//! HTTP clients with their limits: one for sinks, one for scraping.
//!
//! In: [`Settings`] as filled by `config`, and requests. Out: bodies of bounded size, and errors
//! with a kind. This module alone knows reqwest and hyper; nobody else makes a connection over
//! HTTP. A URL in a log or an error is always passed through [`redact`].

mod client;
mod connection;
mod fetch;

pub use client::{Answer, Client, ClientError};
pub use fetch::{FetchError, Fetched, Fetcher, Fetching, Session};

use std::time::Duration;

use crate::model::Secret;
use crate::tls;

/// How to reach one HTTP server, in Prometheus's terms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// How we identify ourselves.
    pub auth: Option<Auth>,
    /// TLS; the defaults if `None`.
    pub tls: Option<tls::Settings>,
    /// Additional request headers.
    pub headers: Vec<(String, Secret)>,
}

/// How a request is authorized.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// `basic_auth`
    Basic {
        /// The user's name, in a file or not.
        username: Secret,
        /// The password.
        password: Option<Secret>,
    },
    /// `authorization`, and `bearer_token` with the type `Bearer`.
    Credentials {
        /// The first word of the header.
        scheme: String,
        /// The rest.
        credentials: Secret,
    },
}

impl Auth {
    /// Returns the value of the `Authorization` header.
    pub fn header(&self) -> Result<http::HeaderValue, AuthError> {
        use base64::Engine as _;
        let value = match self {
            Self::Basic { username, password } => {
                let password = password.as_ref().map(Secret::reveal).transpose()?;
                let pair = format!("{}:{}", username.reveal()?, password.unwrap_or_default());
                format!(
                    "Basic {}",
                    base64::engine::general_purpose::STANDARD.encode(pair)
                )
            }
            Self::Credentials {
                scheme,
                credentials,
            } => {
                format!("{scheme} {}", credentials.reveal()?)
            }
        };
        let mut header =
            http::HeaderValue::from_str(&value).map_err(|_secret| AuthError::NotAHeader)?;
        header.set_sensitive(true);
        Ok(header)
    }
}

/// Why a request could not be authorized.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The secret's file cannot be read.
    #[error("cannot read the secret")]
    Secret(#[from] crate::model::SecretError),
    /// The secret holds characters that no header can carry.
    #[error("the secret holds characters that an HTTP header cannot carry")]
    NotAHeader,
}

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
