//! A resource of a node's catalog, and the target that it becomes.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::discover::catalog::{
    ADDRESS, LabelSet, join_host_port, null_as_default, sanitize, surround,
};

/// What stands between tags, and between the items of a parameter.
const SEPARATOR: &str = ",";

/// The depth of parameters within parameters that is followed; `serde_json` reads up to 128, and
/// names would grow with each step.
const DEPTH_MAX: usize = 16;

/// A resource.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Resource {
    #[serde(deserialize_with = "null_as_default")]
    certname: String,
    #[serde(rename = "resource", deserialize_with = "null_as_default")]
    hash: String,
    #[serde(rename = "type", deserialize_with = "null_as_default")]
    kind: String,
    #[serde(deserialize_with = "null_as_default")]
    title: String,
    #[serde(deserialize_with = "null_as_default")]
    exported: bool,
    #[serde(deserialize_with = "null_as_default")]
    tags: Vec<String>,
    #[serde(deserialize_with = "null_as_default")]
    file: String,
    #[serde(deserialize_with = "null_as_default")]
    environment: String,
    #[serde(deserialize_with = "null_as_default")]
    parameters: Map<String, Value>,
}

/// What all resources of an answer have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) query: &'a str,
    pub(super) port: u16,
    pub(super) include_parameters: bool,
}

impl Resource {
    /// Makes the target.
    pub(super) fn target(&self, context: Context<'_>) -> LabelSet {
        let mut labels = LabelSet::default();
        labels.set(ADDRESS, join_host_port(&self.certname, context.port));
        labels.set("__meta_puppetdb_query", context.query);
        labels.set("__meta_puppetdb_certname", &self.certname);
        labels.set("__meta_puppetdb_resource", &self.hash);
        labels.set("__meta_puppetdb_type", &self.kind);
        labels.set("__meta_puppetdb_title", &self.title);
        labels.set("__meta_puppetdb_exported", self.exported.to_string());
        labels.set("__meta_puppetdb_file", &self.file);
        labels.set("__meta_puppetdb_environment", &self.environment);
        if !self.tags.is_empty() {
            let tags = surround(&self.tags, SEPARATOR);
            labels.set("__meta_puppetdb_tags", tags);
        }
        if context.include_parameters {
            let prefix = "__meta_puppetdb_parameter_";
            parameters(&self.parameters, prefix, DEPTH_MAX, &mut labels);
        }
        labels
    }
}

fn parameters(found: &Map<String, Value>, prefix: &str, depth: usize, labels: &mut LabelSet) {
    for (name, value) in found {
        let name = format!("{prefix}{}", sanitize(name));
        match value {
            Value::Object(inner) => {
                if let Some(depth) = depth.checked_sub(1) {
                    parameters(inner, &format!("{name}_"), depth, labels);
                }
            }
            Value::Array(items) => {
                // What is no single value is an empty item.
                let items: Vec<String> = items
                    .iter()
                    .map(|item| single(item).unwrap_or_default())
                    .collect();
                set(labels, name, items.join(SEPARATOR));
            }
            value => {
                if let Some(text) = single(value) {
                    set(labels, name, text);
                }
            }
        }
    }
}

/// Sets a label that is not empty; an empty one leaves what another parameter of this name has set.
fn set(labels: &mut LabelSet, name: String, value: String) {
    if !value.is_empty() {
        labels.set(name, value);
    }
}

fn single(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(is_true) => Some(is_true.to_string()),
        Value::Number(number) => number.as_f64().map(shortest),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Writes a number as Prometheus does here, in the format `g` of Go: with an exponent where it would
/// be under -4 or over 5.
fn shortest(number: f64) -> String {
    let text = format!("{number:e}");
    let Some((digits, exponent)) = text.split_once('e') else {
        return text;
    };
    match exponent.parse::<i32>() {
        Ok(-4..=5) => number.to_string(),
        Ok(exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
        }
        Err(_infinite) => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_number(number: f64, expected: &str) {
        assert_eq!(shortest(number), expected);
    }

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        check_number(0.0, "0");
        check_number(9100.0, "9100");
        check_number(123_456.0, "123456");
        check_number(1_000_000.0, "1e+06");
        check_number(123_456_789.0, "1.23456789e+08");
        check_number(-1.5, "-1.5");
        check_number(0.0001, "0.0001");
        check_number(0.000_01, "1e-05");
        check_number(1e100, "1e+100");
    }

    #[track_caller]
    fn check_parameters(found: &str, expected: &[(&str, &str)]) {
        let found: Map<String, Value> = serde_json::from_str(found).unwrap();
        let mut labels = LabelSet::default();
        parameters(&found, "p_", DEPTH_MAX, &mut labels);
        let labels = labels.into_pairs();
        let labels: Vec<(&str, &str)> = labels.iter().map(|(n, v)| (&**n, &**v)).collect();
        assert_eq!(labels, expected);
    }

    #[test]
    fn parameters_of_all_types_become_labels() {
        check_parameters(
            r#"{"ensure": "present", "default-vhost": true, "port": 443, "empty": "", "none": null,
                "options": ["Indexes", 2, false, null, ["x"], {}], "nothing": [],
                "labels": {"alias": "edinburgh", "deep": {"er": 1}}}"#,
            &[
                ("p_default_vhost", "true"),
                ("p_ensure", "present"),
                ("p_labels_alias", "edinburgh"),
                ("p_labels_deep_er", "1"),
                ("p_options", "Indexes,2,false,,,"),
                ("p_port", "443"),
            ],
        );
    }

    #[test]
    fn parameters_that_are_too_deep_are_left_out() {
        let deep = format!("{}1{}", "{\"a\":".repeat(40), "}".repeat(40));
        check_parameters(&deep, &[]);
    }

    #[test]
    fn a_resource_has_the_labels_that_prometheus_gives() {
        let resource: Resource = serde_json::from_str(
            r#"{"certname": "web.example.net", "resource": "49af", "type": "Apache::Vhost",
                "title": "site", "exported": false, "tags": ["node", "apache"],
                "file": "/etc/site.pp", "line": 7, "environment": "prod",
                "parameters": {"port": 80}}"#,
        )
        .unwrap();
        let context = Context {
            query: "resources { }",
            port: 9100,
            include_parameters: false,
        };
        let expected = [
            ("__address__", "web.example.net:9100"),
            ("__meta_puppetdb_certname", "web.example.net"),
            ("__meta_puppetdb_environment", "prod"),
            ("__meta_puppetdb_exported", "false"),
            ("__meta_puppetdb_file", "/etc/site.pp"),
            ("__meta_puppetdb_query", "resources { }"),
            ("__meta_puppetdb_resource", "49af"),
            ("__meta_puppetdb_tags", ",node,apache,"),
            ("__meta_puppetdb_title", "site"),
            ("__meta_puppetdb_type", "Apache::Vhost"),
        ];
        let labels = resource.target(context).into_pairs();
        let labels: Vec<(&str, &str)> = labels.iter().map(|(n, v)| (&**n, &**v)).collect();
        assert_eq!(labels, expected);
    }
}
