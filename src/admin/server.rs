//! The server.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::web::{LiveWeb, Web, guard};
use super::{Settings, connection};
use crate::telemetry::{CONTENT_TYPE, Metrics};

/// Connections at the same time; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 64;

/// Whether the part can do its work; begins as no.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<watch::Sender<bool>>);

impl Readiness {
    /// Says whether the part can do its work.
    pub fn set(&self, is_ready: bool) {
        self.0.send_replace(is_ready);
    }

    /// Tells whether the part can do its work.
    pub fn is_ready(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when the part can do its work.
    pub async fn wait(&self) {
        // The sender lives as long as we do.
        drop(self.0.subscribe().wait_for(|is_ready| *is_ready).await);
    }
}

/// Reloads the configuration; says what was wrong.
type Reload = dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync;

/// Why the pages cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The port cannot be opened.
    #[error("cannot listen on `{address}`; `monitor_port` and `monitor_address` set it")]
    Listen {
        /// The port.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// The web configuration is wrong.
    #[error("cannot use the web configuration `{}`: {why}", file.display())]
    Web {
        /// The file.
        file: PathBuf,
        /// What is wrong with it, or with a file that it names.
        why: String,
    },
}

/// An open port.
pub struct Admin {
    listener: TcpListener,
    pages: Pages,
    web: Option<Arc<LiveWeb>>,
}

#[derive(Clone)]
struct Pages {
    metrics: Metrics,
    ready: Readiness,
    reload: Option<Arc<Reload>>,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("listener", &self.listener)
            .finish_non_exhaustive()
    }
}

impl Admin {
    /// Opens the port.
    pub fn open(
        settings: Settings,
        metrics: Metrics,
        ready: Readiness,
    ) -> Result<Self, AdminError> {
        let listener = listen(settings)?;
        Ok(Self {
            listener,
            pages: Pages {
                metrics,
                ready,
                reload: None,
            },
            web: None,
        })
    }

    /// Serves as a web configuration file says, whenever it changes.
    pub fn secured_by(
        mut self,
        file: &Path,
        read: impl Fn(&Path) -> Result<Web, String> + Send + Sync + 'static,
    ) -> Result<Self, AdminError> {
        let web = LiveWeb::open(file, Box::new(read)).map_err(|why| AdminError::Web {
            file: file.to_owned(),
            why,
        })?;
        self.web = Some(Arc::new(web));
        Ok(self)
    }

    /// Lets a POST to `/-/reload` reload the configuration.
    #[must_use]
    pub fn reload_by(
        mut self,
        reload: impl Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.pages.reload = Some(Arc::new(reload));
        self
    }

    /// Returns the address that is listened on.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        if let Ok(address) = self.address() {
            info!(%address, "serving /metrics");
        }
        let app = Router::new()
            .route("/metrics", get(metrics))
            .route("/-/healthy", get(|| async { "Healthy.\n" }))
            .route("/-/ready", get(ready))
            .route("/-/reload", post(reload).put(reload))
            .with_state(self.pages);
        let app = match &self.web {
            None => app,
            Some(web) => app.layer(middleware::from_fn_with_state(Arc::clone(web), guard)),
        };
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut serving = JoinSet::new();
        loop {
            let permit = Arc::clone(&connections).acquire_owned();
            let Some(Ok(permit)) = stop.run_until_cancelled(permit).await else {
                return;
            };
            let accepted = stop.run_until_cancelled(self.listener.accept());
            let stream = match accepted.await {
                None => return,
                Some(Ok((stream, _))) => stream,
                Some(Err(error)) => {
                    // Too many open files, or a connection that ended before it began.
                    error!(error = error.to_string(), "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            while serving.try_join_next().is_some() {}
            let connection = connection::serve(stream, app.clone(), self.web.clone());
            serving.spawn(async move {
                connection.await;
                drop(permit);
            });
        }
    }
}

/// Listens on one address, or on all of both families.
fn listen(settings: Settings) -> Result<TcpListener, AdminError> {
    let open = |ip: IpAddr| {
        let address = SocketAddr::new(ip, settings.port);
        bind(address).map_err(|source| AdminError::Listen { address, source })
    };
    match settings.address {
        Some(ip) => open(ip),
        None => match open(Ipv6Addr::UNSPECIFIED.into()) {
            // A machine without IPv6 has no such address.
            Err(AdminError::Listen { source, .. }) if is_no_ipv6(&source) => {
                open(Ipv4Addr::UNSPECIFIED.into())
            }
            other => other,
        },
    }
}

fn is_no_ipv6(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported
    ) || error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    TcpListener::from_std(socket.into())
}

async fn metrics(State(pages): State<Pages>) -> Response {
    match pages.metrics.encode() {
        Ok(page) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], page).into_response(),
        Err(error) => {
            error!(error = error.to_string(), "cannot write our own metrics");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn ready(State(pages): State<Pages>) -> Response {
    if pages.ready.is_ready() {
        "Ready.\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "Not ready.\n").into_response()
    }
}

async fn reload(State(pages): State<Pages>) -> Response {
    let Some(reload) = pages.reload else {
        let how = "Lifecycle API is not enabled: start with --web.enable-lifecycle.\n";
        return (StatusCode::FORBIDDEN, how).into_response();
    };
    match reload().await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(why) => {
            let words = format!("failed to reload config: {why}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, words).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn fetch(address: SocketAddr, path: &str) -> (u16, String) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client
            .get(format!("http://{address}{path}"))
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    #[tokio::test]
    async fn serves_metrics_and_readiness() {
        crate::tls::install_provider();
        let settings = Settings {
            address: Some(Ipv4Addr::LOCALHOST.into()),
            port: 0,
        };
        let ready = Readiness::default();
        let admin = Admin::open(settings, Metrics::new(), ready.clone()).unwrap();
        let address = admin.listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(admin.run(stop.clone()));
        assert_eq!(
            fetch(address, "/-/healthy").await,
            (200, "Healthy.\n".to_owned())
        );
        assert_eq!(fetch(address, "/-/ready").await.0, 503);
        ready.set(true);
        assert_eq!(fetch(address, "/-/ready").await.0, 200);
        let (status, page) = fetch(address, "/metrics").await;
        assert_eq!(status, 200);
        assert!(page.contains("prometheus_streams_build_info"), "{page}");
        stop.cancel();
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn listens_on_both_families() {
        crate::tls::install_provider();
        let settings = Settings {
            address: None,
            port: 0,
        };
        let admin = Admin::open(settings, Metrics::new(), Readiness::default()).unwrap();
        let port = admin.listener.local_addr().unwrap().port();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(admin.run(stop.clone()));
        for ip in [
            IpAddr::from(Ipv4Addr::LOCALHOST),
            Ipv6Addr::LOCALHOST.into(),
        ] {
            assert_eq!(
                fetch(SocketAddr::new(ip, port), "/-/healthy").await.0,
                200,
                "{ip}"
            );
        }
        stop.cancel();
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn a_taken_port_is_an_error_that_names_it() {
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = taken.local_addr().unwrap().port();
        let settings = Settings {
            address: Some(Ipv4Addr::LOCALHOST.into()),
            port,
        };
        let error = Admin::open(settings, Metrics::new(), Readiness::default()).unwrap_err();
        assert!(
            error.to_string().contains(&format!("`127.0.0.1:{port}`")),
            "{error}"
        );
    }
}
