//! Other files that the configuration names: `scrape_config_files`, and a whole `prometheus.yml`.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::block::{Block, Value};
use super::global::{Global, JobNames};
use super::keys::{self, Keys};
use super::problem::{Place, Problems, Report};
use super::sinks::{self, Shared};
use super::{FILE_BYTES_MAX, not_utf8, scrape, too_large, yaml};
use crate::discover::glob;
use crate::scrape::Config;
use crate::sink::remote_write;

/// Files that one list may name: each is read, and watched over by whoever wrote it.
const FILES_MAX: usize = 10_000;

/// The text of a file, or why there is none.
pub(super) enum Text {
    Good(String),
    /// It can be read, but is none.
    Bad(Problems),
    CannotRead(std::io::Error),
}

/// Reads a file of bounded size.
pub(super) fn text_of(path: &Path) -> Text {
    // One byte more than allowed tells a file that is too large from one that just fits.
    let limit = u64::try_from(FILE_BYTES_MAX)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    if let Err(error) = read {
        return Text::CannotRead(error);
    }
    let name = path.to_string_lossy();
    // Bytes that are cut at the limit are reported as too many, not as bad text.
    if bytes.len() > FILE_BYTES_MAX {
        return Text::Bad(too_large(&name));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Text::Good(text),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let good = error.as_bytes().get(..valid).unwrap_or_default();
            Text::Bad(not_utf8(&name, good))
        }
    }
}

/// Reads another file, and hands its outermost block to a reader; problems are those of that file.
fn read_other<T>(
    path: &Path,
    place: &Place,
    keys: &'static Keys,
    report: &mut Report,
    read: impl FnOnce(&Block<'_>, &mut Report) -> T,
) -> Option<T> {
    let text = match text_of(path) {
        Text::Good(text) => text,
        Text::Bad(problems) => {
            report.add(problems);
            return None;
        }
        Text::CannotRead(error) => {
            let what = format!("cannot read `{}`: {error}", path.display());
            report.problem(place, what, "name a file that this program may read");
            return None;
        }
    };
    let mut other = Report::new(&path.to_string_lossy());
    let root = yaml::parse(&text, &mut other);
    let block = root.as_ref().and_then(|root| {
        let value = Value {
            place: Place::root(),
            node: root,
        };
        Block::open(&value, keys, &mut other)
    });
    let found = block.map(|block| read(&block, &mut other));
    report.absorb(other);
    found
}

/// Reads the files that `scrape_config_files` names.
pub(super) fn scrape_configs(
    block: &Block<'_>,
    global: &Global,
    names: &mut JobNames,
    report: &mut Report,
) -> Vec<Arc<Config>> {
    let Some(value) = block.value("scrape_config_files") else {
        return Vec::new();
    };
    let mut configs = Vec::new();
    let mut count = 0_usize;
    for item in value.items("a list", report) {
        let Some(pattern) = item.scalar("a path, in which `*` may stand", report) else {
            continue;
        };
        let folder = report.resolve(pattern);
        let found = if is_pattern(pattern) {
            glob::expand(&folder.to_string_lossy()).ok()
        } else {
            None
        };
        let Some(found) = found else {
            let remedy = "let `*`, if there is one, stand in the name of the file alone";
            item.refuse(pattern, "a path whose folder is known", remedy, report);
            continue;
        };
        count = count.saturating_add(found.len());
        if count > FILES_MAX {
            let what = format!("`scrape_config_files` names more than {FILES_MAX} files");
            report.problem(&item.place, what, "join some of them");
            return configs;
        }
        for path in found {
            let read = read_other(
                &path,
                &item.place,
                &keys::SCRAPE_FILE,
                report,
                |block, report| match block.value("scrape_configs") {
                    Some(value) => scrape::read(&value, global, names, report),
                    None => Vec::new(),
                },
            );
            configs.extend(read.into_iter().flatten());
        }
    }
    configs
}

/// Prometheus takes a `*` in the last step of a path only, and one.
fn is_pattern(text: &str) -> bool {
    match text.split_once('*') {
        None => true,
        Some((_, rest)) => !rest.contains('/'),
    }
}

/// Reads the web configuration of our own pages.
pub(super) fn web(path: &Path, place: &Place, report: &mut Report) -> Option<crate::admin::Web> {
    if let Text::Good(text) = text_of(path)
        && super::web::is_empty(&text)
    {
        return Some(crate::admin::Web::default());
    }
    read_other(path, place, &keys::WEB, report, super::web::read)
}

/// What concerns us of a `prometheus.yml`.
#[derive(Debug, Default)]
pub(super) struct Prometheus {
    pub(super) scrape_configs: Vec<Arc<Config>>,
    pub(super) remote_write: Vec<remote_write::Settings>,
    /// What is wrong with `remote_write`; a poller does not care.
    pub(super) remote_write_problems: Option<Problems>,
}

/// Reads a whole `prometheus.yml`; its `global` is for itself alone.
pub(super) fn prometheus(
    path: &Path,
    place: &Place,
    names: &mut JobNames,
    publisher_label: bool,
    report: &mut Report,
) -> Prometheus {
    let read = read_other(path, place, &keys::PROMETHEUS, report, |block, report| {
        let global = block.block("global", &keys::GLOBAL, report);
        let global = match global {
            Some(block) => Global::default().read(&block, report),
            None => Global::default(),
        };
        let mut scrape_configs = match block.value("scrape_configs") {
            Some(value) => scrape::read(&value, &global, names, report),
            None => Vec::new(),
        };
        scrape_configs.extend(self::scrape_configs(block, &global, names, report));
        warn_of_ignored(block, report);
        let shared = Shared {
            publisher_label,
            external_labels: global.external_labels,
            names: global.names,
        };
        let mut own = Report::new(report.file());
        let remote_write = match block.value("remote_write") {
            Some(value) => sinks::remote_write(&value, &shared, &mut own),
            None => Vec::new(),
        };
        report.take_files(&mut own);
        Prometheus {
            scrape_configs,
            remote_write,
            remote_write_problems: own.finish().err(),
        }
    });
    read.unwrap_or_default()
}

/// Tells once which sections have no meaning here.
fn warn_of_ignored(block: &Block<'_>, report: &mut Report) {
    let places = keys::PROMETHEUS_IGNORED
        .iter()
        .filter_map(|key| block.place_of(key));
    let mut places: Vec<Place> = places.collect();
    places.sort_by_key(|place| place.at);
    if let Some(first) = places.first() {
        let names: Vec<&str> = places.iter().map(|place| &*place.name).collect();
        let what = format!(
            "what does not concern scraping is ignored: `{}`",
            names.join("`, `")
        );
        report.warn(first, what, "nothing needs to be done");
    }
}
