//! `static_configs`: targets that stand in the file itself.

use std::sync::Arc;

use super::block::{Block, Value};
use super::keys;
use super::problem::Report;
use super::values::shown;
use crate::discover::{Group, Settings};

/// Targets of one scrape configuration: ten times what a large site has.
pub(super) const TARGETS_MAX: usize = 100_000;

/// Reads the groups of a scrape configuration; nothing if there is no such key.
pub(super) fn read(block: &Block<'_>, are_addresses: bool, report: &mut Report) -> Vec<Settings> {
    let Some(value) = block.value("static_configs") else {
        return Vec::new();
    };
    let mut groups = Vec::new();
    let mut count = 0_usize;
    for (index, item) in value.items("a list", report).iter().enumerate() {
        let Some(block) = Block::open(item, &keys::STATIC, report) else {
            continue;
        };
        let targets = targets(&block, are_addresses, report);
        count = count.saturating_add(targets.len());
        groups.push(Arc::new(Group {
            source: index.to_string().into(),
            labels: labels(&block, report),
            targets,
        }));
    }
    if count > TARGETS_MAX {
        let what = format!("there are more than {TARGETS_MAX} targets");
        report.problem(&block.place, what, "share them among several pollers");
    }
    vec![Settings::Static(groups)]
}

fn targets(
    block: &Block<'_>,
    are_addresses: bool,
    report: &mut Report,
) -> Vec<Vec<(String, String)>> {
    let Some(value) = block.value("targets") else {
        return Vec::new();
    };
    let mut targets = Vec::new();
    for item in value.items("a list", report) {
        let Some(text) = item.scalar("an address", report) else {
            continue;
        };
        if are_addresses && text.contains('/') {
            let what = format!("`{}` is not a valid hostname", shown(text));
            let remedy = "write `host:port` here, the rest as `scheme` and `metrics_path`";
            report.problem(&item.place, what, remedy);
        }
        targets.push(vec![("__address__".to_owned(), text.to_owned())]);
    }
    targets
}

fn labels(block: &Block<'_>, report: &mut Report) -> Vec<(String, String)> {
    let Some(value) = block.value("labels") else {
        return Vec::new();
    };
    let mut labels = Vec::new();
    for entry in value.entries("a mapping", report) {
        let place = value.place.key(&entry.key, entry.at);
        if entry.key.is_empty() {
            report.problem(&place, "a label has no name", "write its name");
            continue;
        }
        if matches!(entry.value.kind, super::yaml::Kind::Null) {
            continue;
        }
        let value = Value {
            place: place.at(entry.value.at),
            node: &entry.value,
        };
        if let Some(text) = value.scalar("a string", report) {
            labels.push((entry.key.to_string(), text.to_owned()));
        }
    }
    labels
}
