//! The targets of a site as discovery and configuration change.
//!
//! In: the scrape configurations, now and after each reload, and what their discovery finds. Out:
//! one worker per target, one task per lane. A target that stays keeps its worker, its phase and
//! what is known of it. One that is gone gets its last record when Prometheus would write its
//! stale markers. A poller that stops says nothing of its targets: they will be back.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep_until;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{error, info, warn};

use super::farewells::{Farewell, Farewells};
use super::jobs::{JobError, Jobs, Replaced};
use super::lane::{Lane, Live, Outside};
use super::roster::{Changes, JobId, Roster, Wanted};
use super::{Site, frames};
use crate::bus::LaneId;
use crate::model::{Labels, Outcome};
use crate::scrape::{self, Order, Target, Tools, Worker};
use crate::service::{self, ScrapeReload};
use crate::spool::Entry;
use crate::telemetry::chain;
use crate::wire::{Record, Scrape};

/// Records on their way from the workers to a lane. The lane only puts them aside and encodes
/// now and then; when it is full the workers wait, and nothing is lost.
const RECORDS_QUEUE: usize = 256;

/// All that is scraped.
pub(super) struct Pool {
    site: Arc<Site>,
    jobs: Jobs,
    roster: Roster,
    workers: HashMap<Arc<Labels>, WorkerHandle>,
    lanes: BTreeMap<u32, LaneHandle>,
    farewells: Farewells,
    /// Workers and lanes.
    tasks: JoinSet<()>,
    /// Where lanes put closed frames.
    closed: mpsc::Sender<Entry>,
    updates_rx: mpsc::Receiver<JobId>,
    /// Whether every job has told its targets once; before, none is scraped, so that the lanes are
    /// as many as it takes.
    has_begun: bool,
}

struct WorkerHandle {
    orders: watch::Sender<Order>,
    _stop: DropGuard,
}

struct LaneHandle {
    records: mpsc::Sender<Record>,
    live: Live,
}

impl Pool {
    /// Sets up the jobs; nothing runs yet.
    pub(super) fn new(
        site: Arc<Site>,
        settings: &scrape::Settings,
        closed: mpsc::Sender<Entry>,
    ) -> Result<Self, JobError> {
        let (mut jobs, updates_rx) = Jobs::new(site.discover_metrics.clone());
        jobs.replace(settings)?;
        let mut pool = Self {
            site,
            jobs,
            roster: Roster::new(),
            workers: HashMap::new(),
            lanes: BTreeMap::new(),
            farewells: Farewells::default(),
            tasks: JoinSet::new(),
            closed,
            updates_rx,
            has_begun: false,
        };
        // A site without any target still tells that it lives.
        pool.lane(0);
        Ok(pool)
    }

    /// Scrapes until `stop`; then waits for the lanes to close their last frames.
    pub(super) async fn run(
        mut self,
        mut reloads: mpsc::Receiver<ScrapeReload>,
        stop: CancellationToken,
    ) {
        self.begin_if_all_known().await;
        loop {
            let due = self.farewells.next_due();
            let farewell = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                Some(reload) = reloads.recv() => {
                    let outcome = self.reload(&reload.settings).await;
                    reload.answer(outcome);
                }
                Some(job) = self.updates_rx.recv() => self.update(job).await,
                () = farewell => self.say_farewell().await,
                Some(_ended) = self.tasks.join_next(), if !self.tasks.is_empty() => {}
            }
        }
        self.jobs.clear();
        self.workers.clear();
        self.lanes.clear();
        while self.tasks.join_next().await.is_some() {}
    }

    /// Takes new scrape configurations as a whole, or none of them.
    async fn reload(&mut self, settings: &scrape::Settings) -> service::Outcome {
        match self.jobs.replace(settings) {
            Ok(Replaced { begun, ended }) => {
                info!(jobs = self.jobs.len(), "scrape configurations reloaded");
                for (before, job) in &begun {
                    if let Some(before) = before {
                        self.roster.hand_over(*before, *job);
                    }
                }
                for (job, name) in ended {
                    self.apply(job, Vec::new()).await;
                    if !self.jobs.has_name(&name) {
                        self.site.discover_metrics.forget(&name);
                        self.site.metrics.forget(&name);
                    }
                }
                for (_, job) in begun {
                    self.update(job).await;
                }
                self.begin_if_all_known().await;
                Ok(())
            }
            Err(error) => {
                error!(
                    error = chain(&error),
                    "cannot use the new scrape configurations; the old ones go on"
                );
                Err(chain(&error))
            }
        }
    }

    /// Begins to scrape when every job has told its targets.
    async fn begin_if_all_known(&mut self) {
        if self.has_begun || !self.jobs.iter().all(|job| job.groups().is_some()) {
            return;
        }
        self.has_begun = true;
        let jobs: Vec<JobId> = self.jobs.iter().map(|job| job.id).collect();
        let wanted = jobs
            .into_iter()
            .filter_map(|job| Some((job, self.wanted(job)?)));
        let wanted: Vec<(JobId, Vec<Wanted>)> = wanted.collect();
        self.roster
            .expect(wanted.iter().map(|(_, wanted)| wanted.len()).sum());
        for (job, wanted) in wanted {
            self.apply(job, wanted).await;
        }
        info!(
            targets = self.roster.len(),
            lanes = self.lanes.len(),
            "scraping"
        );
    }

    /// Looks at the targets that a job's discovery has found.
    async fn update(&mut self, job: JobId) {
        if !self.has_begun {
            self.begin_if_all_known().await;
            return;
        }
        // It may have been replaced meanwhile, or its discovery has not answered yet.
        let Some(wanted) = self.wanted(job) else {
            return;
        };
        if self.apply(job, wanted).await == 0 {
            return;
        }
        // What another job wants as well may be free now.
        let shadowed = self.jobs.iter().filter(|job| job.shadowed > 0);
        let others: Vec<JobId> = shadowed.map(|job| job.id).collect();
        for job in others {
            if let Some(wanted) = self.wanted(job) {
                self.apply(job, wanted).await;
            }
        }
    }

    /// Returns a job's targets after relabelling.
    fn wanted(&mut self, job: JobId) -> Option<Vec<Wanted>> {
        let job = self.jobs.get_mut(job)?;
        let groups = job.groups()?;
        let targets = scrape::targets(&job.config, &groups);
        let name = &*job.config.job_name;
        let unusable = targets.invalid.iter().map(|invalid| {
            let discovered = invalid.origin.discovered(&job.config);
            let address = discovered.get("__address__").to_owned();
            (address, chain(&invalid.error))
        });
        let unusable: HashSet<(String, String)> = unusable.collect();
        for (address, error) in unusable.difference(&job.unusable) {
            warn!(job = name, address, error, "a target is not usable");
        }
        job.unusable = unusable;
        if targets.is_over_limit != job.is_over_limit {
            job.is_over_limit = targets.is_over_limit;
            if targets.is_over_limit {
                error!(
                    job = name,
                    targets = targets.kept.len(),
                    "more targets than `target_limit`; all scrapes fail"
                );
            } else {
                info!(job = name, "no more targets than `target_limit` again");
            }
        }
        self.site.metrics.discovered(
            name,
            targets.kept.len(),
            targets.dropped_count,
            targets.invalid.len(),
        );
        let is_over_limit = targets.is_over_limit;
        let wanted = targets.kept.into_iter().map(|target| Wanted {
            target: Arc::new(target),
            is_over_limit,
        });
        Some(wanted.collect())
    }

    /// Starts, changes and ends workers; returns how many ended.
    async fn apply(&mut self, id: JobId, wanted: Vec<Wanted>) -> usize {
        let Changes {
            started,
            changed,
            removed,
            shadowed,
        } = self.roster.update(id, wanted);
        if let Some(job) = self.jobs.get_mut(id) {
            if shadowed > 0 && job.shadowed == 0 {
                warn!(
                    job = job.config.job_name,
                    targets = shadowed,
                    "targets have the same labels as others, which are scraped instead"
                );
            }
            job.shadowed = shadowed;
        }
        if self.has_begun && started.len() + removed.len() > 0 {
            info!(
                started = started.len(),
                removed = removed.len(),
                targets = self.roster.len(),
                "targets changed"
            );
        }
        let ended = removed.len();
        let read_anew: HashSet<Labels> = if removed.is_empty() {
            HashSet::new()
        } else {
            let started = started.iter().map(|(_, wanted)| &wanted.target);
            started.map(|target| target.labels.plain()).collect()
        };
        for (lane, target) in removed {
            self.end(lane, &target);
            if read_anew.contains(&target.labels.plain()) {
                // To receivers it is another one from now on, whose series begin anew.
                let now_ms = self.site.clock.now_ms();
                self.farewells.hurry(&target.labels, now_ms);
            }
        }
        self.say_farewell().await;
        let means = self.jobs.get_mut(id).map(|job| Arc::clone(&job.means));
        let Some(means) = means else {
            return ended;
        };
        let order = |wanted: Wanted| Order {
            target: wanted.target,
            means: Arc::clone(&means),
            is_over_limit: wanted.is_over_limit,
        };
        for wanted in changed {
            if let Some(worker) = self.workers.get(&wanted.target.labels) {
                worker.orders.send_replace(order(wanted));
            }
        }
        for (lane, wanted) in started {
            self.start(lane, order(wanted));
            // So many at once would keep everything else waiting.
            tokio::task::consume_budget().await;
        }
        ended
    }

    fn start(&mut self, lane: u32, order: Order) {
        let labels = Arc::clone(&order.target.labels);
        self.site.metrics.target_started(labels.job());
        let now_ms = self.site.clock.now_ms();
        if let Some(needless) = self.farewells.returned(&order.target, now_ms) {
            self.leave(&needless);
        }
        let handle = self.lane(lane);
        handle.live.insert(labels.stable_hash());
        let records = handle.records.clone();
        // The pool writes, the worker reads the latest.
        let (orders, orders_rx) = watch::channel(order);
        let tools = Tools {
            clock: self.site.clock.clone(),
            metrics: self.site.scrape_metrics.clone(),
            shapes: self.site.shapes.clone(),
        };
        let stop = CancellationToken::new();
        let worker = Worker::new(orders_rx, tools);
        self.tasks.spawn(worker.run(records, stop.clone()));
        let handle = WorkerHandle {
            orders,
            _stop: stop.drop_guard(),
        };
        self.workers.insert(labels, handle);
    }

    /// Ends a worker at once; that the target is gone is told later.
    fn end(&mut self, lane: u32, target: &Target) {
        drop(self.workers.remove(&target.labels));
        self.site.metrics.target_ended(target.labels.job());
        self.farewells.ended(lane, target, self.site.clock.now_ms());
    }

    async fn say_farewell(&mut self) {
        for farewell in self.farewells.take_due() {
            self.leave(&farewell);
            let Some(lane) = self.lanes.get(&farewell.lane) else {
                continue;
            };
            let gone = Record::Scrape(Scrape {
                target: farewell.target,
                time_ms: farewell.time_ms,
                outcome: Outcome::Gone,
            });
            if lane.records.send(gone).await.is_err() {
                error!(lane = farewell.lane, "the lane has ended");
            }
        }
    }

    /// A lane counts a target as its own no more, unless the target is back in it.
    fn leave(&self, farewell: &Farewell) {
        let is_back = self.roster.lane(&farewell.target) == Some(farewell.lane);
        if let Some(lane) = self.lanes.get(&farewell.lane)
            && !is_back
        {
            lane.live.remove(farewell.target.stable_hash());
        }
    }

    /// Returns a lane; a new one begins.
    fn lane(&mut self, number: u32) -> &LaneHandle {
        self.lanes.entry(number).or_insert_with(|| {
            // Workers write, the lane reads; the length bounds how far they can get ahead of it.
            let (records, records_rx) = mpsc::channel(RECORDS_QUEUE);
            let live = Live::default();
            let outside = Outside {
                closed: self.closed.clone(),
                signals: Arc::clone(self.site.backlog.signals()),
                bus: self.site.bus.clone(),
                clock: self.site.clock.clone(),
            };
            let lane = Lane::new(settings_of(&self.site, number), live.clone(), outside);
            self.tasks.spawn(lane.run(records_rx));
            LaneHandle { records, live }
        })
    }
}

fn settings_of(site: &Site, lane: u32) -> frames::Settings {
    let id = LaneId {
        publisher: Arc::clone(&site.publisher),
        lane,
    };
    let [stagger, ..] = crc32fast::hash(id.to_string().as_bytes()).to_le_bytes();
    frames::Settings {
        lane,
        epoch: site.epoch,
        stagger,
        is_chained: site.is_chained,
        shapes: site.shapes.clone(),
    }
}
