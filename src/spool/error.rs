//! What can go wrong, and whether trying again makes sense.

use std::io;
use std::path::{Path, PathBuf};

use super::{Count, VERSION};
use crate::retry::{Retry, Retryable};

/// Why there is no spool.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The folder is missing and cannot be made.
    #[error("cannot create spool folder `{}`", dir.display())]
    Create {
        /// Its path.
        dir: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Another process has it.
    #[error("cannot use spool folder `{}`: another process holds it", dir.display())]
    Locked {
        /// Its path.
        dir: PathBuf,
    },
    /// Its files are of another version; nothing was changed.
    #[error(
        "cannot use spool folder `{}`: `{file}` is of another version than {VERSION}; \
         let the program that wrote it empty it, or name another folder",
        dir.display()
    )]
    Version {
        /// Its path.
        dir: PathBuf,
        /// The name of one such file.
        file: String,
    },
    /// A file cannot be opened, read or repaired.
    #[error("cannot open spool file `{}`", path.display())]
    Open {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// Why a frame is not in the spool.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// It is larger than `max_size`, or than any message.
    #[error("cannot spool a frame of `{bytes}` bytes: at most `{limit}` fit")]
    TooLarge {
        /// Its size on disk.
        bytes: u64,
        /// What is allowed.
        limit: u64,
    },
    /// The disk or the quota is full, although the oldest segment was dropped.
    #[error("cannot write spool file `{}`: the disk is full", path.display())]
    Full {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The folder cannot be written to.
    #[error("cannot write spool file `{}`: the folder is read-only for us", path.display())]
    ReadOnly {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The disk fails.
    #[error("cannot write spool file `{}`", path.display())]
    Write {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl Retryable for AppendError {
    fn retry(&self) -> Retry {
        match self {
            Self::TooLarge { .. } => Retry::No,
            Self::Full { .. } | Self::ReadOnly { .. } | Self::Write { .. } => Retry::Yes,
        }
    }
}

/// Why there is no next frame; reading again goes on.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A record is not what was written. It and the rest of its segment are counted as dropped.
    #[error(
        "spool file `{}` is damaged at byte {offset}; {} frames are lost",
        path.display(),
        lost.entries
    )]
    Damaged {
        /// The segment.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is lost.
        lost: Count,
    },
    /// The disk fails. The next reads try again, and give the segment up after a few.
    #[error("cannot read spool file `{}`", path.display())]
    Read {
        /// The segment.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// Why data could not be forced onto the disk, or files not be removed; the next try may do it.
#[derive(Debug, thiserror::Error)]
#[error("cannot write spool file `{}`", path.display())]
pub struct SyncError {
    /// The file or folder.
    pub path: PathBuf,
    /// The cause.
    pub source: io::Error,
}

impl SyncError {
    /// Names the file that an error is about.
    pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { path, source }
    }

    /// Tells whether there is no room.
    pub(super) fn is_full(&self) -> bool {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        matches!(self.source.kind(), StorageFull | QuotaExceeded)
    }
}

impl From<SyncError> for AppendError {
    fn from(error: SyncError) -> Self {
        use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
        let is_full = error.is_full();
        let SyncError { path, source } = error;
        match source.kind() {
            _ if is_full => Self::Full { path, source },
            ReadOnlyFilesystem | PermissionDenied => Self::ReadOnly { path, source },
            _ => Self::Write { path, source },
        }
    }
}
