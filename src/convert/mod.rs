//! Files of the ancestor and of Prometheus, made into the form that we recommend.
//!
//! In: the text of a configuration of our own, of the ancestor's, or of a `prometheus.yml`. Out: a
//! text that means the same, with the source's comments where they can be kept. This module alone
//! knows how keys of old are written now. It never writes a file, and never hands out a text that
//! it has not read back and compared with the source.
//!
//! `plan` drafts what changes; `draft` writes it into the source's lines (`lines`) or, where these
//! do not allow it, anew from the tree (`emit`); `meaning` compares.

mod draft;
mod emit;
mod jobs;
mod lines;
mod meaning;
mod plan;

use std::path::Path;

use crate::config::{self, Config, Loaded, Overrides, Problems, Role};
use crate::yaml::{self, Kind, Node};
use draft::Draft;

/// A file in another folder; relative paths that begin there are others than before.
const ELSEWHERE: &str = "/nowhere/else/prometheus-streams.yaml";

/// What is to be converted.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The text of the file.
    pub text: &'a str,
    /// The file, as it was named to us; relative paths in the text begin at its folder.
    pub file: &'a str,
    /// The role whose part is wanted. Without it: what stands there, and of a `prometheus.yml`
    /// the poller's.
    pub role: Option<Role>,
}

/// A text in the form that we recommend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    /// The text.
    pub text: String,
    /// Whether it is another one than that of the source.
    pub is_changed: bool,
    /// Whether it names files by paths that begin at its own folder.
    pub has_relative_paths: bool,
}

/// Why a file cannot be converted.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// It is wrong, or lacks what the role needs.
    #[error(transparent)]
    Problems(#[from] Problems),
    /// No text was found that means the same.
    #[error("cannot write `{0}` in another form with the same meaning; it can be used as it is")]
    Meaning(String),
}

/// Converts a file; what is in good form stays as it is, to the last byte.
pub fn convert(source: &Source<'_>) -> Result<Converted, ConvertError> {
    let document = yaml::parse(source.text);
    let root = document.root.filter(|_| document.faults.is_empty());
    let Some(root) = root else {
        // The reader of the configuration says it in its own words.
        config::check(source.text, source.file)?;
        return Err(ConvertError::Meaning(source.file.to_owned()));
    };
    let prometheus = is_prometheus(&root).then(|| source.role.unwrap_or(Role::Poller));
    let (loaded, mut draft) = if let Some(role) = prometheus {
        let skeleton = plan::skeleton(role).join("\n");
        let overrides = Overrides {
            prometheus: Some(Path::new(source.file)),
            ..Overrides::default()
        };
        let loaded = config::check_with(&skeleton, source.file, overrides)?;
        loaded.config.require(role)?;
        let draft = plan::prometheus(source, role, &root, &loaded.warnings);
        (loaded, draft)
    } else {
        let loaded = config::check(source.text, source.file)?;
        if let Some(role) = source.role {
            loaded.config.require(role)?;
        }
        let draft = plan::own(source, &root, &loaded);
        (loaded, draft)
    };
    let role = prometheus.or(source.role);
    if draft.is_empty() {
        return Ok(Converted {
            text: source.text.to_owned(),
            is_changed: false,
            has_relative_paths: has_relative_paths(source.text, &loaded.config, role),
        });
    }
    let mut text = find(&draft, source, &root, &loaded.config, role)?;
    let has_relative_paths = has_relative_paths(&text, &loaded.config, role);
    if has_relative_paths {
        let line = "# Relative paths in it begin at the folder of this file, wherever it is put.";
        draft.head.push(line.to_owned());
        text = find(&draft, source, &root, &loaded.config, role)?;
    }
    if prometheus.is_some() {
        text = mend(&text, source.file, role)?;
    }
    Ok(Converted {
        text,
        is_changed: true,
        has_relative_paths,
    })
}

/// Changes what shows only once a `prometheus.yml` is read as a file of our own.
fn mend(text: &str, file: &str, role: Option<Role>) -> Result<String, ConvertError> {
    let loaded = config::check(text, file)?;
    let source = Source { text, file, role };
    let Some(root) = yaml::parse(text).root else {
        return Ok(text.to_owned());
    };
    let mut draft = plan::own(&source, &root, &loaded);
    if draft.is_empty() {
        return Ok(text.to_owned());
    }
    draft.head.clear();
    find(&draft, &source, &root, &loaded.config, role)
}

/// Finds a text for a draft: the source's own lines first, then one that is written anew.
fn find(
    draft: &Draft,
    source: &Source<'_>,
    root: &Node,
    meaning: &Config,
    role: Option<Role>,
) -> Result<String, ConvertError> {
    let is_good = |text: &String| match config::check(text, source.file) {
        Ok(Loaded { config, .. }) => meaning::is_same(meaning, &config, role),
        Err(_) => false,
    };
    let edited = draft.edit(source.text, root).filter(is_good);
    let found = edited.or_else(|| Some(draft.rewrite(root)).filter(is_good));
    found.ok_or_else(|| ConvertError::Meaning(source.file.to_owned()))
}

/// Tells a `prometheus.yml` by its keys: it has none that only we or the ancestor know.
fn is_prometheus(root: &Node) -> bool {
    let Kind::Map(entries) = &root.kind else {
        return false;
    };
    let (used, ignored) = config::prometheus_keys();
    let is_theirs = |key: &str| used.contains(&key) || ignored.contains(&key);
    let ours = config::known_keys().find(|(block, _)| block.is_empty());
    let is_ours = |key: &str| ours.is_some_and(|(_, keys)| keys.contains(&key));
    let mut keys = entries.iter().map(|entry| &*entry.key);
    keys.clone().any(is_theirs) && keys.all(|key| is_theirs(key) || !is_ours(key))
}

/// Tells whether a text would mean something else in another folder.
fn has_relative_paths(text: &str, here: &Config, role: Option<Role>) -> bool {
    match config::check(text, ELSEWHERE) {
        Ok(Loaded { mut config, .. }) => {
            config.file.clone_from(&here.file);
            !meaning::is_same(here, &config, role)
        }
        Err(_) => true,
    }
}
