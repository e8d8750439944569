//! `file_sd_configs`

use super::{refresh_interval, required_texts};
use crate::config::block::{Block, Value};
use crate::config::problem::Report;
use crate::config::values::shown;
use crate::discover::Settings as Source;
use crate::discover::file::{REFRESH_INTERVAL, Settings};
use crate::discover::glob;

/// Patterns of one source.
const PATTERNS_MAX: usize = 1000;

/// The endings that Prometheus takes; which other letters are large or small is not free.
const ENDINGS: [&str; 6] = [".json", ".yml", ".yaml", ".JSON", ".YML", ".YAML"];

pub(super) fn read(block: &Block<'_>, report: &mut Report) -> Option<Source> {
    let remedy = "write a list of paths, such as `targets/*.json`";
    let files = required_texts(block, "files", PATTERNS_MAX, remedy, report);
    let refresh_interval = refresh_interval(block, REFRESH_INTERVAL, report);
    let files = files?
        .iter()
        .filter_map(|(value, pattern)| checked(value, pattern, report))
        .collect();
    Some(Source::File(Settings {
        files,
        refresh_interval,
    }))
}

/// Returns a pattern with the configuration's folder before it, if it is one.
fn checked(value: &Value<'_>, pattern: &str, report: &mut Report) -> Option<String> {
    let stem = ENDINGS
        .iter()
        .find_map(|ending| pattern.strip_suffix(ending));
    let (expected, remedy) = match stem {
        None => (
            "a path that ends in `.json`, `.yml` or `.yaml`",
            "the ending tells how the file is written; rename it",
        ),
        Some(stem)
            if stem
                .split_once('*')
                .is_some_and(|(_, rest)| rest.contains('/')) =>
        {
            (
                "a path with `*` in its last part only",
                "write a line for each folder",
            )
        }
        Some(_) => {
            let resolved = report.resolve(pattern).to_string_lossy().into_owned();
            if let Err(error) = glob::check(&resolved) {
                let what = format!("`{}` is not a pattern of paths: {error}", shown(pattern));
                report.problem(&value.place, what, "write it as a shell would take it");
                return None;
            }
            return Some(resolved);
        }
    };
    value.refuse(pattern, expected, remedy, report);
    None
}
