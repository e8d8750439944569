//! The folder: its lock and the names in it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::{SpoolError, VERSION};

/// Nobody else needs to see what a site measures.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// A larger sequence is in no name and no cursor: at a thousand frames a millisecond it is reached
/// in 292,000 years, and nothing that is counted from there overflows.
pub(super) const SEQUENCE_MAX: u64 = u64::MAX / 2;

const LOCK: &str = "lock";
const CURSOR: &str = "cursor";
const SEQUENCE_DIGITS: usize = 16;

/// A folder that is ours alone.
#[derive(Debug)]
pub(super) struct Folder {
    dir: PathBuf,
    handle: File,
    /// Locked as long as it is open.
    _lock: File,
}

/// What a name says.
#[derive(Debug, PartialEq, Eq)]
enum Name {
    Segment(u64),
    OtherVersion,
    /// Ours, but no segment, or nobody's business.
    Other,
}

impl Folder {
    /// Makes the folder if need be and locks it; refuses one of another version before it touches
    /// anything.
    pub(super) fn open(dir: &Path) -> Result<Self, SpoolError> {
        let create = |source| SpoolError::Create {
            dir: dir.to_owned(),
            source,
        };
        if dir.is_dir() {
            segments_in(dir)?;
        } else {
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(FOLDER_MODE);
            builder.create(dir).map_err(create)?;
            // A folder that is not on the disk takes along what is forced onto the disk within it.
            let parent = dir.parent().filter(|path| !path.as_os_str().is_empty());
            let parent = parent.unwrap_or_else(|| Path::new("."));
            let synced = File::open(parent).and_then(|folder| folder.sync_all());
            synced.map_err(create)?;
        }
        let path = dir.join(LOCK);
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(&path)
            .map_err(at(&path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let dir = dir.to_owned();
                return Err(SpoolError::Locked { dir });
            }
            Err(error) => return Err(at(&path)(error.into())),
        }
        let handle = File::open(dir).map_err(at(dir))?;
        Ok(Self {
            dir: dir.to_owned(),
            handle,
            _lock: lock,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.dir
    }

    /// Returns the sequences that segments begin with, ascending.
    pub(super) fn segments(&self) -> Result<Vec<u64>, SpoolError> {
        segments_in(&self.dir)
    }

    pub(super) fn segment(&self, first: u64) -> PathBuf {
        let name = format!("{first:0SEQUENCE_DIGITS$x}.v{VERSION}");
        self.dir.join(name)
    }

    pub(super) fn cursor(&self) -> PathBuf {
        self.dir.join(format!("{CURSOR}.v{VERSION}"))
    }

    pub(super) fn new_cursor(&self) -> PathBuf {
        self.dir.join(format!("{CURSOR}.v{VERSION}.new"))
    }

    /// Makes an empty file, or empties it.
    pub(super) fn create(path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        options.mode(FILE_MODE).open(path)
    }

    /// Removes a file; one that is not there is as good as removed.
    pub(super) fn remove(path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Forces the names in the folder onto the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.handle.sync_all()
    }
}

/// Names the file that an error is about.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> SpoolError {
    let path = path.to_owned();
    move |source| SpoolError::Open { path, source }
}

fn segments_in(dir: &Path) -> Result<Vec<u64>, SpoolError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(at(dir))? {
        let file = entry.map_err(at(dir))?.file_name();
        let file = file.to_string_lossy();
        match Name::parse(&file) {
            Name::Segment(first) => found.push(first),
            Name::OtherVersion => {
                return Err(SpoolError::Version {
                    dir: dir.to_owned(),
                    file: file.into_owned(),
                });
            }
            Name::Other => {}
        }
    }
    found.sort_unstable();
    Ok(found)
}

impl Name {
    fn parse(name: &str) -> Self {
        let Some((stem, version)) = name.split_once(".v") else {
            return Self::Other;
        };
        let is_digit = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
        let is_segment = stem.len() == SEQUENCE_DIGITS && stem.bytes().all(is_digit);
        let is_version = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
        if !is_version || !(is_segment || stem == CURSOR) {
            return Self::Other;
        }
        if version.parse() != Ok(VERSION) {
            return Self::OtherVersion;
        }
        match u64::from_str_radix(stem, 16) {
            Ok(first @ 1..=SEQUENCE_MAX) => Self::Segment(first),
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_what_a_file_is() {
        #[track_caller]
        fn check(name: &str, expected: &Name) {
            assert_eq!(&Name::parse(name), expected, "{name}");
        }
        check("0000000000000001.v2", &Name::Segment(1));
        check("00000000000000a0.v2", &Name::Segment(160));
        check("7fffffffffffffff.v2", &Name::Segment(SEQUENCE_MAX));
        check("8000000000000000.v2", &Name::Other);
        check("0000000000000000.v2", &Name::Other);
        check("0000000000000001.v1", &Name::OtherVersion);
        check("0000000000000001.v0", &Name::OtherVersion);
        check("0000000000000001.v99999999999", &Name::OtherVersion);
        check("cursor.v1", &Name::OtherVersion);
        for name in [
            "cursor.v2",
            "cursor.v2.new",
            "lock",
            "",
            ".v2",
            "1.v2",
            "+000000000000001.v2",
            "00000000000000A0.v2",
            "0000000000000001.v",
            "0000000000000001.v+1",
            "0000000000000001.v2.v2",
            "lost+found",
        ] {
            check(name, &Name::Other);
        }
    }
}
