//! What the packages are made from: units, pages, Kubernetes manifests. That packages can be
//! installed and services run is tested by `make test-packages`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failure here is a failed test"
)]

#[cfg(feature = "kubernetes")]
mod kubernetes;
mod pages;
mod units;

use std::fs;
use std::path::{Path, PathBuf};

/// Our programs.
const PROGRAMS: [&str; 3] = [
    "prometheus-streams",
    "prometheus-streams-poller",
    "prometheus-streams-receiver",
];

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

#[track_caller]
fn read(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}
