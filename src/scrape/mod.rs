//! When and how to scrape.
//!
//! In: targets. Out: one [`Record`](crate::model::Record) for each scrape, failed ones included,
//! on a channel. One worker per target: it scrapes at the target's own phase of the interval,
//! never twice at once, and whatever happens to one target delays no other. It never publishes
//! and keeps nothing of an exposition once it is handed on.

mod metrics;
mod schedule;
mod settings;
mod worker;

pub use metrics::Metrics;
pub use settings::{Settings, Target};
pub use worker::{Worker, tls_for};
