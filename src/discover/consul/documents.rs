//! Consul's documents, and the group that is made of one.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::Group;
use super::super::catalog::{
    ADDRESS, LabelSet, join_host_port, null_as_default, sanitize, surround,
};

/// The names of all services, each with the tags that its instances have.
pub(super) type Services = BTreeMap<String, Option<Vec<String>>>;

/// What the agent says of itself.
#[derive(Debug, Deserialize)]
pub(super) struct Agent {
    #[serde(rename = "Config")]
    pub(super) config: AgentConfig,
}

/// The part of it that we ask for.
#[derive(Debug, Deserialize)]
pub(super) struct AgentConfig {
    #[serde(rename = "Datacenter")]
    pub(super) datacenter: String,
}

/// An instance of a service.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Instance {
    node: Node,
    service: Service,
    #[serde(default, deserialize_with = "null_as_default")]
    checks: Vec<Check>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Node {
    #[serde(rename = "Node")]
    name: String,
    address: String,
    #[serde(deserialize_with = "null_as_default")]
    meta: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_as_default")]
    tagged_addresses: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Service {
    #[serde(rename = "ID")]
    id: String,
    address: String,
    port: i64,
    namespace: String,
    partition: String,
    #[serde(deserialize_with = "null_as_default")]
    tags: Vec<String>,
    #[serde(deserialize_with = "null_as_default")]
    meta: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Check {
    #[serde(rename = "CheckID")]
    id: String,
    status: String,
}

/// What all instances of a service have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) service: &'a str,
    pub(super) datacenter: &'a str,
    pub(super) tag_separator: &'a str,
}

/// Makes the group of a service.
pub(super) fn group(instances: &[Instance], context: Context<'_>) -> Group {
    let mut labels = LabelSet::default();
    labels.set("__meta_consul_service", context.service);
    labels.set("__meta_consul_dc", context.datacenter);
    let target = |instance: &Instance| target(instance, context.tag_separator).into_pairs();
    Group {
        source: context.service.into(),
        labels: labels.into_pairs(),
        targets: instances.iter().map(target).collect(),
    }
}

fn target(instance: &Instance, tag_separator: &str) -> LabelSet {
    let Instance {
        node,
        service,
        checks,
    } = instance;
    // An instance may be registered through another node than the one that it runs on.
    let host = if service.address.is_empty() {
        &node.address
    } else {
        &service.address
    };
    let mut labels = LabelSet::default();
    labels.set(ADDRESS, join_host_port(host, service.port));
    labels.set("__meta_consul_address", &node.address);
    labels.set("__meta_consul_node", &node.name);
    labels.set("__meta_consul_namespace", &service.namespace);
    labels.set("__meta_consul_partition", &service.partition);
    let tags = surround(&service.tags, tag_separator);
    labels.set("__meta_consul_tags", tags);
    labels.set("__meta_consul_service_address", &service.address);
    labels.set("__meta_consul_service_port", service.port.to_string());
    labels.set("__meta_consul_service_id", &service.id);
    labels.set("__meta_consul_health", health(checks));
    let families = [
        ("__meta_consul_metadata_", &node.meta),
        ("__meta_consul_service_metadata_", &service.meta),
        ("__meta_consul_tagged_address_", &node.tagged_addresses),
    ];
    for (prefix, pairs) in families {
        for (key, value) in pairs {
            labels.set(format!("{prefix}{}", sanitize(key)), value);
        }
    }
    labels
}

/// The worst of some checks, as Consul's own client puts them together.
fn health(checks: &[Check]) -> &'static str {
    let mut worst = 0;
    for check in checks {
        let rank =
            if check.id == "_node_maintenance" || check.id.starts_with("_service_maintenance:") {
                3
            } else {
                match check.status.as_str() {
                    "passing" => 0,
                    "warning" => 1,
                    "critical" => 2,
                    _ => return "",
                }
            };
        worst = worst.max(rank);
    }
    match worst {
        0 => "passing",
        1 => "warning",
        2 => "critical",
        _ => "maintenance",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_health(checks: &[(&str, &str)], expected: &str) {
        let check = |(id, status): &(&str, &str)| Check {
            id: (*id).to_owned(),
            status: (*status).to_owned(),
        };
        let checks: Vec<Check> = checks.iter().map(check).collect();
        assert_eq!(health(&checks), expected);
    }

    #[test]
    fn the_worst_check_decides() {
        check_health(&[], "passing");
        check_health(&[("a", "passing"), ("b", "warning")], "warning");
        check_health(&[("a", "critical"), ("b", "warning")], "critical");
        check_health(
            &[("_node_maintenance", "critical"), ("b", "critical")],
            "maintenance",
        );
        check_health(&[("_service_maintenance:web", "")], "maintenance");
        check_health(&[("a", "critical"), ("b", "any")], "");
    }

    #[track_caller]
    fn check_target(instance: &str, expected: &[(&str, &str)]) {
        let instance: Instance = serde_json::from_str(instance).unwrap();
        let found = target(&instance, ",").into_pairs();
        let found: Vec<(&str, &str)> = found.iter().map(|(n, v)| (&**n, &**v)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn an_instance_has_the_labels_that_prometheus_gives() {
        check_target(
            r#"{
              "Node": {"ID": "1", "Node": "n1", "Address": "10.0.0.1", "Datacenter": "dc1",
                       "TaggedAddresses": {"lan": "10.0.0.1", "wan-ipv4": "1.2.3.4"},
                       "Meta": {"rack.row": "r7"}},
              "Service": {"ID": "web-1", "Service": "web", "Tags": ["a", "b"],
                          "Meta": {"version": "3"}, "Address": "10.9.9.9", "Port": 9100,
                          "Namespace": "ns", "Partition": "part"},
              "Checks": [{"Node": "n1", "CheckID": "serfHealth", "Status": "passing"}]
            }"#,
            &[
                ("__address__", "10.9.9.9:9100"),
                ("__meta_consul_address", "10.0.0.1"),
                ("__meta_consul_health", "passing"),
                ("__meta_consul_metadata_rack_row", "r7"),
                ("__meta_consul_namespace", "ns"),
                ("__meta_consul_node", "n1"),
                ("__meta_consul_partition", "part"),
                ("__meta_consul_service_address", "10.9.9.9"),
                ("__meta_consul_service_id", "web-1"),
                ("__meta_consul_service_metadata_version", "3"),
                ("__meta_consul_service_port", "9100"),
                ("__meta_consul_tagged_address_lan", "10.0.0.1"),
                ("__meta_consul_tagged_address_wan_ipv4", "1.2.3.4"),
                ("__meta_consul_tags", ",a,b,"),
            ],
        );
    }

    #[test]
    fn what_is_null_or_missing_is_empty() {
        check_target(
            r#"{"Node": {"Node": "n", "Address": "::1", "Meta": null, "TaggedAddresses": null},
                "Service": {"ID": "x", "Tags": null, "Meta": null, "Port": 0, "Address": ""},
                "Checks": null}"#,
            &[
                ("__address__", "[::1]:0"),
                ("__meta_consul_address", "::1"),
                ("__meta_consul_health", "passing"),
                ("__meta_consul_node", "n"),
                ("__meta_consul_service_id", "x"),
                ("__meta_consul_service_port", "0"),
                // No tags between two separators.
                ("__meta_consul_tags", ",,"),
            ],
        );
    }
}
