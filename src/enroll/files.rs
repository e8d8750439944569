//! The files of an ssldir: read with a limit, written whole or not at all.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, fchown, lchown,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use tokio::time::Instant;

use crate::tls::SslDir;

/// The largest file: revocation lists of a CA that revoked 400,000 certificates.
pub(super) const FILE_MAX: usize = 16 << 20;

/// Someone else's steps take a second, unless the CA is slow.
const LOCK_WAIT: Duration = Duration::from_secs(10);
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// Modes as `puppet agent` sets them, but for the key, which no group needs to read.
const DIR_MODE: u32 = 0o771;
const PUBLIC_DIR_MODE: u32 = 0o755;
const PRIVATE_DIR_MODE: u32 = 0o750;
const PUBLIC_MODE: u32 = 0o644;
const KEY_MODE: u32 = 0o600;

/// Why a file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// It cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// It is far too large.
    #[error("`{}` has more than {FILE_MAX} bytes", .0.display())]
    TooLarge(PathBuf),
    /// It is no text.
    #[error("`{}` is no text", .0.display())]
    NoText(PathBuf),
    /// It cannot be written.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The folder cannot be made.
    #[error("cannot make the folder `{}`", path.display())]
    Folder {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The folder cannot be locked.
    #[error("cannot lock the folder `{}`", path.display())]
    Lock {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Someone else works in the folder.
    #[error("another enrollment works in `{}`; wait for it to end", .0.display())]
    Busy(PathBuf),
}

/// An ssldir that nobody else enrolls into as long as this lives.
#[derive(Debug)]
pub(super) struct Files<'s> {
    ssl: &'s SslDir,
    _lock: File,
}

impl<'s> Files<'s> {
    /// Opens a folder, and waits a while for someone else who works in it: a program that keeps
    /// its certificate does so for a moment now and then.
    pub(super) async fn wait(ssl: &'s SslDir) -> Result<Self, FilesError> {
        let end = Instant::now() + LOCK_WAIT;
        loop {
            match Self::open(ssl) {
                Err(FilesError::Busy(_)) if Instant::now() < end => {
                    tokio::time::sleep(LOCK_PAUSE).await;
                }
                opened => return opened,
            }
        }
    }

    /// Makes the folders that are missing, and locks the outermost.
    pub(super) fn open(ssl: &'s SslDir) -> Result<Self, FilesError> {
        make_folder(ssl.dir(), DIR_MODE)?;
        let path = ssl.dir().to_owned();
        let locked = File::open(ssl.dir()).and_then(|folder| {
            // Released by the system when the process ends, however it does.
            flock(&folder, FlockOperation::NonBlockingLockExclusive)?;
            Ok(folder)
        });
        let lock = match locked {
            Ok(folder) => folder,
            Err(source) if source.kind() == io::ErrorKind::WouldBlock => {
                return Err(FilesError::Busy(path));
            }
            Err(source) => return Err(FilesError::Lock { path, source }),
        };
        for (file, mode) in [
            (ssl.cert(), PUBLIC_DIR_MODE),
            (ssl.request(), PUBLIC_DIR_MODE),
            (ssl.key(), PRIVATE_DIR_MODE),
        ] {
            make_folder(parent(&file), mode)?;
        }
        Ok(Self { ssl, _lock: lock })
    }

    /// Stores the CA's certificates.
    pub(super) fn store_ca(&self, text: &str) -> Result<(), FilesError> {
        replace(&self.ssl.ca(), text)
    }

    /// Stores the revocation lists.
    pub(super) fn store_crl(&self, text: &str) -> Result<(), FilesError> {
        replace(&self.ssl.crl(), text)
    }

    /// Stores our certificate.
    pub(super) fn store_cert(&self, text: &str) -> Result<(), FilesError> {
        replace(&self.ssl.cert(), text)
    }

    /// Stores the request that was sent.
    pub(super) fn store_request(&self, text: &str) -> Result<(), FilesError> {
        replace(&self.ssl.request(), text)
    }

    /// Stores a new key; fails if there is one.
    pub(super) fn create_key(&self, text: &str) -> Result<(), FilesError> {
        let path = self.ssl.key();
        let created = write_beside(&path, text, KEY_MODE).and_then(|beside| {
            // Unlike a rename, a link never takes the place of a file.
            let linked = std::fs::hard_link(&beside, &path);
            drop(std::fs::remove_file(&beside));
            linked?;
            sync_folder(parent(&path))
        });
        created.map_err(|source| FilesError::Write { path, source })
    }
}

/// Reads a text file; `None` if there is none.
pub(super) fn read(path: &Path) -> Result<Option<String>, FilesError> {
    let failed = |source| FilesError::Read {
        path: path.to_owned(),
        source,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    let limit = u64::try_from(FILE_MAX).unwrap_or(u64::MAX);
    let mut limited = file.take(limit.saturating_add(1));
    limited.read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > FILE_MAX {
        return Err(FilesError::TooLarge(path.to_owned()));
    }
    let text = String::from_utf8(bytes);
    text.map(Some)
        .map_err(|_binary| FilesError::NoText(path.to_owned()))
}

/// Replaces a file: whoever reads it sees the old one or the new one.
fn replace(path: &Path, text: &str) -> Result<(), FilesError> {
    let replaced = write_beside(path, text, PUBLIC_MODE).and_then(|beside| {
        let renamed = std::fs::rename(&beside, path);
        if renamed.is_err() {
            drop(std::fs::remove_file(&beside));
        }
        renamed?;
        sync_folder(parent(path))
    });
    replaced.map_err(|source| FilesError::Write {
        path: path.to_owned(),
        source,
    })
}

/// Writes a file under another name in the same folder, down to the disk.
fn write_beside(path: &Path, text: &str, mode: u32) -> io::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.new"));
    // What a crash has left; the lock says that nobody is writing it.
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&beside)?;
    let written = give(parent(path), |uid, gid| fchown(&file, uid, gid))
        .and_then(|()| file.write_all(text.as_bytes()))
        .and_then(|()| file.sync_all());
    if written.is_err() {
        drop(std::fs::remove_file(&beside));
    }
    written.map(|()| beside)
}

/// Makes a folder and those above it that are missing.
fn make_folder(path: &Path, mode: u32) -> Result<(), FilesError> {
    let failed = |source| FilesError::Folder {
        path: path.to_owned(),
        source,
    };
    if path.is_dir() {
        return Ok(());
    }
    let above = parent(path);
    if !above.as_os_str().is_empty() && !above.is_dir() {
        make_folder(above, PUBLIC_DIR_MODE)?;
    }
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {
            return Ok(());
        }
        Err(error) => return Err(failed(error)),
    }
    give(above, |uid, gid| lchown(path, uid, gid)).map_err(failed)
}

/// Gives something that root has made to the owner of the folder that it stands in, or a service
/// could not read what `enroll` made for it.
fn give(
    folder: &Path,
    give: impl FnOnce(Option<u32>, Option<u32>) -> io::Result<()>,
) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let here = Path::new(".");
    let owner = std::fs::metadata(if folder.as_os_str().is_empty() {
        here
    } else {
        folder
    })?;
    if owner.uid() == 0 {
        return Ok(());
    }
    give(Some(owner.uid()), Some(owner.gid()))
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn keys_are_for_the_owner_alone_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let ssl = SslDir::new(folder.path().join("a/ssl"), "usdc1");
        let files = Files::open(&ssl).unwrap();
        files.create_key("first").unwrap();
        assert_eq!(mode(&ssl.key()), 0o600);
        assert_eq!(mode(parent(&ssl.key())) & 0o007, 0);
        assert!(matches!(
            files.create_key("second"),
            Err(FilesError::Write { .. })
        ));
        assert_eq!(read(&ssl.key()).unwrap().as_deref(), Some("first"));
        let left: Vec<_> = std::fs::read_dir(parent(&ssl.key())).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn files_are_replaced_and_leave_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let ssl = SslDir::new(folder.path(), "usdc1");
        let files = Files::open(&ssl).unwrap();
        assert_eq!(read(&ssl.cert()).unwrap(), None);
        std::fs::write(
            parent(&ssl.cert()).join(".usdc1.pem.new"),
            "left by a crash",
        )
        .unwrap();
        files.store_cert("one").unwrap();
        files.store_cert("two").unwrap();
        assert_eq!(read(&ssl.cert()).unwrap().as_deref(), Some("two"));
        assert_eq!(std::fs::read_dir(parent(&ssl.cert())).unwrap().count(), 1);
        files.store_ca("ca").unwrap();
        files.store_crl("crl").unwrap();
        files.store_request("request").unwrap();
        assert!(folder.path().join("certs/ca.pem").exists());
        assert!(folder.path().join("crl.pem").exists());
        assert!(
            folder
                .path()
                .join("certificate_requests/usdc1.pem")
                .exists()
        );
    }

    #[test]
    fn only_one_enrolls_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let ssl = SslDir::new(folder.path(), "usdc1");
        let first = Files::open(&ssl).unwrap();
        assert!(matches!(Files::open(&ssl), Err(FilesError::Busy(_))));
        drop(first);
        Files::open(&ssl).unwrap();
    }

    #[test]
    fn what_root_makes_belongs_to_the_owner_of_the_folder() {
        const NOBODY: u32 = 65_534;
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        lchown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        let ssl = SslDir::new(folder.path().join("ssl"), "usdc1");
        let files = Files::open(&ssl).unwrap();
        files.create_key("key").unwrap();
        files.store_cert("cert").unwrap();
        for path in [
            ssl.dir().to_owned(),
            ssl.key(),
            ssl.cert(),
            parent(&ssl.key()).to_owned(),
        ] {
            let owner = std::fs::metadata(&path).unwrap();
            assert_eq!(
                (owner.uid(), owner.gid()),
                (NOBODY, NOBODY),
                "{}",
                path.display()
            );
        }
    }

    #[test]
    fn an_endless_file_is_not_read() {
        let error = read(Path::new("/dev/zero")).unwrap_err();
        assert!(matches!(error, FilesError::TooLarge(_)), "{error}");
    }
}
