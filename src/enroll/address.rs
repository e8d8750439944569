//! Where the CA is.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

/// The port of a Puppet server.
const PORT: u16 = 8140;

/// A host and a port, `puppet:8140` if nothing else is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// As it stands in a URL.
    host: String,
    port: u16,
}

/// A text that is no address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an address; write `host:port`, such as `puppet:8140`")]
pub struct AddressError(String);

impl Address {
    /// Returns the URL of a document below the CA's interface; `path` has only plain characters.
    pub(super) fn url(&self, path: &str) -> Result<Url, url::ParseError> {
        Url::parse(&format!("https://{self}/puppet-ca/v1/{path}"))
    }
}

impl Default for Address {
    fn default() -> Self {
        Self {
            host: "puppet".to_owned(),
            port: PORT,
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || AddressError(crate::yaml::shown(text));
        let is_bracketed = text.starts_with('[');
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !is_bracketed || host.ends_with(']') => {
                let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
                let port = port.parse().ok().filter(|port| is_number && *port > 0);
                (host, port.ok_or_else(wrong)?)
            }
            _ => (text, PORT),
        };
        // A second colon is an IPv6 address that lacks its brackets.
        if !is_bracketed && host.contains(':') {
            return Err(wrong());
        }
        let host = Host::parse(host).map_err(|_invalid| wrong())?;
        Ok(Self {
            host: host.to_string(),
            port,
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let address: Address = text.parse().unwrap();
        assert_eq!(address.to_string(), expected);
    }

    #[test]
    fn reads_addresses() {
        check("ca.example.net:8141", "ca.example.net:8141");
        check("puppet", "puppet:8140");
        check("192.0.2.7:443", "192.0.2.7:443");
        check("[::1]:8140", "[::1]:8140");
        check("[2001:db8::1]", "[2001:db8::1]:8140");
        assert_eq!(Address::default().to_string(), "puppet:8140");
    }

    #[test]
    fn refuses_what_is_no_address() {
        for text in [
            "",
            ":8140",
            "puppet:",
            "puppet:0",
            "puppet:65536",
            "puppet:+1",
            "::1",
            "https://puppet:8140",
            "puppet:8140/path",
            "pup pet:8140",
            "user@puppet:8140",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
