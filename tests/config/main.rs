//! The configuration file: what it means, what is refused, and with which words.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "a failure here is a failed test"
)]

mod bad;
mod compatibility;
mod connections;
mod convert;
mod documents;
mod good;
mod scraping;
mod secrets;
mod tls_files;
mod web;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use prometheus_streams::config::{self, Loaded};
use prometheus_streams::discover::{self, Group};
use prometheus_streams::scrape::{self, populate::Target};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The YAML files of a folder, sorted.
fn files(name: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder(name)).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "yaml")
    });
    files.sort();
    files
}

/// Reads a text that must be good, and returns it with its warnings as text.
#[track_caller]
fn load(text: &str) -> (config::Config, Vec<String>) {
    match config::check(text, "/etc/prometheus-streams/config.yaml") {
        Ok(Loaded {
            config, warnings, ..
        }) => {
            let warnings = warnings.iter().map(ToString::to_string).collect();
            (config, warnings)
        }
        Err(problems) => panic!("the text is refused:\n{problems}"),
    }
}

/// What is scraped of all that stands in the file itself.
fn targets(config: &config::Config) -> Vec<Target> {
    let mut targets = Vec::new();
    for scrape in &config.scrape.configs {
        let mut groups: Vec<Arc<Group>> = Vec::new();
        for source in &scrape.discovery {
            if let discover::Settings::Static(listed) = source {
                groups.extend(listed.iter().map(Arc::clone));
            }
        }
        targets.extend(scrape::targets(scrape, &groups).kept);
    }
    targets
}
