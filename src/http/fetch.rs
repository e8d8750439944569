//! The client for scraping, on hyper's own pool.
//!
//! reqwest keeps a buffer as large as the last body for every idle connection; here it is bounded
//! by [`READ_BUFFER_MAX`]. What reqwest would do for us stands below: redirects, time-out, body
//! limit and gzip, each with its own [`FetchError`].

use std::error::Error;
use std::future::Future;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use url::Url;

use super::{Auth, CONNECT_TIMEOUT, USER_AGENT};
use crate::model::{FailureReason, Secret};

/// Bounds what an idle connection keeps, and the size of an answer's headers.
const READ_BUFFER_MAX: usize = 16 * 1024;

/// How long an idle connection is kept, as in Prometheus.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Redirects that are followed, as in Go's client.
const REDIRECTS_MAX: usize = 10;

/// What we would rather read; Prometheus's order of preference.
const ACCEPT: &str = "application/openmetrics-text;version=1.0.0;q=0.6,\
    application/openmetrics-text;version=0.0.1;q=0.5,\
    text/plain;version=0.0.4;q=0.4,*/*;q=0.3";

/// A client that keeps a connection to each target.
#[derive(Debug, Clone)]
pub struct Fetcher {
    client: Client<HttpsConnector<HttpConnector<Resolver>>, Empty<Bytes>>,
}

/// What to fetch.
#[derive(Debug, Clone, Copy)]
pub struct Fetching<'a> {
    /// Where from; user and password in it become basic authorization.
    pub url: &'a Url,
    /// Limit for the whole, redirects and body included.
    pub timeout: Duration,
    /// Limit for the body after decompression.
    pub body_size_limit: usize,
}

/// A fetched exposition.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The body, content encoding undone.
    pub body: Bytes,
    /// The content type, if there is one.
    pub content_type: Option<String>,
}

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
    /// Returns the kind that is published and counted.
    pub fn reason(&self) -> FailureReason {
        match self {
            Self::Timeout(_) => FailureReason::Timeout,
            Self::Dns(_) => FailureReason::Dns,
            Self::Refused => FailureReason::Refused,
            Self::Connect(_) => FailureReason::Connect,
            Self::Tls(_) => FailureReason::Tls,
            Self::Status(_) => FailureReason::Status,
            Self::Redirect(_) => FailureReason::Redirect,
            Self::Broken(_) => FailureReason::Broken,
            Self::BodyTooLarge(_) => FailureReason::BodyTooLarge,
            Self::Encoding(_) => FailureReason::Encoding,
        }
    }
}

impl Fetcher {
    /// Builds a client; `tls` serves all `https` targets.
    pub fn new(tls: rustls::ClientConfig) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_nodelay(true);
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .http1_max_buf_size(READ_BUFFER_MAX)
            .build(connector);
        Self { client }
    }

    /// Fetches an exposition.
    pub async fn fetch(&self, fetching: Fetching<'_>) -> Result<Fetched, FetchError> {
        let whole = self.follow(fetching);
        match tokio::time::timeout(fetching.timeout, whole).await {
            Ok(result) => result,
            Err(_elapsed) => Err(FetchError::Timeout(fetching.timeout)),
        }
    }

    async fn follow(&self, fetching: Fetching<'_>) -> Result<Fetched, FetchError> {
        let mut url = fetching.url.clone();
        for _ in 0..=REDIRECTS_MAX {
            // Credentials go to the configured host only.
            let is_same_host = url.host() == fetching.url.host();
            let auth = if is_same_host {
                authorization(fetching.url)
            } else {
                None
            };
            let response = self.get(&url, auth, fetching.timeout).await?;
            match response.status() {
                StatusCode::OK => return read(response, fetching.body_size_limit).await,
                StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::SEE_OTHER
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT => url = location(&url, &response)?,
                status => return Err(FetchError::Status(status)),
            }
        }
        Err(FetchError::Redirect("stopped after 10 redirects"))
    }

    async fn get(
        &self,
        url: &Url,
        auth: Option<HeaderValue>,
        timeout: Duration,
    ) -> Result<Response<Incoming>, FetchError> {
        let invalid = || FetchError::Redirect("the address is no valid HTTP address");
        let mut address = url.clone();
        // Both fail only for addresses without a host, which are refused before.
        address.set_username("").unwrap_or_default();
        address.set_password(None).unwrap_or_default();
        address.set_fragment(None);
        let mut request = Request::get(address.as_str())
            .header(header::ACCEPT, ACCEPT)
            .header(header::ACCEPT_ENCODING, "gzip")
            .header(header::USER_AGENT, USER_AGENT)
            .header(
                "X-Prometheus-Scrape-Timeout-Seconds",
                timeout.as_secs_f64().to_string(),
            );
        if let Some(auth) = auth {
            request = request.header(header::AUTHORIZATION, auth);
        }
        let request = request.body(Empty::new()).map_err(|_invalid| invalid())?;
        self.client
            .request(request)
            .await
            .map_err(|error| classify(&error))
    }
}

fn authorization(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let plain = |text: &str| {
        let decoded = percent_encoding::percent_decode_str(text).decode_utf8_lossy();
        Secret::Inline(decoded.into())
    };
    let auth = Auth::Basic {
        username: plain(url.username()),
        password: url.password().map(plain),
    };
    auth.header().ok()
}

fn location(from: &Url, response: &Response<Incoming>) -> Result<Url, FetchError> {
    let location = response.headers().get(header::LOCATION);
    let location = location.ok_or(FetchError::Redirect("the answer names no location"))?;
    let url = location.to_str().ok().and_then(|text| from.join(text).ok());
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or(FetchError::Redirect("the location is no HTTP address"))
}

async fn read(response: Response<Incoming>, limit: usize) -> Result<Fetched, FetchError> {
    let (head, mut body) = response.into_parts();
    let text = |name| {
        head.headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let content_type = text(header::CONTENT_TYPE).map(str::to_owned);
    let is_gzip = match text(header::CONTENT_ENCODING).map(str::trim) {
        None | Some("" | "identity") => false,
        Some(encoding) if encoding.eq_ignore_ascii_case("gzip") => true,
        Some(other) => return Err(FetchError::Encoding(format!("`{other}` was not asked for"))),
    };
    let mut received = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| FetchError::Broken(innermost(&error)))?;
        if let Some(data) = frame.data_ref() {
            if received.len() + data.len() > limit {
                return Err(FetchError::BodyTooLarge(limit));
            }
            received.extend_from_slice(data);
        }
    }
    let body = if is_gzip {
        gunzip(&received, limit)?
    } else {
        received
    };
    Ok(Fetched {
        body: body.into(),
        content_type,
    })
}

fn gunzip(compressed: &[u8], limit: usize) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::with_capacity(compressed.len().saturating_mul(4).min(limit));
    let decoder = flate2::read::MultiGzDecoder::new(compressed);
    // One byte more than allowed shows that there is more, and no bomb gets further.
    let read = decoder
        .take((limit as u64).saturating_add(1))
        .read_to_end(&mut body);
    read.map_err(|error| FetchError::Encoding(error.to_string()))?;
    if body.len() > limit {
        Err(FetchError::BodyTooLarge(limit))
    } else {
        Ok(body)
    }
}

/// Finds out what a failed request died of.
fn classify(error: &hyper_util::client::legacy::Error) -> FetchError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(dns) = error.downcast_ref::<DnsError>() {
            return FetchError::Dns(dns.0.to_string());
        }
        if let Some(io) = error.downcast_ref::<io::Error>() {
            if let Some(tls) = tls_error(io) {
                return FetchError::Tls(tls.to_string());
            }
            match io.kind() {
                io::ErrorKind::ConnectionRefused => return FetchError::Refused,
                io::ErrorKind::TimedOut => return FetchError::Connect("timed out".to_owned()),
                _ => {}
            }
        }
        cause = error.source();
    }
    if error.is_connect() {
        FetchError::Connect(innermost(error))
    } else {
        FetchError::Broken(innermost(error))
    }
}

/// Finds a TLS error, which the connector wraps as I/O errors within each other.
fn tls_error(io: &io::Error) -> Option<&rustls::Error> {
    let inner = io.get_ref()?;
    match inner.downcast_ref::<io::Error>() {
        Some(nested) => tls_error(nested),
        None => inner.downcast_ref(),
    }
}

fn innermost(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    text
}

/// The system's resolver, with an error that can be told from others.
#[derive(Debug, Clone)]
struct Resolver(GaiResolver);

#[derive(Debug, thiserror::Error)]
#[error("cannot look up the host")]
struct DnsError(#[source] io::Error);

impl tower_service::Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = DnsError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, DnsError>> + Send>>;

    fn poll_ready(&mut self, _ctx: &mut Context<'_>) -> Poll<Result<(), DnsError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let found = tower_service::Service::call(&mut self.0, name);
        Box::pin(async move {
            let found = found.await.map_err(DnsError)?;
            Ok(found.collect::<Vec<_>>().into_iter())
        })
    }
}
