//! Targets of one kind and their scrapes.

use std::sync::Arc;
use std::time::Duration;

use prometheus_streams::exposition::check;
use prometheus_streams::model::{Format, Labels};
use prometheus_streams::poller::shapes_period;

use crate::pages::Page;

/// Targets of a fleet; each is measured over pages some later than the one before.
pub(crate) const TARGETS: usize = 8;

/// Pages between two targets.
const SHIFT: usize = 3;

/// Scrapes that are measured: five minutes at 15 s.
pub(crate) const GROUP: usize = 20;

/// Time between two scrapes of a target.
const INTERVAL: Duration = Duration::from_secs(15);

/// How long the stream keeps messages.
const MAX_AGE: Duration = Duration::from_secs(600);

/// Returns the scrapes until a shape is announced again, as the poller does it.
pub(crate) fn repeat() -> f64 {
    shapes_period(MAX_AGE).div_duration_f64(INTERVAL)
}

/// Scrapes before those that are measured, so that caches are filled and shapes have settled:
/// the pages of the recording that are not measured, earlier and later ones. Nothing is coded
/// against their values, since what is measured begins with a key frame.
pub(crate) const WARM: usize = 20;

/// Pages of one exporter that a fleet needs.
pub(crate) const PAGES: usize = GROUP + (TARGETS - 1) * SHIFT;

/// A scrape.
pub(crate) struct Scrape {
    pub(crate) target: usize,
    pub(crate) time_ms: i64,
    pub(crate) body: Arc<[u8]>,
}

/// The scrapes of some targets of one kind.
pub(crate) struct Fleet {
    pub(crate) name: String,
    pub(crate) targets: Vec<Arc<Labels>>,
    /// By interval, each with all targets.
    pub(crate) warm: Vec<Vec<Scrape>>,
    pub(crate) counted: Vec<Vec<Scrape>>,
    /// Samples in those that are counted.
    pub(crate) samples: usize,
}

impl Fleet {
    pub(crate) fn new(name: &str, pages: &[Page]) -> Self {
        assert!(
            pages.len() >= PAGES.max(WARM + GROUP),
            "{name}: too few pages"
        );
        let bodies: Vec<Arc<[u8]>> = pages.iter().map(|page| page.body.clone().into()).collect();
        let tick = |tick: usize, page_of: &dyn Fn(usize) -> usize| -> Vec<Scrape> {
            let targets = 0..TARGETS;
            targets
                .map(|target| Scrape {
                    target,
                    // One page's time for all, so that the times of a tick belong together.
                    time_ms: pages[tick].time_ms + (target as i64 * 911) % 1000,
                    body: Arc::clone(&bodies[page_of(target)]),
                })
                .collect()
        };
        let counted: Vec<Vec<Scrape>> = (0..GROUP)
            .map(|at| tick(WARM + at, &|target| target * SHIFT + at))
            .collect();
        let outside = |target: usize, at: usize| match at.checked_sub(target * SHIFT) {
            None => at,
            Some(_) => at + GROUP,
        };
        let warm = (0..WARM)
            .map(|at| tick(at, &|target| outside(target, at)))
            .collect();
        let bodies = counted.iter().flatten().map(|scrape| &scrape.body);
        let samples = bodies.map(|body| samples(body)).sum();
        Self {
            name: name.to_owned(),
            targets: (0..TARGETS).map(|number| target(name, number)).collect(),
            warm,
            counted,
            samples,
        }
    }

    /// Iterates over the scrapes that are counted.
    pub(crate) fn scrapes(&self) -> impl Iterator<Item = &Scrape> {
        self.counted.iter().flatten()
    }
}

/// Returns the labels of a target as a service discovery would give them.
pub(crate) fn target(name: &str, number: usize) -> Arc<Labels> {
    let instance = format!("{name}-{number:03}.dc1.example.net:9100");
    Arc::new(Labels::of_target(name, &instance))
}

/// Returns the number of samples in a body.
pub(crate) fn samples(body: &[u8]) -> usize {
    check(body, Format::Text).unwrap().samples
}
