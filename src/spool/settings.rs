//! What `config` fills for the spool.

use std::path::PathBuf;
use std::time::Duration;

/// The default of `max_size`: a day of some hundred targets, and little on any disk.
pub const MAX_SIZE: u64 = 1 << 30;

/// The default of `max_age`: an outage of a night or of a working day is not lost.
///
/// Less would throw away what a sink may still take; where sinks or readers do not want what is that
/// old, the receiver's own `max_age` drops it, and whoever reads only that knows how old is too old.
pub const MAX_AGE: Duration = Duration::from_secs(24 * 3600);

/// Where the spool is and how much it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its folder, which is made if it is missing.
    pub dir: PathBuf,
    /// Bytes that all segments may have together; the oldest one is dropped to make room.
    pub max_size: u64,
    /// Frames that were closed longer ago are dropped.
    pub max_age: Duration,
    /// When data is forced onto the disk.
    pub fsync: Fsync,
}

impl Settings {
    /// Returns the defaults for a folder.
    pub fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            max_size: MAX_SIZE,
            max_age: MAX_AGE,
            fsync: Fsync::Batched,
        }
    }

    /// Bytes at which a segment is closed: several fit into a small spool as well.
    pub(super) fn segment_bytes(&self) -> u64 {
        super::SEGMENT_BYTES.min(self.max_size / 8)
    }

    /// The oldest time that is not too old.
    pub(super) fn oldest_ms(&self, now_ms: i64) -> i64 {
        let max_age = i64::try_from(self.max_age.as_millis()).unwrap_or(i64::MAX);
        now_ms.saturating_sub(max_age)
    }
}

/// When data is forced onto the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fsync {
    /// Soon after it was appended, many frames at once.
    Batched,
    /// Before each append returns.
    Always,
    /// When the system likes.
    Never,
}
