//! The group of a service: one target for each of its ports.

use std::sync::Arc;

use super::labels::{NAMESPACE, add_meta, add_namespace};
use super::objects::{Service, ServicePort};
use super::store::Look;
use crate::discover::Group;
use crate::discover::catalog::{ADDRESS, LabelSet, join_host_port};

/// Makes the group.
pub(super) fn group(service: &Service, source: Arc<str>, look: &mut Look<'_>) -> Group {
    let mut labels = LabelSet::default();
    add_service(&mut labels, service);
    add_namespace(&mut labels, &service.meta.namespace, look);
    let ports = service.spec.ports.iter();
    Group {
        source,
        labels: labels.into_pairs(),
        targets: ports
            .map(|port| target(service, port).into_pairs())
            .collect(),
    }
}

/// Adds the labels that a service has in common with all behind it.
pub(super) fn add_service(labels: &mut LabelSet, service: &Service) {
    labels.set(NAMESPACE, &*service.meta.namespace);
    add_meta(labels, &service.meta, "service");
}

fn target(service: &Service, port: &ServicePort) -> LabelSet {
    let (meta, spec) = (&service.meta, &service.spec);
    let host = format!("{}.{}.svc", meta.name, meta.namespace);
    let number = port.port.to_string();
    let mut target = LabelSet::default();
    target.set(ADDRESS, join_host_port(&host, port.port));
    target.set("__meta_kubernetes_service_port_name", &port.name);
    target.set("__meta_kubernetes_service_port_number", number);
    target.set("__meta_kubernetes_service_port_protocol", &port.protocol);
    target.set("__meta_kubernetes_service_type", &spec.kind);
    if spec.kind == "ExternalName" {
        let name = &spec.external_name;
        target.set("__meta_kubernetes_service_external_name", name);
    } else {
        target.set("__meta_kubernetes_service_cluster_ip", &spec.cluster_ip);
    }
    if spec.kind == "LoadBalancer" {
        let ip = load_balancer_ip(service);
        target.set("__meta_kubernetes_service_loadbalancer_ip", ip);
    }
    target
}

/// Returns the addresses that a load balancer has, or else the one that was wished for.
fn load_balancer_ip(service: &Service) -> String {
    let given = service.status.load_balancer.ingress.iter();
    let given = given.map(|ingress| ingress.ip.as_str());
    let given: Vec<&str> = given.filter(|ip| !ip.is_empty()).collect();
    if given.is_empty() {
        service.spec.load_balancer_ip.clone()
    } else {
        given.join(",")
    }
}
