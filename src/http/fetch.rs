//! The client for scraping, on hyper's connections.
//!
//! reqwest keeps a buffer as large as the last body for every idle connection; here it is bounded
//! by [`READ_BUFFER_MAX`](super::connection::READ_BUFFER_MAX). What reqwest would do for us stands
//! here and beside: redirects, proxies, time-out, body limit and gzip, each with its own
//! [`FetchError`].

use std::fmt;
use std::io::Read as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::uri::{PathAndQuery, Uri};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Empty;
use hyper::body::{Body as _, Incoming};
use tokio::time::Instant;
use url::{Origin, Position, Url};

use super::auth::{Authorizer, without_user};
use super::connect::{Connector, refused};
use super::connection::Connection;
use super::fetch_error::classify;
use super::headers::Headers;
use super::redirect::{REDIRECTS_MAX, Way, is_redirect};
use super::{ClientError, FetchError, Settings, USER_AGENT};
use crate::tls::TlsError;

/// How long an idle connection is kept, as in Prometheus.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Room for a body that says how long it is; what is longer makes itself room as it comes.
const RESERVE_MAX: u64 = 1 << 20;

/// A redirect's body may be this long; the connection of a longer one is given up.
const WORDS_MAX: usize = 16 * 1024;

/// Connections of one session: to the target, and to where it redirects to.
const KEPT_MAX: usize = 2;

/// Buffers that wait for the next body; as many targets answer at once in a large site.
const SPARE_MAX: usize = 16;

/// Reaches the targets of one scrape configuration; cheap to clone.
#[derive(Clone)]
pub struct Fetcher(Arc<Shared>);

/// What all sessions have in common.
struct Shared {
    connector: Connector,
    authorizer: Authorizer,
    headers: Headers,
    follow_redirects: bool,
    spare: Spare,
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher").finish_non_exhaustive()
    }
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
    shared: Arc<Shared>,
    kept: Vec<Kept>,
}

/// An idle connection.
struct Kept {
    origin: Origin,
    since: Instant,
    /// That of the TLS it was made under.
    generation: u32,
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
    /// What we would rather read.
    pub accept: &'a HeaderValue,
    /// Whether the answer may be compressed.
    pub is_compressed: bool,
}

/// A fetched exposition.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The body, content encoding undone.
    pub body: Bytes,
    /// The content type, if there is one.
    pub content_type: Option<String>,
}

/// A connection, and what came back on it.
struct Asked {
    connection: Connection,
    generation: u32,
    response: Response<Incoming>,
}

impl Fetcher {
    /// Builds what the targets of one scrape configuration share: credentials, TLS and the token.
    ///
    /// Certificates that the settings name must be there; the system's are looked at when a target
    /// first needs TLS.
    pub fn new(settings: &Settings) -> Result<Self, TlsError> {
        let authorizer = Authorizer::new(settings.auth.clone()).map_err(|error| match error {
            ClientError::Tls(error) => error,
            other => TlsError::Refused(rustls::Error::General(other.to_string())),
        })?;
        Ok(Self(Arc::new(Shared {
            connector: Connector::new(settings)?,
            authorizer,
            headers: Headers::new(&settings.headers),
            follow_redirects: settings.follow_redirects,
            spare: Spare::default(),
        })))
    }

    /// Builds one without credentials and proxies; `tls` serves all `https` targets.
    pub fn with_tls(tls: rustls::ClientConfig) -> Self {
        Self(Arc::new(Shared {
            connector: Connector::with_tls(tls),
            authorizer: Authorizer::Nobody,
            headers: Headers::default(),
            follow_redirects: true,
            spare: Spare::default(),
        }))
    }

    /// Begins to fetch from a target.
    pub fn session(&self) -> Session {
        Session {
            shared: Arc::clone(&self.0),
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

    /// Takes back a body that was read, so that its memory serves the next.
    pub fn recycle(&self, body: Bytes) {
        self.shared.spare.put(body);
    }

    async fn follow(&mut self, fetching: Fetching<'_>) -> Result<Fetched, FetchError> {
        let mut way = Way::new(fetching.url);
        for _ in 0..=REDIRECTS_MAX {
            let mut asked = self.get(&way, fetching).await?;
            let status = asked.response.status();
            if status == StatusCode::OK {
                let (buffer, limit) = (self.shared.spare.take(), fetching.body_size_limit);
                let read = read(&mut asked.connection, asked.response, buffer, limit).await?;
                self.keep(way.url.origin(), asked.generation, asked.connection)
                    .await;
                return Ok(read);
            }
            let via = self.shared.connector.forwarding(&way.url);
            if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED && via.is_some() {
                return Err(refused(status));
            }
            if !(is_redirect(status) && self.shared.follow_redirects) {
                return Err(FetchError::Status(status));
            }
            let from = way.url.origin();
            way.follow(asked.response.headers())
                .map_err(FetchError::Redirect)?;
            // What it says to a person is read only to keep the connection.
            let mut left = WORDS_MAX;
            let rest = asked.connection.read(asked.response.into_body(), |words| {
                let enough = left.checked_sub(words.len());
                left = enough.ok_or(FetchError::BodyTooLarge(WORDS_MAX))?;
                Ok(())
            });
            let rest: Result<(), FetchError> = rest.await;
            if rest.is_ok() {
                self.keep(from, asked.generation, asked.connection).await;
            }
        }
        Err(FetchError::Redirect("stopped after 10 redirects"))
    }

    /// Asks; a connection that was kept may have been closed meanwhile, so then once more.
    async fn get(&mut self, way: &Way<'_>, fetching: Fetching<'_>) -> Result<Asked, FetchError> {
        let auth = if !way.is_at_home() {
            None
        } else if let Authorizer::Nobody | Authorizer::Fixed(_) = &self.shared.authorizer {
            self.shared.authorizer.header(&way.url).await?
        } else {
            // Seldom as well: a token may have to be waited for.
            Box::pin(self.shared.authorizer.header(&way.url)).await?
        };
        let generation = self.shared.connector.generation(&way.url)?;
        if let Some(mut connection) = self.take(&way.url.origin(), generation).await {
            let request = self.request(way, fetching, auth.as_ref(), &connection)?;
            if let Ok(response) = connection.send(request).await {
                return Ok(Asked {
                    connection,
                    generation,
                    response,
                });
            }
        }
        // Seldom, and large: it would be a part of what each target needs all the time.
        let mut connection = Box::pin(self.connect(&way.url)).await?;
        let request = self.request(way, fetching, auth.as_ref(), &connection)?;
        let answered = connection.send(request).await;
        let response = answered.map_err(|error| classify(&error))?;
        Ok(Asked {
            connection,
            generation,
            response,
        })
    }

    async fn connect(&self, url: &Url) -> Result<Connection, FetchError> {
        let stream = self.shared.connector.connect(url, address(url)?).await?;
        let opened = Connection::open(stream).await;
        opened.map_err(|error| classify(&error))
    }

    fn request(
        &self,
        way: &Way<'_>,
        fetching: Fetching<'_>,
        auth: Option<&HeaderValue>,
        connection: &Connection,
    ) -> Result<Request<Empty<Bytes>>, FetchError> {
        let whole = address(&way.url)?;
        let via = self.shared.connector.forwarding(&way.url);
        // The port stands there unless it is the scheme's own.
        let host = &way.url[Position::BeforeHost..Position::AfterPort];
        let request = if connection.is_http2() {
            Request::get(whole)
        } else if via.is_some() {
            Request::get(whole).header(header::HOST, host)
        } else {
            let path = whole.path_and_query().map_or("/", PathAndQuery::as_str);
            Request::get(path).header(header::HOST, host)
        };
        let encoding = if fetching.is_compressed {
            "gzip"
        } else {
            "identity"
        };
        let request = request
            .header(header::ACCEPT, fetching.accept)
            .header(header::ACCEPT_ENCODING, encoding)
            .header(header::USER_AGENT, USER_AGENT)
            .header(
                "X-Prometheus-Scrape-Timeout-Seconds",
                fetching.timeout.as_secs_f64().to_string(),
            )
            .body(Empty::new());
        let mut request = request.map_err(|_invalid| FetchError::INVALID)?;
        let headers = request.headers_mut();
        if let Some(auth) = auth {
            headers.insert(header::AUTHORIZATION, auth.clone());
        }
        if let Some(auth) = via.and_then(|via| via.authorization.as_ref()) {
            headers.insert(header::PROXY_AUTHORIZATION, auth.clone());
        }
        if way.is_at_home() {
            self.shared.headers.add_to(headers)?;
        }
        Ok(request)
    }

    async fn take(&mut self, origin: &Origin, generation: u32) -> Option<Connection> {
        let at = self.kept.iter().position(|kept| kept.origin == *origin)?;
        let mut kept = self.kept.swap_remove(at);
        let is_usable = kept.since.elapsed() < IDLE_TIMEOUT
            && kept.generation == generation
            && kept.connection.is_ready().await;
        is_usable.then_some(kept.connection)
    }

    async fn keep(&mut self, origin: Origin, generation: u32, mut connection: Connection) {
        if !connection.is_ready().await {
            return;
        }
        if self.kept.len() == KEPT_MAX {
            self.kept.remove(0);
        }
        self.kept.push(Kept {
            origin,
            since: Instant::now(),
            generation,
            connection,
        });
    }
}

/// Returns the address without what is for us alone.
fn address(url: &Url) -> Result<Uri, FetchError> {
    let mut address = without_user(url.clone());
    address.set_fragment(None);
    let address = address.as_str().parse();
    address.map_err(|_invalid| FetchError::INVALID)
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
