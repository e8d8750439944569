//! Who else on this machine can read the secrets that a configuration names or holds.
//!
//! Only modes are looked at, when the configuration is read. A file that is missing is no concern
//! of ours: whoever needs it says so, and it may come later.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::problem::{Place, Problem, START};

/// What everybody but the owner and the group may do.
const OTHERS_READ: u32 = 0o004;
const OTHERS_WRITE: u32 = 0o002;
const GROUP_WRITE: u32 = 0o020;

/// The bits of a mode that `chmod` sets.
const PERMISSIONS: u32 = 0o7777;

/// Where the secrets of one configuration file are.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// The first one that stands in the file itself.
    inline: Option<Place>,
    /// Those in files of their own.
    files: Vec<(Place, PathBuf)>,
}

impl Secrets {
    /// Records a secret that stands in the file itself.
    pub(super) fn inline(&mut self, place: &Place) {
        let is_first = |known: &Place| place.at < known.at;
        if self.inline.as_ref().is_none_or(is_first) {
            self.inline = Some(place.clone());
        }
    }

    /// Records a secret's file.
    pub(super) fn file(&mut self, place: &Place, path: PathBuf) {
        self.files.push((place.clone(), path));
    }

    /// Takes over those of another reader of the same file.
    pub(super) fn extend(&mut self, other: Self) {
        if let Some(place) = &other.inline {
            self.inline(place);
        }
        self.files.extend(other.files);
    }
}

/// What is wrong with modes.
#[derive(Debug, Default)]
pub(super) struct Exposures {
    /// Everybody can read a secret, or write what we believe.
    pub(super) to_all: Vec<Problem>,
    /// A group can write what we believe, which may be meant so.
    pub(super) to_group: Vec<Problem>,
}

/// Looks at the modes of a configuration file and of the secrets' files that it names.
pub(super) fn exposures(file: &Arc<str>, secrets: &Secrets) -> Exposures {
    let mut exposures = Exposures::default();
    let problem = |place: &Place, what: String, remedy: String| Problem {
        file: Arc::clone(file),
        line: place.at.line,
        column: place.at.column,
        path: place.path.clone(),
        what,
        remedy,
    };
    let own = Path::new(&**file);
    let name = one_line(file);
    if let Some(mode) = mode(own) {
        if let Some(place) = &secrets.inline
            && mode & OTHERS_READ != 0
        {
            let what = format!(
                "`{}` is a secret, and everybody can read this file (mode {mode:04o})",
                place.name
            );
            let remedy = format!("run `chmod o= {name}`, or move the secret to a file of its own");
            exposures.to_all.push(problem(place, what, remedy));
        }
        let start = Place::root().at(START);
        if mode & OTHERS_WRITE != 0 {
            let what = format!("everybody can write this file (mode {mode:04o})");
            let remedy = format!("run `chmod o-w {name}`");
            exposures.to_all.push(problem(&start, what, remedy));
        } else if mode & GROUP_WRITE != 0 {
            let what = format!("a whole group can write this file (mode {mode:04o})");
            let remedy = format!("run `chmod g-w {name}`, unless that is meant so");
            exposures.to_group.push(problem(&start, what, remedy));
        }
    }
    let mut seen = HashSet::new();
    for (place, path) in &secrets.files {
        let Some(mode) = mode(path).filter(|_| seen.insert(path)) else {
            continue;
        };
        let can = match (mode & OTHERS_READ != 0, mode & OTHERS_WRITE != 0) {
            (false, false) => continue,
            (true, false) => "read",
            (false, true) => "write",
            (true, true) => "read and write",
        };
        let path = one_line(&path.to_string_lossy());
        let what = format!("everybody can {can} the secret in `{path}` (mode {mode:04o})");
        let remedy = format!("run `chmod o= {path}`");
        exposures.to_all.push(problem(place, what, remedy));
    }
    exposures
}

/// Returns a path as it is, so that a command with it can be copied, but on one line.
fn one_line(path: &str) -> String {
    path.replace(char::is_control, "?")
}

/// Returns the mode of a file; nothing of what is missing, or is a pipe or a device.
fn mode(path: &Path) -> Option<u32> {
    let metadata = fs::metadata(path).ok()?;
    metadata.is_file().then(|| metadata.mode() & PERMISSIONS)
}
