//! Which sites are heard of, by any feed.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tokio::time::Instant;
use tracing::{info, warn};

use super::silence::FORGET;

/// Sites that are known at once: ten times as many as the largest federation has.
const SITES_MAX: usize = 10_000;

/// The sites that all feeds have heard of.
#[derive(Debug, Clone, Default)]
pub(super) struct Sites(Arc<Mutex<HashMap<Arc<str>, Site>>>);

#[derive(Debug)]
struct Site {
    heard: Instant,
    is_up: bool,
}

impl Sites {
    /// Shows them as `site_up` in a registry of sites.
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(self.clone()));
    }

    /// Notes a site, or that one which is known was heard of.
    pub(super) fn know(&self, publisher: &Arc<str>, heard: Instant) {
        let mut sites = self.lock();
        if let Some(site) = sites.get_mut(publisher) {
            site.hear(publisher, heard);
        } else if sites.len() < SITES_MAX {
            let site = Site { heard, is_up: true };
            sites.insert(Arc::clone(publisher), site);
        }
    }

    /// Notes that a site which is known was heard of.
    pub(super) fn hear(&self, publisher: &Arc<str>, heard: Instant) {
        if let Some(site) = self.lock().get_mut(publisher) {
            site.hear(publisher, heard);
        }
    }

    /// Judges all sites; only a feed that hears may.
    pub(super) fn judge(&self, timeout: Duration) {
        self.lock().retain(|publisher, site| {
            let quiet = site.heard.elapsed();
            if quiet > timeout && site.is_up {
                site.is_up = false;
                let (publisher, seconds) = (&**publisher, quiet.as_secs());
                warn!(publisher, seconds, "nothing is heard of the site");
            }
            quiet <= FORGET
        });
    }

    /// Returns all sites, and whether they are heard of.
    pub(super) fn list(&self) -> Vec<(Arc<str>, bool)> {
        let sites = self.lock();
        let mut list: Vec<_> = sites
            .iter()
            .map(|(publisher, site)| (Arc::clone(publisher), site.is_up))
            .collect();
        list.sort_unstable();
        list
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Site>> {
        // No code that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Site {
    fn hear(&mut self, publisher: &str, heard: Instant) {
        if heard > self.heard {
            self.heard = heard;
            if !self.is_up {
                self.is_up = true;
                info!(publisher, "the site is heard of again");
            }
        }
    }
}

impl Collector for Sites {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Whether a site is heard of: 0 after `site_timeout` without a message";
        let mut metric = encoder.encode_descriptor("up", help, None, MetricType::Gauge)?;
        for (publisher, is_up) in self.list() {
            let labels = [("publisher", &*publisher)];
            let value = i64::from(is_up);
            ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
