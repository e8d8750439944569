//! Objects and the groups that they become.

use std::fmt::Write as _;

use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Node};
use kube::core::PartialObjectMeta;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::super::objects::{Id, Object};
use super::super::resources::{
    EndpointSliceResource, EndpointsResource, IngressResource, NodeResource, PodResource,
    ServiceResource, Watched,
};
use super::super::store::{Origin, Store};
use super::super::{Attach, Role};
use crate::discover::Group;

/// Everything that can be attached.
const ALL: Attach = Attach {
    node: true,
    namespace: true,
    deployment: true,
    job: true,
    cronjob: true,
};

fn read<K: Watched + DeserializeOwned>(object: &Value) -> (Id, Object) {
    let object: K = serde_json::from_value(object.clone()).unwrap();
    object.keep().unwrap()
}

fn keep(role: Role, object: &Value) -> (Id, Object) {
    match object["kind"].as_str().unwrap() {
        "Node" if role == Role::Node => read::<NodeResource>(object),
        "Node" => read::<PartialObjectMeta<Node>>(object),
        "Pod" => read::<PodResource>(object),
        "Service" => read::<ServiceResource>(object),
        "Endpoints" => read::<EndpointsResource>(object),
        "EndpointSlice" => read::<EndpointSliceResource>(object),
        "Ingress" => read::<IngressResource>(object),
        "Namespace" => read::<PartialObjectMeta<Namespace>>(object),
        "ReplicaSet" => read::<PartialObjectMeta<ReplicaSet>>(object),
        "Job" => read::<PartialObjectMeta<Job>>(object),
        other => panic!("{other}"),
    }
}

/// A store whose objects are put by hand.
struct Hand {
    role: Role,
    store: Store,
}

impl Hand {
    fn new(role: Role, attach: Attach) -> Self {
        let store = Store::new(role, attach);
        Self { role, store }
    }

    fn put(&mut self, object: &Value) {
        let (id, object) = keep(self.role, object);
        let origin = Origin { watch: 0, round: 0 };
        self.store.put(id, object, origin);
    }

    fn remove(&mut self, object: &Value) {
        self.store.remove(&keep(self.role, object).0);
    }

    fn groups(&mut self) -> String {
        let groups = self.store.groups();
        groups.iter().map(|group| shown(group)).collect()
    }
}

/// A group as lines: its name, its labels, and its targets after `-`; without what all labels begin
/// with.
fn shown(group: &Group) -> String {
    let mut text = format!("{}\n", group.source);
    let mut line = |mark: &str, labels: &[(String, String)]| {
        let labels = labels.iter().map(|(name, value)| {
            let name = name.strip_prefix("__meta_kubernetes_").unwrap_or(name);
            format!(" {name}={value}")
        });
        let labels: String = labels.collect();
        writeln!(text, "{mark}{labels}").unwrap();
    };
    line("*", &group.labels);
    for target in &group.targets {
        line("-", target);
    }
    text
}

#[track_caller]
fn check(role: Role, attach: Attach, objects: &[Value], expected: &[&str]) {
    let mut hand = Hand::new(role, attach);
    for object in objects {
        hand.put(object);
    }
    let found = hand.groups();
    let found: Vec<&str> = found.lines().collect();
    assert_eq!(found, expected);
}

#[test]
fn a_node_is_its_kubelet() {
    let node = json!({
        "kind": "Node",
        "metadata": { "name": "n1", "labels": { "a.b/c": "1" }, "annotations": { "x": "" },
                      "managedFields": [{ "manager": "kubelet" }] },
        "spec": { "providerID": "cloud:///n1", "podCIDR": "10.0.0.0/24" },
        "status": {
            "conditions": [
                { "type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z" },
                { "type": "DiskPressure", "status": "Unknown" },
            ],
            "addresses": [
                { "type": "Hostname", "address": "n1.host" },
                { "type": "InternalIP", "address": "fd00::1" },
                { "type": "InternalIP", "address": "10.0.0.1" },
            ],
            "daemonEndpoints": { "kubeletEndpoint": { "Port": 10250 } },
        },
    });
    check(
        Role::Node,
        Attach::default(),
        &[node],
        &[
            "node/n1",
            "* node_annotationpresent_x=true node_condition_diskpressure=unknown \
             node_condition_ready=true node_label_a_b_c=1 node_labelpresent_a_b_c=true \
             node_name=n1 node_provider_id=cloud:///n1",
            "- __address__=[fd00::1]:10250 node_address_Hostname=n1.host \
             node_address_InternalIP=fd00::1 instance=n1",
        ],
    );
}

#[test]
fn a_node_without_an_address_changes_nothing() {
    let node = json!({ "kind": "Node", "metadata": { "name": "n1" } });
    check(Role::Node, Attach::default(), &[node], &[]);
}

fn pod() -> Value {
    json!({
        "kind": "Pod",
        "metadata": {
            "name": "web-1", "namespace": "shop", "uid": "u-1",
            "labels": { "app": "web" },
            "ownerReferences": [
                { "apiVersion": "v1", "kind": "Other", "name": "o", "uid": "1" },
                { "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5f", "uid": "2",
                  "controller": true },
            ],
        },
        "spec": {
            "nodeName": "n1",
            "containers": [
                { "name": "main", "image": "web:1", "ports": [
                    { "name": "http", "containerPort": 8080, "protocol": "TCP" },
                    { "containerPort": 9090, "protocol": "TCP" },
                ] },
                { "name": "side", "image": "side:1" },
            ],
            "initContainers": [{ "name": "init", "image": "init:1" }],
        },
        "status": {
            "phase": "Running", "podIP": "10.1.0.7", "hostIP": "10.0.0.1",
            "conditions": [{ "type": "Ready", "status": "False" }],
            "containerStatuses": [{ "name": "main", "containerID": "containerd://1" }],
            "initContainerStatuses": [{ "name": "init", "containerID": "containerd://0" }],
        },
    })
}

fn node_meta() -> Value {
    json!({ "kind": "Node", "metadata": { "name": "n1", "labels": { "zone": "z" } } })
}

fn namespace_meta() -> Value {
    json!({ "kind": "Namespace", "metadata": { "name": "shop", "annotations": { "team": "t" } } })
}

fn replica_set() -> Value {
    json!({
        "kind": "ReplicaSet",
        "metadata": { "name": "web-5f", "namespace": "shop", "ownerReferences": [
            { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "3",
              "controller": true },
        ] },
    })
}

const POD_LABELS: &str = "pod_controller_kind=ReplicaSet pod_controller_name=web-5f \
    pod_host_ip=10.0.0.1 pod_ip=10.1.0.7 pod_label_app=web pod_labelpresent_app=true \
    pod_name=web-1 pod_node_name=n1 pod_phase=Running pod_ready=false pod_uid=u-1";

#[test]
fn each_port_of_a_pod_is_a_target() {
    check(
        Role::Pod,
        Attach::default(),
        &[pod()],
        &[
            "pod/shop/web-1",
            &format!("* namespace=shop {POD_LABELS}"),
            "- __address__=10.1.0.7:8080 pod_container_id=containerd://1 \
             pod_container_image=web:1 pod_container_init=false pod_container_name=main \
             pod_container_port_name=http pod_container_port_number=8080 \
             pod_container_port_protocol=TCP",
            "- __address__=10.1.0.7:9090 pod_container_id=containerd://1 \
             pod_container_image=web:1 pod_container_init=false pod_container_name=main \
             pod_container_port_number=9090 pod_container_port_protocol=TCP",
            "- __address__=10.1.0.7 pod_container_image=side:1 pod_container_init=false \
             pod_container_name=side",
            "- __address__=10.1.0.7 pod_container_id=containerd://0 pod_container_image=init:1 \
             pod_container_init=true pod_container_name=init",
        ],
    );
}

#[test]
fn a_pod_without_an_address_has_no_targets() {
    let mut starting = pod();
    starting["status"] = json!({ "phase": "Pending" });
    let expected = ["pod/shop/web-1", "*"];
    check(Role::Pod, Attach::default(), &[starting], &expected);
}

#[test]
fn metadata_is_attached_and_followed() {
    let mut hand = Hand::new(Role::Pod, ALL);
    hand.put(&pod());
    // The node is not known: it was not selected.
    assert_eq!(hand.groups(), "pod/shop/web-1\n*\n");
    hand.put(&node_meta());
    let text = hand.groups();
    let labels = text.lines().nth(1).unwrap();
    let node = "node_label_zone=z node_labelpresent_zone=true node_name=n1";
    assert_eq!(labels, format!("* namespace=shop {node} {POD_LABELS}"));

    hand.put(&namespace_meta());
    hand.put(&replica_set());
    let text = hand.groups();
    let labels = text.lines().nth(1).unwrap();
    assert!(
        labels.contains("namespace_annotation_team=t namespace_annotationpresent_team=true"),
        "{labels}"
    );
    assert!(labels.contains("pod_deployment_name=web "), "{labels}");

    // Once more, but nothing has changed.
    hand.put(&namespace_meta());
    assert_eq!(hand.groups(), "");
    hand.remove(&replica_set());
    assert!(!hand.groups().contains("pod_deployment_name"));
    hand.remove(&node_meta());
    assert_eq!(hand.groups(), "pod/shop/web-1\n*\n");
    hand.remove(&pod());
    assert_eq!(hand.groups(), "pod/shop/web-1\n*\n");
    hand.remove(&namespace_meta());
    assert_eq!(hand.groups(), "");
}

#[test]
fn a_pod_of_a_job_names_the_job_and_its_cron_job() {
    let pod = json!({
        "kind": "Pod",
        "metadata": { "name": "b-1", "namespace": "shop", "ownerReferences": [
            { "apiVersion": "batch/v1", "kind": "Job", "name": "b", "uid": "1", "controller": true },
        ] },
        "spec": {},
        "status": { "podIP": "10.1.0.8" },
    });
    let job = json!({
        "kind": "Job",
        "metadata": { "name": "b", "namespace": "shop", "ownerReferences": [
            { "apiVersion": "batch/v1", "kind": "CronJob", "name": "nightly", "uid": "2",
              "controller": true },
        ] },
    });
    let attach = Attach {
        job: true,
        cronjob: true,
        ..Attach::default()
    };
    check(
        Role::Pod,
        attach,
        &[pod, job],
        &[
            "pod/shop/b-1",
            "* namespace=shop pod_controller_kind=Job pod_controller_name=b \
             pod_cronjob_name=nightly pod_ip=10.1.0.8 pod_job_name=b pod_name=b-1 \
             pod_ready=unknown",
        ],
    );
}

fn service(spec: &Value) -> Value {
    json!({
        "kind": "Service",
        "metadata": { "name": "web", "namespace": "shop", "labels": { "s": "1" } },
        "spec": spec,
    })
}

const SERVICE_LABELS: &str =
    "* namespace=shop service_label_s=1 service_labelpresent_s=true service_name=web";

#[test]
fn each_port_of_a_service_is_a_target() {
    let ports = json!([{ "name": "http", "port": 80, "protocol": "TCP" }]);
    let inside = service(&json!({ "type": "ClusterIP", "clusterIP": "10.2.0.1", "ports": ports }));
    check(
        Role::Service,
        ALL,
        &[inside, namespace_meta()],
        &[
            "svc/shop/web",
            "* namespace=shop namespace_annotation_team=t namespace_annotationpresent_team=true \
             service_label_s=1 service_labelpresent_s=true service_name=web",
            "- __address__=web.shop.svc:80 service_cluster_ip=10.2.0.1 service_port_name=http \
             service_port_number=80 service_port_protocol=TCP service_type=ClusterIP",
        ],
    );
    let name = json!({ "type": "ExternalName", "externalName": "far.example.net", "ports": ports });
    check(
        Role::Service,
        Attach::default(),
        &[service(&name)],
        &[
            "svc/shop/web",
            SERVICE_LABELS,
            "- __address__=web.shop.svc:80 service_external_name=far.example.net \
             service_port_name=http service_port_number=80 service_port_protocol=TCP \
             service_type=ExternalName",
        ],
    );
}

#[test]
fn a_load_balancer_names_the_addresses_that_it_has() {
    let mut wished = service(&json!({
        "type": "LoadBalancer", "clusterIP": "10.2.0.1", "loadBalancerIP": "1.2.3.4",
        "ports": [{ "port": 80, "protocol": "TCP" }],
    }));
    let target = |ip: &str| {
        format!(
            "- __address__=web.shop.svc:80 service_cluster_ip=10.2.0.1 \
             service_loadbalancer_ip={ip} service_port_number=80 service_port_protocol=TCP \
             service_type=LoadBalancer"
        )
    };
    let attach = Attach::default();
    let lines = ["svc/shop/web", SERVICE_LABELS, &target("1.2.3.4")];
    check(Role::Service, attach, &[wished.clone()], &lines);
    wished["status"] = json!({ "loadBalancer": { "ingress": [
        { "ip": "5.6.7.8" }, { "hostname": "lb.example.net" }, { "ip": "9.9.9.9" },
    ] } });
    let lines = ["svc/shop/web", SERVICE_LABELS, &target("5.6.7.8,9.9.9.9")];
    check(Role::Service, attach, &[wished], &lines);
}

#[test]
fn endpoints_are_targets_with_the_labels_of_their_pods() {
    let endpoints = json!({
        "kind": "Endpoints",
        "metadata": { "name": "web", "namespace": "shop", "labels": { "e": "1" } },
        "subsets": [{
            "addresses": [{
                "ip": "10.1.0.7", "nodeName": "n1", "hostname": "web-1",
                "targetRef": { "kind": "Pod", "namespace": "shop", "name": "web-1" },
            }],
            "notReadyAddresses": [
                { "ip": "10.9.0.1", "targetRef": { "kind": "Node", "name": "n1" } },
            ],
            "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }],
        }],
    });
    let attach = Attach {
        node: true,
        ..Attach::default()
    };
    let service = service(&json!({}));
    check(
        Role::Endpoints,
        attach,
        &[endpoints, service, pod(), node_meta()],
        &[
            "endpoints/shop/web",
            "* endpoints_label_e=1 endpoints_labelpresent_e=true endpoints_name=web \
             namespace=shop service_label_s=1 service_labelpresent_s=true service_name=web",
            &format!(
                "- __address__=10.1.0.7:8080 endpoint_address_target_kind=Pod \
                 endpoint_address_target_name=web-1 endpoint_hostname=web-1 \
                 endpoint_node_name=n1 endpoint_port_name=http endpoint_port_protocol=TCP \
                 endpoint_ready=true node_label_zone=z node_labelpresent_zone=true node_name=n1 \
                 pod_container_image=web:1 pod_container_init=false pod_container_name=main \
                 pod_container_port_name=http pod_container_port_number=8080 \
                 pod_container_port_protocol=TCP {POD_LABELS}"
            ),
            "- __address__=10.9.0.1:8080 endpoint_address_target_kind=Node \
             endpoint_address_target_name=n1 endpoint_port_name=http \
             endpoint_port_protocol=TCP endpoint_ready=false node_label_zone=z \
             node_labelpresent_zone=true node_name=n1",
            // A port of the pod that the service does not have.
            &format!(
                "- __address__=10.1.0.7:9090 pod_container_image=web:1 pod_container_init=false \
                 pod_container_name=main pod_container_port_number=9090 \
                 pod_container_port_protocol=TCP {POD_LABELS}"
            ),
        ],
    );
}

fn slice() -> Value {
    json!({
        "kind": "EndpointSlice",
        "metadata": { "name": "web-x", "namespace": "shop",
                      "labels": { "kubernetes.io/service-name": "web" } },
        "addressType": "IPv4",
        "endpoints": [
            {
                "addresses": ["10.1.0.7"],
                "conditions": { "ready": true, "serving": true, "terminating": false },
                "hostname": "h", "nodeName": "n1", "zone": "z",
                "deprecatedTopology": { "topology/x": "y" },
                "targetRef": { "kind": "Pod", "namespace": "shop", "name": "web-1" },
            },
            { "addresses": ["10.1.0.9"], "conditions": {} },
        ],
        "ports": [{ "name": "http", "port": 8080, "protocol": "TCP", "appProtocol": "http" }],
    })
}

const SLICE_LABELS: &str = "endpointslice_address_type=IPv4 \
    endpointslice_label_kubernetes_io_service_name=web \
    endpointslice_labelpresent_kubernetes_io_service_name=true endpointslice_name=web-x \
    namespace=shop";

#[test]
fn endpoint_slices_are_targets_with_the_labels_of_their_pods() {
    let service = service(&json!({}));
    check(
        Role::EndpointSlice,
        Attach::default(),
        &[slice(), service, pod()],
        &[
            "endpointslice/shop/web-x",
            &format!(
                "* {SLICE_LABELS} service_label_s=1 service_labelpresent_s=true service_name=web"
            ),
            &format!(
                "- __address__=10.1.0.7:8080 endpointslice_address_target_kind=Pod \
                 endpointslice_address_target_name=web-1 \
                 endpointslice_endpoint_conditions_ready=true \
                 endpointslice_endpoint_conditions_serving=true \
                 endpointslice_endpoint_conditions_terminating=false \
                 endpointslice_endpoint_hostname=h endpointslice_endpoint_node_name=n1 \
                 endpointslice_endpoint_topology_present_topology_x=true \
                 endpointslice_endpoint_topology_topology_x=y endpointslice_endpoint_zone=z \
                 endpointslice_port=8080 endpointslice_port_app_protocol=http \
                 endpointslice_port_name=http endpointslice_port_protocol=TCP \
                 pod_container_image=web:1 pod_container_init=false pod_container_name=main \
                 pod_container_port_name=http pod_container_port_number=8080 \
                 pod_container_port_protocol=TCP {POD_LABELS}"
            ),
            "- __address__=10.1.0.9:8080 endpointslice_port=8080 \
             endpointslice_port_app_protocol=http endpointslice_port_name=http \
             endpointslice_port_protocol=TCP",
            &format!(
                "- __address__=10.1.0.7:9090 pod_container_image=web:1 pod_container_init=false \
                 pod_container_name=main pod_container_port_number=9090 \
                 pod_container_port_protocol=TCP {POD_LABELS}"
            ),
        ],
    );
}

#[test]
fn the_slice_of_a_second_family_has_no_targets() {
    let dual = service(&json!({
        "ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv6", "IPv4"],
    }));
    let mut hand = Hand::new(Role::EndpointSlice, Attach::default());
    hand.put(&slice());
    hand.put(&dual);
    assert_eq!(hand.groups().lines().count(), 2);
    let single = service(&json!({ "ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv6"] }));
    hand.put(&single);
    assert_eq!(hand.groups().lines().count(), 4);
}

#[test]
fn each_path_of_an_ingress_is_a_target() {
    let ingress = json!({
        "kind": "Ingress",
        "metadata": { "name": "front", "namespace": "shop" },
        "spec": {
            "ingressClassName": "nginx",
            "tls": [{ "hosts": ["*.example.net"] }, {}],
            "rules": [
                { "host": "a.example.net", "http": { "paths": [{ "path": "/x" }, {}] } },
                { "host": "a.example.org" },
                { "host": "none.example.org", "http": { "paths": [] } },
            ],
        },
    });
    check(
        Role::Ingress,
        Attach::default(),
        &[ingress],
        &[
            "ingress/shop/front",
            "* ingress_class_name=nginx ingress_name=front namespace=shop",
            "- __address__=a.example.net ingress_host=a.example.net ingress_path=/x \
             ingress_scheme=https",
            "- __address__=a.example.net ingress_host=a.example.net ingress_path=/ \
             ingress_scheme=https",
            "- __address__=a.example.org ingress_host=a.example.org ingress_path=/ \
             ingress_scheme=http",
        ],
    );
}

#[test]
fn what_a_later_list_does_not_name_is_gone() {
    let mut hand = Hand::new(Role::Pod, Attach::default());
    hand.put(&pod());
    let mut other = pod();
    other["metadata"]["name"] = json!("web-2");
    let (id, object) = keep(Role::Pod, &other);
    hand.store.put(id, object, Origin { watch: 1, round: 0 });
    assert_eq!(hand.store.groups().len(), 2);
    // The first watch lists anew, without the pod; the other watch is not concerned.
    hand.store.remove_older(Origin { watch: 0, round: 1 });
    assert_eq!(hand.groups(), "pod/shop/web-1\n*\n");
}
