//! The life of a program: start, signals, reload, end.
//!
//! In: command-line options and the part to run. Out: an exit code. The steps stand in order in
//! [`run`]: read the configuration, begin to log, write the process id, open our own pages, run
//! the part until it is told to stop, say how it ended.
//!
//! A reload reads the file again. What is wrong is refused as a whole. Scrape configurations are
//! handed to the running part; when anything else that concerns it has changed, the part is stopped
//! in order and started anew, and if it cannot, it goes on with the old configuration.

mod enrolled;
mod life;
mod notify;
mod reload;
mod signals;

pub use notify::Link;
pub use reload::{Outcome, Reloads, ScrapeReload};

use std::fmt;
use std::future::Future;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::admin::{self, AdminError};
use crate::clock::Clock;
use crate::config::{Config, LoadError, Loaded, Overrides, Problem, Role};
use crate::telemetry::{self, Level, LogError, Metrics, chain};
use crate::tls;

use life::Life;
use notify::{Manager, Notify};
use reload::ReloadMetrics;
use signals::Signals;

/// How a part ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Everything was handed over.
    Clean,
    /// Something was left behind, and counted.
    Unclean,
}

/// Options of every program.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Configuration file
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// A whole prometheus.yml; it stands in place of `prometheus_config` in the configuration file
    #[arg(long, value_name = "FILE", global = true)]
    pub prometheus_config: Option<PathBuf>,
    /// A web configuration file for our own pages; it stands in place of `web_config` in the
    /// configuration file
    #[arg(long = "web.config.file", value_name = "FILE", global = true)]
    pub web_config: Option<PathBuf>,
    /// Log at debug level, whatever the file says
    #[arg(long, global = true)]
    pub debug: bool,
    /// Write the process id to a file
    #[arg(long, value_name = "FILE", global = true)]
    pub pid: Option<PathBuf>,

    /// Reload at a POST to /-/reload of our own pages, too
    #[arg(long = "web.enable-lifecycle", global = true)]
    pub enable_lifecycle: bool,
}

impl Options {
    /// Returns the files that stand in place of those that the configuration names.
    pub fn overrides(&self) -> Overrides<'_> {
        Overrides {
            prometheus: self.prometheus_config.as_deref(),
            web: self.web_config.as_deref(),
        }
    }
}

/// Exit code of a program that could not start or had to end.
pub const EXIT_FAILED: u8 = 1;

/// Exit code of a command line that makes no sense, and of a file that cannot be read.
pub const EXIT_USAGE: u8 = 2;

/// Why a program could not start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// There is no `--config`.
    #[error("no configuration file; name it with --config FILE")]
    NoConfig,
    /// The runtime cannot be started.
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    /// The configuration is not good; the problems speak for themselves.
    #[error(transparent)]
    Config(#[from] LoadError),
    /// Logs cannot be written.
    #[error("cannot begin to log")]
    Log(#[from] LogError),
    /// The process id cannot be written.
    #[error("cannot write the process id to `{}`", path.display())]
    Pid {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Our own pages cannot be served.
    #[error("cannot serve our own pages")]
    Admin(#[from] AdminError),
    /// Signals cannot be received.
    #[error("cannot receive signals")]
    Signal(#[source] io::Error),
    /// The part itself failed.
    #[error("cannot run")]
    Part(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What a part gets to run with.
#[derive(Debug)]
pub struct Context {
    /// The checked configuration.
    pub config: Config,
    /// New scrape configurations.
    pub reloads: mpsc::Receiver<ScrapeReload>,
    /// Where it registers its metrics.
    pub metrics: Metrics,
    /// The wall clock.
    pub clock: Clock,
    /// Told when to stop.
    pub stop: CancellationToken,
    /// Told whether the part is ready to work.
    pub ready: admin::Readiness,
    /// Told which connection the part works with.
    pub link: Link,
}

/// Runs one part from start to end on a runtime of its own.
pub fn run<F, E>(
    role: Role,
    options: &Options,
    part: impl Fn(Context) -> F,
) -> Result<Ending, ServiceError>
where
    F: Future<Output = Result<Ending, E>>,
    E: std::error::Error + Send + Sync + 'static,
{
    tls::install_provider();
    let file = options.config.as_deref().ok_or(ServiceError::NoConfig)?;
    let loaded = load(role, options, file)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads(role, &loaded.config))
        .enable_all()
        .build()
        .map_err(ServiceError::Runtime)?;
    runtime.block_on(live(role, options, (file, loaded), part))
}

fn load(role: Role, options: &Options, file: &Path) -> Result<Loaded, LoadError> {
    let mut loaded = Config::load_with(file, options.overrides())?;
    loaded.config.require(role).map_err(LoadError::Problems)?;
    if options.debug {
        loaded.config.log.level = Level::Debug;
    }
    Ok(loaded)
}

/// Returns how many threads work.
///
/// Each thread more than needed is woken in vain with nearly every scrape, which measured an
/// eighth of a poller's CPU.
fn threads(role: Role, config: &Config) -> usize {
    /// A thread reads some 3 million samples a second: these targets with 5,000 series each at 15
    /// seconds keep it busy for a fifth of the time.
    const TARGETS_PER_THREAD: usize = 2000;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    match (role, config.scrape.fixed_targets()) {
        (Role::Poller, Some(targets)) => cores.min(1 + targets / TARGETS_PER_THREAD),
        (Role::Poller, None) | (Role::Receiver, _) => cores,
    }
}

async fn live<F, E>(
    role: Role,
    options: &Options,
    (file, loaded): (&Path, Loaded),
    part: impl Fn(Context) -> F,
) -> Result<Ending, ServiceError>
where
    F: Future<Output = Result<Ending, E>>,
    E: std::error::Error + Send + Sync + 'static,
{
    let Loaded {
        config, warnings, ..
    } = loaded;
    let log = telemetry::init_log(&config.log)?;
    let version = env!("CARGO_PKG_VERSION");
    info!(version, config = %file.display(), identity = %config.identity, "{role} starts");
    warn_of(&warnings);
    let pid = options.pid.as_deref().map(PidFile::write).transpose()?;
    let signals = Signals::open().map_err(ServiceError::Signal)?;
    let (stop, abort) = (CancellationToken::new(), CancellationToken::new());
    let (reloads, requests) = Reloads::new();
    tokio::spawn(signals.watch(stop.clone(), abort.clone(), log.clone(), reloads.clone()));
    let metrics = ReloadMetrics::default();
    metrics.succeeded(&Clock::system());
    let mut life = Life {
        role,
        options,
        file,
        stop,
        reloads,
        requests,
        metrics,
        log,
        notify: Notify::open(role, &Manager::from_environment()),
    };
    let result = abort.run_until_cancelled(life.lead(config, part)).await;
    life.notify.close().await;
    drop(pid);
    match result {
        Some(Ok(Ending::Clean)) => {
            info!("{role} stopped; clean");
            Ok(Ending::Clean)
        }
        Some(Ok(Ending::Unclean)) => {
            warn!("{role} stopped; not clean");
            Ok(Ending::Unclean)
        }
        None => {
            error!("{role} was told to stop at once; not clean");
            Ok(Ending::Unclean)
        }
        Some(Err(error)) => {
            error!(error = chain(&error), "{role} cannot go on");
            Err(error)
        }
    }
}

fn warn_of(warnings: &[Problem]) {
    for warning in warnings {
        warn!("{warning}");
    }
}

/// Says on standard error why a program ended, if it is a failure, and returns its exit code.
pub fn exit_code(result: Result<Ending, ServiceError>) -> ExitCode {
    match result {
        Ok(Ending::Clean | Ending::Unclean) => ExitCode::SUCCESS,
        Err(error) => {
            let code = match &error {
                ServiceError::NoConfig => EXIT_USAGE,
                _ => EXIT_FAILED,
            };
            // There is nobody left to tell when this fails.
            drop(writeln!(io::stderr(), "{}", chain(&error)));
            ExitCode::from(code)
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Poller => "poller",
            Self::Receiver => "receiver",
        })
    }
}

/// A file with our process id, removed at the end.
struct PidFile(PathBuf);

impl PidFile {
    fn write(path: &Path) -> Result<Self, ServiceError> {
        std::fs::write(path, std::process::id().to_string()).map_err(|source| {
            ServiceError::Pid {
                path: path.to_owned(),
                source,
            }
        })?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // It may be gone already; then there is nothing to remove.
        drop(std::fs::remove_file(&self.0));
    }
}
