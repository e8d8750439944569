//! Nomad: the instances of services that are registered with Nomad itself.
//!
//! In: [`Settings`]. Out: one group with all instances, at each refresh interval. The list of
//! services is asked for first, then each service. This module alone knows Nomad's addresses and
//! documents. If one question fails, all that was found before stays.

use std::time::Duration;

use ::http::HeaderMap;
use serde::Deserialize;
use url::Url;

use super::catalog::{
    ADDRESS, CatalogError, LabelSet, Question, ask, join_host_port, null_as_default, surround,
};
use super::refresh::{Part, Refresh, Refresher};
use super::source::Source;
use super::{DiscoverError, Group, TARGETS_MAX};
use crate::http::{self, Client};

/// How Nomad is asked, and for what (`nomad_sd_configs`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The agent's address; its path is not used, as in Nomad's own client.
    pub server: Url,
    /// How to reach it.
    pub http: http::Settings,
    /// The namespace; `*` for all.
    pub namespace: String,
    /// The region.
    pub region: String,
    /// What stands between the tags of an instance.
    pub tag_separator: String,
    /// Whether a server that is not the leader may answer.
    pub allow_stale: bool,
    /// The time from one look to the next; no single answer may take longer.
    pub refresh_interval: Duration,
}

/// A source that looks at one Nomad from time to time.
pub(super) struct Nomad {
    settings: Settings,
    client: Client,
}

impl Nomad {
    /// Builds the source; nothing is asked until it is run.
    pub(super) fn source(settings: &Settings) -> Result<Box<dyn Source>, CatalogError> {
        let interval = settings.refresh_interval;
        let client = Client::build(settings.http.clone(), interval);
        let nomad = Self {
            settings: settings.clone(),
            client: client.map_err(CatalogError::Client)?,
        };
        Ok(Box::new(Refresher::new(nomad, interval)))
    }

    async fn group(&self) -> Result<Group, DiscoverError> {
        let stubs: Option<Vec<Namespace>> = self.get(&["services"]).await?;
        let mut group = Group {
            source: "Nomad".into(),
            ..Group::default()
        };
        let services = stubs.into_iter().flatten().flat_map(|stub| stub.services);
        for service in services {
            let path = ["service", service.name.as_str()];
            let instances: Option<Vec<Instance>> = self.get(&path).await?;
            let separator = &self.settings.tag_separator;
            let targets = instances.iter().flatten();
            let targets = targets.map(|instance| target(instance, separator).into_pairs());
            group.targets.extend(targets);
            if group.targets.len() > TARGETS_MAX {
                return Err(DiscoverError::TooManyTargets {
                    found: group.targets.len(),
                    limit: TARGETS_MAX,
                });
            }
        }
        Ok(group)
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &[&str]) -> Result<T, CatalogError> {
        let url = self.url(path);
        let question = Question {
            url: &url,
            headers: HeaderMap::new(),
            body: None,
            timeout: self.settings.refresh_interval,
        };
        ask(&self.client, question).await?.document()
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.settings.server.clone();
        // Cannot fail: an address of an HTTP server always has a path.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().push("v1").extend(path);
        }
        let mut query = url.query_pairs_mut();
        query.clear();
        for (key, value) in [
            ("namespace", &self.settings.namespace),
            ("region", &self.settings.region),
        ] {
            if !value.is_empty() {
                query.append_pair(key, value);
            }
        }
        if self.settings.allow_stale {
            query.append_pair("stale", "");
        }
        drop(query);
        url
    }
}

impl Refresh for Nomad {
    const KIND: &'static str = "nomad";

    async fn refresh(&mut self) -> Vec<Part> {
        Part::only(self.group().await.map(|group| vec![group]))
    }
}

/// The services of a namespace.
#[derive(Debug, Deserialize)]
struct Namespace {
    #[serde(rename = "Services", default, deserialize_with = "null_as_default")]
    services: Vec<Service>,
}

/// A service, by its name.
#[derive(Debug, Deserialize)]
struct Service {
    #[serde(rename = "ServiceName")]
    name: String,
}

/// An instance of a service.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Instance {
    #[serde(rename = "ID")]
    id: String,
    service_name: String,
    namespace: String,
    #[serde(rename = "NodeID")]
    node_id: String,
    datacenter: String,
    #[serde(deserialize_with = "null_as_default")]
    tags: Vec<String>,
    address: String,
    port: i64,
}

fn target(instance: &Instance, tag_separator: &str) -> LabelSet {
    let mut labels = LabelSet::default();
    let address = join_host_port(&instance.address, instance.port);
    labels.set(ADDRESS, address);
    labels.set("__meta_nomad_address", &instance.address);
    labels.set("__meta_nomad_dc", &instance.datacenter);
    labels.set("__meta_nomad_node_id", &instance.node_id);
    labels.set("__meta_nomad_namespace", &instance.namespace);
    labels.set("__meta_nomad_service_address", &instance.address);
    labels.set("__meta_nomad_service_id", &instance.id);
    labels.set("__meta_nomad_service_port", instance.port.to_string());
    labels.set("__meta_nomad_service", &instance.service_name);
    if !instance.tags.is_empty() {
        let tags = surround(&instance.tags, tag_separator);
        labels.set("__meta_nomad_tags", tags);
    }
    labels
}

#[cfg(test)]
mod tests;
