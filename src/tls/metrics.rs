//! When our own certificates end.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::own::facts;
use super::read::certificates;
use super::{Pem, Settings};

/// The certificates that a program shows to others; their files are read whenever it is asked.
#[derive(Debug, Clone)]
pub struct Metrics {
    files: Arc<BTreeSet<PathBuf>>,
}

impl Metrics {
    /// Registers the own certificates of some connections.
    pub fn register<'a>(
        registry: &mut Registry,
        connections: impl IntoIterator<Item = &'a Settings>,
    ) {
        let files = connections
            .into_iter()
            .filter_map(Settings::own_certificate);
        let files: BTreeSet<PathBuf> = files.map(std::path::Path::to_owned).collect();
        registry.register_collector(Box::new(Self {
            files: Arc::new(files),
        }));
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        if self.files.is_empty() {
            return Ok(());
        }
        let mut family = encoder.encode_descriptor(
            "certificate_expiry_timestamp_seconds",
            "When our own certificate ends, by file; what cannot be read is left out",
            None,
            MetricType::Gauge,
        )?;
        for file in &*self.files {
            let pem = Pem::File(file.clone());
            let Ok(chain) = certificates(&pem, &Settings::default()) else {
                continue;
            };
            let ends = chain.iter().filter_map(|found| facts(&found.der));
            // A chain is good for as long as the first of its certificates that ends.
            if let Some(end) = ends.map(|(_, _, end)| end.timestamp()).min() {
                let label = [("file", file.to_string_lossy())];
                ConstGauge::new(end).encode(family.encode_family(&label)?)?;
            }
        }
        Ok(())
    }
}
