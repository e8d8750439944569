//! The client for scraping, on hyper's connections.
//!
//! reqwest keeps a buffer as large as the last body for every idle connection; here it is bounded
//! by [`READ_BUFFER_MAX`]. What reqwest would do for us stands below: redirects, time-out, body
//! limit and gzip, each with its own [`FetchError`].

use std::error::Error;
use std::future::Future;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::uri::{PathAndQuery, Uri};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Empty;
use hyper::body::{Body as _, Incoming};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use tokio::time::Instant;
use url::{Origin, Position, Url};

use super::connection::Connection;
use super::{Auth, CONNECT_TIMEOUT, USER_AGENT};
use crate::model::{FailureReason, Secret};

/// Bounds what an idle connection keeps, and the size of an answer's headers.
pub(super) const READ_BUFFER_MAX: usize = 16 * 1024;

/// How long an idle connection is kept, as in Prometheus.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Redirects that are followed, as in Go's client.
const REDIRECTS_MAX: usize = 10;

/// What we would rather read; Prometheus's order of preference.
const ACCEPT: &str = "application/openmetrics-text;version=1.0.0;q=0.6,\
    application/openmetrics-text;version=0.0.1;q=0.5,\
    text/plain;version=0.0.4;q=0.4,*/*;q=0.3";

/// Room for a body that says how long it is; what is longer makes itself room as it comes.
const RESERVE_MAX: u64 = 1 << 20;

/// A redirect's body may be this long; the connection of a longer one is given up.
const WORDS_MAX: usize = 16 * 1024;

/// Connections of one session: to the target, and to where it redirects to.
const KEPT_MAX: usize = 2;

type Connector = HttpsConnector<HttpConnector<Resolver>>;

/// Buffers that wait for the next body; as many targets answer at once in a large site.
const SPARE_MAX: usize = 16;

/// Makes connections to targets.
#[derive(Debug, Clone)]
pub struct Fetcher {
    connector: Connector,
    spare: Spare,
}

/// Buffers of bodies that were read, shared by all sessions.
///
/// To make room for a body anew costs about as much as to receive it.
#[derive(Debug, Clone, Default)]
struct Spare(Arc<Mutex<Vec<BytesMut>>>);

impl Spare {
    /// Returns an empty buffer.
    fn take(&self) -> BytesMut {
        self.lock().pop().unwrap_or_default()
    }

    /// Keeps a body's buffer if nobody else has the body.
    fn put(&self, body: Bytes) {
        let Ok(mut buffer) = body.try_into_mut() else {
            return;
        };
        let mut spare = self.lock();
        if spare.len() < SPARE_MAX && buffer.capacity() as u64 <= RESERVE_MAX {
            buffer.clear();
            spare.push(buffer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<BytesMut>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Fetches from one target, whose connection is kept from one time to the next.
pub struct Session {
    connector: Connector,
    spare: Spare,
    kept: Vec<Kept>,
}

/// An idle connection.
struct Kept {
    origin: Origin,
    since: Instant,
    connection: Connection,
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
    pub fn new(settings: &super::Settings) -> Result<Self, crate::tls::TlsError> {
        let _ = settings;
        Ok(Self::with_tls(
            crate::tls::client_config(&crate::tls::Settings::default())
                .or_else(|_| crate::tls::distrusting_config())?,
        ))
    }
    /// Builds a client; `tls` serves all `https` targets.
    pub fn with_tls(tls: rustls::ClientConfig) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        tcp.set_nodelay(true);
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(tcp);
        let spare = Spare::default();
        Self { connector, spare }
    }

    /// Begins to fetch from a target.
    pub fn session(&self) -> Session {
        Session {
            connector: self.connector.clone(),
            spare: self.spare.clone(),
            kept: Vec::new(),
        }
    }
}

impl Session {
    /// Fetches an exposition.
    pub async fn fetch(&mut self, fetching: Fetching<'_>) -> Result<Fetched, FetchError> {
        let whole = self.follow(fetching);
        match tokio::time::timeout(fetching.timeout, whole).await {
            Ok(result) => result,
            Err(_elapsed) => Err(FetchError::Timeout(fetching.timeout)),
        }
    }

    async fn follow(&mut self, fetching: Fetching<'_>) -> Result<Fetched, FetchError> {
        let mut url = fetching.url.clone();
        for _ in 0..=REDIRECTS_MAX {
            // Credentials go to the configured host only.
            let is_same_host = url.host() == fetching.url.host();
            let auth = if is_same_host {
                authorization(fetching.url)
            } else {
                None
            };
            let (mut connection, response) =
                self.get(&url, auth.as_ref(), fetching.timeout).await?;
            let status = response.status();
            let read = match status {
                StatusCode::OK => {
                    let (buffer, limit) = (self.spare.take(), fetching.body_size_limit);
                    read(&mut connection, response, buffer, limit).await
                }
                StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::SEE_OTHER
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT => {
                    let from = url.clone();
                    url = location(&from, &response)?;
                    // What it says to a person is read only to keep the connection.
                    let mut left = WORDS_MAX;
                    let rest = connection.read(response.into_body(), |words| {
                        let enough = left.checked_sub(words.len());
                        left = enough.ok_or(FetchError::BodyTooLarge(WORDS_MAX))?;
                        Ok(())
                    });
                    let rest: Result<(), FetchError> = rest.await;
                    if rest.is_ok() {
                        self.keep(from.origin(), connection).await;
                    }
                    continue;
                }
                status => return Err(FetchError::Status(status)),
            };
            if read.is_ok() {
                self.keep(url.origin(), connection).await;
            }
            return read;
        }
        Err(FetchError::Redirect("stopped after 10 redirects"))
    }

    /// Takes back a body that was read, so that its memory serves the next.
    pub fn recycle(&self, body: Bytes) {
        self.spare.put(body);
    }

    /// Asks; a connection that was kept may have been closed meanwhile, so then once more.
    async fn get(
        &mut self,
        url: &Url,
        auth: Option<&HeaderValue>,
        timeout: Duration,
    ) -> Result<(Connection, Response<Incoming>), FetchError> {
        if let Some(mut connection) = self.take(&url.origin()).await {
            let request = request(url, auth, timeout, connection.is_http2())?;
            if let Ok(response) = connection.send(request).await {
                return Ok((connection, response));
            }
        }
        // Seldom, and large: it would be a part of what each target needs all the time.
        let mut connection = Box::pin(self.connect(url)).await?;
        let request = request(url, auth, timeout, connection.is_http2())?;
        let answered = connection.send(request).await;
        let response = answered.map_err(|error| classify(&error))?;
        Ok((connection, response))
    }

    async fn connect(&mut self, url: &Url) -> Result<Connection, FetchError> {
        let address = address(url)?;
        // It is always ready.
        let stream = tower_service::Service::call(&mut self.connector, address).await;
        let stream = stream.map_err(|error| classify_connect(&*error))?;
        Connection::open(stream)
            .await
            .map_err(|error| classify(&error))
    }

    async fn take(&mut self, origin: &Origin) -> Option<Connection> {
        let at = self.kept.iter().position(|kept| kept.origin == *origin)?;
        let mut kept = self.kept.swap_remove(at);
        let is_usable = kept.since.elapsed() < IDLE_TIMEOUT && kept.connection.is_ready().await;
        is_usable.then_some(kept.connection)
    }

    async fn keep(&mut self, origin: Origin, mut connection: Connection) {
        if !connection.is_ready().await {
            return;
        }
        if self.kept.len() == KEPT_MAX {
            self.kept.remove(0);
        }
        self.kept.push(Kept {
            origin,
            since: Instant::now(),
            connection,
        });
    }
}

/// Returns the address without what is for us alone.
fn address(url: &Url) -> Result<Uri, FetchError> {
    let mut address = url.clone();
    // Both fail only for addresses without a host, which are refused before.
    address.set_username("").unwrap_or_default();
    address.set_password(None).unwrap_or_default();
    address.set_fragment(None);
    let invalid = "the address is no valid HTTP address";
    let address = address.as_str().parse();
    address.map_err(|_invalid| FetchError::Redirect(invalid))
}

fn request(
    url: &Url,
    auth: Option<&HeaderValue>,
    timeout: Duration,
    is_http2: bool,
) -> Result<Request<Empty<Bytes>>, FetchError> {
    let invalid = || FetchError::Redirect("the address is no valid HTTP address");
    let whole = address(url)?;
    let request = if is_http2 {
        Request::get(whole)
    } else {
        let path = whole.path_and_query().map_or("/", PathAndQuery::as_str);
        // The port stands there unless it is the scheme's own.
        let host = &url[Position::BeforeHost..Position::AfterPort];
        Request::get(path).header(header::HOST, host)
    };
    let mut request = request
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
    request.body(Empty::new()).map_err(|_invalid| invalid())
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

async fn read(
    connection: &mut Connection,
    response: Response<Incoming>,
    mut received: BytesMut,
    limit: usize,
) -> Result<Fetched, FetchError> {
    let (head, body) = response.into_parts();
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
    let length = body.size_hint().exact().unwrap_or(0).min(RESERVE_MAX);
    let length = usize::try_from(length).unwrap_or(0).min(limit);
    received.reserve(length);
    let reading = connection.read(body, |data| {
        if data.len() > limit - received.len() {
            return Err(FetchError::BodyTooLarge(limit));
        }
        received.extend_from_slice(data);
        Ok(())
    });
    reading.await?;
    let body = if is_gzip {
        gunzip(&received, limit)?.into()
    } else {
        received.freeze()
    };
    Ok(Fetched { body, content_type })
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
fn classify(error: &hyper::Error) -> FetchError {
    known(error).unwrap_or_else(|| FetchError::Broken(innermost(error)))
}

/// Finds out why there is no connection.
fn classify_connect(error: &(dyn Error + 'static)) -> FetchError {
    known(error).unwrap_or_else(|| FetchError::Connect(innermost(error)))
}

impl From<hyper::Error> for FetchError {
    fn from(error: hyper::Error) -> Self {
        Self::Broken(innermost(&error))
    }
}

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
