//! Where redirects lead, and what must not come along.

use http::{HeaderMap, StatusCode, header};
use url::Url;

/// Redirects that are followed, as in Go's client.
pub(super) const REDIRECTS_MAX: usize = 10;

/// Tells whether an answer sends us elsewhere.
pub(super) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// A request's way along redirects.
#[derive(Debug)]
pub(super) struct Way<'a> {
    start: &'a Url,
    /// Where the next request goes.
    pub(super) url: Url,
    is_at_home: bool,
}

impl<'a> Way<'a> {
    pub(super) fn new(start: &'a Url) -> Self {
        Self {
            start,
            url: start.clone(),
            is_at_home: true,
        }
    }

    /// Tells whether credentials and configured headers may be sent with the next request.
    ///
    /// Go sends them to subdomains of the configured host as well, and from `https` to `http`; we
    /// send them to the configured host alone, and never less protected than they began. As in Go,
    /// they do not come back once the way has left it.
    pub(super) fn is_at_home(&self) -> bool {
        self.is_at_home
    }

    /// Goes on to where an answer points.
    pub(super) fn follow(&mut self, headers: &HeaderMap) -> Result<(), &'static str> {
        let location = headers.get(header::LOCATION);
        let location = location.ok_or("the answer names no location")?;
        let text = location.to_str().ok();
        let url = text.and_then(|text| self.url.join(text).ok());
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        self.url = url.ok_or("the location is no HTTP address")?;
        let is_same_host = self.url.host() == self.start.host();
        let is_less_protected = self.start.scheme() == "https" && self.url.scheme() == "http";
        self.is_at_home &= is_same_host && !is_less_protected;
        if self.is_at_home {
            // Both fail only for addresses without a host.
            self.url
                .set_username(self.start.username())
                .unwrap_or_default();
            self.url
                .set_password(self.start.password())
                .unwrap_or_default();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(start: &str, locations: &[&str], is_at_home: bool) {
        let start = Url::parse(start).unwrap();
        let mut way = Way::new(&start);
        for location in locations {
            let mut headers = HeaderMap::new();
            headers.insert(header::LOCATION, location.parse().unwrap());
            way.follow(&headers).unwrap();
        }
        assert_eq!(way.is_at_home(), is_at_home, "{}", way.url);
    }

    #[test]
    fn credentials_stay_with_the_configured_host() {
        check("http://a.example/", &["/b"], true);
        check("http://a.example/", &["http://A.example:81/b"], true);
        check("http://a.example/", &["https://a.example/"], true);
        check("https://a.example/", &["http://a.example/"], false);
        check("http://a.example/", &["http://b.a.example/"], false);
        check("http://a.example/", &["http://ba.example/"], false);
        check("http://a.example/", &["//example/"], false);
        check("http://127.0.0.1/", &["http://127.0.0.2/"], false);
        check(
            "http://a.example/",
            &["http://b.example/", "http://a.example/"],
            false,
        );
    }

    #[test]
    fn user_and_password_of_the_address_hold_for_its_host() {
        let start = Url::parse("http://a:b@host/").unwrap();
        let mut way = Way::new(&start);
        let mut headers = HeaderMap::new();
        headers.insert(header::LOCATION, "http://host:81/x".parse().unwrap());
        way.follow(&headers).unwrap();
        assert_eq!(way.url.as_str(), "http://a:b@host:81/x");
    }

    #[test]
    fn some_locations_cannot_be_followed() {
        for location in ["ftp://example.net/", "mailto:x@example.net", "http://[/"] {
            let start = Url::parse("http://a.example/").unwrap();
            let mut headers = HeaderMap::new();
            headers.insert(header::LOCATION, location.parse().unwrap());
            Way::new(&start).follow(&headers).unwrap_err();
        }
    }
}
