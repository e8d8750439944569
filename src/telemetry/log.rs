//! Logs: text on standard error, or JSON lines in a file that can be reopened.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// What is logged, and where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// The least level.
    pub level: Level,
    /// A file for JSON lines instead of text on standard error.
    pub file: Option<PathBuf>,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// What is wrong.
    Warn,
    /// Start, stop, changes and what is wrong.
    Info,
    /// Once per scrape or message as well.
    Debug,
}

/// Why logs cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file cannot be opened.
    #[error("cannot open log file `{}`", path.display())]
    Open {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Somebody else has set up logging in this process.
    #[error("logging is set up already")]
    Twice,
}

/// Logs that are being written.
#[derive(Clone)]
pub struct LogHandle {
    file: Option<LogFile>,
    filter: Arc<dyn Fn(EnvFilter) + Send + Sync>,
}

impl LogHandle {
    /// Opens the file again, after it was moved away; without a file nothing happens.
    pub fn reopen(&self) -> Result<(), LogError> {
        match &self.file {
            Some(log) => log.reopen(),
            None => Ok(()),
        }
    }

    /// Logs at another level from now on.
    pub fn set_level(&self, level: Level) {
        (self.filter)(filter(level));
    }
}

impl fmt::Debug for LogHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogHandle").field(&self.file).finish()
    }
}

/// Sets up logging for the whole process; call once.
pub fn init_log(settings: &LogSettings) -> Result<LogHandle, LogError> {
    let builder = tracing_subscriber::fmt().with_env_filter(filter(settings.level));
    match &settings.file {
        None => {
            let builder = builder
                .with_writer(io::stderr)
                .with_target(false)
                .with_ansi(io::stderr().is_terminal())
                .with_filter_reloading();
            let reload = builder.reload_handle();
            builder.try_init().map_err(|_already| LogError::Twice)?;
            Ok(LogHandle {
                file: None,
                // It fails only when there are no logs any more.
                filter: Arc::new(move |filter| drop(reload.reload(filter))),
            })
        }
        Some(path) => {
            let log = LogFile::open(path)?;
            let builder = builder
                .json()
                .flatten_event(true)
                .with_writer(log.clone())
                .with_filter_reloading();
            let reload = builder.reload_handle();
            builder.try_init().map_err(|_already| LogError::Twice)?;
            Ok(LogHandle {
                file: Some(log),
                filter: Arc::new(move |filter| drop(reload.reload(filter))),
            })
        }
    }
}

/// Returns what is logged at a level.
fn filter(level: Level) -> EnvFilter {
    let level = match level {
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
    };
    // The libraries below us log each attempt on their own; we say once what changed.
    let directives =
        format!("warn,prometheus_streams={level},async_nats=off,kube_client=off,kube_runtime=off");
    EnvFilter::new(directives)
}

/// A log file that several threads write to, each line whole.
#[derive(Debug, Clone)]
struct LogFile {
    path: PathBuf,
    file: Arc<Mutex<File>>,
}

impl LogFile {
    fn open(path: &Path) -> Result<Self, LogError> {
        let file = Arc::new(Mutex::new(append(path)?));
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    fn reopen(&self) -> Result<(), LogError> {
        let file = append(&self.path)?;
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = file;
        Ok(())
    }
}

/// The log names targets and sites, which is nobody's business but the owner's and a group's.
const FILE_MODE: u32 = 0o640;

fn append(path: &Path) -> Result<File, LogError> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(FILE_MODE)
        .open(path)
        .map_err(|source| LogError::Open {
            path: path.to_owned(),
            source,
        })
}

impl<'a> MakeWriter<'a> for LogFile {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for LogFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.file
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reopened_file_goes_on_under_its_old_name() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("log"), folder.path().join("log.1"));
        let mut log = LogFile::open(&path).unwrap();
        log.write_all(b"one\n").unwrap();
        std::fs::rename(&path, &moved).unwrap();
        log.write_all(b"two\n").unwrap();
        log.reopen().unwrap();
        log.write_all(b"three\n").unwrap();
        assert_eq!(std::fs::read_to_string(moved).unwrap(), "one\ntwo\n");
        assert_eq!(std::fs::read_to_string(path).unwrap(), "three\n");
    }
}
