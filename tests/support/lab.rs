//! Where a scenario runs: its folder, its logs, its ports, its waits.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::Instant;

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(50);

/// Lines of each log that are shown when a scenario fails.
const TAIL_LINES: usize = 25;

/// Ports are taken from here: below the range that the kernel gives to outgoing connections, so
/// that nothing can take a port between our look at it and the server's start.
const PORTS: std::ops::Range<u16> = 15_000..32_000;

/// The environment variable that skips everything that needs other programs.
const SKIP: &str = "PROMETHEUS_STREAMS_SKIP_LIVE";

/// One scenario's folder and log files.
pub(crate) struct Lab {
    folder: TempDir,
    logs: Mutex<Vec<PathBuf>>,
    numbers: AtomicUsize,
    /// Whether a Ctrl-C on the terminal reaches the processes as well.
    pub(crate) shares_terminal: bool,
}

impl Lab {
    /// Makes the folder.
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("prometheus-streams-")
            .tempdir();
        Self {
            folder: folder.unwrap(),
            logs: Mutex::default(),
            numbers: AtomicUsize::new(0),
            shares_terminal: true,
        }
    }

    /// Returns the folder that holds everything.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Returns a new path below the folder, with a number that makes it unique.
    pub(crate) fn file(&self, name: &str, extension: &str) -> PathBuf {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        self.path().join(format!("{number:03}-{name}.{extension}"))
    }

    /// Makes a folder of its own for one process.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let path = self.file(name, "d");
        fs::create_dir(&path).unwrap();
        path
    }

    /// Returns a path for a log whose end is shown when the scenario fails.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        let path = self.file(name, "log");
        self.logs.lock().unwrap().push(path.clone());
        path
    }
}

impl Drop for Lab {
    #[expect(clippy::print_stderr, reason = "tells why a scenario failed")]
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let logs = std::mem::take(&mut *self.logs.lock().unwrap());
        for path in logs {
            let text = fs::read(&path).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines = text.lines().collect::<Vec<_>>();
            let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
            if !tail.is_empty() {
                eprintln!("--- the end of {}\n{}", path.display(), tail.join("\n"));
            }
        }
    }
}

/// Runs a scenario within `limit`, unless live tests are switched off.
#[track_caller]
pub(crate) fn run(limit: Duration, scenario: impl AsyncFnOnce(&Lab)) {
    if is_skipped() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let lab = Lab::new();
    let finished = runtime.block_on(async {
        let scenario = Box::pin(scenario(&lab));
        tokio::time::timeout(limit, scenario).await.is_ok()
    });
    assert!(finished, "the scenario takes longer than {limit:?}");
}

/// Returns a number that an environment variable sets for a bench.
pub(crate) fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name}=`{text}` is no number")),
        Err(_unset) => default,
    }
}

/// Tells whether scenarios are switched off.
pub(super) fn is_skipped() -> bool {
    std::env::var_os(SKIP).is_some()
}

/// Waits until `probe` gives a value; panics with its last words after `limit`.
#[track_caller]
pub(crate) fn wait_until<T>(
    limit: Duration,
    what: &str,
    mut probe: impl AsyncFnMut() -> Result<T, String>,
) -> impl Future<Output = T> {
    let caller = Location::caller();
    async move {
        let deadline = Instant::now() + limit;
        loop {
            match probe().await {
                Ok(value) => return value,
                Err(status) if Instant::now() >= deadline => {
                    panic!("{caller}: {what}: not within {limit:?}; at last: {status}")
                }
                Err(_) => tokio::time::sleep(POLL).await,
            }
        }
    }
}

/// Returns a port that nothing listens on, never the same twice in one process.
pub(crate) fn free_port() -> u16 {
    static STEPS: AtomicU16 = AtomicU16::new(0);
    // Test binaries of several checkouts may run at once: each starts its search elsewhere.
    let start = std::process::id().wrapping_mul(67);
    let span = u32::from(PORTS.end - PORTS.start);
    for _ in PORTS {
        let step = u32::from(STEPS.fetch_add(1, Ordering::Relaxed));
        let offset = u16::try_from(start.wrapping_add(step) % span).unwrap();
        let port = PORTS.start + offset;
        let is_free = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
            && TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).is_ok();
        if is_free {
            return port;
        }
    }
    panic!("no port is free");
}
