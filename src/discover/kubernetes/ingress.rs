//! The group of an ingress: one target for each path of each host.

use std::sync::Arc;

use super::labels::{NAMESPACE, add_meta, add_namespace};
use super::objects::{Ingress, IngressRule, IngressTls};
use super::store::Look;
use crate::discover::Group;
use crate::discover::catalog::{ADDRESS, LabelSet};

/// Makes the group.
pub(super) fn group(ingress: &Ingress, source: Arc<str>, look: &mut Look<'_>) -> Group {
    let (meta, spec) = (&ingress.meta, &ingress.spec);
    let mut labels = LabelSet::default();
    labels.set(NAMESPACE, &*meta.namespace);
    if let Some(class) = &spec.ingress_class_name {
        labels.set("__meta_kubernetes_ingress_class_name", class);
    }
    add_meta(&mut labels, meta, "ingress");
    add_namespace(&mut labels, &meta.namespace, look);
    let mut targets = Vec::new();
    for rule in &spec.rules {
        let scheme = scheme(&spec.tls, &rule.host);
        for path in paths(rule) {
            let mut target = LabelSet::default();
            target.set(ADDRESS, &rule.host);
            target.set("__meta_kubernetes_ingress_scheme", scheme);
            target.set("__meta_kubernetes_ingress_host", &rule.host);
            target.set("__meta_kubernetes_ingress_path", path);
            targets.push(target.into_pairs());
        }
    }
    Group {
        source,
        labels: labels.into_pairs(),
        targets,
    }
}

fn paths(rule: &IngressRule) -> Vec<&str> {
    let Some(http) = &rule.http else {
        return vec!["/"];
    };
    let paths = http.paths.iter().map(|path| path.path.as_str());
    paths
        .map(|path| if path.is_empty() { "/" } else { path })
        .collect()
}

fn scheme(tls: &[IngressTls], host: &str) -> &'static str {
    let mut patterns = tls.iter().flat_map(|tls| &tls.hosts);
    if patterns.any(|pattern| matches(pattern, host)) {
        "https"
    } else {
        "http"
    }
}

/// Tells whether a host is that of a pattern, in which `*` stands for a whole first name.
fn matches(pattern: &str, host: &str) -> bool {
    if pattern == host {
        return true;
    }
    match (pattern.strip_prefix("*."), host.split_once('.')) {
        (Some(pattern), Some((_, host))) => pattern == host,
        // The bare pattern `*` has one name, and so has the host.
        (None, None) => pattern == "*",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_match(pattern: &str, host: &str, expected: bool) {
        assert_eq!(matches(pattern, host), expected, "{pattern} {host}");
    }

    #[test]
    fn a_star_stands_for_one_name() {
        check_match("a.example.net", "a.example.net", true);
        check_match("*.example.net", "a.example.net", true);
        check_match("*.example.net", "a.b.example.net", false);
        check_match("*.example.net", "example.net", false);
        check_match("*", "host", true);
        check_match("*", "a.b", false);
        check_match("a*.example.net", "ab.example.net", false);
        check_match("", "", true);
    }
}
