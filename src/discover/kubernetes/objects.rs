//! Objects of the API, as far as labels are made of them: what is watched and what is kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use kube::core::ObjectMeta;
use serde::Deserialize;

use crate::discover::catalog::null_as_default;

/// What sort of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    Node,
    Pod,
    Service,
    Endpoints,
    EndpointSlice,
    Ingress,
    Namespace,
    ReplicaSet,
    Job,
}

/// Names an object: its kind, and `namespace/name` or `name`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Id {
    pub(super) kind: Kind,
    pub(super) key: Arc<str>,
}

impl Id {
    pub(super) fn new(kind: Kind, key: impl Into<Arc<str>>) -> Self {
        Self {
            kind,
            key: key.into(),
        }
    }

    /// Names an object in a namespace.
    pub(super) fn within(kind: Kind, namespace: &str, name: &str) -> Self {
        Self::new(kind, format!("{namespace}/{name}"))
    }
}

/// What is kept of an object.
#[derive(Debug, PartialEq)]
pub(super) enum Object {
    Node(Box<Node>),
    Pod(Box<Pod>),
    Service(Box<Service>),
    Endpoints(Box<Endpoints>),
    EndpointSlice(Box<EndpointSlice>),
    Ingress(Box<Ingress>),
    /// A node or namespace whose labels and annotations are attached.
    Meta(Box<Meta>),
    /// A replica set or job that leads on to its own controller.
    Owned(Option<Box<Controller>>),
}

/// What is kept of an object's metadata.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Meta {
    pub(super) namespace: Box<str>,
    pub(super) name: Box<str>,
    pub(super) labels: Pairs,
    pub(super) annotations: Pairs,
}

/// Labels or annotations, sorted by name.
pub(super) type Pairs = Box<[(Box<str>, Box<str>)]>;

/// Who made an object and looks after it.
#[derive(Debug, PartialEq)]
pub(super) struct Controller {
    pub(super) kind: Box<str>,
    pub(super) name: Box<str>,
}

impl Meta {
    pub(super) fn new(meta: ObjectMeta) -> Self {
        let pairs = |map: Option<BTreeMap<String, String>>| {
            let pairs = map.unwrap_or_default().into_iter();
            pairs
                .map(|(name, value)| (name.into(), value.into()))
                .collect()
        };
        Self {
            namespace: meta.namespace.unwrap_or_default().into(),
            name: meta.name.unwrap_or_default().into(),
            labels: pairs(meta.labels),
            annotations: pairs(meta.annotations),
        }
    }

    pub(super) fn label(&self, name: &str) -> Option<&str> {
        let found = self.labels.iter().find(|(known, _)| **known == *name);
        found.map(|(_, value)| &**value)
    }
}

impl Controller {
    /// Finds the owner that looks after an object.
    pub(super) fn of(meta: &ObjectMeta) -> Option<Self> {
        let mut owners = meta.owner_references.iter().flatten();
        let owner = owners.find(|owner| owner.controller == Some(true))?;
        Some(Self {
            kind: owner.kind.as_str().into(),
            name: owner.name.as_str().into(),
        })
    }
}

#[derive(Debug, PartialEq)]
pub(super) struct Node {
    pub(super) meta: Meta,
    pub(super) spec: NodeSpec,
    pub(super) status: NodeStatus,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct NodeSpec {
    #[serde(rename = "providerID")]
    pub(super) provider_id: String,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct NodeStatus {
    #[serde(deserialize_with = "null_as_default")]
    pub(super) conditions: Vec<Condition>,
    #[serde(deserialize_with = "null_as_default")]
    pub(super) addresses: Vec<NodeAddress>,
    #[serde(deserialize_with = "null_as_default")]
    pub(super) daemon_endpoints: DaemonEndpoints,
}

/// A condition without its times: they change with each heartbeat, and no label tells them.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Condition {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) status: String,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct NodeAddress {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) address: String,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct DaemonEndpoints {
    #[serde(deserialize_with = "null_as_default")]
    pub(super) kubelet_endpoint: DaemonEndpoint,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct DaemonEndpoint {
    #[serde(rename = "Port")]
    pub(super) port: i32,
}

#[derive(Debug, PartialEq)]
pub(super) struct Pod {
    pub(super) meta: Meta,
    pub(super) uid: Box<str>,
    pub(super) controller: Option<Controller>,
    pub(super) spec: PodSpec,
    pub(super) status: PodStatus,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PodSpec {
    pub(super) node_name: String,
    #[serde(deserialize_with = "null_as_default")]
    pub(super) containers: Vec<Container>,
    #[serde(deserialize_with = "null_as_default")]
    pub(super) init_containers: Vec<Container>,
}

impl PodSpec {
    /// Returns all containers, each with whether it is an init container.
    pub(super) fn all_containers(&self) -> impl Iterator<Item = (&Container, bool)> {
        let containers = self.containers.iter().map(|container| (container, false));
        let init = self
            .init_containers
            .iter()
            .map(|container| (container, true));
        containers.chain(init)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: String,
    #[serde(deserialize_with = "null_as_default")]
    pub(super) ports: Vec<ContainerPort>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct ContainerPort {
    pub(super) name: String,
    #[serde(rename = "containerPort")]
    pub(super) number: i32,
    pub(super) protocol: String,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PodStatus {
    pub(super) phase: String,
    #[serde(rename = "podIP")]
    pub(super) pod_ip: String,
    #[serde(rename = "hostIP")]
    pub(super) host_ip: String,
    #[serde(deserialize_with = "null_as_default")]
    pub(super) conditions: Vec<Condition>,
    #[serde(deserialize_with = "null_as_default")]
    pub(super) container_statuses: Vec<ContainerStatus>,
    #[serde(deserialize_with = "null_as_default")]
    pub(super) init_container_statuses: Vec<ContainerStatus>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct ContainerStatus {
    pub(super) name: String,
    #[serde(rename = "containerID")]
    pub(super) container_id: String,
}

#[derive(Debug, PartialEq)]
pub(super) struct Service {
    pub(super) meta: Meta,
    pub(super) spec: ServiceSpec,
    pub(super) status: ServiceStatus,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ServiceSpec {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(rename = "clusterIP")]
    pub(super) cluster_ip: String,
    pub(super) external_name: String,
    #[serde(rename = "loadBalancerIP")]
    pub(super) load_balancer_ip: String,
    pub(super) ip_family_policy: Option<String>,
    #[serde(deserialize_with = "null_as_default")]
    pub(super) ip_families: Vec<String>,
    #[serde(deserialize_with = "null_as_default")]
    pub(super) ports: Vec<ServicePort>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct ServicePort {
    pub(super) name: String,
    pub(super) port: i32,
    pub(super) protocol: String,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ServiceStatus {
    #[serde(deserialize_with = "null_as_default")]
    pub(super) load_balancer: LoadBalancer,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct LoadBalancer {
    #[serde(deserialize_with = "null_as_default")]
    pub(super) ingress: Vec<LoadBalancerIngress>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct LoadBalancerIngress {
    pub(super) ip: String,
}

#[derive(Debug, PartialEq)]
pub(super) struct Endpoints {
    pub(super) meta: Meta,
    pub(super) subsets: Vec<Subset>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Subset {
    #[serde(deserialize_with = "null_as_default")]
    pub(super) addresses: Vec<EndpointAddress>,
    #[serde(deserialize_with = "null_as_default")]
    pub(super) not_ready_addresses: Vec<EndpointAddress>,
    #[serde(deserialize_with = "null_as_default")]
    pub(super) ports: Vec<ServicePort>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct EndpointAddress {
    pub(super) ip: String,
    pub(super) hostname: String,
    pub(super) node_name: Option<String>,
    pub(super) target_ref: Option<Reference>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Reference {
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

#[derive(Debug, PartialEq)]
pub(super) struct EndpointSlice {
    pub(super) meta: Meta,
    pub(super) address_type: Box<str>,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) ports: Vec<EndpointPort>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Endpoint {
    #[serde(deserialize_with = "null_as_default")]
    pub(super) addresses: Vec<String>,
    #[serde(deserialize_with = "null_as_default")]
    pub(super) conditions: EndpointConditions,
    pub(super) hostname: Option<String>,
    pub(super) node_name: Option<String>,
    pub(super) target_ref: Option<Reference>,
    pub(super) zone: Option<String>,
    #[serde(deserialize_with = "null_as_default")]
    pub(super) deprecated_topology: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct EndpointConditions {
    pub(super) ready: Option<bool>,
    pub(super) serving: Option<bool>,
    pub(super) terminating: Option<bool>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct EndpointPort {
    pub(super) name: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) port: Option<i32>,
    pub(super) app_protocol: Option<String>,
}

#[derive(Debug, PartialEq)]
pub(super) struct Ingress {
    pub(super) meta: Meta,
    pub(super) spec: IngressSpec,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct IngressSpec {
    pub(super) ingress_class_name: Option<String>,
    #[serde(deserialize_with = "null_as_default")]
    pub(super) tls: Vec<IngressTls>,
    #[serde(deserialize_with = "null_as_default")]
    pub(super) rules: Vec<IngressRule>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct IngressTls {
    #[serde(deserialize_with = "null_as_default")]
    pub(super) hosts: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct IngressRule {
    pub(super) host: String,
    pub(super) http: Option<IngressHttp>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct IngressHttp {
    #[serde(deserialize_with = "null_as_default")]
    pub(super) paths: Vec<IngressPath>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct IngressPath {
    pub(super) path: String,
}
