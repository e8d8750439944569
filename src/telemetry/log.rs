//! Logs.

use std::path::PathBuf;

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
    /// Start, stop, changes and what is wrong.
    Info,
    /// Once per scrape or message as well.
    Debug,
}
