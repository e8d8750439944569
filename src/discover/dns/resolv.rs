//! `resolv.conf`, as far as Prometheus's resolver heeds it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

use super::Resolver;

/// The largest file that is read; real ones have a few lines.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Search domains that are tried: as many as glibc takes. Each costs a question per server.
const SEARCH_MAX: usize = 32;

/// Servers that are asked; each that is down costs its time-out.
const SERVERS_MAX: usize = 16;

/// The most dots that `ndots` can ask for.
const NDOTS_MAX: usize = 15;

/// Servers, and how names are completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ResolvConf {
    pub(super) servers: Vec<SocketAddr>,
    search: Vec<String>,
    ndots: usize,
}

impl ResolvConf {
    pub(super) async fn read(resolver: &Resolver) -> Result<Self, Arc<io::Error>> {
        let reading = async {
            let mut bytes = Vec::new();
            let file = File::open(&resolver.file).await?;
            file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).await?;
            Ok(Self::parse(&String::from_utf8_lossy(&bytes), resolver.port))
        };
        reading.await.map_err(Arc::new)
    }

    /// Reads a text; what is not understood is passed over, as resolvers do.
    fn parse(text: &str, port: u16) -> Self {
        let (mut servers, mut search, mut ndots) = (Vec::new(), Vec::new(), 1);
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    servers.extend(address.map(|address| SocketAddr::new(address, port)));
                }
                Some("domain") => search = words.take(1).map(str::to_owned).collect(),
                Some("search") => search = words.take(SEARCH_MAX).map(str::to_owned).collect(),
                Some("options") => {
                    let wish = |word: &str| word.strip_prefix("ndots:")?.parse::<usize>().ok();
                    ndots = words
                        .filter_map(wish)
                        .next_back()
                        .unwrap_or(ndots)
                        .min(NDOTS_MAX);
                }
                _ => {}
            }
        }
        servers.truncate(SERVERS_MAX);
        Self {
            servers,
            search,
            ndots,
        }
    }

    /// Returns the full names to ask for, one after the other.
    ///
    /// A name with enough dots is first tried as it is, others after all search domains.
    pub(super) fn candidates(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') {
            return vec![name.to_owned()];
        }
        let itself = format!("{name}.");
        let completed = |domain: &String| format!("{name}.{}.", domain.trim_matches('.'));
        let domains = self
            .search
            .iter()
            .filter(|domain| domain.contains(|c| c != '.'));
        let mut names: Vec<String> = domains.map(completed).collect();
        if name.split('.').count() > self.ndots {
            names.insert(0, itself);
        } else {
            names.push(itself);
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn candidates(text: &str, name: &str, expected: &[&str]) {
        assert_eq!(
            ResolvConf::parse(text, 53).candidates(name),
            expected,
            "{text} {name}"
        );
    }

    #[test]
    fn names_are_completed_in_order() {
        let text = "search a.example b.example.\n";
        candidates(
            text,
            "host",
            &["host.a.example.", "host.b.example.", "host."],
        );
        candidates(
            text,
            "host.sub",
            &["host.sub.", "host.sub.a.example.", "host.sub.b.example."],
        );
        candidates(text, "host.", &["host."]);
        candidates("", "host", &["host."]);
        candidates("search .\n", "host", &["host."]);
        candidates(
            "domain x\nsearch y z\n",
            "h.i",
            &["h.i.", "h.i.y.", "h.i.z."],
        );
        candidates("search y z\ndomain x\n", "h.i", &["h.i.", "h.i.x."]);
        let text = "search a.example\noptions timeout:1 ndots:3 rotate\n";
        candidates(text, "h.i", &["h.i.a.example.", "h.i."]);
        candidates(text, "h.i.j", &["h.i.j.a.example.", "h.i.j."]);
        candidates(text, "h.i.j.k", &["h.i.j.k.", "h.i.j.k.a.example."]);
    }

    #[test]
    fn servers_are_addresses() {
        let text = "# nameserver 192.0.2.1\nnameserver 192.0.2.2 x\nnameserver ::1\n\
                    nameserver host\nnameserver\n; end";
        let servers = ResolvConf::parse(text, 5353).servers;
        assert_eq!(
            servers,
            [
                "192.0.2.2:5353".parse().unwrap(),
                "[::1]:5353".parse().unwrap()
            ]
        );
    }

    #[test]
    fn limits_hold() {
        let text = format!("search {}\noptions ndots:99\n", "x ".repeat(100));
        let conf = ResolvConf::parse(&text, 53);
        assert_eq!((conf.search.len(), conf.ndots), (SEARCH_MAX, NDOTS_MAX));
        let text = "nameserver 192.0.2.1\n".repeat(100);
        assert_eq!(ResolvConf::parse(&text, 53).servers.len(), SERVERS_MAX);
    }
}
