//! Consul: the instances of services that a catalog holds.
//!
//! In: [`Settings`]. Out: one group for each service, named after it, whenever Consul says that it
//! changed. The list of services and the instances of each are asked for with blocking queries, one
//! at a time each; where both names and no tags are configured, the list is not needed. This module
//! alone knows Consul's addresses, headers and documents. A question that fails is asked again, and
//! what was found before stays.

mod documents;
mod watch;

use std::time::Duration;

use url::Url;

use crate::http;
use crate::model::Secret;

pub(super) use watch::Consul;

/// How Consul is asked, and for what (`consul_sd_configs`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The agent's address, with the prefix of its paths.
    pub server: Url,
    /// How to reach it.
    pub http: http::Settings,
    /// The ACL token.
    pub token: Option<Secret>,
    /// The datacenter; the agent's own if `None`.
    pub datacenter: Option<String>,
    /// The namespace (Consul Enterprise).
    pub namespace: Option<String>,
    /// The admin partition (Consul Enterprise).
    pub partition: Option<String>,
    /// What stands between the tags of an instance.
    pub tag_separator: String,
    /// Whether a server that is not the leader may answer.
    pub allow_stale: bool,
    /// The least time from one question to the same again.
    pub refresh_interval: Duration,
    /// The services to look for; all if empty.
    pub services: Vec<String>,
    /// Tags that an instance must have, all of them.
    pub tags: Vec<String>,
    /// Metadata that an instance's node must have.
    pub node_meta: Vec<(String, String)>,
    /// An expression that chooses services in the catalog.
    pub filter: Option<String>,
    /// An expression that chooses instances of a service.
    pub health_filter: Option<String>,
}

#[cfg(test)]
mod tests;
