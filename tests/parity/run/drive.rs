//! What happens to targets while they are scraped: one goes away, others come and go in files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, sleep_until};

use super::serve::{Server, Side};

/// How often counts are looked at.
const LOOK: Duration = Duration::from_millis(5);

/// The scrapes of the target that goes away behind which it does, and for how many scrapes.
const ABSENCES: [(u64, u32); 4] = [(6, 3), (15, 1), (25, 5), (40, 2)];

/// Serves the target that goes away, at a port of its own, and away it goes.
///
/// Both scrapers must see the same: it leaves while both have made the same number of scrapes, in
/// the middle between those of the one and of the other, for a whole number of intervals.
pub(super) async fn refuse(server: Arc<Server>, port: u16, interval: Duration) {
    let mut serving = open(&server, port).await;
    let (late, phase) = phases(&server, interval).await;
    // It begins to count just behind a scrape of the one whose scrapes come late from then on.
    let seen = server.gate().seen(late);
    until(|| server.gate().seen(late) != seen).await;
    server.gate().open();
    let count = |side| server.count("refused", side);
    let mut made = 0;
    for (scrapes, missed) in ABSENCES {
        made += scrapes;
        until(|| Side::ALL.into_iter().all(|side| count(side) == made)).await;
        sleep(phase / 2).await;
        serving.abort();
        drop(serving.await);
        sleep_until(Instant::now() + interval * missed).await;
        serving = open(&server, port).await;
    }
    drop(serving.await);
}

async fn open(server: &Arc<Server>, port: u16) -> tokio::task::JoinHandle<()> {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    tokio::spawn(Arc::clone(server).serve(listener))
}

/// Waits until both have asked; returns which of them asks at least half an interval before the
/// other one, and how long before.
async fn phases(server: &Server, interval: Duration) -> (Side, Duration) {
    let seen = || Side::ALL.map(|side| server.gate().seen(side));
    until(|| seen().iter().all(Option::is_some)).await;
    let [reference, ours] = seen().map(Option::unwrap);
    let whole = interval.as_secs_f64();
    let ahead = if ours > reference {
        (ours - reference).as_secs_f64() % whole
    } else {
        whole - (reference - ours).as_secs_f64() % whole
    };
    if ahead >= whole / 2.0 {
        (Side::Reference, Duration::from_secs_f64(ahead))
    } else {
        (Side::Ours, Duration::from_secs_f64(whole - ahead))
    }
}

async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        sleep(LOOK).await;
    }
}

/// Targets that stand in a file.
pub(super) struct Files {
    folder: PathBuf,
    address: String,
}

/// How many scrapes the one in its place is there for: longer than the two intervals and a bit
/// after which the series of one that is gone end.
const STANDS_IN: u64 = 4;

impl Files {
    /// Writes the first version of the file.
    pub(super) fn new(folder: &Path, address: &str) -> Self {
        let files = Self {
            folder: folder.to_owned(),
            address: address.to_owned(),
        };
        files.write(&["files-a", "files-b"]);
        files
    }

    /// Takes a target out of the file and puts it back; one scraper has a file of its own, so that
    /// both see it at the same scrape.
    pub(super) async fn drive(self, server: Arc<Server>, side: Side) {
        for turn in 1.. {
            until(|| server.count("files-b", side) >= 3 * turn).await;
            self.write(&["files-a", "files-c"]);
            until(|| server.count("files-c", side) >= STANDS_IN * turn).await;
            self.write(&["files-a", "files-b"]);
        }
    }

    fn write(&self, targets: &[&str]) {
        let target = |name: &&str| {
            let address = &self.address;
            format!(
                "- {{targets: [\"{address}\"], labels: {{t: {name}, __metrics_path__: /{name}}}}}\n"
            )
        };
        let text = targets.iter().map(target).collect::<String>();
        let new = self.folder.join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.folder.join("targets.yml")).unwrap();
    }
}
