//! Labels that objects of all kinds have.

use super::objects::{Kind, Meta, Pairs};
use super::store::Look;
use crate::discover::catalog::{LabelSet, sanitize};

/// What all our labels begin with.
pub(super) const PREFIX: &str = "__meta_kubernetes_";

/// The label of the namespace.
pub(super) const NAMESPACE: &str = "__meta_kubernetes_namespace";

/// Adds name, labels and annotations of an object.
pub(super) fn add_meta(labels: &mut LabelSet, meta: &Meta, resource: &str) {
    labels.set(format!("{PREFIX}{resource}_name"), &*meta.name);
    add_labels_and_annotations(labels, meta, resource);
}

fn add_labels_and_annotations(labels: &mut LabelSet, meta: &Meta, resource: &str) {
    let mut add = |pairs: &Pairs, family: &str| {
        for (name, value) in pairs {
            let name = sanitize(name);
            labels.set(format!("{PREFIX}{resource}_{family}_{name}"), &**value);
            labels.set(format!("{PREFIX}{resource}_{family}present_{name}"), "true");
        }
    };
    add(&meta.labels, "label");
    add(&meta.annotations, "annotation");
}

/// Adds the labels and annotations of a node, if that is asked for and it is known.
pub(super) fn add_node(labels: &mut LabelSet, name: &str, look: &mut Look<'_>) {
    if look.attach.node
        && let Some(meta) = look.meta(Kind::Node, name)
    {
        add_meta(labels, meta, "node");
    }
}

/// Adds the labels and annotations of a namespace, if that is asked for and it is known.
pub(super) fn add_namespace(labels: &mut LabelSet, name: &str, look: &mut Look<'_>) {
    if look.attach.namespace
        && let Some(meta) = look.meta(Kind::Namespace, name)
    {
        add_labels_and_annotations(labels, meta, "namespace");
    }
}
