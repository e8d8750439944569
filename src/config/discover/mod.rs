//! The `*_sd_configs` of a scrape configuration: where its targets come from.
//!
//! In: the block of a scrape configuration. Out: one `Settings` for each source. Keys, defaults
//! and rules are those of Prometheus; each kind has a file of its own, and `keys` lists what may
//! stand where. Nothing is asked and no file is opened here.

#[cfg(test)]
mod catalog_tests;
mod consul;
mod dns;
mod file;
mod http;
pub(super) mod keys;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod nomad;
mod puppetdb;

use std::time::Duration;

use super::block::{Block, Value};
use super::keys::Keys;
use super::problem::Report;
use crate::discover::Settings;

/// Sources of one kind in one scrape configuration; each has a task of its own.
const SOURCES_MAX: usize = 1000;

/// The shortest time from one look to the next; less would be no pause at all.
const LEAST_INTERVAL: Duration = Duration::from_millis(1);

/// Reads one item of a kind.
type Read = fn(&Block<'_>, &mut Report) -> Option<Settings>;

/// The kinds that there are, in the order in which Prometheus lists them.
const KINDS: [(&str, &Keys, Read); 7] = [
    ("consul_sd_configs", &keys::CONSUL_SD, consul::read),
    ("dns_sd_configs", &keys::DNS_SD, dns::read),
    ("file_sd_configs", &keys::FILE_SD, file::read),
    ("http_sd_configs", &keys::HTTP_SD, http::read),
    (
        "kubernetes_sd_configs",
        &keys::KUBERNETES_SD,
        kubernetes::read,
    ),
    ("nomad_sd_configs", &keys::NOMAD_SD, nomad::read),
    ("puppetdb_sd_configs", &keys::PUPPETDB_SD, puppetdb::read),
];

/// Stands in for the reader that a smaller program lacks.
#[cfg(not(feature = "kubernetes"))]
mod kubernetes {
    use super::{Block, Report, Settings};

    pub(super) fn read(block: &Block<'_>, report: &mut Report) -> Option<Settings> {
        let what = "this program was built without discovery in Kubernetes";
        let remedy = "use one that was built with the feature `kubernetes`, or `http_sd_configs`";
        report.problem(&block.place, what, remedy);
        None
    }
}

/// Reads all sources but the static ones.
pub(super) fn read(block: &Block<'_>, report: &mut Report) -> Vec<Settings> {
    let mut sources = Vec::new();
    for (key, keys, read) in KINDS {
        let Some(value) = block.value(key) else {
            continue;
        };
        let items = value.items("a list", report);
        if items.len() > SOURCES_MAX {
            let what = format!("`{key}` has more than {SOURCES_MAX} items");
            report.problem(&value.place, what, "let one source list more targets");
            continue;
        }
        for item in items {
            let source = Block::open(&item, keys, report).and_then(|block| read(&block, report));
            sources.extend(source);
        }
    }
    sources
}

/// Reads `refresh_interval`.
fn refresh_interval(block: &Block<'_>, default: Duration, report: &mut Report) -> Duration {
    let interval = block.duration("refresh_interval", LEAST_INTERVAL, report);
    interval.unwrap_or(default)
}

/// Reads `tag_separator`, which may be empty.
fn tag_separator(block: &Block<'_>, report: &mut Report) -> String {
    let separator = any_text(block, "tag_separator", report);
    separator.unwrap_or(",").to_owned()
}

/// Reads a text whose default does not stand in for an empty one.
fn any_text<'a>(block: &Block<'a>, key: &str, report: &mut Report) -> Option<&'a str> {
    block.value(key)?.scalar("a string", report)
}

/// Reads a list of texts.
fn texts(block: &Block<'_>, key: &str, max: usize, report: &mut Report) -> Vec<String> {
    let Some(value) = block.value(key) else {
        return Vec::new();
    };
    let items = value.items("a list", report);
    if items.len() > max {
        let what = format!("`{key}` has more than {max} items");
        report.problem(&value.place, what, "write several items of this kind");
        return Vec::new();
    }
    let texts = items
        .iter()
        .filter_map(|item| item.scalar("a string", report));
    texts.map(str::to_owned).collect()
}

/// Reads a list of texts that must not be empty.
fn required_texts<'a>(
    block: &Block<'a>,
    key: &str,
    max: usize,
    remedy: &str,
    report: &mut Report,
) -> Option<Vec<(Value<'a>, &'a str)>> {
    let value = block.required(key, remedy, report)?;
    let before = report.count();
    let items = value.items("a list", report);
    if items.len() > max {
        let what = format!("`{key}` has more than {max} items");
        report.problem(&value.place, what, "write several items of this kind");
        return None;
    }
    if items.is_empty() && report.count() == before {
        report.problem(&value.place, format!("`{key}` is empty"), remedy);
        return None;
    }
    let text = |item: Value<'a>| {
        let text = item.scalar("a string", report)?;
        Some((item, text))
    };
    Some(items.into_iter().filter_map(text).collect())
}

#[cfg(test)]
mod tests;
