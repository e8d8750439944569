//! The way to a target: TCP, maybe through a proxy, maybe with TLS.

use std::future::{Future, Ready, poll_fn, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::client::legacy::connect::proxy::SocksV5;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;
use url::{Host, Position, Url};

use super::connection::READ_BUFFER_MAX;
use super::fetch_error::{DnsError, FetchError, classify_connect, innermost, of_proxy};
use super::headers::Headers;
use super::proxy::{Proxies, Speaks, Via};
use super::stream::Stream;
use super::trust::Trust;
use super::{CONNECT_TIMEOUT, Settings, USER_AGENT};
use crate::tls::TlsError;

/// What a proxy is asked over: TLS settles nothing else with it.
const PROXY_PROTOCOL: &[u8] = b"http/1.1";

/// Makes connections to the targets of one configuration.
#[derive(Debug)]
pub(super) struct Connector {
    tcp: HttpConnector<Resolver>,
    trust: Trust,
    proxies: Proxies,
    connect_header: Headers,
}

impl Connector {
    pub(super) fn new(settings: &Settings) -> Result<Self, TlsError> {
        let trust = Trust::new(settings.tls.as_ref(), settings.enable_http2)?;
        Ok(Self {
            tcp: tcp(),
            trust,
            proxies: Proxies::new(&settings.proxy),
            connect_header: Headers::new(&settings.proxy.connect_header),
        })
    }

    pub(super) fn with_tls(config: ClientConfig) -> Self {
        Self {
            tcp: tcp(),
            trust: Trust::fixed(config),
            proxies: Proxies::default(),
            connect_header: Headers::default(),
        }
    }

    /// Tells which TLS a new connection to an address would have.
    ///
    /// One that was made under another is out of date.
    pub(super) fn generation(&self, url: &Url) -> Result<u32, FetchError> {
        if url.scheme() == "https" && self.trust.has_files() {
            Ok(self.trust.current()?.generation)
        } else {
            Ok(0)
        }
    }

    /// Returns the proxy that is sent whole requests for an address, instead of making a tunnel.
    pub(super) fn forwarding(&self, url: &Url) -> Option<&Via> {
        if self.proxies.is_empty() || url.scheme() != "http" {
            return None;
        }
        let via = self.proxies.of_url(url)?;
        (via.speaks == Speaks::Http).then_some(&**via)
    }

    /// Connects to a server, whose `address` is its `url` without what is for us alone.
    pub(super) async fn connect(&self, url: &Url, address: Uri) -> Result<Stream, FetchError> {
        let stream = match self.proxies.of_url(url) {
            None => self.tcp(address).await?,
            Some(via) => Box::pin(self.through(via, url)).await?,
        };
        if url.scheme() == "http" {
            return Ok(stream);
        }
        let config = self.trust.current()?.config;
        self.encrypt(stream, url, config).await
    }

    async fn tcp(&self, address: Uri) -> Result<Stream, FetchError> {
        // It is always ready.
        let made = tower_service::Service::call(&mut self.tcp.clone(), address).await;
        let stream = made.map_err(|error| classify_connect(&error))?;
        Ok(Stream::Tcp(stream.into_inner()))
    }

    async fn encrypt(
        &self,
        stream: Stream,
        url: &Url,
        config: Arc<ClientConfig>,
    ) -> Result<Stream, FetchError> {
        let name = match self.trust.server_name() {
            Some(name) => name.clone(),
            None => name_of(url)?,
        };
        let handshake = TlsConnector::from(config).connect(name, stream);
        let stream = handshake.await.map_err(|error| classify_connect(&error))?;
        Ok(Stream::Tls(Box::new(stream)))
    }

    async fn through(&self, via: &Via, url: &Url) -> Result<Stream, FetchError> {
        let proxy = via.url.as_str().parse();
        let proxy: Uri = proxy.map_err(|_invalid| of_proxy("its address cannot be used"))?;
        match via.speaks {
            Speaks::Socks5 => self.through_socks(via, proxy, url).await,
            Speaks::Http => {
                let connected = self.tcp(proxy).await;
                let mut stream = connected.map_err(|error| of_proxy(&error.to_string()))?;
                if via.url.scheme() == "https" {
                    let mut config = ClientConfig::clone(&*self.trust.current()?.config);
                    config.alpn_protocols = vec![PROXY_PROTOCOL.to_vec()];
                    let encrypted = self.encrypt(stream, &via.url, Arc::new(config)).await;
                    stream = encrypted.map_err(|error| of_proxy(&error.to_string()))?;
                }
                if url.scheme() == "http" {
                    return Ok(stream);
                }
                let mut headers = self.connect_header.to_map()?;
                if let Some(authorization) = &via.authorization {
                    headers.insert(header::PROXY_AUTHORIZATION, authorization.clone());
                }
                tunnel(stream, &authority(url)?, headers).await
            }
        }
    }

    async fn through_socks(&self, via: &Via, proxy: Uri, url: &Url) -> Result<Stream, FetchError> {
        let connected = self.tcp(proxy).await;
        let stream = connected.map_err(|error| of_proxy(&error.to_string()))?;
        let mut socks = SocksV5::new(Uri::default(), Made(Some(stream)));
        if let Some((user, password)) = &via.user {
            socks = socks.with_auth(user.clone(), password.clone());
        }
        let target = format!("{}://{}", url.scheme(), authority(url)?);
        let target = target.parse().map_err(|_invalid| FetchError::INVALID)?;
        let made = tower_service::Service::call(&mut socks, target).await;
        let stream = made.map_err(|error| of_proxy(&error.to_string()))?;
        Ok(stream.into_inner())
    }
}

/// A connection for whoever asks for one first.
struct Made(Option<Stream>);

impl tower_service::Service<Uri> for Made {
    type Response = TokioIo<Stream>;
    type Error = io::Error;
    type Future = Ready<io::Result<TokioIo<Stream>>>;

    fn poll_ready(&mut self, _ctx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _address: Uri) -> Self::Future {
        let stream = self.0.take().map(TokioIo::new);
        ready(stream.ok_or_else(|| io::ErrorKind::NotConnected.into()))
    }
}

fn tcp() -> HttpConnector<Resolver> {
    let mut tcp = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    tcp.set_nodelay(true);
    tcp
}

/// Returns host and port, the port always written.
fn authority(url: &Url) -> Result<String, FetchError> {
    let port = url.port_or_known_default().ok_or(FetchError::INVALID)?;
    Ok(format!(
        "{}:{port}",
        &url[Position::BeforeHost..Position::AfterHost]
    ))
}

fn name_of(url: &Url) -> Result<ServerName<'static>, FetchError> {
    match url.host() {
        Some(Host::Domain(name)) => {
            let name = ServerName::try_from(name.to_owned());
            name.map_err(|_invalid| FetchError::Tls("the host has no name for TLS".to_owned()))
        }
        Some(Host::Ipv4(address)) => Ok(std::net::IpAddr::from(address).into()),
        Some(Host::Ipv6(address)) => Ok(std::net::IpAddr::from(address).into()),
        None => Err(FetchError::INVALID),
    }
}

/// Asks a proxy for a tunnel to a server.
async fn tunnel(
    stream: Stream,
    authority: &str,
    mut headers: HeaderMap,
) -> Result<Stream, FetchError> {
    let broken = |error: hyper::Error| of_proxy(&innermost(&error));
    let mut builder = http1::Builder::new();
    let opened = builder.max_buf_size(READ_BUFFER_MAX);
    let opened = opened.handshake::<_, Empty<Bytes>>(TokioIo::new(stream));
    let (mut sender, mut driver) = opened.await.map_err(broken)?;
    let host = HeaderValue::from_str(authority).map_err(|_invalid| FetchError::INVALID)?;
    headers.insert(header::HOST, host);
    let agent = headers.entry(header::USER_AGENT);
    agent.or_insert(HeaderValue::from_static(USER_AGENT));
    let request = Request::connect(authority).body(Empty::new());
    let mut request = request.map_err(|_invalid| FetchError::INVALID)?;
    *request.headers_mut() = headers;
    let mut answer = pin!(sender.send_request(request));
    let status = poll_fn(|context| {
        if let Poll::Ready(answer) = answer.as_mut().poll(context) {
            return Poll::Ready(answer);
        }
        // Its end is an error of the answer as well, unless the answer has come by then.
        drop(driver.poll_without_shutdown(context));
        answer.as_mut().poll(context)
    });
    let status = status.await.map_err(broken)?.status();
    if !status.is_success() {
        return Err(refused(status));
    }
    let parts = driver.into_parts();
    if parts.read_buf.is_empty() {
        Ok(parts.io.into_inner())
    } else {
        Err(of_proxy("it said more than its answer"))
    }
}

/// The error of a proxy that does not let us through.
pub(super) fn refused(status: StatusCode) -> FetchError {
    of_proxy(&format!("it answered with status {status}"))
}

/// The system's resolver, with an error that can be told from others.
#[derive(Debug, Clone)]
struct Resolver(GaiResolver);

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
            let found = found.await.map_err(|error: io::Error| DnsError(error))?;
            Ok(found.collect::<Vec<_>>().into_iter())
        })
    }
}
