//! Why there is no exposition, and how the causes are told apart.

use std::error::Error;
use std::io;
use std::time::Duration;

use http::StatusCode;

use super::AuthError;
use crate::model::FailureReason;
use crate::tls::TlsError;

/// Why there is no exposition.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No complete answer in time.
    #[error("no complete answer within {}s; `scrape_timeout` sets the limit", .0.as_secs_f64())]
    Timeout(Duration),
    /// The host name has no address.
    #[error("cannot look up the host: {0}")]
    Dns(String),
    /// Nobody listens.
    #[error("connection refused")]
    Refused,
    /// The connection could not be made.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The handshake failed.
    #[error("TLS handshake failed: {0}")]
    Tls(String),
    /// The request cannot be authorized, or a configured header cannot be sent.
    #[error("cannot authorize the request")]
    Auth(#[from] AuthError),
    /// The proxy cannot be reached, or does not let us through.
    #[error("cannot get through the proxy: {0}")]
    Proxy(String),
    /// Not 200.
    #[error("the target answered with status {0}")]
    Status(StatusCode),
    /// A redirect that cannot be followed.
    #[error("cannot follow the redirect: {0}")]
    Redirect(&'static str),
    /// The answer is broken.
    #[error("the answer is broken: {0}")]
    Broken(String),
    /// The body is too large.
    #[error("the body is larger than {0} bytes; `body_size_limit` sets the limit")]
    BodyTooLarge(usize),
    /// The body's encoding is unknown or damaged.
    #[error("cannot undo the content encoding: {0}")]
    Encoding(String),
}

impl FetchError {
    /// An address that `url` takes and HTTP does not.
    pub(super) const INVALID: Self = Self::Redirect("the address is no valid HTTP address");

    /// Returns the kind that is published and counted.
    pub fn reason(&self) -> FailureReason {
        match self {
            Self::Timeout(_) => FailureReason::Timeout,
            Self::Dns(_) => FailureReason::Dns,
            Self::Refused => FailureReason::Refused,
            Self::Connect(_) => FailureReason::Connect,
            Self::Tls(_) => FailureReason::Tls,
            Self::Auth(_) => FailureReason::Auth,
            Self::Proxy(_) => FailureReason::Proxy,
            Self::Status(_) => FailureReason::Status,
            Self::Redirect(_) => FailureReason::Redirect,
            Self::Broken(_) => FailureReason::Broken,
            Self::BodyTooLarge(_) => FailureReason::BodyTooLarge,
            Self::Encoding(_) => FailureReason::Encoding,
        }
    }
}

/// Returns the error of a proxy.
pub(super) fn of_proxy(why: &str) -> FetchError {
    FetchError::Proxy(why.to_owned())
}

/// Finds out what a failed request died of.
pub(super) fn classify(error: &hyper::Error) -> FetchError {
    known(error).unwrap_or_else(|| FetchError::Broken(innermost(error)))
}

/// Finds out why there is no connection.
pub(super) fn classify_connect(error: &(dyn Error + 'static)) -> FetchError {
    known(error).unwrap_or_else(|| FetchError::Connect(innermost(error)))
}

impl From<hyper::Error> for FetchError {
    fn from(error: hyper::Error) -> Self {
        Self::Broken(innermost(&error))
    }
}

impl From<TlsError> for FetchError {
    fn from(error: TlsError) -> Self {
        let mut text = error.to_string();
        if let Some(cause) = error.source() {
            text = format!("{text}: {cause}");
        }
        Self::Tls(text)
    }
}

/// A host name that has no address.
#[derive(Debug, thiserror::Error)]
#[error("cannot look up the host")]
pub(super) struct DnsError(#[source] pub(super) io::Error);

/// Finds the causes that have a name.
fn known(error: &(dyn Error + 'static)) -> Option<FetchError> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(dns) = error.downcast_ref::<DnsError>() {
            return Some(FetchError::Dns(dns.0.to_string()));
        }
        if let Some(io) = error.downcast_ref::<io::Error>() {
            if let Some(tls) = tls_error(io) {
                return Some(FetchError::Tls(tls.to_string()));
            }
            match io.kind() {
                io::ErrorKind::ConnectionRefused => return Some(FetchError::Refused),
                io::ErrorKind::TimedOut => {
                    return Some(FetchError::Connect("timed out".to_owned()));
                }
                _ => {}
            }
        }
        cause = error.source();
    }
    None
}

/// Finds a TLS error, which the connector wraps as I/O errors within each other.
fn tls_error(io: &io::Error) -> Option<&rustls::Error> {
    let inner = io.get_ref()?;
    match inner.downcast_ref::<io::Error>() {
        Some(nested) => tls_error(nested),
        None => inner.downcast_ref(),
    }
}

pub(super) fn innermost(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    text
}
