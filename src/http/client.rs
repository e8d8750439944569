//! The client for sinks, on reqwest.

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use url::Url;

use super::{AuthError, CONNECT_TIMEOUT, ERROR_BODY_MAX, Settings, USER_AGENT};
use crate::retry::{Retry, Retryable};
use crate::tls::{self, TlsError};

/// A client for one server: keeps connections, follows no redirect, bounds every answer.
#[derive(Debug, Clone)]
pub struct Client {
    inner: reqwest::Client,
    settings: Settings,
    timeout: Duration,
}

/// A server's answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, cut at the limit that the request named.
    pub body: Bytes,
}

impl Answer {
    /// Returns the start of the body as one line of printable text, for a log.
    pub fn excerpt(&self) -> String {
        let start = self.body.get(..ERROR_BODY_MAX).unwrap_or(&self.body);
        let text = String::from_utf8_lossy(start);
        let printable = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        printable.collect::<String>().trim().to_owned()
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The client cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[from] TlsError),
    /// The library refuses the settings.
    #[error("cannot set up the HTTP client: {0}")]
    Build(String),
    /// The request cannot be authorized.
    #[error("cannot authorize the request")]
    Auth(#[from] AuthError),
    /// A configured header cannot be sent.
    #[error("cannot send header `{0}`")]
    Header(String),
    /// No complete answer in time.
    #[error("no answer within {}s", .0.as_secs_f64())]
    Timeout(Duration),
    /// The server cannot be reached or broke off.
    #[error("{0}")]
    Connection(String),
}

impl Retryable for ClientError {
    fn retry(&self) -> Retry {
        // A secret's file may come back, a server too; nothing here is the request's own fault.
        Retry::Yes
    }
}

impl Client {
    /// Builds a client; `timeout` bounds each whole request.
    pub fn build(settings: Settings, timeout: Duration) -> Result<Self, ClientError> {
        let tls = tls::client_config(&settings.tls.clone().unwrap_or_default())?;
        let inner = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(USER_AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .timeout(timeout)
            .pool_max_idle_per_host(32)
            .build()
            .map_err(|error| ClientError::Build(causes(&error)))?;
        Ok(Self {
            inner,
            settings,
            timeout,
        })
    }

    /// Sends a request and reads the answer's body up to `body_max` bytes.
    pub async fn send(
        &self,
        method: Method,
        url: Url,
        headers: HeaderMap,
        body: Bytes,
        body_max: usize,
    ) -> Result<Answer, ClientError> {
        let mut request = self.inner.request(method, url).headers(headers);
        for (name, secret) in &self.settings.headers {
            let refused = || ClientError::Header(name.clone());
            let value = secret.reveal().map_err(AuthError::from)?;
            let mut value = HeaderValue::from_str(&value).map_err(|_secret| refused())?;
            value.set_sensitive(true);
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_invalid| refused())?;
            request = request.header(name, value);
        }
        if let Some(auth) = &self.settings.auth {
            request = request.header(http::header::AUTHORIZATION, auth.header()?);
        }
        let mut response = request
            .body(body)
            .send()
            .await
            .map_err(|error| self.failed(&error))?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let mut body = Vec::new();
        while body.len() < body_max {
            match response
                .chunk()
                .await
                .map_err(|error| self.failed(&error))?
            {
                Some(chunk) => body.extend_from_slice(&chunk),
                None => break,
            }
        }
        body.truncate(body_max);
        Ok(Answer {
            status,
            headers,
            body: body.into(),
        })
    }

    fn failed(&self, error: &reqwest::Error) -> ClientError {
        if error.is_timeout() {
            ClientError::Timeout(self.timeout)
        } else {
            ClientError::Connection(causes(error))
        }
    }
}

/// The innermost causes of an error in one line; the outer ones hold the URL, which may be secret.
fn causes(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut source = error.source();
    while let Some(cause) = source {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    if text.is_empty() {
        "request failed".to_owned()
    } else {
        text
    }
}
