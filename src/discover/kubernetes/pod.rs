//! The group of a pod, and what other roles take from pods.

use std::sync::Arc;

use super::labels::{NAMESPACE, add_meta, add_namespace, add_node};
use super::objects::{Container, ContainerPort, ContainerStatus, Kind, Pod};
use super::store::Look;
use crate::discover::Group;
use crate::discover::catalog::{ADDRESS, LabelSet, join_host_port};

/// Makes the group.
pub(super) fn group(pod: &Pod, source: Arc<str>, look: &mut Look<'_>) -> Group {
    let none = Group {
        source: Arc::clone(&source),
        ..Group::default()
    };
    // A pod has no address while it starts and after it was evicted.
    if pod.status.pod_ip.is_empty() {
        return none;
    }
    // Nodes that are not known were not selected.
    let node = &pod.spec.node_name;
    if look.attach.node && look.meta(Kind::Node, node).is_none() {
        return none;
    }
    let mut labels = LabelSet::default();
    add_pod(&mut labels, pod, look);
    labels.set(NAMESPACE, &*pod.meta.namespace);
    add_node(&mut labels, node, look);
    add_namespace(&mut labels, &pod.meta.namespace, look);

    let mut targets = Vec::new();
    for (container, is_init) in pod.spec.all_containers() {
        let statuses = if is_init {
            &pod.status.init_container_statuses
        } else {
            &pod.status.container_statuses
        };
        let id = container_id(statuses, &container.name);
        // A container without ports is one target all the same; its port comes by relabelling.
        let ports = container.ports.iter().map(Some);
        let none = container.ports.is_empty().then_some(None);
        for port in ports.chain(none) {
            let mut target = if let Some(port) = port {
                port_target(&pod.status.pod_ip, container, port, is_init)
            } else {
                let mut target = LabelSet::default();
                target.set(ADDRESS, &pod.status.pod_ip);
                add_container(&mut target, container, is_init);
                target
            };
            target.set("__meta_kubernetes_pod_container_id", id);
            targets.push(target.into_pairs());
        }
    }
    Group {
        source,
        labels: labels.into_pairs(),
        targets,
    }
}

/// Adds the labels of a pod itself.
pub(super) fn add_pod(labels: &mut LabelSet, pod: &Pod, look: &mut Look<'_>) {
    labels.set("__meta_kubernetes_pod_ip", &pod.status.pod_ip);
    labels.set("__meta_kubernetes_pod_ready", readiness(pod));
    labels.set("__meta_kubernetes_pod_phase", &pod.status.phase);
    labels.set("__meta_kubernetes_pod_node_name", &pod.spec.node_name);
    labels.set("__meta_kubernetes_pod_host_ip", &pod.status.host_ip);
    labels.set("__meta_kubernetes_pod_uid", &*pod.uid);
    add_meta(labels, &pod.meta, "pod");
    add_controller(labels, pod, look);
}

fn add_controller(labels: &mut LabelSet, pod: &Pod, look: &mut Look<'_>) {
    let Some(controller) = &pod.controller else {
        return;
    };
    let (kind, name) = (&*controller.kind, &*controller.name);
    let namespace = &*pod.meta.namespace;
    labels.set("__meta_kubernetes_pod_controller_kind", kind);
    labels.set("__meta_kubernetes_pod_controller_name", name);
    if kind == "ReplicaSet"
        && look.attach.deployment
        && let Some(above) = look.controller(Kind::ReplicaSet, namespace, name)
        && &*above.kind == "Deployment"
    {
        labels.set("__meta_kubernetes_pod_deployment_name", &*above.name);
    }
    if kind == "Job" && look.attach.job {
        labels.set("__meta_kubernetes_pod_job_name", name);
    }
    if kind == "Job"
        && look.attach.cronjob
        && let Some(above) = look.controller(Kind::Job, namespace, name)
        && &*above.kind == "CronJob"
    {
        labels.set("__meta_kubernetes_pod_cronjob_name", &*above.name);
    }
}

/// Makes the target of a container's port.
fn port_target(ip: &str, container: &Container, port: &ContainerPort, is_init: bool) -> LabelSet {
    let mut target = LabelSet::default();
    target.set(ADDRESS, join_host_port(ip, port.number));
    add_container(&mut target, container, is_init);
    add_port(&mut target, port, &port.protocol);
    target
}

fn add_container(target: &mut LabelSet, container: &Container, is_init: bool) {
    target.set("__meta_kubernetes_pod_container_name", &container.name);
    target.set("__meta_kubernetes_pod_container_image", &container.image);
    target.set("__meta_kubernetes_pod_container_init", is_init.to_string());
}

fn add_port(target: &mut LabelSet, port: &ContainerPort, protocol: &str) {
    let number = port.number.to_string();
    target.set("__meta_kubernetes_pod_container_port_name", &port.name);
    target.set("__meta_kubernetes_pod_container_port_number", number);
    target.set("__meta_kubernetes_pod_container_port_protocol", protocol);
}

/// Adds the labels of each container that has a port of this number; the last one wins.
///
/// `protocol` stands in place of the container's own, if given.
pub(super) fn add_matching_containers(
    target: &mut LabelSet,
    pod: &Pod,
    number: i32,
    protocol: Option<&str>,
) {
    for (container, is_init) in pod.spec.all_containers() {
        let mut ports = container.ports.iter();
        if let Some(port) = ports.find(|port| port.number == number) {
            add_container(target, container, is_init);
            add_port(target, port, protocol.unwrap_or(&port.protocol));
        }
    }
}

/// Adds a target for each port of a pod that is not among those that were seen.
pub(super) fn add_other_ports(
    targets: &mut Vec<Vec<(String, String)>>,
    pod: &Pod,
    seen: &[i32],
    look: &mut Look<'_>,
) {
    if pod.status.pod_ip.is_empty() {
        return;
    }
    for (container, is_init) in pod.spec.all_containers() {
        for port in &container.ports {
            if !seen.contains(&port.number) {
                let mut target = port_target(&pod.status.pod_ip, container, port, is_init);
                add_pod(&mut target, pod, look);
                targets.push(target.into_pairs());
            }
        }
    }
}

fn readiness(pod: &Pod) -> String {
    let mut conditions = pod.status.conditions.iter();
    let ready = conditions.find(|condition| condition.kind == "Ready");
    ready.map_or_else(|| "unknown".to_owned(), |ready| ready.status.to_lowercase())
}

fn container_id<'a>(statuses: &'a [ContainerStatus], name: &str) -> &'a str {
    let status = statuses.iter().find(|status| status.name == name);
    status.map_or("", |status| &status.container_id)
}
