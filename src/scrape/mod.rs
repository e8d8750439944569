//! When and how to scrape.
//!
//! In: targets. Out: one [`Record`](crate::wire::Record) for each scrape, failed ones included,
//! on a channel: its values by the shape of what the target exposes, or the text where no shape
//! fits. One worker per target: it scrapes at the target's own phase of the interval,
//! never twice at once, and whatever happens to one target delays no other. It never publishes
//! and keeps nothing of an exposition once it is handed on but its shape.

mod duration;
mod edition;
pub mod explain;
mod metrics;
pub mod populate;
mod reading;
mod schedule;
mod series;
mod settings;
mod shapes;
mod tally;
mod targets;
mod worker;

pub use crate::exposition::{NameEscaping, Protocol};
pub use crate::model::NameValidation;
pub use duration::DurationError;
pub use metrics::Metrics;
pub use populate::Target;
pub use schedule::next_scrape_ms;
pub use settings::{Config, Limits, Settings};
pub use shapes::Shapes;
pub use targets::{InvalidTarget, Targets, targets};
pub use worker::{Means, Order, Probe, Tools, Worker};

#[cfg(test)]
pub(crate) mod tests;
