//! reqwest with our TLS and proxies: one request, one answer, nothing added.

use std::error::Error as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use url::Url;

use super::auth::without_user;
use super::headers::Headers;
use super::proxy::{Proxies, Speaks, Via};
use super::trust::{Current, Trust};
use super::{CONNECT_TIMEOUT, ClientError, Proxy, USER_AGENT};
use crate::tls;

/// Idle connections to one server: as many lanes as deliver at once in a large site.
const IDLE_PER_HOST_MAX: usize = 32;

/// Sends requests.
#[derive(Debug)]
pub(super) struct Transport {
    trust: Trust,
    /// Whether a machine without trusted certificates is no obstacle.
    is_trust_optional: bool,
    enable_http2: bool,
    proxies: Arc<Proxies>,
    connect_header: Headers,
    connect_timeout: Duration,
    built: Mutex<Option<(u32, reqwest::Client)>>,
}

/// One request.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) method: Method,
    /// User and password in it are not sent.
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Limit for the answer's head and body.
    pub(super) timeout: Duration,
}

impl Transport {
    pub(super) fn build(
        tls: Option<&tls::Settings>,
        proxy: &Proxy,
        enable_http2: bool,
        timeout: Duration,
    ) -> Result<Self, ClientError> {
        let transport = Self {
            trust: Trust::new(tls, enable_http2)?,
            is_trust_optional: tls.is_none(),
            enable_http2,
            proxies: Arc::new(Proxies::new(proxy)),
            connect_header: Headers::new(&proxy.connect_header),
            connect_timeout: CONNECT_TIMEOUT.min(timeout),
            built: Mutex::new(None),
        };
        transport.client()?;
        Ok(transport)
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(&self, ask: Ask) -> Result<reqwest::Response, ClientError> {
        let timeout = ask.timeout;
        let is_proxied = self.proxies.of_url(&ask.url).is_some();
        let request = self.client()?.request(ask.method, without_user(ask.url));
        let request = request.headers(ask.headers).timeout(timeout);
        let sent = request.body(ask.body).send().await;
        sent.map_err(|error| match failed(&error, timeout) {
            ClientError::Connection(text) if is_proxied && error.is_connect() => {
                ClientError::Proxy(text)
            }
            other => other,
        })
    }

    /// Returns a client with the certificates that hold now.
    fn client(&self) -> Result<reqwest::Client, ClientError> {
        let current = match self.trust.current() {
            Err(_) if self.is_trust_optional => Current {
                config: Arc::new(tls::distrusting_config()?),
                generation: 0,
            },
            current => current?,
        };
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((generation, client)) = built.as_ref()
            && *generation == current.generation
        {
            return Ok(client.clone());
        }
        let client = self.build_client(&current)?;
        *built = Some((current.generation, client.clone()));
        Ok(client)
    }

    fn build_client(&self, current: &Current) -> Result<reqwest::Client, ClientError> {
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(rustls::ClientConfig::clone(&current.config))
            .user_agent(USER_AGENT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(self.connect_timeout)
            .pool_max_idle_per_host(IDLE_PER_HOST_MAX);
        if !self.enable_http2 {
            builder = builder.http1_only();
        }
        if !self.proxies.is_empty() {
            // Two, because the headers are for a proxy that makes a tunnel alone: with a request
            // that it forwards they would go on to the server.
            let tunnelling = self.proxy("https").headers(self.connect_header.to_map()?);
            builder = builder.proxy(tunnelling).proxy(self.proxy("http"));
        }
        let built = builder.build();
        built.map_err(|error| ClientError::Build(causes(&error)))
    }

    /// Makes reqwest ask us which proxy serves an address of a scheme.
    fn proxy(&self, scheme: &'static str) -> reqwest::Proxy {
        let proxies = Arc::clone(&self.proxies);
        reqwest::Proxy::custom(move |url| {
            let via = proxies.of_url(url).filter(|_| url.scheme() == scheme)?;
            address(via)
        })
    }
}

/// Writes a proxy's address as reqwest takes it.
fn address(via: &Via) -> Option<Url> {
    let mut url = match via.speaks {
        Speaks::Http => via.url.clone(),
        // It would look up names itself for `socks5`.
        Speaks::Socks5 => {
            let rest = via.url.as_str().split_once("://")?.1;
            Url::parse(&format!("socks5h://{rest}")).ok()?
        }
    };
    if let Some((user, password)) = &via.user {
        url.set_username(user).ok()?;
        url.set_password(Some(password)).ok()?;
    }
    Some(url)
}

/// Says what a request died of.
pub(super) fn failed(error: &reqwest::Error, timeout: Duration) -> ClientError {
    if error.is_timeout() {
        ClientError::Timeout(timeout)
    } else {
        ClientError::Connection(causes(error))
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
