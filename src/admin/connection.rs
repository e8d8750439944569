//! One connection: TLS, if there is any, and HTTP in either version.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tracing::debug;

use super::web::LiveWeb;

/// A connection that has not agreed on TLS within this time is closed.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that sends no whole request head within this time is closed.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection is closed after this time, whatever it does.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// Requests at the same time on one connection; a scraper has one, a browser a few.
const STREAMS_MAX: u32 = 8;

/// Serves a connection to its end.
pub(super) async fn serve(stream: TcpStream, app: Router, web: Option<Arc<LiveWeb>>) {
    let whole = async {
        let Some(web) = web else {
            return requests(stream, app, false).await;
        };
        let Some(current) = web.current().await else {
            // It may have been TLS: not a word may be said in the clear.
            debug!("a connection was closed, for the web configuration cannot be used");
            return;
        };
        let Some(tls) = &current.tls else {
            return requests(stream, app, false).await;
        };
        let handshake = TlsAcceptor::from(Arc::clone(tls)).accept(stream);
        match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
            Ok(Ok(stream)) => {
                let (_, session) = stream.get_ref();
                let is_http2 = session.alpn_protocol() == Some(b"h2");
                requests(stream, app, is_http2).await;
            }
            Ok(Err(error)) => debug!(error = error.to_string(), "no TLS with a client"),
            Err(_elapsed) => debug!("no TLS with a client: it said nothing for too long"),
        }
    };
    // Whoever keeps it longer comes again.
    drop(tokio::time::timeout(CONNECTION_TIMEOUT, whole).await);
}

async fn requests(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    app: Router,
    is_http2: bool,
) {
    let service = TowerToHyperService::new(app);
    let stream = TokioIo::new(stream);
    let ended = if is_http2 {
        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS_MAX)
            .keep_alive_interval(HEADER_TIMEOUT)
            .serve_connection(stream, service)
            .await
    } else {
        hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .serve_connection(stream, service)
            .await
    };
    if let Err(error) = ended {
        debug!(error = error.to_string(), "connection broke");
    }
}
