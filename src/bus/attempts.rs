//! What goes wrong while there is no connection: each cause is told once, and then now and again.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use async_nats::Server;
use tracing::warn;

/// While a server stays away, every so many attempts are worth another log line.
const ATTEMPTS_PER_LINE: u64 = 30;

/// Causes that are told of one outage: some differ each time, as by the seconds since a
/// certificate ended.
const CAUSES_MAX: usize = 8;

/// The attempts since there was a connection.
#[derive(Debug)]
pub(super) struct Attempts {
    /// Whether TLS comes before anything else.
    tls_first: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Failed attempts in all, as the client counts them.
    failed: usize,
    count: u64,
    told: BTreeSet<String>,
}

impl Attempts {
    pub(super) fn new(tls_first: bool) -> Self {
        Self {
            tls_first,
            state: Mutex::default(),
        }
    }

    /// Takes note of how the last attempt ended, before the next one.
    pub(super) fn note(&self, servers: &[Server]) {
        let failed = servers.iter().map(|server| server.failed_attempts).sum();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = failed > state.failed;
        state.failed = failed;
        if !is_new {
            return;
        }
        let attempt = state.count;
        state.count += 1;
        let mut causes: Vec<String> = servers
            .iter()
            .filter(|server| server.failed_attempts > 0)
            .filter_map(|server| {
                let error = self.explain(server.last_error.as_deref()?);
                Some(format!(
                    "{}:{}: {error}",
                    server.addr.host(),
                    server.addr.port()
                ))
            })
            .collect();
        causes.sort();
        let error = causes.join("; ");
        let is_news = state.told.len() < CAUSES_MAX && state.told.insert(error.clone());
        if is_news || attempt.is_multiple_of(ATTEMPTS_PER_LINE) {
            warn!(attempt, error, "cannot connect to NATS; waiting for it");
        }
    }

    /// Begins anew, and returns how many attempts have failed.
    pub(super) fn succeeded(&self) -> u64 {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = state.failed;
        let ended = std::mem::take(&mut *state);
        state.failed = failed;
        ended.count
    }

    /// Adds what may help.
    fn explain(&self, error: &str) -> String {
        let hint = if self.tls_first && error.contains("InvalidContentType") {
            ": the server does not begin with TLS, as `tls_first` wants it; that takes \
             `handshake_first` at a nats-server from 2.10.4 on"
        } else if !self.tls_first && error.contains("got nothing") {
            ": a server that begins with TLS needs `tls_first: true`"
        } else {
            ""
        };
        format!("{error}{hint}")
    }
}
