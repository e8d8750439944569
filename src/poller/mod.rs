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
mod frames;
mod keeper;
mod lane;
mod metrics;
mod publisher;
mod signals;

pub use metrics::Metrics;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::bus::{Bus, BusError, LaneId, StreamError};
use crate::clock::Clock;
use crate::http::Fetcher;
use crate::scrape::{self, Shapes};
use crate::service::{Context, Ending};
use crate::spool::{self, Recovered, Spool, SpoolError};
use crate::telemetry::chain;
use crate::tls::TlsError;

use backlog::Backlog;
use keeper::Keeper;
use lane::{Lane, Outside};
use publisher::Publisher;
use signals::Signals;

/// Targets of one lane; a site with more has more lanes.
///
/// A lane publishes one frame after the other, so its targets share one round trip at a time;
/// fewer, larger frames cost fewer bytes.
const TARGETS_PER_LANE: usize = 250;

/// Records on their way from the workers to a lane. The lane only puts them aside and encodes
/// now and then; when it is full the workers wait, and nothing is lost.
const RECORDS_QUEUE: usize = 256;

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
    /// TLS for the targets cannot be set up.
    #[error("cannot set up TLS to the targets")]
    Tls(#[from] TlsError),
}

/// Runs the poller until it is told to stop.
pub async fn run(context: Context) -> Result<Ending, PollerError> {
    let Context {
        config,
        metrics,
        clock,
        stop,
        ready,
    } = context;
    let settings = config.poller_stream.clone().ok_or(PollerError::NoStream)?;
    let fetcher = Fetcher::with_tls(scrape::tls_for(&config.scrape)?);
    let spool = config
        .spool
        .map(|settings| open(settings, &clock))
        .transpose()?;
    let (scrape_metrics, metrics) = metrics.register("poller", |registry| {
        (
            scrape::Metrics::register(registry),
            Metrics::register(registry),
        )
    });
    let name = format!("prometheus-streams-poller {}", config.identity);
    let bus = Bus::connect(settings, &name).await?;
    let patient = tokio::time::timeout(START_PATIENCE, bus.wait_for_stream(&stop));
    let has_stream = match patient.await {
        Ok(Ok(Some(()))) => true,
        Ok(Ok(None)) => return Ok(Ending::Clean),
        Ok(Err(error)) => return Err(error.into()),
        Err(_elapsed) => {
            warn!("NATS is away; what is scraped waits in the spool, or else in memory");
            false
        }
    };

    let lanes = assign(&config.scrape.targets);
    let epoch = u64::try_from(clock.now_ms()).unwrap_or(0);
    info!(
        targets = config.scrape.targets.len(),
        lanes = lanes.len(),
        epoch,
        "polling"
    );
    let backlog = Arc::new(Backlog::new(lanes.len(), metrics.clone()));
    let publisher = config.identity.as_str().into();
    let site = Site {
        publisher,
        epoch,
        fetcher,
        bus,
        clock,
        shapes: Shapes::new(scrape_metrics.clone()),
        scrape_metrics,
        metrics,
        backlog,
        is_chained: config.chain,
    };
    let tasks = site.spawn(lanes, spool, &stop);
    ready.set(true);
    let found = if has_stream {
        Ok(Some(()))
    } else {
        site.bus.wait_for_stream(&stop).await
    };
    if let Err(error) = found {
        stop.cancel();
        site.end(tasks).await;
        return Err(error.into());
    }
    Ok(site.end(tasks).await)
}

/// What all lanes of a site share.
struct Site {
    publisher: Arc<str>,
    epoch: u64,
    fetcher: Fetcher,
    bus: Bus,
    clock: Clock,
    scrape_metrics: scrape::Metrics,
    shapes: Shapes,
    metrics: Metrics,
    backlog: Arc<Backlog>,
    is_chained: bool,
}

/// The tasks of a site.
struct Tasks {
    /// Workers and lanes; they end when told to stop.
    producers: JoinSet<()>,
    /// Ends when all lanes have ended and what they closed is published or saved.
    keeper: JoinHandle<Ending>,
    /// Publishers; they end when the backlog is closed, or when the keeper says so.
    publishers: JoinSet<()>,
}

impl Site {
    fn spawn(
        &self,
        lanes: Vec<Vec<scrape::Target>>,
        spool: Option<Spool>,
        stop: &CancellationToken,
    ) -> Tasks {
        let (mut producers, mut publishers) = (JoinSet::new(), JoinSet::new());
        let abandon = CancellationToken::new();
        // Lanes write, the keeper reads; when the disk is slow, lanes wait, and their workers.
        let (closed_tx, closed_rx) = mpsc::channel(CLOSED_QUEUE);
        // Publishers write, the keeper reads; one place for each that may be under way.
        let (confirmed_tx, confirmed_rx) = mpsc::channel(lanes.len().max(1));
        for (queue, targets) in lanes.into_iter().enumerate() {
            // Workers write, the lane reads; the length bounds how far they can get ahead of it.
            let (records_tx, records_rx) = mpsc::channel(RECORDS_QUEUE);
            let live = targets
                .iter()
                .map(|target| target.labels.stable_hash())
                .collect();
            for target in targets {
                self.metrics.target(target.labels.job());
                let clock = self.clock.clone();
                let metrics = self.scrape_metrics.clone();
                let worker =
                    scrape::Worker::new(target, &self.fetcher, clock, metrics, self.shapes.clone());
                producers.spawn(worker.run(records_tx.clone(), stop.clone()));
            }
            drop(records_tx);
            let outside = Outside {
                closed: closed_tx.clone(),
                signals: Arc::clone(self.backlog.signals()),
                bus: self.bus.clone(),
                clock: self.clock.clone(),
            };
            let lane = Lane::new(self.settings_of(queue), live, outside);
            producers.spawn(lane.run(records_rx, stop.clone()));
            let publisher = Publisher::new(
                Arc::clone(&self.publisher),
                queue,
                Arc::clone(&self.backlog),
                self.bus.clone(),
                confirmed_tx.clone(),
                self.metrics.clone(),
            );
            publishers.spawn(publisher.run(abandon.clone()));
        }
        let signals = Arc::clone(self.backlog.signals());
        let listening = Self::listen(Arc::clone(&self.publisher), self.bus.clone(), signals);
        let until = stop.clone();
        producers.spawn(async move {
            until.run_until_cancelled(listening).await;
        });
        let (backlog, bus) = (Arc::clone(&self.backlog), self.bus.clone());
        let keeper = Keeper::new(
            backlog,
            spool,
            bus,
            self.clock.clone(),
            self.metrics.clone(),
        );
        let keeper = tokio::spawn(keeper.run(closed_rx, confirmed_rx, abandon));
        Tasks {
            producers,
            keeper,
            publishers,
        }
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

    fn settings_of(&self, queue: usize) -> frames::Settings {
        let lane = u32::try_from(queue).unwrap_or(u32::MAX);
        let id = LaneId {
            publisher: Arc::clone(&self.publisher),
            lane,
        };
        let [stagger, ..] = crc32fast::hash(id.to_string().as_bytes()).to_le_bytes();
        frames::Settings {
            lane,
            epoch: self.epoch,
            stagger,
            is_chained: self.is_chained,
            shapes: self.shapes.clone(),
        }
    }

    /// Waits until scraping has ended and everything is published or saved.
    async fn end(&self, tasks: Tasks) -> Ending {
        let Tasks {
            mut producers,
            keeper,
            mut publishers,
        } = tasks;
        while producers.join_next().await.is_some() {}
        let ending = keeper.await.unwrap_or(Ending::Unclean);
        while publishers.join_next().await.is_some() {}
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

/// Spreads targets over lanes by their hash.
///
/// The number of lanes is a power of two, so that a site that grows moves as few targets as can be.
fn assign(targets: &[scrape::Target]) -> Vec<Vec<scrape::Target>> {
    let count = targets
        .len()
        .div_ceil(TARGETS_PER_LANE)
        .max(1)
        .next_power_of_two();
    let mut lanes = vec![Vec::new(); count];
    for target in targets {
        // The phase uses the low bits of the same hash, so the lane takes the high ones.
        let hash = usize::try_from(target.labels.stable_hash() >> 32).unwrap_or(0);
        if let Some(lane) = lanes.get_mut(hash % count) {
            lane.push(target.clone());
        }
    }
    lanes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Labels;

    fn targets(count: usize) -> Vec<scrape::Target> {
        let target = |n: usize| scrape::Target {
            labels: Arc::new(Labels::of_target("node", &format!("host{n}:9100"))),
            url: url::Url::parse("http://127.0.0.1:9100/metrics").unwrap(),
            interval: Duration::from_secs(15),
            timeout: Duration::from_secs(10),
            body_size_limit: 1 << 20,
        };
        (0..count).map(target).collect()
    }

    #[test]
    fn a_small_site_has_one_lane() {
        assert_eq!(assign(&targets(1)).len(), 1);
        assert_eq!(assign(&targets(250)).len(), 1);
        assert_eq!(assign(&[]).len(), 1);
    }

    #[test]
    fn a_large_site_is_spread_evenly() {
        let lanes = assign(&targets(4000));
        assert_eq!(lanes.len(), 16);
        assert!(lanes.iter().all(|lane| (150..350).contains(&lane.len())));
    }

    #[test]
    fn a_target_keeps_its_lane() {
        let find = |lanes: &[Vec<scrape::Target>]| {
            lanes.iter().position(|lane| {
                lane.iter()
                    .any(|target| target.labels.instance() == "host7:9100")
            })
        };
        assert_eq!(find(&assign(&targets(600))), find(&assign(&targets(900))));
    }
}
