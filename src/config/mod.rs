//! The configuration file: from YAML text to each part's own `Settings`.
//!
//! In: one YAML file, for both roles. Out: a [`Config`] in which nothing needs to be checked again,
//! with warnings, or every problem of the file at once, each with its line, its column and what
//! would be right. This module alone knows the keys and their defaults. It reads no file but those
//! that this one names, and of secrets' files the modes; it opens no connection, and never shows
//! the value of a secret or of a URL.
//!
//! `crate::yaml` makes a tree with positions, `block` reads typed values out of it, `keys` lists what may
//! stand where; `top`, `stream`, `tls`, `spool`, `http`, `sinks` and `jobs` read the blocks of these names.

mod block;
mod discover;
mod enroll;
mod files;
mod fixed;
mod global;
mod http;
mod jobs;
mod keys;
mod labels;
mod problem;
mod relabel;
mod scrape;
mod secrets;
mod sinks;
mod spool;
mod stream;
mod tls;
mod top;
mod values;
mod web;
mod web_keys;
mod yaml;

pub use keys::known_keys;
pub use problem::{Problem, Problems, render};
pub use web::web_config;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use files::Text;
use problem::{Place, Position, Report, START, TlsUse};

use crate::{admin, bus, sink, telemetry};

/// The largest file: room for 100,000 targets with long addresses, and no more than a moment's
/// work to read.
pub const FILE_BYTES_MAX: usize = 16 << 20;

/// A checked configuration: nothing in it needs to be checked again.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file that it was read from, as it was named to us.
    pub file: Arc<str>,
    /// The name of this site, or of this receiver.
    pub identity: String,
    /// Whether secrets that everybody on the machine can read are problems, not warnings.
    pub is_strict: bool,
    /// Logs.
    pub log: telemetry::LogSettings,
    /// Our own pages, if there are any.
    pub admin: Option<admin::Settings>,
    /// Who may see them, and how: the file that says so.
    pub web_config: Option<PathBuf>,
    /// What is older is not delivered; `None`: no limit.
    pub max_age: Option<Duration>,
    /// A site of which nothing is heard for so long is silent; `None`: none ever is.
    pub site_timeout: Option<Duration>,
    /// What the poller scrapes, its own pages among it.
    pub scrape: crate::scrape::Settings,
    /// How our certificate is kept, if we do that ourselves.
    pub enroll: Option<crate::enroll::Settings>,
    /// Where the poller publishes.
    pub poller_stream: Option<bus::Settings>,
    /// Where the receiver reads.
    pub receiver_stream: Option<bus::Settings>,
    /// Where frames wait on disk while the poller cannot publish them, if they do.
    pub spool: Option<crate::spool::Settings>,
    /// Whether a lane's frame is based on the one before it; else on a key frame alone.
    pub chain: bool,
    /// Where the receiver pushes.
    pub push_gateway: Option<sink::pushgateway::Settings>,
    /// Where the receiver writes.
    pub remote_write: Vec<sink::remote_write::Settings>,
    /// What is wrong with what only a receiver needs, in a file that is not our own.
    receiver_problems: Option<Problems>,
}

/// A configuration and what its author should know about it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What was read.
    pub config: Config,
    /// What is accepted but has no effect, or another one than its author may believe.
    pub warnings: Vec<Problem>,
    /// The blocks that name files of certificates.
    tls: Vec<TlsUse>,
}

impl Loaded {
    /// Reads the certificates, keys and revocation lists that the configuration names, each block
    /// for itself, and returns what to know about them, or else what is wrong.
    pub fn verify_files(&self) -> Result<Vec<Problem>, Problems> {
        let (mut problems, mut warnings) = (Vec::new(), Vec::new());
        for used in &self.tls {
            let (problem, told) = used.verify();
            problems.extend(problem);
            warnings.extend(told);
        }
        if problems.is_empty() {
            Ok(warnings)
        } else {
            Err(Problems::new(problems))
        }
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read `{}`", path.display())]
    CannotRead {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The file can be read, but is wrong.
    #[error(transparent)]
    Problems(#[from] Problems),
}

/// Files that the command line names in place of those that the configuration names.
#[derive(Debug, Clone, Copy, Default)]
pub struct Overrides<'a> {
    /// `prometheus_config`
    pub prometheus: Option<&'a Path>,
    /// `web_config`
    pub web: Option<&'a Path>,
}

/// What a configuration is to be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Scraping and publishing.
    Poller,
    /// Reading and delivering.
    Receiver,
}

impl Config {
    /// Reads a file.
    pub fn load(path: &Path) -> Result<Loaded, LoadError> {
        Self::load_with(path, Overrides::default())
    }

    /// Reads a file and, in place of those that it may name, others.
    pub fn load_with(path: &Path, overrides: Overrides<'_>) -> Result<Loaded, LoadError> {
        Self::load_by(path, overrides, Modes::Checked)
    }

    /// The same, as if the file had `strict: true`.
    pub fn load_strictly(path: &Path, overrides: Overrides<'_>) -> Result<Loaded, LoadError> {
        Self::load_by(path, overrides, Modes::Strict)
    }

    fn load_by(path: &Path, overrides: Overrides<'_>, modes: Modes) -> Result<Loaded, LoadError> {
        let text = text_of(path)?;
        Ok(read(&text, &path.to_string_lossy(), overrides, modes)?)
    }

    /// Returns what one role needs of it; the rest is as if it had not been given.
    #[must_use]
    pub fn for_role(&self, role: Role) -> Self {
        let mut config = self.clone();
        match role {
            Role::Poller => {
                config.receiver_stream = None;
                config.push_gateway = None;
                config.remote_write = Vec::new();
                config.receiver_problems = None;
                config.max_age = None;
                config.site_timeout = None;
            }
            Role::Receiver => {
                config.scrape = crate::scrape::Settings::default();
                config.poller_stream = None;
                config.spool = None;
                config.chain = true;
            }
        }
        config
    }

    /// Tells whether a part that runs with this configuration could go on with another one, but for
    /// what it scrapes.
    pub fn is_alike(&self, other: &Self, role: Role) -> bool {
        let relevant = |config: &Self| {
            let mut config = config.for_role(role);
            config.scrape = crate::scrape::Settings::default();
            config.file = Arc::clone(&self.file);
            // It has been obeyed when a file was read.
            config.is_strict = self.is_strict;
            // Logs go on as they began.
            config.log = self.log.clone();
            config
        };
        relevant(self) == relevant(other)
    }

    /// Returns the TLS settings of all connections that a role makes.
    pub fn tls_of(&self, role: Role) -> Vec<&crate::tls::Settings> {
        let (stream, sinks, scrapes) = match role {
            Role::Poller => (&self.poller_stream, None, Some(&self.scrape.configs)),
            Role::Receiver => {
                let written = self.remote_write.iter().map(|endpoint| &endpoint.http);
                let pushed = self.push_gateway.iter().map(|gateway| &gateway.http);
                (&self.receiver_stream, Some(written.chain(pushed)), None)
            }
        };
        let scraped = scrapes.into_iter().flatten().map(|config| &config.client);
        let clients = sinks.into_iter().flatten().chain(scraped);
        let clients = clients.filter_map(|client| client.tls.as_ref());
        let stream = stream.iter().filter_map(|stream| stream.tls.as_ref());
        stream.chain(clients).collect()
    }

    /// Checks that there is all that a role needs.
    pub fn require(&self, role: Role) -> Result<(), Problems> {
        let mut report = Report::new(&self.file);
        let mut need = |is_there: bool, what: &str, remedy: &str| {
            if !is_there {
                report.problem(&Place::root(), what, remedy);
            }
        };
        match role {
            Role::Poller => {
                let is_own = |config| jobs::is_own(config, self.admin.as_ref());
                let has_job = !self.scrape.configs.iter().all(|config| is_own(config));
                need(
                    self.poller_stream.is_some(),
                    "a poller needs `poller_stream`",
                    "add it, with `urls` of your NATS servers",
                );
                need(
                    has_job,
                    "a poller needs at least one job with a target",
                    "add `scrape_configs` as in prometheus.yml, or `jobs`",
                );
            }
            Role::Receiver => {
                if let Some(problems) = &self.receiver_problems {
                    return Err(problems.clone());
                }
                need(
                    self.receiver_stream.is_some(),
                    "a receiver needs `receiver_stream`",
                    "add it, with `urls` of your NATS servers",
                );
                need(
                    self.push_gateway.is_some() || !self.remote_write.is_empty(),
                    "a receiver needs somewhere to deliver to",
                    "add `push_gateway` or `remote_write`",
                );
            }
        }
        report.finish().map(drop)
    }
}

/// Reads a number of seconds, or a duration such as `1m30s`, as the file may have it.
pub fn parse_seconds_or_duration(text: &str) -> Option<Duration> {
    values::parse_seconds(text).or_else(|| values::parse_duration(text))
}

/// Reads the text of a file; `file` names it in problems, and relative paths start at its folder.
pub fn check(text: &str, file: &str) -> Result<Loaded, Problems> {
    check_with(text, file, Overrides::default())
}

/// Reads the text of a file and, in place of those that it may name, other files.
pub fn check_with(text: &str, file: &str, overrides: Overrides<'_>) -> Result<Loaded, Problems> {
    read(text, file, overrides, Modes::Ignored)
}

/// What becomes of secrets that everybody can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Modes {
    /// Nothing: there may be no file at all.
    Ignored,
    /// What the file says itself.
    Checked,
    /// They are problems.
    Strict,
}

fn read(
    text: &str,
    file: &str,
    overrides: Overrides<'_>,
    modes: Modes,
) -> Result<Loaded, Problems> {
    if text.len() > FILE_BYTES_MAX {
        return Err(too_large(file));
    }
    let mut report = Report::new(file);
    let config = yaml::parse(text, &mut report)
        .and_then(|root| top::read(&root, file, overrides, &mut report));
    if modes != Modes::Ignored {
        let is_strict = config.as_ref().is_some_and(|config| config.is_strict);
        report.check_modes(is_strict || modes == Modes::Strict);
    }
    let tls = report.take_tls();
    let warnings = report.finish()?;
    match config {
        Some(config) => Ok(Loaded {
            config,
            warnings,
            tls,
        }),
        // Whoever returns nothing has said why, but the type cannot know.
        None => Err(problem_of_file(
            file,
            START,
            "the file cannot be used",
            "rewrite it",
        )),
    }
}

/// Returns the text of a configuration file.
pub fn text_of(path: &Path) -> Result<String, LoadError> {
    match files::text_of(path) {
        Text::Good(text) => Ok(text),
        Text::Bad(problems) => Err(problems.into()),
        Text::CannotRead(source) => Err(LoadError::CannotRead {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Returns the keys of a whole `prometheus.yml`, those first that have a meaning here.
pub fn prometheus_keys() -> (Vec<&'static str>, &'static [&'static str]) {
    let ignored = keys::PROMETHEUS_IGNORED;
    let known = keys::PROMETHEUS.known.iter().copied();
    (
        known.filter(|key| !ignored.contains(key)).collect(),
        ignored,
    )
}

fn too_large(file: &str) -> Problems {
    let what = format!("the file is larger than {} MiB", FILE_BYTES_MAX >> 20);
    problem_of_file(
        file,
        START,
        &what,
        "share the targets among several pollers",
    )
}

fn not_utf8(file: &str, good: &[u8]) -> Problems {
    let at = crate::yaml::end_of(good);
    problem_of_file(file, at, "the file is not UTF-8 text", "save it as UTF-8")
}

fn problem_of_file(file: &str, at: Position, what: &str, remedy: &str) -> Problems {
    Problems::new(vec![Problem {
        file: file.into(),
        line: at.line,
        column: at.column,
        path: String::new(),
        what: what.to_owned(),
        remedy: remedy.to_owned(),
    }])
}
