//! Shows what the sinks leave out of the scrapes; they count it themselves.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Registry;

use crate::sink::Sink;

/// Reads the counts of all sinks when our own metrics are asked for.
#[derive(Debug)]
pub(super) struct Removed(Vec<Arc<Sink>>);

impl Removed {
    pub(super) fn register(registry: &mut Registry, sinks: &[Arc<Sink>]) {
        registry.register_collector(Box::new(Self(sinks.to_vec())));
    }
}

impl Collector for Removed {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Series and timestamps left out because the sink does not take them";
        let mut metric = encoder.encode_descriptor("removed", help, None, MetricType::Counter)?;
        for sink in &self.0 {
            for (reason, count) in sink.removed() {
                let labels = [("sink", sink.name()), ("reason", reason)];
                ConstCounter::new(count).encode(metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
