//! `dns_sd_configs`: targets that the DNS names.
//!
//! In: names, and the type of the records to ask for. Out: one group for each name. Names are
//! completed and servers asked by Prometheus's rules (`lookup`): a name that does not exist has no
//! targets, and one about which no server can tell keeps its last ones.

mod lookup;
mod resolv;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use hickory_proto::rr::{RData, RecordType};
use tracing::debug;

use super::refresh::{Part, Refresh};
use super::{ADDRESS, DiscoverError, Group};
use resolv::ResolvConf;

pub use lookup::{DnsError, ServerError};

/// Which names, and how often to ask for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The names.
    pub names: Vec<String>,
    /// The type of their records.
    pub record: Record,
    /// The port of the targets; that of an SRV record wins.
    pub port: u16,
    /// Time from one look-up to the next.
    pub refresh_interval: Duration,
    /// Where servers and search domains stand.
    pub resolver: Resolver,
}

/// The types of records that name targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// Name and port.
    Srv,
    /// An IPv4 address.
    A,
    /// An IPv6 address.
    Aaaa,
    /// The name of a mail server.
    Mx,
    /// The name of a name server.
    Ns,
}

impl Record {
    fn number(self) -> RecordType {
        match self {
            Self::Srv => RecordType::SRV,
            Self::A => RecordType::A,
            Self::Aaaa => RecordType::AAAA,
            Self::Mx => RecordType::MX,
            Self::Ns => RecordType::NS,
        }
    }
}

/// Where servers and search domains stand; no configuration changes that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolver {
    /// A file as `resolv.conf(5)` describes it.
    pub file: PathBuf,
    /// The port of all its servers, which the file cannot name.
    pub port: u16,
}

impl Default for Resolver {
    fn default() -> Self {
        Self {
            file: "/etc/resolv.conf".into(),
            port: 53,
        }
    }
}

/// The refresh interval by default, as in Prometheus.
pub const REFRESH_INTERVAL: Duration = Duration::from_secs(30);

/// Look-ups under way at once: enough to hide their waiting, and no flood for a server.
const CONCURRENT: usize = 32;

const NAME: &str = "__meta_dns_name";
const SRV_TARGET: &str = "__meta_dns_srv_record_target";
const SRV_PORT: &str = "__meta_dns_srv_record_port";
const MX_TARGET: &str = "__meta_dns_mx_record_target";
const NS_TARGET: &str = "__meta_dns_ns_record_target";

/// Tells whether the DNS can be asked for a name.
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && lookup::question(name).is_ok()
}

/// Names to look up.
pub(super) struct Names(Arc<Settings>);

impl Names {
    pub(super) fn new(settings: &Settings) -> Self {
        Self(Arc::new(settings.clone()))
    }
}

impl Refresh for Names {
    const KIND: &'static str = "dns";

    async fn refresh(&mut self) -> Vec<Part> {
        let settings = &self.0;
        // The file may change at any time, so it is read each time.
        let conf = ResolvConf::read(&settings.resolver).await.map(Arc::new);
        let mut lookups = futures_util::stream::iter(settings.names.clone())
            .map(|name| look_up(name, conf.clone(), Arc::clone(settings)))
            .buffer_unordered(CONCURRENT);
        let mut parts = Vec::with_capacity(settings.names.len());
        while let Some(part) = lookups.next().await {
            parts.push(part);
        }
        parts
    }
}

async fn look_up(
    name: String,
    conf: Result<Arc<ResolvConf>, Arc<std::io::Error>>,
    settings: Arc<Settings>,
) -> Part {
    let records = match conf {
        Ok(conf) => lookup::with_search_path(&name, settings.record.number(), &conf).await,
        Err(source) => Err(DnsError::ResolvConf {
            path: settings.resolver.file.clone(),
            source,
        }),
    };
    let groups = match records {
        Ok(records) => Ok(vec![group(&name, &records, settings.port)]),
        Err(source) => Err(DiscoverError::Dns {
            name: name.clone(),
            source,
        }),
    };
    let name = name.into();
    Part { name, groups }
}

fn group(name: &str, records: &[RData], port: u16) -> Group {
    let target = |record| target(name, record, port);
    let mut targets: Vec<_> = records.iter().filter_map(target).collect();
    // Servers turn the order round with each answer; that is no change.
    targets.sort_unstable();
    targets.dedup();
    Group {
        source: name.into(),
        labels: Vec::new(),
        targets,
    }
}

fn target(name: &str, record: &RData, port: u16) -> Option<Vec<(String, String)>> {
    let mut labels = vec![(NAME, name.to_owned())];
    let address = match record {
        RData::A(address) => host_and_port(IpAddr::V4(address.0).to_string(), port),
        RData::AAAA(address) => host_and_port(IpAddr::V6(address.0).to_string(), port),
        RData::SRV(record) => {
            let target = record.target.to_ascii();
            labels.extend([
                (SRV_TARGET, target.clone()),
                (SRV_PORT, record.port.to_string()),
            ]);
            host_and_port(target, record.port)
        }
        RData::MX(record) => {
            let target = record.exchange.to_ascii();
            labels.push((MX_TARGET, target.clone()));
            host_and_port(target, port)
        }
        RData::NS(record) => {
            let target = record.0.to_ascii();
            labels.push((NS_TARGET, target.clone()));
            host_and_port(target, port)
        }
        // On the way to addresses there may be other names.
        RData::CNAME(_) => return None,
        other => {
            debug!(name, record = %other.record_type(), "a record that names no target");
            return None;
        }
    };
    labels.push((ADDRESS, address));
    let owned = labels
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    Some(owned.collect())
}

fn host_and_port(mut host: String, port: u16) -> String {
    host.truncate(host.trim_end_matches('.').len());
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

#[cfg(test)]
mod tests;
