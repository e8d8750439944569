//! The scrape configurations of a site, and the discovery of each.
//!
//! In: configurations, now and after each reload. Out: jobs that go on, begin or end; each wakes
//! the pool when its discovery has found something. A new configuration is set up as a whole before
//! anything of the old one ends.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::roster::JobId;
use crate::discover::{self, Discovery, Groups};
use crate::scrape::{self, Config, Means};

/// Jobs whose targets may have changed, on their way to the pool, which looks at all that it has
/// then. A job that is ahead of it waits.
const UPDATES_QUEUE: usize = 64;

/// Why a scrape configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// Its HTTP client cannot be built.
    #[error("cannot set up the HTTP client of job `{job}`")]
    Client {
        /// The job.
        job: String,
        /// The cause.
        source: crate::tls::TlsError,
    },
    /// Its discovery cannot be built.
    #[error("cannot set up the discovery of job `{job}`")]
    Discovery {
        /// The job.
        job: String,
        /// The cause.
        source: Box<discover::DiscoverError>,
    },
}

/// All jobs.
pub(super) struct Jobs {
    list: Vec<Job>,
    last_id: JobId,
    metrics: discover::Metrics,
    updates: mpsc::Sender<JobId>,
}

/// What a reload changes.
#[derive(Debug, Default)]
pub(super) struct Replaced {
    /// Jobs that begin, each with the one whose targets it takes over.
    pub(super) begun: Vec<(Option<JobId>, JobId)>,
    /// Jobs that end, and their names.
    pub(super) ended: Vec<(JobId, String)>,
}

/// One scrape configuration.
pub(super) struct Job {
    pub(super) id: JobId,
    pub(super) config: Arc<Config>,
    pub(super) means: Arc<Means>,
    discovery: Arc<Running>,
    /// Ends what wakes the pool for this job.
    _waker: DropGuard,
    /// Targets that another job scrapes.
    pub(super) shadowed: usize,
    pub(super) is_over_limit: bool,
    /// Addresses of targets that are not usable, and why: what has been said already.
    pub(super) unusable: HashSet<(String, String)>,
}

/// What becomes of a scrape configuration.
struct Plan {
    config: Arc<Config>,
    /// The job that had its targets so far.
    before: Option<JobId>,
    /// Whether that job just goes on.
    is_same: bool,
    /// That job's discovery, if it would find the same.
    discovery: Option<Arc<Running>>,
}

/// A discovery that runs as long as a job has it.
struct Running {
    settings: Vec<discover::Settings>,
    groups: watch::Receiver<Option<Groups>>,
    _stop: DropGuard,
}

impl Job {
    /// Returns what its discovery has found, once it has.
    pub(super) fn groups(&self) -> Option<Groups> {
        self.discovery.groups.borrow().clone()
    }
}

impl Jobs {
    /// There is none yet; the receiver gets the number of each that may have other targets.
    pub(super) fn new(metrics: discover::Metrics) -> (Self, mpsc::Receiver<JobId>) {
        // Jobs write, the pool reads.
        let (updates, updates_rx) = mpsc::channel(UPDATES_QUEUE);
        let jobs = Self {
            list: Vec::new(),
            last_id: 0,
            metrics,
            updates,
        };
        (jobs, updates_rx)
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Job> {
        self.list.iter()
    }

    pub(super) fn get_mut(&mut self, id: JobId) -> Option<&mut Job> {
        self.list.iter_mut().find(|job| job.id == id)
    }

    pub(super) fn has_name(&self, name: &str) -> bool {
        self.list.iter().any(|job| job.config.job_name == name)
    }

    pub(super) fn clear(&mut self) {
        self.list.clear();
    }

    /// Replaces the jobs, all or none.
    ///
    /// A job whose configuration is the same stays; one of the same name takes over the targets,
    /// and the discovery if that is the same.
    pub(super) fn replace(&mut self, settings: &scrape::Settings) -> Result<Replaced, JobError> {
        let mut kept = vec![false; self.list.len()];
        let mut find = |is_it: &dyn Fn(&Job) -> bool| {
            let mut jobs = self.list.iter().zip(&mut kept);
            let (job, kept) = jobs.find(|(job, kept)| !**kept && is_it(job))?;
            *kept = true;
            Some(job)
        };
        let mut plans: Vec<Plan> = Vec::with_capacity(settings.configs.len());
        for config in &settings.configs {
            let same = find(&|job| *job.config == **config);
            plans.push(Plan {
                config: Arc::clone(config),
                before: same.map(|job| job.id),
                is_same: same.is_some(),
                discovery: None,
            });
        }
        for plan in plans.iter_mut().filter(|plan| !plan.is_same) {
            let name = &plan.config.job_name;
            if let Some(job) = find(&|job| job.config.job_name == *name) {
                plan.before = Some(job.id);
                let is_same = job.discovery.settings == plan.config.discovery;
                plan.discovery = is_same.then(|| Arc::clone(&job.discovery));
            }
        }
        let mut new = Vec::with_capacity(plans.len());
        for plan in plans {
            let job = if plan.is_same {
                None
            } else {
                self.last_id += 1;
                Some(self.job(plan.config, self.last_id, plan.discovery)?)
            };
            new.push((job, plan.before));
        }
        // From here on nothing fails.
        let mut old: HashMap<JobId, Job> = self.list.drain(..).map(|job| (job.id, job)).collect();
        let mut replaced = Replaced::default();
        for (job, before) in new {
            let before = before.and_then(|id| old.remove(&id));
            match (job, before) {
                (Some(job), before) => {
                    replaced.begun.push((before.map(|job| job.id), job.id));
                    self.list.push(job);
                }
                (None, Some(same)) => self.list.push(same),
                (None, None) => {}
            }
        }
        let ended = old.into_values();
        replaced.ended = ended
            .map(|job| (job.id, job.config.job_name.clone()))
            .collect();
        Ok(replaced)
    }

    /// Sets up a job; its discovery begins.
    fn job(
        &self,
        config: Arc<Config>,
        id: JobId,
        discovery: Option<Arc<Running>>,
    ) -> Result<Job, JobError> {
        let means = Means::new(&config).map_err(|source| JobError::Client {
            job: config.job_name.clone(),
            source,
        })?;
        let discovery = match discovery {
            Some(discovery) => discovery,
            None => self.discover(&config)?,
        };
        let waker = CancellationToken::new();
        let (until, updates) = (waker.clone(), self.updates.clone());
        let mut groups = discovery.groups.clone();
        groups.mark_changed();
        tokio::spawn(async move {
            let waking = async {
                while groups.changed().await.is_ok() {
                    if groups.borrow_and_update().is_some() && updates.send(id).await.is_err() {
                        return;
                    }
                }
            };
            until.run_until_cancelled(waking).await;
        });
        Ok(Job {
            id,
            config,
            means: Arc::new(means),
            discovery,
            _waker: waker.drop_guard(),
            shadowed: 0,
            is_over_limit: false,
            unusable: HashSet::new(),
        })
    }

    fn discover(&self, config: &Config) -> Result<Arc<Running>, JobError> {
        let metrics = self.metrics.clone();
        let settings = config.discovery.clone();
        let discovery = Discovery::new(&config.job_name, &settings, metrics);
        let discovery = discovery.map_err(|source| JobError::Discovery {
            job: config.job_name.clone(),
            source: Box::new(source),
        })?;
        // The discovery writes all that it knows, the pool reads the latest.
        let (groups_tx, groups) = watch::channel(None);
        let stop = CancellationToken::new();
        tokio::spawn(discovery.run(groups_tx, stop.clone()));
        Ok(Arc::new(Running {
            settings,
            groups,
            _stop: stop.drop_guard(),
        }))
    }
}
