//! The group of a node: its kubelet.

use std::sync::Arc;

use tracing::warn;

use super::labels::{PREFIX, add_meta};
use super::objects::{Node, NodeAddress};
use crate::discover::Group;
use crate::discover::catalog::{ADDRESS, LabelSet, join_host_port, sanitize};

/// Kinds of addresses, the best first.
const ADDRESS_KINDS: [&str; 6] = [
    "InternalIP",
    "InternalDNS",
    "ExternalIP",
    "ExternalDNS",
    "LegacyHostIP",
    "Hostname",
];

/// Makes the group; `None` if the node has no address, and then the last one stays, as in
/// Prometheus.
pub(super) fn group(node: &Node, source: Arc<str>) -> Option<Group> {
    let name = &*node.meta.name;
    let Some(host) = address(&node.status.addresses) else {
        warn!(node = name, "a node has no address");
        return None;
    };
    let mut labels = LabelSet::default();
    let provider_id = &node.spec.provider_id;
    labels.set("__meta_kubernetes_node_provider_id", provider_id);
    for condition in &node.status.conditions {
        let kind = sanitize(&condition.kind.to_lowercase());
        let status = condition.status.to_lowercase();
        labels.set(format!("{PREFIX}node_condition_{kind}"), status);
    }
    add_meta(&mut labels, &node.meta, "node");

    let port = node.status.daemon_endpoints.kubelet_endpoint.port;
    let mut target = LabelSet::default();
    // The first address of each kind.
    for address in node.status.addresses.iter().rev() {
        let kind = sanitize(&address.kind);
        target.set(format!("{PREFIX}node_address_{kind}"), &address.address);
    }
    target.set(ADDRESS, join_host_port(host, port));
    target.set("instance", name);
    Some(Group {
        source,
        labels: labels.into_pairs(),
        targets: vec![target.into_pairs()],
    })
}

fn address(addresses: &[NodeAddress]) -> Option<&str> {
    let first = |kind: &str| addresses.iter().find(|address| address.kind == kind);
    let best = ADDRESS_KINDS.iter().find_map(|kind| first(kind));
    best.map(|address| address.address.as_str())
}
