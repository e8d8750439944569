//! The configuration file.

use std::time::Duration;

use crate::{admin, bus, scrape, sink, telemetry};

/// A checked configuration: nothing in it needs to be checked again.
#[derive(Debug, Clone)]
pub struct Config {
    /// The name of this site, or of this receiver.
    pub identity: String,
    /// Logs.
    pub log: telemetry::LogSettings,
    /// Our own pages, if there are any.
    pub admin: Option<admin::Settings>,
    /// What is older is not delivered; `None`: no limit.
    pub max_age: Option<Duration>,
    /// What the poller scrapes.
    pub scrape: scrape::Settings,
    /// Where the poller publishes.
    pub poller_stream: Option<bus::Settings>,
    /// Where the receiver reads.
    pub receiver_stream: Option<bus::Settings>,
    /// Where the receiver pushes.
    pub push_gateway: Option<sink::pushgateway::Settings>,
    /// Where the receiver writes.
    pub remote_write: Vec<sink::remote_write::Settings>,
}
