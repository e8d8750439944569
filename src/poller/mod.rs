//! The program at a site: scrapes its targets and publishes what they expose.
//!
//! ```text
//! target worker ─record→ lane ─frame→ keeper ─frame→ backlog ─→ publisher ─→ stream
//!                                       └─ spool ─┘
//! ```
//!
//! One worker per target, one lane task and one publisher per lane. `frames` knows what stands in a
//! lane's frames and which shapes the stream has; `signals` tells a lane what became of them. Frames wait in the backlog
//! in memory or, while NATS does not take them, in the spool on disk; the keeper decides. Both are
//! bounded, and what they drop is counted. The parts end in that order because each ends when the
//! one before it has closed its channel.

mod backlog;
mod farewells;
mod frames;
mod jobs;
mod keeper;
mod lane;
mod metrics;
mod pool;
mod publisher;
mod roster;
mod signals;

pub use frames::shapes_period;
pub use jobs::JobError;
pub use metrics::Metrics;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::bus::{Bus, BusError, StreamError};
use crate::clock::Clock;
use crate::discover;
use crate::scrape::{self, Shapes};
use crate::service::{Context, Ending, ScrapeReload};
use crate::spool::{self, Entry, Recovered, Spool, SpoolError};
use crate::telemetry::chain;

use backlog::{Backlog, LANES_MAX};
use keeper::Keeper;
use pool::Pool;
use publisher::Publisher;
use signals::Signals;

/// How long the start waits for NATS before it begins to scrape without it.
const START_PATIENCE: Duration = Duration::from_secs(5);

/// Closed frames on their way to the keeper, which only puts them aside.
const CLOSED_QUEUE: usize = 64;

/// Why the poller cannot run.
#[derive(Debug, thiserror::Error)]
pub enum PollerError {
    /// There is no `poller_stream`.
    #[error("the configuration has no `poller_stream`")]
    NoStream,
    /// The connection's settings cannot work.
    #[error("cannot connect to NATS")]
    Bus(#[from] BusError),
    /// The stream cannot be used.
    #[error("cannot use the stream")]
    Stream(#[from] StreamError),
    /// The spool cannot be used.
    #[error("cannot use the spool")]
    Spool(#[from] SpoolError),
    /// A scrape configuration cannot be used.
    #[error("cannot scrape")]
    Job(#[from] JobError),
}

/// Runs the poller until it is told to stop.
pub async fn run(context: Context) -> Result<Ending, PollerError> {
    let Context {
        config,
        reloads,
        metrics,
        clock,
        stop,
        ready,
        link,
    } = context;
    let settings = config.poller_stream.clone().ok_or(PollerError::NoStream)?;
    let spool = config.spool.clone();
    let spool = spool.map(|settings| open(settings, &clock)).transpose()?;
    let discover_metrics = metrics.register("discover", |registry| {
        discover::Metrics::register(registry, clock.clone())
    });
    let (scrape_metrics, metrics) = metrics.register("poller", |registry| {
        (
            scrape::Metrics::register(registry),
            Metrics::register(registry),
        )
    });
    let name = format!("prometheus-streams-poller {}", config.identity);
    let bus = Bus::connect(settings, &name).await?;
    link.set(&bus);
    let (backlog, queues) = Backlog::new(metrics.clone());
    let site = Arc::new(Site {
        publisher: config.identity.as_str().into(),
        epoch: u64::try_from(clock.now_ms()).unwrap_or(0),
        bus,
        clock,
        shapes: Shapes::new(scrape_metrics.clone()),
        scrape_metrics,
        discover_metrics,
        metrics,
        backlog: Arc::new(backlog),
        is_chained: config.chain,
    });
    // Lanes write, the keeper reads; when the disk is slow, lanes wait, and their workers.
    let (closed_tx, closed_rx) = mpsc::channel(CLOSED_QUEUE);
    // Set up before NATS is waited for, so that a mistake is told at once.
    let pool = Pool::new(Arc::clone(&site), &config.scrape, closed_tx)?;
    let patient = tokio::time::timeout(START_PATIENCE, site.bus.wait_to_publish(&stop));
    let has_stream = match patient.await {
        Ok(Ok(Some(()))) => true,
        Ok(Ok(None)) => return Ok(Ending::Clean),
        Ok(Err(error)) => return Err(error.into()),
        Err(_elapsed) => {
            warn!("NATS is away; what is scraped waits in the spool, or else in memory");
            false
        }
    };
    info!(
        jobs = config.scrape.configs.len(),
        epoch = site.epoch,
        "polling"
    );
    let tasks = site.spawn(pool, reloads, (closed_rx, queues), spool, &stop);
    ready.set(true);
    let found = if has_stream {
        Ok(Some(()))
    } else {
        site.bus.wait_to_publish(&stop).await
    };
    if let Err(error) = found {
        stop.cancel();
        site.end(tasks).await;
        return Err(error.into());
    }
    Ok(site.end(tasks).await)
}

/// What all parts of a site share.
struct Site {
    publisher: Arc<str>,
    epoch: u64,
    bus: Bus,
    clock: Clock,
    scrape_metrics: scrape::Metrics,
    discover_metrics: discover::Metrics,
    shapes: Shapes,
    metrics: Metrics,
    backlog: Arc<Backlog>,
    is_chained: bool,
}

/// The tasks of a site.
struct Tasks {
    /// Workers and lanes; it ends when told to stop.
    pool: JoinHandle<()>,
    listening: JoinHandle<()>,
    /// Ends when all lanes have ended and what they closed is published or saved.
    keeper: JoinHandle<Ending>,
    /// Publishers; they end when the backlog is closed, or when the keeper says so.
    publishing: JoinHandle<()>,
}

impl Site {
    fn spawn(
        self: &Arc<Self>,
        pool: Pool,
        reloads: mpsc::Receiver<ScrapeReload>,
        (closed, queues): (mpsc::Receiver<Entry>, mpsc::Receiver<usize>),
        spool: Option<Spool>,
        stop: &CancellationToken,
    ) -> Tasks {
        let abandon = CancellationToken::new();
        // Publishers write, the keeper reads; one place for each that may be under way.
        let (confirmed_tx, confirmed_rx) = mpsc::channel(LANES_MAX);
        let publishing = Arc::clone(self).publish(queues, confirmed_tx, abandon.clone());
        let signals = Arc::clone(self.backlog.signals());
        let listening = Self::listen(Arc::clone(&self.publisher), self.bus.clone(), signals);
        let until = stop.clone();
        let listening = tokio::spawn(async move {
            until.run_until_cancelled(listening).await;
        });
        let keeper = Keeper::new(
            Arc::clone(&self.backlog),
            spool,
            self.bus.clone(),
            self.clock.clone(),
            self.metrics.clone(),
        );
        Tasks {
            pool: tokio::spawn(pool.run(reloads, stop.clone())),
            listening,
            keeper: tokio::spawn(keeper.run(closed, confirmed_rx, abandon)),
            publishing: tokio::spawn(publishing),
        }
    }

    /// Publishes the frames of all queues, each by a task of its own.
    async fn publish(
        self: Arc<Self>,
        mut queues: mpsc::Receiver<usize>,
        confirmed: mpsc::Sender<spool::Position>,
        abandon: CancellationToken,
    ) {
        let mut publishers = JoinSet::new();
        while let Some(Some(queue)) = abandon.run_until_cancelled(queues.recv()).await {
            let publisher = Publisher::new(
                Arc::clone(&self.publisher),
                queue,
                Arc::clone(&self.backlog),
                self.bus.clone(),
                confirmed.clone(),
                self.metrics.clone(),
            );
            publishers.spawn(publisher.run(abandon.clone()));
        }
        while publishers.join_next().await.is_some() {}
    }

    /// Hands receivers' requests for key frames to the lanes.
    async fn listen(publisher: Arc<str>, bus: Bus, signals: Arc<Signals>) {
        let mut requests = match bus.key_requests(&publisher).await {
            Ok(requests) => requests,
            Err(error) => {
                warn!(
                    error = chain(&error),
                    "receivers wait for regular key frames"
                );
                return;
            }
        };
        while let Some(lane) = requests.next().await {
            signals.asked(lane);
        }
    }

    /// Waits until scraping has ended and everything is published or saved.
    async fn end(&self, tasks: Tasks) -> Ending {
        let Tasks {
            pool,
            listening,
            keeper,
            publishing,
        } = tasks;
        let mut ending = Ending::Clean;
        for task in [pool, listening] {
            if let Err(error) = task.await {
                error!(error = chain(&error), "a part of the poller ended badly");
                ending = Ending::Unclean;
            }
        }
        match keeper.await {
            Ok(Ending::Clean) => {}
            Ok(Ending::Unclean) | Err(_) => ending = Ending::Unclean,
        }
        if publishing.await.is_err() {
            ending = Ending::Unclean;
        }
        self.bus.close().await;
        ending
    }
}

/// Opens the spool and says what an earlier run has left in it.
fn open(settings: spool::Settings, clock: &Clock) -> Result<Spool, SpoolError> {
    // All of it is read and checked, which takes a while for a large one.
    let (spool, found) = tokio::task::block_in_place(|| Spool::open(settings, clock.clone()))?;
    let Recovered {
        entries,
        bytes,
        cut_bytes,
        damaged,
        repeats,
        ..
    } = found;
    if cut_bytes > 0 || damaged > 0 {
        warn!(
            cut_bytes,
            damaged, "the spool was torn by a crash; its whole frames are kept"
        );
    }
    if entries > 0 {
        info!(
            frames = entries,
            bytes, repeats, "frames of an earlier run wait in the spool"
        );
    }
    Ok(spool)
}
