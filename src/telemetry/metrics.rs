//! The registry of our own metrics.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// The content type of the page.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Every metric's name begins with this.
const PREFIX: &str = "prometheus_streams";

/// All metrics of this process.
#[derive(Clone)]
pub struct Metrics(Arc<Mutex<Registry>>);

impl Metrics {
    /// Builds a registry that holds only the build's own description.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Version of this program", version);
        Self(Arc::new(Mutex::new(registry)))
    }

    /// Lets a part register its metrics below `prometheus_streams_<part>_`.
    pub fn register<M>(&self, part: &str, register: impl FnOnce(&mut Registry) -> M) -> M {
        let mut registry = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        register(registry.sub_registry_with_prefix(part))
    }

    /// Returns the page.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let registry = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut page = String::with_capacity(16 * 1024);
        prometheus_client::encoding::text::encode(&mut page, &registry)?;
        Ok(page)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[test]
    fn names_begin_with_program_and_part() {
        let metrics = Metrics::new();
        let counter = metrics.register("poller", |registry| {
            let counter: Counter = Counter::default();
            registry.register("published", "Scrapes published", counter.clone());
            counter
        });
        counter.inc_by(3);
        let page = metrics.encode().unwrap();
        assert!(
            page.contains("prometheus_streams_poller_published_total 3\n"),
            "{page}"
        );
        assert!(
            page.contains("prometheus_streams_build_info{version="),
            "{page}"
        );
        assert!(page.ends_with("# EOF\n"), "{page}");
    }
}
