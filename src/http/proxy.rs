//! Which proxy a request goes through, if any.

use std::sync::{Arc, OnceLock};

use http::HeaderValue;
use tracing::warn;
use url::Url;

use super::auth::{has_user, of_address, user_and_password, without_user};
use super::no_proxy::NoProxy;
use super::{Proxy, redact};

/// What a proxy speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaks {
    /// HTTP, over TLS or not.
    Http,
    /// SOCKS 5; it looks up names itself, as Prometheus has it for both spellings.
    Socks5,
}

/// A proxy.
pub(super) struct Via {
    pub(super) speaks: Speaks,
    /// Its address, with a port and without user and password.
    pub(super) url: Url,
    /// `Proxy-Authorization`, for one that speaks HTTP.
    pub(super) authorization: Option<HeaderValue>,
    /// User and password, for the others.
    pub(super) user: Option<(String, String)>,
}

impl std::fmt::Debug for Via {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Via({})", self.url)
    }
}

impl Via {
    /// Takes a proxy's address; `None` if it is no proxy's.
    fn new(url: &Url) -> Option<Self> {
        let (speaks, port) = match url.scheme() {
            "http" => (Speaks::Http, 80),
            "https" => (Speaks::Http, 443),
            "socks5" | "socks5h" => (Speaks::Socks5, 1080),
            _ => return None,
        };
        let is_known = has_user(url);
        let authorization = is_known.then(|| of_address(url).ok()).flatten();
        let user = is_known.then(|| user_and_password(url));
        let mut plain = without_user(url.clone());
        if plain.port().is_none() {
            plain.set_port(Some(port)).ok()?;
        }
        plain.set_path("/");
        plain.set_query(None);
        plain.host_str().filter(|host| !host.is_empty())?;
        Some(Self {
            speaks,
            url: plain,
            authorization,
            user,
        })
    }
}

/// Chooses a proxy by a request's address.
#[derive(Debug, Clone, Default)]
pub(super) struct Proxies {
    http: Option<Arc<Via>>,
    https: Option<Arc<Via>>,
    /// With none, not even the machine itself is reached straight, as in Prometheus.
    no_proxy: Option<NoProxy>,
}

impl Proxies {
    pub(super) fn new(settings: &Proxy) -> Self {
        if settings.from_environment {
            return Self::of(Environment::of_process());
        }
        let via = settings.url.as_ref().and_then(Via::new).map(Arc::new);
        Self {
            https: via.clone(),
            http: via,
            no_proxy: settings.no_proxy.as_deref().map(NoProxy::parse),
        }
    }

    fn of(environment: &Environment) -> Self {
        Self {
            http: parse(&environment.http).map(Arc::new),
            https: parse(&environment.https).map(Arc::new),
            no_proxy: Some(NoProxy::parse(&environment.excepted)),
        }
    }

    /// Tells whether every request goes straight to its server.
    pub(super) fn is_empty(&self) -> bool {
        self.http.is_none() && self.https.is_none()
    }

    /// Returns the proxy of a request; `None`: it goes straight to its server.
    pub(super) fn of_url(&self, url: &Url) -> Option<&Arc<Via>> {
        let via = match url.scheme() {
            "https" => self.https.as_ref()?,
            _ => self.http.as_ref()?,
        };
        let no_proxy = self.no_proxy.as_ref();
        let is_straight = no_proxy.is_some_and(|no_proxy| no_proxy.covers(url));
        (!is_straight).then_some(via)
    }
}

/// What the environment says, by Go's rules.
#[derive(Debug, Default)]
struct Environment {
    http: String,
    https: String,
    excepted: String,
}

impl Environment {
    /// Reads it once, so that all parts of a program agree.
    fn of_process() -> &'static Self {
        static READ: OnceLock<Environment> = OnceLock::new();
        READ.get_or_init(|| Self::read(|name| std::env::var(name).ok()))
    }

    fn read(get: impl Fn(&str) -> Option<String>) -> Self {
        let first = |names: [&str; 2]| {
            let mut values = names.into_iter().filter_map(&get);
            values.find(|value| !value.is_empty()).unwrap_or_default()
        };
        Self {
            http: first(["HTTP_PROXY", "http_proxy"]),
            https: first(["HTTPS_PROXY", "https_proxy"]),
            excepted: first(["NO_PROXY", "no_proxy"]),
        }
    }
}

/// Reads a proxy of the environment, where `http://` may be missing.
fn parse(text: &str) -> Option<Via> {
    if text.is_empty() {
        return None;
    }
    let as_written = Url::parse(text).ok().and_then(|url| Via::new(&url));
    let completed = || {
        let url = Url::parse(&format!("http://{text}")).ok()?;
        Via::new(&url)
    };
    let via = as_written.or_else(completed);
    match &via {
        // Its text may hold a password.
        None => warn!("a proxy in the environment has no usable address, so none is used"),
        Some(via) => tracing::debug!(proxy = redact(&via.url), "the environment names a proxy"),
    }
    via
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(proxies: &Proxies, target: &str, expected: Option<&str>) {
        let target = Url::parse(target).unwrap();
        let via = proxies.of_url(&target).map(|via| via.url.as_str());
        assert_eq!(via, expected, "{target}");
    }

    fn environment(pairs: &[(&str, &str)]) -> Proxies {
        Proxies::of(&Environment::read(|name| {
            let pair = pairs.iter().find(|(known, _)| *known == name);
            pair.map(|(_, value)| (*value).to_owned())
        }))
    }

    #[test]
    fn one_proxy_serves_every_request_unless_some_are_excepted() {
        let mut settings = Proxy {
            url: Some(Url::parse("http://proxy").unwrap()),
            ..Proxy::default()
        };
        let all = Proxies::new(&settings);
        // A port that is the scheme's own is not written.
        check(&all, "http://localhost/", Some("http://proxy/"));
        check(&all, "https://a.example/", Some("http://proxy/"));
        settings.no_proxy = Some("a.example".to_owned());
        let some = Proxies::new(&settings);
        check(&some, "http://localhost/", None);
        check(&some, "https://a.example/", None);
        check(&some, "https://b.example/", Some("http://proxy/"));
        assert!(!some.is_empty() && Proxies::default().is_empty());
    }

    #[test]
    fn the_environment_is_read_in_both_spellings() {
        let proxies = environment(&[
            ("HTTP_PROXY", "proxy:3128"),
            ("https_proxy", "socks5://user:hunter2@socks"),
            ("no_proxy", ".internal"),
        ]);
        check(&proxies, "http://a.example/", Some("http://proxy:3128/"));
        check(&proxies, "https://a.example/", Some("socks5://socks:1080/"));
        check(&proxies, "https://a.internal/", None);
        check(&proxies, "http://127.0.0.1/", None);
        assert!(!format!("{proxies:?}").contains("hunter2"));
        let https = environment(&[("HTTPS_PROXY", "https://a"), ("https_proxy", "http://b")]);
        check(&https, "http://a.example/", None);
        check(&https, "https://a.example/", Some("https://a/"));
        check(
            &environment(&[("HTTP_PROXY", "::::")]),
            "http://a.example/",
            None,
        );
        check(&environment(&[]), "http://a.example/", None);
    }

    #[test]
    fn user_and_password_are_taken_out_of_the_address() {
        let url = Url::parse("http://us%65r:hunter2@proxy:3128/path").unwrap();
        let via = Via::new(&url).unwrap();
        assert_eq!(via.url.as_str(), "http://proxy:3128/");
        assert_eq!(
            via.authorization.as_ref().unwrap(),
            "Basic dXNlcjpodW50ZXIy"
        );
        assert!(!format!("{via:?}").contains("hunter2"));
        assert!(Via::new(&Url::parse("ftp://proxy").unwrap()).is_none());
    }
}
