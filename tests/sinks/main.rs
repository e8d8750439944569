//! Sinks against real servers, and against a scripted one that fails on demand.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test ends where something is wrong"
)]

#[path = "../support/client_model.rs"]
mod client_model;
mod failing_endpoint;
mod failing_gateway;
#[path = "../support/remote_write.rs"]
mod messages;
mod native;
mod pushgateway;
mod remote_write;
mod scripted;
mod support;
