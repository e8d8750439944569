//! Why a source gave no targets.

use std::time::Duration;

/// Why a source cannot be set up, or why one of its answers is of no use.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// It did not answer at all in time.
    #[error("no answer within {}s", .0.as_secs_f64())]
    NoAnswer(Duration),
    /// It lists more targets than we take.
    #[error("it lists {found} targets, more than {limit}")]
    TooManyTargets {
        /// How many there are.
        found: usize,
        /// How many may be.
        limit: usize,
    },
}
