//! The group of an `EndpointSlice`: addresses behind a service, and other ports of the pods there.

use std::sync::Arc;

use super::endpoints::{SeenPods, pod_of, see};
use super::labels::{NAMESPACE, PREFIX, add_meta, add_namespace, add_node};
use super::objects::{Endpoint, EndpointPort, EndpointSlice, Reference, Service};
use super::pod::{add_matching_containers, add_other_ports, add_pod};
use super::service::add_service;
use super::store::Look;
use crate::discover::Group;
use crate::discover::catalog::{ADDRESS, LabelSet, join_host_port, sanitize};

/// Names the service that a slice belongs to.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Makes the group.
pub(super) fn group(slice: &EndpointSlice, source: Arc<str>, look: &mut Look<'_>) -> Group {
    let meta = &slice.meta;
    let mut labels = LabelSet::default();
    labels.set(NAMESPACE, &*meta.namespace);
    let address_type = &*slice.address_type;
    labels.set("__meta_kubernetes_endpointslice_address_type", address_type);
    add_meta(&mut labels, meta, "endpointslice");
    let service = meta.label(SERVICE_NAME);
    let service = service.and_then(|name| look.service(&meta.namespace, name));
    if let Some(service) = service {
        add_service(&mut labels, service);
    }
    add_namespace(&mut labels, &meta.namespace, look);

    let mut targets = Vec::new();
    if !service.is_some_and(|service| is_second_family(slice, service)) {
        let mut seen = SeenPods::new();
        for endpoint in &slice.endpoints {
            for port in &slice.ports {
                for address in &endpoint.addresses {
                    let mut target = target(address, endpoint, port, look);
                    if let Some(pod) = pod_of(endpoint.target_ref.as_ref(), look) {
                        add_pod(&mut target, pod, look);
                        if let Some(number) = port.port {
                            add_matching_containers(&mut target, pod, number, None);
                        }
                        see(&mut seen, pod, port.port);
                    }
                    targets.push(target.into_pairs());
                }
            }
        }
        for (pod, ports) in seen.into_values() {
            add_other_ports(&mut targets, pod, &ports, look);
        }
    }
    Group {
        source,
        labels: labels.into_pairs(),
        targets,
    }
}

/// Tells whether a slice lists the second family of addresses of a service: the first has the same
/// targets already.
fn is_second_family(slice: &EndpointSlice, service: &Service) -> bool {
    let policy = service.spec.ip_family_policy.as_deref();
    let is_dual = matches!(policy, Some("PreferDualStack" | "RequireDualStack"));
    let first = service.spec.ip_families.first();
    is_dual && first.is_some_and(|first| **first != *slice.address_type)
}

fn target(
    address: &str,
    endpoint: &Endpoint,
    port: &EndpointPort,
    look: &mut Look<'_>,
) -> LabelSet {
    let mut target = LabelSet::default();
    let number = port.port.map(|number| number.to_string());
    let whole = port.port.map(|number| join_host_port(address, number));
    target.set(ADDRESS, whole.unwrap_or_else(|| address.to_owned()));
    let conditions = &endpoint.conditions;
    let text = |value: Option<bool>| value.map(|value| value.to_string());
    let reference = endpoint.target_ref.as_ref();
    let optional = [
        ("port_name", port.name.clone()),
        ("port_protocol", port.protocol.clone()),
        ("port", number),
        ("port_app_protocol", port.app_protocol.clone()),
        ("endpoint_conditions_ready", text(conditions.ready)),
        ("endpoint_conditions_serving", text(conditions.serving)),
        (
            "endpoint_conditions_terminating",
            text(conditions.terminating),
        ),
        ("endpoint_hostname", endpoint.hostname.clone()),
        ("address_target_kind", reference.map(|to| to.kind.clone())),
        ("address_target_name", reference.map(|to| to.name.clone())),
        ("endpoint_node_name", endpoint.node_name.clone()),
        ("endpoint_zone", endpoint.zone.clone()),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            target.set(format!("{PREFIX}endpointslice_{name}"), value);
        }
    }
    for (name, value) in &endpoint.deprecated_topology {
        let (name, prefix) = (
            sanitize(name),
            format!("{PREFIX}endpointslice_endpoint_topology"),
        );
        target.set(format!("{prefix}_{name}"), value);
        target.set(format!("{prefix}_present_{name}"), "true");
    }
    let is_node = |reference: &&Reference| reference.kind == "Node";
    let node = reference.filter(is_node).map(|node| &node.name);
    if let Some(node) = node.or(endpoint.node_name.as_ref()) {
        add_node(&mut target, node, look);
    }
    target
}
