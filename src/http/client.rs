//! The client for sinks and discovery, on reqwest.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use url::Url;

use super::auth::Authorizer;
use super::headers::Headers;
use super::redirect::{REDIRECTS_MAX, Way, is_redirect};
use super::transport::{Ask, Transport, failed};
use super::{AuthError, ERROR_BODY_MAX, Settings};
use crate::retry::{Retry, Retryable};
use crate::tls::TlsError;

/// A client for one server: keeps connections, bounds every answer; cheap to clone.
#[derive(Debug, Clone)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    transport: Transport,
    authorizer: Authorizer,
    headers: Headers,
    follow_redirects: bool,
    timeout: Duration,
}

/// A server's answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, as far as the request's limit lets it.
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
    /// The request cannot be authorized, or a configured header cannot be sent.
    #[error("cannot authorize the request")]
    Auth(#[from] AuthError),
    /// No complete answer in time.
    #[error("no answer within {}s", .0.as_secs_f64())]
    Timeout(Duration),
    /// The server cannot be reached or broke off.
    #[error("{0}")]
    Connection(String),
    /// The proxy cannot be reached, or does not let us through.
    #[error("cannot get through the proxy: {0}")]
    Proxy(String),
    /// A redirect that cannot be followed.
    #[error("cannot follow the redirect: {0}")]
    Redirect(&'static str),
    /// The body is larger than the caller takes.
    #[error("the answer is larger than {0} bytes")]
    BodyTooLarge(usize),
}

impl Retryable for ClientError {
    fn retry(&self) -> Retry {
        // A secret's file may come back, a server too; nothing here is the request's own fault.
        Retry::Yes
    }
}

impl Client {
    /// Builds a client; `timeout` bounds each whole request of [`send`](Self::send).
    pub fn build(settings: Settings, timeout: Duration) -> Result<Self, ClientError> {
        let Settings {
            tls,
            proxy,
            enable_http2,
            ..
        } = &settings;
        let transport = Transport::build(tls.as_ref(), proxy, *enable_http2, timeout)?;
        Ok(Self(Arc::new(Inner {
            transport,
            authorizer: Authorizer::new(settings.auth)?,
            headers: Headers::new(&settings.headers),
            follow_redirects: settings.follow_redirects,
            timeout,
        })))
    }

    /// Sends a request and reads the answer's body up to `body_max` bytes; the rest is left out.
    ///
    /// Redirects are followed for `GET` where the settings say so; what writes survives only some
    /// of them.
    pub async fn send(
        &self,
        method: Method,
        url: Url,
        headers: HeaderMap,
        body: Bytes,
        body_max: usize,
    ) -> Result<Answer, ClientError> {
        let timeout = self.0.timeout;
        if method == Method::GET && body.is_empty() {
            let (answer, _is_whole) = self.read(&url, &headers, timeout, body_max).await?;
            return Ok(answer);
        }
        let mut ask = Ask {
            method,
            url,
            headers,
            body,
            timeout,
        };
        self.identify(&mut ask).await?;
        let (answer, _is_whole) = self.ask(ask, body_max).await?;
        Ok(answer)
    }

    /// Reads a document: follows redirects where the settings say so, and refuses one that is
    /// larger than `body_max`.
    ///
    /// `timeout` bounds the whole and may be minutes, for queries that wait until something
    /// changes. `headers` that are marked as sensitive go to the URL's own host only.
    pub async fn get(
        &self,
        url: &Url,
        headers: &HeaderMap,
        timeout: Duration,
        body_max: usize,
    ) -> Result<Answer, ClientError> {
        match self.read(url, headers, timeout, body_max).await? {
            (answer, true) => Ok(answer),
            (_start, false) => Err(ClientError::BodyTooLarge(body_max)),
        }
    }

    /// Returns the answer at the end of all redirects, and whether its body is all there.
    async fn read(
        &self,
        url: &Url,
        headers: &HeaderMap,
        timeout: Duration,
        body_max: usize,
    ) -> Result<(Answer, bool), ClientError> {
        let whole = self.follow(url, headers, timeout, body_max);
        match tokio::time::timeout(timeout, whole).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(ClientError::Timeout(timeout)),
        }
    }

    async fn follow(
        &self,
        url: &Url,
        headers: &HeaderMap,
        timeout: Duration,
        body_max: usize,
    ) -> Result<(Answer, bool), ClientError> {
        let mut way = Way::new(url);
        for _ in 0..=REDIRECTS_MAX {
            let mut ask = Ask {
                method: Method::GET,
                url: way.url.clone(),
                headers: headers.clone(),
                body: Bytes::new(),
                timeout,
            };
            if way.is_at_home() {
                self.identify(&mut ask).await?;
            } else {
                let own = headers.iter().filter(|(_, value)| !value.is_sensitive());
                ask.headers = own
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect();
            }
            let (answer, is_whole) = self.ask(ask, body_max).await?;
            if !(self.0.follow_redirects && is_redirect(answer.status)) {
                return Ok((answer, is_whole));
            }
            let next = way.follow(&answer.headers);
            next.map_err(ClientError::Redirect)?;
        }
        Err(ClientError::Redirect("stopped after 10 redirects"))
    }

    /// Adds what only the configured host may see.
    async fn identify(&self, ask: &mut Ask) -> Result<(), ClientError> {
        if let Some(auth) = self.0.authorizer.header(&ask.url).await? {
            ask.headers.insert(http::header::AUTHORIZATION, auth);
        }
        self.0.headers.add_to(&mut ask.headers)?;
        Ok(())
    }

    /// Returns the answer, and whether its body is all there.
    async fn ask(&self, ask: Ask, body_max: usize) -> Result<(Answer, bool), ClientError> {
        let timeout = ask.timeout;
        let mut response = self.0.transport.send(ask).await?;
        let headers = std::mem::take(response.headers_mut());
        let status = response.status();
        let (body, is_whole) = read_up_to(&mut response, timeout, body_max).await?;
        let answer = Answer {
            status,
            headers,
            body,
        };
        Ok((answer, is_whole))
    }
}

/// Reads a body up to a limit, and tells whether that is all of it.
pub(super) async fn read_up_to(
    response: &mut reqwest::Response,
    timeout: Duration,
    body_max: usize,
) -> Result<(Bytes, bool), ClientError> {
    let mut body = Vec::new();
    // A byte more than allowed shows that there is more.
    while body.len() <= body_max {
        let chunk = response.chunk().await;
        match chunk.map_err(|error| failed(&error, timeout))? {
            Some(chunk) => body.extend_from_slice(&chunk),
            None => break,
        }
    }
    let is_whole = body.len() <= body_max;
    body.truncate(body_max);
    Ok((body.into(), is_whole))
}
