//! Servers that are reached without a proxy: the rules of Go's `httpproxy`.
//!
//! A list with commas in between. `*` is everything; `10.0.0.0/8` a network; `10.0.0.1` and
//! `10.0.0.1:80` an address, maybe at one port; `example.net` the domain and all below it,
//! `.example.net` and `*.example.net` only what is below it, each maybe with a port. `localhost`
//! and loopback addresses are on every list. What makes no sense is left out.

use std::net::IpAddr;

use url::{Host, Url};

/// A list that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct NoProxy(Vec<Rule>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    All,
    Network {
        first: IpAddr,
        bits: u32,
    },
    Address {
        address: IpAddr,
        port: Option<u16>,
    },
    Domain {
        suffix: String,
        is_itself: bool,
        port: Option<u16>,
    },
}

impl NoProxy {
    pub(super) fn parse(list: &str) -> Self {
        Self(
            list.split(',')
                .filter_map(|item| Rule::parse(item.trim()))
                .collect(),
        )
    }

    /// Tells whether a server is reached without a proxy.
    pub(super) fn covers(&self, url: &Url) -> bool {
        let port = url.port_or_known_default();
        let address = match url.host() {
            None => return false,
            Some(Host::Domain(name)) => {
                let is_covered = |rule: &Rule| rule.covers_name(name, port);
                return name == "localhost" || self.0.iter().any(is_covered);
            }
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address).to_canonical(),
        };
        let is_covered = |rule: &Rule| rule.covers_address(address, port);
        address.is_loopback() || self.0.iter().any(is_covered)
    }
}

impl Rule {
    fn parse(item: &str) -> Option<Self> {
        if item == "*" {
            return Some(Self::All);
        }
        if let Some((first, bits)) = item.split_once('/') {
            let (first, bits) = (first.parse::<IpAddr>().ok()?, bits.parse().ok()?);
            let is_whole = bits <= width(first);
            return is_whole.then_some(Self::Network { first, bits });
        }
        if let Ok(address) = item.parse::<IpAddr>() {
            let address = address.to_canonical();
            return Some(Self::Address {
                address,
                port: None,
            });
        }
        let (host, port) = match item.rsplit_once(':') {
            Some((host, "")) => (host, None),
            Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
            _ => (item, None),
        };
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        if let Ok(address) = bare.unwrap_or(host).parse::<IpAddr>() {
            let address = address.to_canonical();
            return Some(Self::Address { address, port });
        }
        let below = host.strip_prefix("*.").or_else(|| host.strip_prefix('.'));
        let domain = Host::parse(below.unwrap_or(host)).ok()?.to_string();
        Some(Self::Domain {
            suffix: format!(".{domain}"),
            is_itself: below.is_none(),
            port,
        })
    }

    fn covers_name(&self, name: &str, at: Option<u16>) -> bool {
        match self {
            Self::All => true,
            Self::Network { .. } | Self::Address { .. } => false,
            Self::Domain {
                suffix,
                is_itself,
                port,
            } => {
                let is_same = *is_itself && suffix.strip_prefix('.') == Some(name);
                (is_same || name.ends_with(suffix.as_str())) && fits(*port, at)
            }
        }
    }

    fn covers_address(&self, address: IpAddr, at: Option<u16>) -> bool {
        match self {
            Self::All => true,
            Self::Network { first, bits } => {
                // A shift by the whole width is no shift; all addresses have no bits in common.
                let shift = width(*first).saturating_sub(*bits);
                let prefix = |address| number(address).checked_shr(shift);
                first.is_ipv4() == address.is_ipv4() && prefix(*first) == prefix(address)
            }
            Self::Address { address: one, port } => *one == address && fits(*port, at),
            // A name is never an address, whatever it looks like.
            Self::Domain { .. } => false,
        }
    }
}

fn fits(port: Option<u16>, at: Option<u16>) -> bool {
    port.is_none() || port == at
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() {
        u32::BITS
    } else {
        u128::BITS
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(list: &str, covered: &[&str], others: &[&str]) {
        let rules = NoProxy::parse(list);
        for (hosts, expected) in [(covered, true), (others, false)] {
            for host in hosts {
                let scheme = if host.contains("://") { "" } else { "http://" };
                let url = Url::parse(&format!("{scheme}{host}/")).unwrap();
                assert_eq!(rules.covers(&url), expected, "`{list}` for {host}");
            }
        }
    }

    #[test]
    fn a_domain_covers_what_is_below_it() {
        let covered = ["foo.com", "FOO.com", "a.foo.com", "b.a.foo.com:99"];
        check("foo.com", &covered, &["afoo.com", "com", "foo.com.net"]);
        check("FOO.com , bar.com", &["bar.com", "foo.com"], &["x.com"]);
        check(".y.com", &["x.y.com"], &["y.com", "xy.com"]);
        check("*.y.com", &["x.y.com"], &["y.com"]);
        check(
            "bücher.example",
            &["bücher.example", "xn--bcher-kva.example"],
            &[],
        );
    }

    #[test]
    fn a_port_must_fit() {
        check(
            "foo.com:80",
            &["foo.com", "a.foo.com:80"],
            &["foo.com:81", "https://foo.com"],
        );
        check("foo.com:", &["foo.com:81"], &["bar.com"]);
        check("foo.com:443", &["https://foo.com"], &["foo.com"]);
        check("10.0.0.1:8080", &["10.0.0.1:8080"], &["10.0.0.1"]);
        check(
            "[2001:db8::1]:80",
            &["[2001:db8::1]"],
            &["[2001:db8::1]:81"],
        );
    }

    #[test]
    fn addresses_and_networks() {
        check("10.0.0.1", &["10.0.0.1", "10.0.0.1:81"], &["10.0.0.2"]);
        check("10.0.0.0/8", &["10.255.0.9"], &["11.0.0.1", "ten.example"]);
        check("10.1.2.3/31", &["10.1.2.2", "10.1.2.3"], &["10.1.2.4"]);
        check("0.0.0.0/0", &["1.2.3.4"], &["[2001:db8::1]"]);
        check("2001:db8::/32", &["[2001:db8:1::2]"], &["[2001:db9::2]"]);
        check("::/0", &["[2001:db9::2]"], &["1.2.3.4"]);
        check(
            "2001:db8::1,[2001:db8::2]",
            &["[2001:db8::1]", "[2001:db8::2]"],
            &[],
        );
        check("1.2.3.4", &["[::ffff:1.2.3.4]"], &[]);
    }

    #[test]
    fn an_asterisk_covers_everything_and_nonsense_nothing() {
        check(
            "x.example,*",
            &["foo.com", "10.0.0.1", "[2001:db8::1]"],
            &[],
        );
        check("", &[], &["foo.com", "10.0.0.1"]);
        check(
            ",, :80, 10.0.0.0/99, foo.com:http, a/b",
            &[],
            &["foo.com", "10.0.0.1"],
        );
    }

    #[test]
    fn the_machine_itself_is_always_covered() {
        check(
            "",
            &["localhost", "127.0.0.1", "127.9.9.9:1", "[::1]"],
            &["localhost.net"],
        );
    }
}
