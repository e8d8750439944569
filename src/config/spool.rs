//! `spool`: the poller's queue on disk.

use std::time::Duration;

use super::block::Block;
use super::keys::Keys;
use super::problem::Report;
use crate::spool::{Fsync, Settings};

pub(super) const KEYS: Keys = Keys {
    block: "spool",
    known: &["dir", "max_size", "max_age", "fsync"],
    foreign: &[("path", "write `dir`"), ("max_bytes", "write `max_size`")],
};

/// The smallest spool: a few of the largest frames that NATS takes by default, and two segments.
const MAX_SIZE_LEAST: u64 = 16 << 20;

/// The largest spool, in gigabytes: all of it is read at the start, which takes minutes.
const MAX_SIZE_GIGABYTES: u64 = 64;

/// The shortest age: a frame gathers its scrapes for as long as this.
const MAX_AGE_LEAST: Duration = Duration::from_secs(1);

const DIR_REMEDY: &str = "name a folder of its own, such as `/var/lib/prometheus-streams/spool`";

/// Reads the block; `None` if it names no folder.
pub(super) fn read(block: &Block<'_>, report: &mut Report) -> Option<Settings> {
    let dir = block.required("dir", DIR_REMEDY, report);
    let dir = dir.and_then(|_| block.folder("dir", report));
    let max_size = max_size(block, report);
    let max_age = block.duration("max_age", MAX_AGE_LEAST, report);
    let choices = [
        ("batched", Fsync::Batched),
        ("always", Fsync::Always),
        ("never", Fsync::Never),
    ];
    let fsync = block.choice("fsync", &choices, report);
    let defaults = Settings::new(dir?);
    Some(Settings {
        max_size: max_size.unwrap_or(defaults.max_size),
        max_age: max_age.unwrap_or(defaults.max_age),
        fsync: fsync.unwrap_or(defaults.fsync),
        ..defaults
    })
}

fn max_size(block: &Block<'_>, report: &mut Report) -> Option<u64> {
    let size = block.size("max_size", MAX_SIZE_GIGABYTES, report)?;
    let size = u64::try_from(size).unwrap_or(u64::MAX);
    if size < MAX_SIZE_LEAST
        && let Some(value) = block.value("max_size")
    {
        let text = value.scalar("a size", report).unwrap_or_default();
        let expected = format!("at least {}MB", MAX_SIZE_LEAST >> 20);
        value.refuse(text, &expected, "write a larger size", report);
    }
    Some(size)
}
