//! Gathers what the sources of one scrape configuration say.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::consul::Consul;
use super::dns::Names;
use super::file::Files;
use super::fixed::Fixed;
use super::http::Server;
#[cfg(feature = "kubernetes")]
use super::kubernetes::Kubernetes;
use super::nomad::Nomad;
use super::puppetdb::PuppetDb;
use super::refresh::Refresher;
use super::source::{Event, Output, Source};
use super::{DiscoverError, Group, Groups, Metrics, Settings};

/// Targets change at most this often, as in Prometheus; a first answer waits no longer for slower
/// sources either.
const PUBLISH_INTERVAL: Duration = Duration::from_secs(5);

/// What comes within this time of a change goes out with it, as in Prometheus.
const GATHER: Duration = Duration::from_millis(100);

/// Events on their way from all sources: the reader only puts them into a map. A source that is
/// ahead of it waits.
const EVENTS: usize = 64;

/// The sources of one scrape configuration.
pub struct Discovery {
    job: Arc<str>,
    sources: Vec<Box<dyn Source>>,
    metrics: Metrics,
    interval: Duration,
}

impl Discovery {
    /// Builds the sources of a job; nothing is asked until they are run.
    ///
    /// Errors are those of set-up, such as a certificate file, not of a source's answers.
    pub fn new(job: &str, settings: &[Settings], metrics: Metrics) -> Result<Self, DiscoverError> {
        let sources = settings.iter().map(build).collect::<Result<_, _>>()?;
        Ok(Self {
            job: job.into(),
            sources,
            metrics,
            interval: PUBLISH_INTERVAL,
        })
    }

    /// Publishes changes as often as every `interval`: tests have no five seconds.
    #[cfg(test)]
    pub(super) fn publishing_every(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Puts all groups into `groups` whenever something changed, until `stop`.
    ///
    /// The first time is when every source has answered or failed once, but not later than after
    /// 5 s; from then on it is at most every 5 s.
    pub async fn run(self, groups: watch::Sender<Option<Groups>>, stop: CancellationToken) {
        stop.run_until_cancelled(self.publish(groups)).await;
    }

    async fn publish(self, groups: watch::Sender<Option<Groups>>) {
        let (job, metrics, interval) = (Arc::clone(&self.job), self.metrics.clone(), self.interval);
        let mut gathered = Gathered::start(self);
        let mut last: Option<Instant> = None;
        let mut due = Some(Instant::now() + interval);
        loop {
            let is_time = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = is_time => {
                    let all = gathered.groups();
                    metrics.discovered(&job, all.iter().map(|group| group.targets.len()).sum());
                    groups.send_replace(Some(all));
                    gathered.has_changed = false;
                    last = Some(Instant::now());
                    due = None;
                }
                () = gathered.next() => {}
            }
            due = match (last, due) {
                (None, due) if !gathered.is_complete() => due,
                (None, _) => Some(Instant::now()),
                (Some(last), None) if gathered.has_changed => {
                    Some((Instant::now() + GATHER).max(last + interval))
                }
                (Some(_), due) => due,
            };
        }
    }

    /// Asks each source once, and returns the groups and what failed, by kind of source.
    pub async fn once(self, timeout: Duration) -> (Groups, Vec<(String, DiscoverError)>) {
        let deadline = Instant::now() + timeout;
        let mut gathered = Gathered::start(self);
        while !gathered.is_complete() {
            if timeout_at(deadline, gathered.next()).await.is_err() {
                break;
            }
        }
        let groups = gathered.groups();
        let mut failures = Vec::new();
        for source in gathered.sources {
            let is_silent = !source.is_complete && source.errors.is_empty();
            let errors = source.errors.into_iter();
            let silent = is_silent.then_some(DiscoverError::NoAnswer(timeout));
            failures.extend(
                errors
                    .chain(silent)
                    .map(|error| (source.kind.into(), error)),
            );
        }
        (groups, failures)
    }
}

/// Builds the source that settings describe.
fn build(settings: &Settings) -> Result<Box<dyn Source>, DiscoverError> {
    Ok(match settings {
        Settings::Static(groups) => Box::new(Fixed(groups.clone())),
        Settings::File(files) => {
            Box::new(Refresher::new(Files::new(files), files.refresh_interval))
        }
        Settings::Dns(names) => Box::new(Refresher::new(Names::new(names), names.refresh_interval)),
        Settings::Http(server) => Box::new(Refresher::new(
            Server::new(server)?,
            server.refresh_interval,
        )),
        Settings::Consul(settings) => Box::new(Consul::new((**settings).clone())?),
        #[cfg(feature = "kubernetes")]
        Settings::Kubernetes(settings) => Box::new(Kubernetes::new((**settings).clone())),
        Settings::Nomad(settings) => Nomad::source(settings)?,
        Settings::PuppetDb(settings) => PuppetDb::source(settings)?,
    })
}

/// What the running sources have said.
struct Gathered {
    events: mpsc::Receiver<(usize, Event)>,
    /// Keeps the channel open, since a source may end.
    _sender: mpsc::Sender<(usize, Event)>,
    /// Ends the sources when dropped.
    _tasks: JoinSet<()>,
    sources: Vec<Said>,
    has_changed: bool,
}

/// What one source has said.
struct Said {
    kind: &'static str,
    groups: BTreeMap<Arc<str>, Arc<Group>>,
    is_complete: bool,
    errors: Vec<DiscoverError>,
}

/// Errors of one source that are kept for whoever asks once; a broken source may have one for each
/// of its files.
const ERRORS_KEPT: usize = 100;

impl Gathered {
    fn start(discovery: Discovery) -> Self {
        let (sender, events) = mpsc::channel(EVENTS);
        let mut tasks = JoinSet::new();
        let mut sources = Vec::with_capacity(discovery.sources.len());
        let (job, metrics) = (&discovery.job, &discovery.metrics);
        for (index, source) in discovery.sources.into_iter().enumerate() {
            let kind = source.kind();
            sources.push(Said {
                kind,
                groups: BTreeMap::new(),
                is_complete: false,
                errors: Vec::new(),
            });
            tasks.spawn(source.run(Output::new(index, kind, job, metrics, sender.clone())));
        }
        Self {
            events,
            _sender: sender,
            _tasks: tasks,
            sources,
            has_changed: false,
        }
    }

    /// Takes the next event; cancel-safe.
    async fn next(&mut self) {
        let Some((index, event)) = self.events.recv().await else {
            return std::future::pending().await;
        };
        let Some(source) = self.sources.get_mut(index) else {
            return;
        };
        match event {
            Event::Groups(groups) => {
                for group in groups {
                    self.has_changed |= source.take(&group);
                }
            }
            Event::Failed(error) => {
                if !source.is_complete && source.errors.len() < ERRORS_KEPT {
                    source.errors.push(error);
                }
            }
            Event::Complete => source.is_complete = true,
        }
    }

    fn is_complete(&self) -> bool {
        self.sources.iter().all(|source| source.is_complete)
    }

    fn groups(&self) -> Groups {
        let all = self
            .sources
            .iter()
            .flat_map(|source| source.groups.values());
        Arc::new(all.cloned().collect())
    }
}

impl Said {
    /// Puts a group in its place, and tells whether that changes anything.
    fn take(&mut self, group: &Arc<Group>) -> bool {
        if group.targets.is_empty() {
            return self.groups.remove(&group.source).is_some();
        }
        let name = Arc::clone(&group.source);
        let known = self.groups.insert(name, Arc::clone(group));
        known.is_none_or(|known| known != *group)
    }
}
