//! What `config` fills for a client.

use std::fmt;

use url::Url;

use super::redact;
use crate::model::Secret;
use crate::tls;

/// How to reach HTTP servers, in Prometheus's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How we identify ourselves.
    pub auth: Option<Auth>,
    /// TLS; the defaults if `None`.
    pub tls: Option<tls::Settings>,
    /// Additional request headers; a name may stand there more than once.
    pub headers: Vec<(String, Secret)>,
    /// Which way requests take.
    pub proxy: Proxy,
    /// Whether the aim of a redirect is asked instead; otherwise the redirect is the answer.
    pub follow_redirects: bool,
    /// Whether HTTP/2 is spoken where a server offers it over TLS.
    pub enable_http2: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            auth: None,
            tls: None,
            headers: Vec::new(),
            proxy: Proxy::default(),
            follow_redirects: true,
            enable_http2: true,
        }
    }
}

/// How a request is authorized.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// `basic_auth`
    Basic {
        /// The user's name, in a file or not.
        username: Secret,
        /// The password.
        password: Option<Secret>,
    },
    /// `authorization`, and `bearer_token` with the type `Bearer`.
    Credentials {
        /// The first word of the header.
        scheme: String,
        /// The rest.
        credentials: Secret,
    },
    /// `oauth2`: a token by client credentials.
    OAuth2(Box<OAuth2>),
}

/// Where a token comes from: the grant of RFC 6749, section 4.4.
#[derive(Clone, PartialEq, Eq)]
pub struct OAuth2 {
    /// Who asks.
    pub client_id: String,
    /// Its proof; empty if there is none.
    pub client_secret: Secret,
    /// What the token is to be good for.
    pub scopes: Vec<String>,
    /// Whom to ask.
    pub token_url: Url,
    /// Further parameters of the request, some of which may be secret.
    pub endpoint_params: Vec<(String, String)>,
    /// TLS towards the token's server; the defaults if `None`.
    pub tls: Option<tls::Settings>,
    /// The way to the token's server.
    pub proxy: Proxy,
}

impl fmt::Debug for OAuth2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self
            .endpoint_params
            .iter()
            .map(|(name, _)| &**name)
            .collect();
        f.debug_struct("OAuth2")
            .field("client_id", &self.client_id)
            .field("client_secret", &self.client_secret)
            .field("scopes", &self.scopes)
            .field("token_url", &redact(&self.token_url))
            .field("endpoint_params", &names)
            .field("tls", &self.tls)
            .field("proxy", &self.proxy)
            .finish()
    }
}

/// Which way requests take: straight to the server, unless something is set.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxy {
    /// The proxy: `http`, `https`, `socks5` or `socks5h`, maybe with user and password.
    pub url: Option<Url>,
    /// Servers that are reached without it.
    pub no_proxy: Option<String>,
    /// Whether the environment names the proxies; then the two above are `None`.
    pub from_environment: bool,
    /// Headers for the proxy when it is asked for a tunnel.
    pub connect_header: Vec<(String, Secret)>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("url", &self.url.as_ref().map(redact))
            .field("no_proxy", &self.no_proxy)
            .field("from_environment", &self.from_environment)
            .field("connect_header", &self.connect_header)
            .finish()
    }
}
