//! Kubernetes: the objects of a cluster, by their role.
//!
//! In: [`Settings`]. Out: one group for each object of the role, whenever it or something that its
//! labels come from has changed. `watch` follows the API server (the kube crate lists, watches,
//! begins anew when a version has expired, and waits longer after each failure), `objects` keeps of
//! each object what labels need and no more, `store` knows who is made from whom, and there is one
//! module for the groups of each role. This module alone knows Kubernetes. Nothing is told until
//! everything has been listed once; what could not be had again stays as it was.

mod client;
mod endpoints;
mod endpointslice;
mod error;
mod ingress;
mod labels;
mod node;
mod objects;
mod pod;
mod resources;
mod selector;
mod service;
mod source;
mod store;
mod watch;

use std::path::PathBuf;

use url::Url;

use crate::http;

pub use error::KubernetesError;
pub use selector::{check_field_selector, check_label_selector};
pub(super) use source::Kubernetes;

/// Which cluster is looked at, and for what (`kubernetes_sd_configs`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What becomes targets.
    pub role: Role,
    /// How to reach the API server.
    pub access: Access,
    /// The namespaces to look at; all if empty and `own_namespace` is not set.
    pub namespaces: Vec<String>,
    /// Whether to look at the namespace of our own pod as well.
    pub own_namespace: bool,
    /// Which objects are listed; at most one for each role.
    pub selectors: Vec<Selector>,
    /// What labels are added to those of the object itself.
    pub attach: Attach,
}

/// What becomes targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Nodes: their kubelets.
    Node,
    /// Ports of pods' containers.
    Pod,
    /// Ports of services.
    Service,
    /// Addresses behind services, as `Endpoints` list them.
    Endpoints,
    /// Addresses behind services, as `EndpointSlice`s list them.
    EndpointSlice,
    /// Paths of ingresses.
    Ingress,
}

impl Role {
    /// Every role by its name in the configuration.
    pub const ALL: [(&'static str, Self); 6] = [
        ("pod", Self::Pod),
        ("service", Self::Service),
        ("endpoints", Self::Endpoints),
        ("endpointslice", Self::EndpointSlice),
        ("node", Self::Node),
        ("ingress", Self::Ingress),
    ];

    /// Returns the roles whose objects are listed for this one, and may have a selector.
    pub fn selectable(self) -> &'static [Self] {
        match self {
            Self::Node => &[Self::Node],
            Self::Pod => &[Self::Pod, Self::Node],
            Self::Service => &[Self::Service],
            Self::Endpoints => &[Self::Pod, Self::Service, Self::Endpoints],
            Self::EndpointSlice => &[Self::Pod, Self::Service, Self::EndpointSlice],
            Self::Ingress => &[Self::Ingress],
        }
    }

    /// Returns its name in the configuration and in labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Pod => "pod",
            Self::Service => "service",
            Self::Endpoints => "endpoints",
            Self::EndpointSlice => "endpointslice",
            Self::Ingress => "ingress",
        }
    }
}

/// How the API server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// By the service account of the pod that we run in.
    InCluster,
    /// As a kubeconfig file says.
    Kubeconfig(PathBuf),
    /// At an address.
    Server {
        /// The address.
        url: Url,
        /// How to reach it.
        http: Box<http::Settings>,
    },
}

/// Which objects of a role are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// The role.
    pub role: Role,
    /// The label selector; empty for all.
    pub label: String,
    /// The field selector; empty for all.
    pub field: String,
}

/// What labels are added to those of the object itself (`attach_metadata`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key of the configuration"
)]
pub struct Attach {
    /// Labels and annotations of the node.
    pub node: bool,
    /// Labels and annotations of the namespace.
    pub namespace: bool,
    /// The name of the deployment that a pod belongs to.
    pub deployment: bool,
    /// The name of the job that a pod belongs to.
    pub job: bool,
    /// The name of the cron job that a pod belongs to.
    pub cronjob: bool,
}

#[cfg(test)]
mod tests;
