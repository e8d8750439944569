//! The signals that a program knows.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::reload::Reloads;
use crate::telemetry::{LogHandle, chain};

/// After a second signal, or this long after the first, the program ends as it is.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// An open ear for signals.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Stops at the first request to end, aborts at the second one or when stopping takes too long;
    /// opens the log again and reloads when the terminal is gone, as daemons do.
    pub(super) async fn watch(
        mut self,
        stop: CancellationToken,
        abort: CancellationToken,
        log: LogHandle,
        reloads: Reloads,
    ) {
        loop {
            let request = tokio::select! {
                _ = self.hangup.recv() => {
                    match log.reopen() {
                        Ok(()) => info!("log file opened again"),
                        Err(error) => error!(error = chain(&error), "cannot reopen the log file"),
                    }
                    // The outcome is logged by whoever reloads.
                    reloads.request_soon();
                    continue;
                }
                _ = self.interrupt.recv() => "interrupt",
                _ = self.terminate.recv() => "terminate",
                () = overdue(&stop) => "overdue",
            };
            if stop.is_cancelled() {
                abort.cancel();
                return;
            }
            info!(signal = request, "stopping");
            stop.cancel();
        }
    }
}

/// Returns when stopping has taken too long; never before it has begun.
async fn overdue(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(STOP_TIMEOUT).await;
}
