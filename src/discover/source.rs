//! What every kind of source is, and how it tells what it found.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use super::metrics::SourceMetrics;
use super::{DiscoverError, Group, Metrics};
use crate::telemetry::chain;

/// Every kind, by its name in metrics and logs.
pub(super) const KINDS: [&str; 8] = [
    "static",
    "file",
    "http",
    "dns",
    "consul",
    "kubernetes",
    "nomad",
    "puppetdb",
];

/// A running source.
pub(in crate::discover) type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One source of targets.
pub(in crate::discover) trait Source: Send {
    /// Returns its kind, one of [`KINDS`].
    fn kind(&self) -> &'static str;

    /// Tells `out` what it finds, for as long as the future is polled; it is ended by dropping it.
    fn run(self: Box<Self>, out: Output) -> Running;
}

/// What a source tells.
#[derive(Debug)]
pub(in crate::discover) enum Event {
    /// Groups that are new or have changed; one without targets is gone.
    Groups(Vec<Arc<Group>>),
    /// Something could not be had; its groups stay as they are.
    Failed(DiscoverError),
    /// All that there is has been asked for once, well or badly.
    Complete,
}

/// Where a source tells what it finds.
///
/// A source that has several independent parts, such as files or names, names the part; it is
/// logged when a part begins to fail, when the reason changes, and when it is well again.
pub(in crate::discover) struct Output {
    index: usize,
    events: mpsc::Sender<(usize, Event)>,
    metrics: SourceMetrics,
    job: Arc<str>,
    kind: &'static str,
    failing: HashMap<Arc<str>, Failing>,
}

/// A part that fails.
struct Failing {
    times: u64,
    reason: String,
}

impl Output {
    /// Builds the output of the source with this number among those of its job.
    pub(super) fn new(
        index: usize,
        kind: &'static str,
        job: &Arc<str>,
        metrics: &Metrics,
        events: mpsc::Sender<(usize, Event)>,
    ) -> Self {
        Self {
            index,
            events,
            metrics: metrics.of_source(job, kind),
            job: Arc::clone(job),
            kind,
            failing: HashMap::new(),
        }
    }

    /// Tells of groups that are new or have changed; one without targets is gone.
    pub(in crate::discover) async fn send(&self, groups: Vec<Arc<Group>>) {
        if !groups.is_empty() {
            self.tell(Event::Groups(groups)).await;
        }
    }

    /// Tells that all that there is has been asked for once; more of these are harmless.
    pub(in crate::discover) async fn complete(&self) {
        self.tell(Event::Complete).await;
    }

    /// Counts a good answer of a part (empty for the source as a whole).
    pub(in crate::discover) fn succeeded(&mut self, part: &str) {
        self.metrics.succeeded();
        if let Some(Failing { times, .. }) = self.failing.remove(part) {
            let (job, kind) = (&*self.job, self.kind);
            info!(job, kind, part, times, "discovery works again");
        }
    }

    /// Counts a bad answer of a part, and logs it unless it fails for the same reason already.
    pub(in crate::discover) async fn failed(&mut self, part: &str, error: DiscoverError) {
        self.metrics.failed();
        let (job, kind) = (&*self.job, self.kind);
        let reason = chain(&error);
        match self.failing.get_mut(part) {
            Some(failing) if failing.reason == reason => {
                failing.times = failing.times.saturating_add(1);
                debug!(job, kind, part, reason, "discovery still fails");
            }
            known => {
                warn!(
                    job,
                    kind, part, reason, "discovery fails; the last targets are kept"
                );
                let times = known.map_or(0, |known| known.times).saturating_add(1);
                self.failing.insert(part.into(), Failing { times, reason });
            }
        }
        self.tell(Event::Failed(error)).await;
    }

    /// Forgets a part that there is no more.
    pub(in crate::discover) fn forget(&mut self, part: &str) {
        self.failing.remove(part);
    }

    async fn tell(&self, event: Event) {
        // Nobody listens any more: then this source is about to be dropped, too.
        drop(self.events.send((self.index, event)).await);
    }
}
