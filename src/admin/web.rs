//! Who may see our pages and how they are served: what a web configuration says, as it is now.
//!
//! The file and those that it names are looked at with every connection and every request, and
//! read again when they have changed. While they cannot be used nobody is served: an operator who
//! closes the pages must not find them open because of a typing error.

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use rustls::ServerConfig;
use tokio::time::Instant;
use tracing::{error, info};

use super::password::{Checker, User};
use crate::telemetry::chain;
use crate::tls::{ServerSettings, server_config};

/// What a web configuration says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Web {
    /// TLS; plain HTTP, if `None`.
    pub tls: Option<ServerSettings>,
    /// Whether HTTP/2 is offered, with TLS only.
    pub http2: bool,
    /// Headers of every answer.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Who may see the pages; everybody, if empty.
    pub users: Vec<User>,
    /// How many requests may come.
    pub rate_limit: Option<RateLimit>,
}

/// A bound on requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Time from one request to the next.
    pub interval: Duration,
    /// Requests at once after a pause.
    pub burst: u32,
}

/// Reads a web configuration file; says what is wrong with it.
pub type ReadWeb = dyn Fn(&Path) -> Result<Web, String> + Send + Sync;

/// A web configuration as it is now.
pub(super) struct LiveWeb {
    file: PathBuf,
    read: Box<ReadWeb>,
    loaded: Mutex<Loaded>,
    checker: Checker,
    bucket: Mutex<Option<Bucket>>,
}

struct Loaded {
    files: Vec<PathBuf>,
    stamps: Vec<Option<Stamp>>,
    current: Result<Arc<Current>, String>,
}

/// What tells one content of a file from another, without reading it.
type Stamp = (SystemTime, u64, u64);

/// What holds now.
pub(super) struct Current {
    pub(super) tls: Option<Arc<ServerConfig>>,
    headers: Vec<(HeaderName, HeaderValue)>,
    users: Arc<[User]>,
    rate_limit: Option<RateLimit>,
}

impl fmt::Debug for LiveWeb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveWeb")
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}

impl LiveWeb {
    /// Reads a file for the first time.
    pub(super) fn open(file: &Path, read: Box<ReadWeb>) -> Result<Self, String> {
        let loaded = load(file, &read);
        if let Err(why) = &loaded.current {
            return Err(why.clone());
        }
        Ok(Self {
            file: file.to_owned(),
            read,
            loaded: Mutex::new(loaded),
            checker: Checker::default(),
            bucket: Mutex::default(),
        })
    }

    /// Returns what holds now; `None` if nobody may be served.
    pub(super) async fn current(self: &Arc<Self>) -> Option<Arc<Current>> {
        let web = Arc::clone(self);
        // The files may lie on a slow disk.
        let looked = tokio::task::spawn_blocking(move || web.look()).await;
        looked.ok().flatten()
    }

    fn look(&self) -> Option<Arc<Current>> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if loaded.stamps != stamps(&loaded.files) {
            *loaded = load(&self.file, &self.read);
            let file = self.file.display().to_string();
            match &loaded.current {
                Ok(_) => info!(file, "the web configuration has changed"),
                Err(error) => error!(
                    file,
                    error, "cannot use the web configuration; our own pages are closed"
                ),
            }
        }
        loaded.current.as_ref().ok().map(Arc::clone)
    }

    /// Takes one request into account; `false` if it is one too many.
    fn admits(&self, limit: RateLimit) -> bool {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let bucket = match &mut *bucket {
            Some(bucket) if bucket.limit == limit => bucket,
            other => other.insert(Bucket::full(limit, now)),
        };
        bucket.take(now)
    }
}

fn load(file: &Path, read: &ReadWeb) -> Loaded {
    let mut files = vec![file.to_owned()];
    // Looked at before they are read, so that a change in between is seen the next time.
    let first = stamps(&files);
    let read = read(file);
    let tls = read.as_ref().ok().and_then(|web| web.tls.as_ref());
    files.extend(
        tls.into_iter()
            .flat_map(ServerSettings::files)
            .map(Path::to_owned),
    );
    let others = files.get(1..).map(stamps).unwrap_or_default();
    let current = read.and_then(|web| {
        let mut protocols = vec![b"http/1.1".to_vec()];
        if web.http2 {
            protocols.insert(0, b"h2".to_vec());
        }
        let tls = web.tls.as_ref();
        let tls = tls.map(|settings| server_config(settings, protocols));
        let tls = tls.transpose().map_err(|error| chain(&error))?;
        Ok(Arc::new(Current {
            tls: tls.map(Arc::new),
            headers: web.headers,
            users: web.users.into(),
            rate_limit: web.rate_limit,
        }))
    });
    Loaded {
        stamps: [first, others].concat(),
        files,
        current,
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Option<Stamp>> {
    let stamp = |file: &PathBuf| {
        let metadata = std::fs::metadata(file).ok()?;
        Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
    };
    files.iter().map(stamp).collect()
}

/// A token bucket.
struct Bucket {
    limit: RateLimit,
    /// When the bucket would have been empty, had it no bound.
    empty_at: Instant,
}

impl Bucket {
    fn full(limit: RateLimit, now: Instant) -> Self {
        Self {
            limit,
            empty_at: now.checked_sub(limit.room()).unwrap_or(now),
        }
    }

    fn take(&mut self, now: Instant) -> bool {
        let room = self.limit.room();
        let oldest = now.checked_sub(room).unwrap_or(self.empty_at);
        let next = self.empty_at.max(oldest) + self.limit.interval;
        if next > now {
            return false;
        }
        self.empty_at = next;
        true
    }
}

impl RateLimit {
    /// The time in which the bucket fills up.
    fn room(self) -> Duration {
        self.interval.saturating_mul(self.burst)
    }
}

/// Lets those requests pass that the web configuration allows, and adds its headers.
pub(super) async fn guard(
    State(web): State<Arc<LiveWeb>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(current) = web.current().await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    if current.rate_limit.is_some_and(|limit| !web.admits(limit)) {
        return StatusCode::TOO_MANY_REQUESTS.into_response();
    }
    let authorization = request.headers().get(header::AUTHORIZATION);
    let authorization = authorization.map(|value| value.as_bytes().to_vec());
    let users = &current.users;
    let is_allowed = users.is_empty() || web.checker.is_user(authorization.as_deref(), users).await;
    let mut response = if is_allowed {
        next.run(request).await
    } else {
        let challenge = [(header::WWW_AUTHENTICATE, "Basic")];
        (StatusCode::UNAUTHORIZED, challenge, "Unauthorized\n").into_response()
    };
    for (name, value) in &current.headers {
        response.headers_mut().insert(name.clone(), value.clone());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_bucket_lets_a_burst_pass_and_then_one_after_the_other() {
        tokio::time::advance(Duration::from_secs(100)).await;
        let limit = RateLimit {
            interval: Duration::from_secs(1),
            burst: 3,
        };
        let mut bucket = Bucket::full(limit, Instant::now());
        let mut take = |seconds: u64| {
            let now = Instant::now() + Duration::from_secs(seconds);
            bucket.take(now)
        };
        assert_eq!(
            [take(0), take(0), take(0), take(0)],
            [true, true, true, false]
        );
        assert_eq!([take(1), take(1)], [true, false]);
        assert_eq!(
            [take(60), take(60), take(60), take(60)],
            [true, true, true, false]
        );
    }
}
