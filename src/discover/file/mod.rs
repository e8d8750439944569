//! `file_sd_configs`: targets in files that others write.
//!
//! In: patterns of paths. Out: one group for each that a file lists, named `<path>:<number>`, with
//! `__meta_filepath`. The folders are watched, and everything is read again when something changes
//! in them, and at each refresh interval. A file that cannot be read keeps its last groups; one
//! that is gone loses them.

mod watch;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use super::document::{self, Language, Written};
use super::refresh::{Part, Refresh};
use super::{DiscoverError, Group, TARGETS_MAX, glob};
use crate::telemetry::chain;
use watch::Watch;

/// Which files, and how often to look when nothing is seen to change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Paths whose last part may be a pattern; relative ones have been resolved.
    pub files: Vec<String>,
    /// Time from one look to the next.
    pub refresh_interval: Duration,
}

/// The refresh interval by default, as in Prometheus.
pub const REFRESH_INTERVAL: Duration = Duration::from_secs(300);

/// The largest file: room for all targets that there may be, with long addresses.
const FILE_BYTES_MAX: usize = 16 << 20;

/// Files of one source; each of them is read whenever one of them changes.
const FILES_MAX: usize = 10_000;

const FILEPATH: &str = "__meta_filepath";

/// Why a file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system does not let us read it.
    #[error("cannot read it")]
    Read(#[from] io::Error),
    /// It is a folder, a pipe or a device.
    #[error("it is not a regular file")]
    NotAFile,
    /// It is larger than we take.
    #[error("it is larger than {} MiB", FILE_BYTES_MAX >> 20)]
    TooLarge,
    /// It lists more targets than we take.
    #[error("it lists {0} targets, more than {TARGETS_MAX}")]
    TooManyTargets(usize),
    /// Its text is wrong.
    #[error(transparent)]
    Document(#[from] document::DocumentError),
}

/// The files of one source.
pub(super) struct Files {
    patterns: Arc<[String]>,
    watch: Watching,
}

/// Whether the folders are watched; that takes a runtime, so it begins with the first refresh.
enum Watching {
    NotYet,
    Yes(Arc<Watch>),
    /// The system has no more watches to give; then the refresh interval has to do.
    Impossible,
}

impl Files {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            patterns: settings.files.clone().into(),
            watch: Watching::NotYet,
        }
    }

    fn watch(&mut self) -> Option<Arc<Watch>> {
        if let Watching::NotYet = self.watch {
            self.watch = match Watch::new() {
                Ok(watch) => Watching::Yes(Arc::new(watch)),
                Err(error) => {
                    let reason = chain(&error);
                    warn!(
                        reason,
                        "cannot watch files of targets; they are looked at in intervals"
                    );
                    Watching::Impossible
                }
            };
        }
        match &self.watch {
            Watching::Yes(watch) => Some(Arc::clone(watch)),
            Watching::NotYet | Watching::Impossible => None,
        }
    }
}

impl Refresh for Files {
    const KIND: &'static str = "file";

    async fn refresh(&mut self) -> Vec<Part> {
        let (patterns, watch) = (Arc::clone(&self.patterns), self.watch());
        let reading = tokio::task::spawn_blocking(move || {
            // Before the files are read: what changes meanwhile is seen.
            if let Some(watch) = watch {
                folders(&patterns).for_each(|folder| watch.add(folder));
            }
            read_all(&patterns)
        });
        match reading.await {
            Ok(parts) => parts,
            // Only where the runtime ends before it has begun.
            Err(_) => std::future::pending().await,
        }
    }

    async fn woken(&mut self) {
        match &self.watch {
            Watching::Yes(watch) => watch.changed().await,
            Watching::NotYet | Watching::Impossible => std::future::pending().await,
        }
    }
}

/// The folders that the files are in; one that is a pattern itself is not watched, as in
/// Prometheus.
fn folders(patterns: &[String]) -> impl Iterator<Item = &Path> {
    patterns
        .iter()
        .map(|pattern| match pattern.rsplit_once('/') {
            Some(("", _)) => Path::new("/"),
            Some((folder, _)) => Path::new(folder),
            None => Path::new("."),
        })
}

fn read_all(patterns: &[String]) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut paths: Vec<PathBuf> = Vec::new();
    for pattern in patterns {
        match glob::expand(pattern) {
            Ok(found) => paths.extend(found),
            Err(error) => parts.push(Part {
                name: pattern.as_str().into(),
                groups: Err(DiscoverError::Pattern(pattern.clone(), error)),
            }),
        }
    }
    paths.sort_unstable();
    paths.dedup();
    if paths.len() > FILES_MAX {
        let (found, limit) = (paths.len(), FILES_MAX);
        paths.truncate(FILES_MAX);
        parts.push(Part {
            name: "".into(),
            groups: Err(DiscoverError::TooManyFiles { found, limit }),
        });
    }
    for path in paths {
        let name = path.to_string_lossy();
        let groups = read(&path).map(|written| groups(written, &name));
        let groups = groups.map_err(|source| DiscoverError::File {
            path: path.clone(),
            source,
        });
        let name = name.into();
        parts.push(Part { name, groups });
    }
    parts
}

/// Reads one file.
fn read(path: &Path) -> Result<Vec<Written>, FileError> {
    // Opening a pipe would wait for whoever writes into it.
    if !path.metadata()?.is_file() {
        return Err(FileError::NotAFile);
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(FILE_BYTES_MAX)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    if bytes.len() > FILE_BYTES_MAX {
        return Err(FileError::TooLarge);
    }
    let is_json = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let language = if is_json {
        Language::Json
    } else {
        Language::Yaml
    };
    let groups = document::read(&bytes, language)?;
    let targets = groups.iter().map(Written::len).sum();
    if targets > TARGETS_MAX {
        return Err(FileError::TooManyTargets(targets));
    }
    Ok(groups)
}

fn groups(written: Vec<Written>, path: &str) -> Vec<Group> {
    let groups = written.into_iter().enumerate();
    let group = |(index, mut written): (usize, Written)| Group {
        source: format!("{path}:{index}").into(),
        labels: written.labels_with(FILEPATH, path),
        targets: written.targets(),
    };
    groups.map(group).collect()
}

#[cfg(test)]
mod tests;
