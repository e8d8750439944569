//! Discovery: where targets come from.
//!
//! In: the sources of one scrape configuration. Out: [`Group`]s of targets with their labels, as
//! Prometheus has them, before relabelling. This module alone knows files, DNS and the services
//! that list targets; it scrapes nothing, and a source that fails keeps its last groups.
//!
//! Each kind of source has a module of its own and is run as a task (`source`); kinds that are
//! asked again and again share `refresh`. [`Discovery`] gathers what the sources say.

mod catalog;
pub mod consul;
mod discovery;
pub mod dns;
mod document;
mod error;
pub mod file;
mod fixed;
pub mod glob;
pub mod http;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
mod metrics;
pub mod nomad;
pub mod puppetdb;
mod refresh;
mod source;
#[cfg(test)]
mod testing;
#[cfg(test)]
pub(crate) mod tests;

pub use catalog::CatalogError;
pub use discovery::Discovery;
pub use document::DocumentError;
pub use error::DiscoverError;
pub use metrics::Metrics;

use std::sync::Arc;

/// Targets that have labels in common (Prometheus's `targetgroup.Group`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// Names the group among those of its source: a later one of this name replaces it.
    pub source: Arc<str>,
    /// Labels of all targets.
    pub labels: Vec<(String, String)>,
    /// The labels of each target, `__address__` among them; they win over those of all.
    pub targets: Vec<Vec<(String, String)>>,
}

/// All groups of one scrape configuration, replaced as a whole.
pub type Groups = Arc<Vec<Arc<Group>>>;

/// One source of targets, as `config` has read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settings {
    /// `static_configs`: nothing to do but to hand them on.
    Static(Vec<Arc<Group>>),
    /// `file_sd_configs`: files that are watched.
    File(file::Settings),
    /// `http_sd_configs`: a server that lists targets.
    Http(Box<http::Settings>),
    /// `dns_sd_configs`: names in the DNS.
    Dns(dns::Settings),
    /// `consul_sd_configs`: services that a Consul watches over.
    Consul(Box<consul::Settings>),
    /// `kubernetes_sd_configs`: objects of a cluster.
    #[cfg(feature = "kubernetes")]
    Kubernetes(Box<kubernetes::Settings>),
    /// `nomad_sd_configs`: services that are registered with a Nomad.
    Nomad(Box<nomad::Settings>),
    /// `puppetdb_sd_configs`: resources that a PuppetDB finds.
    PuppetDb(Box<puppetdb::Settings>),
}

/// The label that says where a target is.
const ADDRESS: &str = "__address__";

/// Targets of one source: ten times what a large site has. A source that lists more is taken for
/// one that is broken, since every target costs memory and a connection.
const TARGETS_MAX: usize = 100_000;
