//! How we tell about ourselves: the registry of our own metrics, and logs.

mod log;

pub use log::{Level, LogSettings};
