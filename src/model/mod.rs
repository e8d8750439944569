//! The nouns that every part shares: labels, targets, scrapes, secrets.
//!
//! Nothing here does I/O, knows a format's bytes or a protocol. A [`Scrape`] is what a poller
//! makes from one HTTP request and what a receiver hands to its sinks; between the two the
//! `wire` module turns it into bytes and back.

pub mod labels;
mod names;
mod scrape;
mod secret;

pub use labels::Labels;
pub use names::NameValidation;
pub use scrape::{FailureReason, Format, Heartbeat, Note, Outcome, Record, Scrape, Tally, Text};
pub use secret::{Secret, SecretError};
