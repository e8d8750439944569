//! How we tell about ourselves: the registry of our own metrics, logs, error texts.
//!
//! In: what the parts count and log. Out: one page in `OpenMetrics` text, and lines on standard
//! error or in a file. There is no global registry: each part has its own struct of metrics,
//! registered once where the parts are put together, and handed in.

mod log;
mod metrics;

pub use log::{Level, LogError, LogHandle, LogSettings, init_log};
pub use metrics::{CONTENT_TYPE, Metrics};

use std::error::Error;

/// Returns an error with all its causes in one line; an error's own text never has them.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
