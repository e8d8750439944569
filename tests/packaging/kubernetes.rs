//! The Kubernetes manifests: every field is one that the API server knows, and the configurations in
//! them are good.

use granit_parser::{Event, Parser, ScalarStyle};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, PodSpec, Secret, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use prometheus_streams::config::{self, Role};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::read;

const FILES: [&str; 3] = ["namespace.yaml", "poller.yaml", "receiver.yaml"];

/// Reads all documents of a file, with the types that YAML 1.1 gives them, as Kubernetes does.
fn documents(text: &str) -> Vec<Value> {
    let mut documents = Vec::new();
    // Values that are not yet complete; a mapping's come with the key that waits for a value.
    let mut open: Vec<(Value, Option<String>)> = Vec::new();
    for event in Parser::new_from_str(text) {
        let complete = match event.unwrap().0 {
            Event::Scalar(text, style, ..) => scalar(&text, style),
            Event::SequenceStart(..) => {
                open.push((Value::Array(Vec::new()), None));
                continue;
            }
            Event::MappingStart(..) => {
                open.push((Value::Object(Map::new()), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => open.pop().unwrap().0,
            Event::Alias(..) => panic!("an alias"),
            _ => continue,
        };
        match open.last_mut() {
            None => documents.push(complete),
            Some((Value::Array(items), _)) => items.push(complete),
            Some((Value::Object(fields), key)) => match key.take() {
                None => *key = Some(complete.as_str().unwrap().to_owned()),
                Some(key) => assert!(fields.insert(key, complete).is_none(), "a key twice"),
            },
            Some(_) => panic!("a scalar holds nothing"),
        }
    }
    documents
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return text.into();
    }
    let is_octal = text.len() > 1 && text.starts_with('0');
    match (
        text,
        i64::from_str_radix(text, if is_octal { 8 } else { 10 }),
    ) {
        ("true", _) => true.into(),
        ("false", _) => false.into(),
        ("null" | "~" | "", _) => Value::Null,
        (_, Ok(number)) => number.into(),
        (_, Err(_)) => text.into(),
    }
}

/// Reads a document as its kind and writes it again: what is lost was no field of that kind.
fn round_trip<T: DeserializeOwned + Serialize>(document: &Value) -> Value {
    let typed = serde_json::from_value::<T>(document.clone());
    let typed = typed.unwrap_or_else(|error| panic!("{error} in {document}"));
    serde_json::to_value(typed).unwrap()
}

fn known(document: &Value) -> Value {
    match document["kind"].as_str().unwrap() {
        "ClusterRole" => round_trip::<ClusterRole>(document),
        "ClusterRoleBinding" => round_trip::<ClusterRoleBinding>(document),
        "ConfigMap" => round_trip::<ConfigMap>(document),
        "Deployment" => round_trip::<Deployment>(document),
        "Namespace" => round_trip::<Namespace>(document),
        "PodDisruptionBudget" => round_trip::<PodDisruptionBudget>(document),
        "Secret" => round_trip::<Secret>(document),
        "Service" => round_trip::<Service>(document),
        "ServiceAccount" => round_trip::<ServiceAccount>(document),
        "StatefulSet" => round_trip::<StatefulSet>(document),
        other => panic!("no type for {other}"),
    }
}

/// Everything that we wrote is there again; some empty defaults may have come.
#[track_caller]
fn check_kept(written: &Value, known: &Value, place: &str) {
    match (written, known) {
        (Value::Object(fields), Value::Object(others)) => {
            for (key, value) in fields {
                let place = format!("{place}.{key}");
                let other = others.get(key);
                check_kept(
                    value,
                    other.unwrap_or_else(|| panic!("no field {place}")),
                    &place,
                );
            }
        }
        (Value::Array(items), Value::Array(others)) => {
            assert_eq!(items.len(), others.len(), "{place}");
            for (item, other) in items.iter().zip(others) {
                check_kept(item, other, place);
            }
        }
        _ => assert_eq!(written, known, "{place}"),
    }
}

fn all() -> Vec<Value> {
    let texts = FILES.map(|file| read(&format!("packaging/kubernetes/{file}")));
    texts.iter().flat_map(|text| documents(text)).collect()
}

/// The specification of a document's pods, if it makes some.
fn pods(document: &Value) -> Option<PodSpec> {
    let spec = document.pointer("/spec/template/spec")?;
    Some(serde_json::from_value(spec.clone()).unwrap())
}

#[test]
fn every_field_of_the_manifests_is_one_of_its_kind() {
    let documents = all();
    assert_eq!(documents.len(), 14);
    for document in documents {
        let place = format!("{}/{}", document["kind"], document["metadata"]["name"]);
        check_kept(&document, &known(&document), &place);
    }
}

#[test]
#[should_panic(expected = "no field Namespace.metadata.label")]
fn a_field_that_is_misspelled_is_found() {
    let text = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: n\n  label: {a: b}\n";
    let document = documents(text).remove(0);
    check_kept(&document, &known(&document), "Namespace");
}

#[test]
fn the_configurations_in_the_manifests_are_good() {
    let maps = all()
        .into_iter()
        .filter(|document| document["kind"] == "ConfigMap");
    let mut found = 0;
    for map in maps {
        let text = map["data"]["prometheus-streams.yaml"].as_str().unwrap();
        let loaded = config::check(text, "/etc/prometheus-streams/prometheus-streams.yaml");
        let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}"));
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        let name = map["metadata"]["name"].as_str().unwrap();
        let role = if name.ends_with("poller") {
            Role::Poller
        } else {
            Role::Receiver
        };
        loaded.config.require(role).unwrap();
        let port = loaded.config.admin.unwrap().port;
        let ports = all().into_iter().filter_map(|document| {
            let is_ours = document["metadata"]["name"] == name;
            pods(&document).filter(|_| is_ours)
        });
        for pod in ports {
            let listens = pod.containers[0].ports.as_ref().unwrap()[0].container_port;
            assert_eq!(listens, i32::from(port), "{name}");
        }
        found += 1;
    }
    assert_eq!(found, 2);
}

#[test]
fn every_pod_keeps_to_the_restricted_standard() {
    let pods = all().iter().filter_map(pods).collect::<Vec<_>>();
    assert_eq!(pods.len(), 2);
    for pod in pods {
        let context = pod.security_context.unwrap();
        assert_eq!(context.run_as_non_root, Some(true));
        assert_eq!(context.seccomp_profile.unwrap().type_, "RuntimeDefault");
        for container in pod.containers {
            let context = container.security_context.unwrap();
            assert_eq!(context.allow_privilege_escalation, Some(false));
            assert_eq!(context.read_only_root_filesystem, Some(true));
            assert_eq!(context.privileged, None);
            assert_eq!(context.capabilities.unwrap().drop.unwrap(), ["ALL"]);
            assert!(container.liveness_probe.is_some() && container.readiness_probe.is_some());
            let image = container.image.unwrap();
            assert!(
                image.ends_with(concat!(":", env!("CARGO_PKG_VERSION"))),
                "{image}"
            );
        }
    }
}
