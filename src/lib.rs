//! A message-bus federation bridge for Prometheus metrics.
//!
//! A poller scrapes targets at a site and publishes each scrape onto NATS `JetStream`;
//! a receiver at the centre consumes them and delivers to its sinks. `docs/ARCHITECTURE.md`
//! draws the whole; each module's own page says what it alone knows.
//!
//! Modules are listed from the ground up: a module imports only what stands above it.

pub mod model;

pub mod clock;
pub mod retry;

pub mod yaml;

pub mod exposition;

pub mod relabel;

pub mod wire;

pub mod guard;

pub mod tls;

pub mod http;

pub mod telemetry;

pub mod discover;

pub mod scrape;

pub mod bus;

pub mod spool;

pub mod sink;

pub mod enroll;

pub mod admin;

pub mod config;

pub mod convert;

pub mod service;

pub mod inspect;

pub mod poller;
pub mod receiver;
