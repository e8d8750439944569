//! The real programs against real servers.
//!
//! Each scenario starts what it needs in a [`support::Lab`] of its own, so all of them may run at
//! once. `PROMETHEUS_STREAMS_SKIP_LIVE=1` skips them on purpose; a missing server fails with
//! advice. `PROMETHEUS_STREAMS_SOAK=1` runs the fleet at its full size.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by a panic"
)]

mod auth;
mod bad_message;
mod bad_sink;
mod bad_target;
mod config;
mod cut;
mod discovery;
mod enroll;
mod fleet;
mod inspect;
mod notify;
mod outage;
mod parity;
mod process;
mod reload;
mod replay;
mod same_targets;
mod security;
mod silent;
mod spool;
mod stream;
mod tls;
mod values;

#[path = "../parity/run/mod.rs"]
#[expect(dead_code, reason = "the proof of full length runs all of it")]
mod side_by_side;

#[path = "../support/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    reason = "some of it only the bench and the demo use"
)]
mod support;

use std::time::Duration;

/// How long a scenario may take in all; each wait inside has a shorter limit of its own.
const SCENARIO: Duration = Duration::from_secs(300);

/// How long something may take that takes a second or two on an idle machine.
const SOON: Duration = Duration::from_secs(30);
