//! The group of an `Endpoints`: addresses behind a service, and other ports of the pods there.

use std::collections::BTreeMap;
use std::sync::Arc;

use tracing::warn;

use super::labels::{NAMESPACE, add_meta, add_namespace, add_node};
use super::objects::{EndpointAddress, Endpoints, Pod, Reference, ServicePort};
use super::pod::{add_matching_containers, add_other_ports, add_pod};
use super::service::add_service;
use super::store::Look;
use crate::discover::Group;
use crate::discover::catalog::{ADDRESS, LabelSet, join_host_port};

/// Says that not all addresses are listed; 1,000 is the most.
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";

/// Pods behind a service by their names, each with the ports that already are targets.
pub(super) type SeenPods<'a> = BTreeMap<(&'a str, &'a str), (&'a Pod, Vec<i32>)>;

/// Makes the group.
pub(super) fn group(endpoints: &Endpoints, source: Arc<str>, look: &mut Look<'_>) -> Group {
    let meta = &endpoints.meta;
    let mut labels = LabelSet::default();
    labels.set(NAMESPACE, &*meta.namespace);
    if let Some(service) = look.service(&meta.namespace, &meta.name) {
        add_service(&mut labels, service);
    }
    add_meta(&mut labels, meta, "endpoints");
    add_namespace(&mut labels, &meta.namespace, look);

    let mut targets = Vec::new();
    let mut seen = SeenPods::new();
    for subset in &endpoints.subsets {
        for port in &subset.ports {
            let ready = subset.addresses.iter().map(|address| (address, "true"));
            let not_ready = subset.not_ready_addresses.iter();
            let not_ready = not_ready.map(|address| (address, "false"));
            for (address, readiness) in ready.chain(not_ready) {
                let mut target = target(address, port, readiness, look);
                if let Some(pod) = pod_of(address.target_ref.as_ref(), look) {
                    add_pod(&mut target, pod, look);
                    let protocol = Some(port.protocol.as_str());
                    add_matching_containers(&mut target, pod, port.port, protocol);
                    see(&mut seen, pod, Some(port.port));
                }
                targets.push(target.into_pairs());
            }
        }
    }
    if meta.label(OVER_CAPACITY).is_some() {
        warn!(
            namespace = &*meta.namespace,
            endpoints = &*meta.name,
            "more than 1000 endpoints, some may not be listed; use the role `endpointslice`"
        );
    }
    for (pod, ports) in seen.into_values() {
        add_other_ports(&mut targets, pod, &ports, look);
    }
    Group {
        source,
        labels: labels.into_pairs(),
        targets,
    }
}

fn target(
    address: &EndpointAddress,
    port: &ServicePort,
    readiness: &str,
    look: &mut Look<'_>,
) -> LabelSet {
    let mut target = LabelSet::default();
    target.set(ADDRESS, join_host_port(&address.ip, port.port));
    target.set("__meta_kubernetes_endpoint_port_name", &port.name);
    target.set("__meta_kubernetes_endpoint_port_protocol", &port.protocol);
    target.set("__meta_kubernetes_endpoint_ready", readiness);
    if let Some(reference) = &address.target_ref {
        let name = "__meta_kubernetes_endpoint_address_target_kind";
        target.set(name, &reference.kind);
        let name = "__meta_kubernetes_endpoint_address_target_name";
        target.set(name, &reference.name);
    }
    if let Some(node) = &address.node_name {
        target.set("__meta_kubernetes_endpoint_node_name", node);
    }
    target.set("__meta_kubernetes_endpoint_hostname", &address.hostname);
    let is_node = |reference: &&Reference| reference.kind == "Node";
    let node = address.target_ref.as_ref().filter(is_node);
    let node = node.map(|node| &node.name);
    if let Some(node) = address.node_name.as_ref().or(node) {
        add_node(&mut target, node, look);
    }
    target
}

/// Finds the pod that a reference leads to.
pub(super) fn pod_of<'a>(reference: Option<&Reference>, look: &mut Look<'a>) -> Option<&'a Pod> {
    let reference = reference.filter(|reference| reference.kind == "Pod")?;
    look.pod(&reference.namespace, &reference.name)
}

/// Notes that a port of a pod is a target.
pub(super) fn see<'a>(seen: &mut SeenPods<'a>, pod: &'a Pod, port: Option<i32>) {
    let name = (&*pod.meta.namespace, &*pod.meta.name);
    let (_, ports) = seen.entry(name).or_insert_with(|| (pod, Vec::new()));
    ports.extend(port);
}
