//! Pages of real exporters, each with a file beside it that says what it holds.
//!
//! `UPDATE_EXPECTED=1 cargo test corpus` writes those files anew.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::super::{Families, Names, Timestamps, WriteOptions, write_text};
use super::render;
use crate::model::Format;

pub(super) const PAGES: [&str; 6] = [
    "etcd",
    "node",
    "prometheus",
    "pushgateway",
    "victoria",
    "vmagent",
];

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/exposition")
        .join(name)
}

pub(super) fn page(name: &str) -> String {
    std::fs::read_to_string(path(&format!("{name}.prom"))).unwrap()
}

/// Says how many of which family types a page has, and a hash of all that was read.
fn summarize(page: &str) -> String {
    let entries = render(page.as_bytes(), Format::Text).unwrap();
    let families = Families::parse(page.as_bytes(), Format::Text).unwrap();
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut labels = 0;
    for family in &families {
        let count = counts.entry(family.kind.as_str()).or_default();
        count.0 += 1;
        count.1 += family.samples.len();
        labels += family.samples.iter().map(|s| s.labels.len()).sum::<usize>();
    }
    let mut summary = String::new();
    for (kind, (families, samples)) in counts {
        writeln!(summary, "{kind}: {families} families, {samples} samples").unwrap();
    }
    writeln!(summary, "labels: {labels}").unwrap();
    let hash = rapidhash::v3::rapidhash_v3(entries.as_bytes());
    writeln!(
        summary,
        "entries: {}, hash {hash:016x}",
        entries.lines().count()
    )
    .unwrap();
    summary
}

#[test]
fn real_pages_are_read_as_expected() {
    for name in PAGES {
        let found = summarize(&page(name));
        let expected_path = path(&format!("{name}.expected"));
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            std::fs::write(&expected_path, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&expected_path).unwrap();
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn real_pages_are_written_whole() {
    let options = WriteOptions {
        timestamps: Timestamps::Keep,
        names: Names::LeaveOut,
    };
    for name in PAGES {
        let page = page(name);
        let families = Families::parse(page.as_bytes(), Format::Text).unwrap();
        let mut out = String::new();
        let written = write_text(&families, options, &mut out);
        let total: usize = families.iter().map(|family| family.samples.len()).sum();
        assert_eq!((written.samples, written.repeated), (total, 0), "{name}");
        let again = Families::parse(out.as_bytes(), Format::Text).unwrap();
        let with_samples = families.iter().filter(|family| !family.samples.is_empty());
        // As text, because a NaN equals nothing.
        let with_samples: Vec<_> = with_samples.collect();
        let again: Vec<_> = again.iter().collect();
        assert_eq!(format!("{with_samples:?}"), format!("{again:?}"), "{name}");
    }
}
