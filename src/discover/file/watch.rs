//! Watching folders, by the kernel's inotify.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, timeout_at};
use tracing::debug;

/// A change is passed on when nothing has changed for this time: who writes a file, or renames
/// several, does so in steps.
const QUIET: Duration = Duration::from_millis(50);

/// But no later than this after the first one: some files are never quiet.
const LATEST: Duration = Duration::from_secs(1);

/// Everything that may change what a file of targets holds. Looking at a file is not among it, or
/// our own reading would wake us.
const CHANGES: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF);

/// Folders that are watched.
pub(super) struct Watch(AsyncFd<OwnedFd>);

impl Watch {
    /// Asks the system for a watch; it gives each user a limited number of them.
    pub(super) fn new() -> io::Result<Self> {
        let descriptor = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        #[expect(
            deprecated,
            reason = "the successor is unsafe for types that may change their descriptor; \
                      an `OwnedFd` keeps it for as long as it lives"
        )]
        let descriptor = AsyncFd::new(descriptor)?;
        Ok(Self(descriptor))
    }

    /// Watches a folder, too; it is harmless to add one again, and needed after it was gone.
    pub(super) fn add(&self, folder: &Path) {
        if let Err(error) = inotify::add_watch(self.0.get_ref(), folder, CHANGES) {
            // Whoever makes the folder later is seen at the next refresh.
            debug!(folder = %folder.display(), reason = %error, "cannot watch a folder");
        }
    }

    /// Returns when something has changed; cancel-safe.
    pub(super) async fn changed(&self) {
        self.next().await;
        let latest = Instant::now() + LATEST;
        loop {
            let quiet = (Instant::now() + QUIET).min(latest);
            if timeout_at(quiet, self.next()).await.is_err() {
                return;
            }
        }
    }

    /// Waits for events, and takes all that there are.
    async fn next(&self) {
        // Room for some dozens of events with names of usual length.
        let mut events = [0; 4096];
        let taken = self
            .0
            .async_io(tokio::io::Interest::READABLE, |descriptor| {
                loop {
                    match rustix::io::read(descriptor, &mut events) {
                        Ok(_) => {}
                        Err(Errno::INTR) => continue,
                        Err(error) => return Err(io::Error::from(error)),
                    }
                    return Ok(());
                }
            });
        if let Err(error) = taken.await {
            debug!(reason = %error, "cannot read what has changed");
            // There is nothing to be had here any more; the refresh interval goes on.
            std::future::pending::<()>().await;
        }
    }
}
