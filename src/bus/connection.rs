//! The connection and its life.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::{self};
use async_nats::{AuthError, ConnectOptions, Event};
use tokio::sync::watch;
use tracing::{debug, info, warn};

use super::Settings;
use super::attempts::Attempts;
use super::credentials::Credentials;
use crate::model::SecretError;
use crate::retry::Retry;
use crate::telemetry::chain;
use crate::tls::{Live, TlsError};

/// How long a request to the server, or an acknowledgement of a publish, may take.
///
/// async-nats does not fail what is in flight when the connection breaks; it waits this long.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);

/// A peer that vanished without a word is noticed after two or three of these.
const PING_INTERVAL: Duration = Duration::from_secs(10);

/// Commands that wait inside the client while it is disconnected; each may hold a whole frame.
const CLIENT_CAPACITY: usize = 256;

const RECONNECT_MIN: Duration = Duration::from_millis(50);
const RECONNECT_MAX: Duration = Duration::from_secs(4);

/// A connection to NATS that is made for ever.
#[derive(Debug, Clone)]
pub struct Bus {
    pub(super) settings: Arc<Settings>,
    pub(super) client: async_nats::Client,
    pub(super) context: jetstream::Context,
    /// How long the stream keeps messages, milliseconds; 0: until it was found.
    pub(super) max_age_ms: Arc<AtomicU64>,
    connected: watch::Receiver<bool>,
}

/// Why no connection can ever be made with these settings.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// A server's address is invalid.
    #[error("server address `{0}` is invalid")]
    Address(String),
    /// The TLS settings are wrong.
    #[error("cannot set up TLS to NATS")]
    Tls(#[from] TlsError),
    /// A password or token cannot be read.
    #[error("cannot read the NATS credentials")]
    Secret(#[from] SecretError),
    /// A seed or credentials file cannot be read or used.
    #[error("cannot use NATS credentials file `{path}`: {detail}")]
    Credentials {
        /// Its path.
        path: String,
        /// What is wrong, without any of its content.
        detail: String,
    },
    /// The client refuses the settings.
    #[error("cannot set up the NATS client: {0}")]
    Client(String),
}

impl Bus {
    /// Starts to connect and returns at once; the connection is made, and made again, for ever.
    pub async fn connect(settings: Settings, name: &str) -> Result<Self, BusError> {
        let mut servers = Vec::with_capacity(settings.urls.len());
        for url in &settings.urls {
            let server = url.parse::<async_nats::ServerAddr>();
            servers.push(server.map_err(|_invalid| BusError::Address(redact(url)))?);
        }
        let (connected_tx, connected) = watch::channel(false);
        let credentials = Credentials::open(&settings, &servers)?;
        let options = options(&settings, credentials, name)?;
        let attempts = Arc::new(Attempts::new(settings.tls_first));
        let failed = Arc::clone(&attempts);
        // It chooses no server: it is the one place that is told why an attempt failed.
        let options = options.reconnect_to_server_callback(move |servers, _info| {
            failed.note(&servers);
            std::future::ready(None)
        });
        let options = options.event_callback(move |event| {
            note(&event, &connected_tx, &attempts);
            std::future::ready(())
        });
        let client = options
            .connect(servers)
            .await
            .map_err(|error| BusError::Client(error.kind().to_string()))?;
        let context = ContextBuilder::new()
            .timeout(REQUEST_TIMEOUT)
            .build(client.clone());
        Ok(Self {
            settings: Arc::new(settings),
            client,
            context,
            max_age_ms: Arc::default(),
            connected,
        })
    }

    /// Tells whether there is a connection now.
    pub fn is_connected(&self) -> bool {
        *self.connected.borrow()
    }

    /// Returns when there is a connection.
    pub async fn connected(&self) {
        let mut connected = self.connected.clone();
        // An error means that the client is gone, and then nobody waits for it any more.
        drop(connected.wait_for(|connected| *connected).await);
    }

    /// Returns the largest payload that the server takes, once it has said so.
    pub fn max_payload(&self) -> Option<usize> {
        self.client
            .try_server_info()
            .map(|info| info.max_payload)
            .filter(|max| *max > 0)
    }

    /// Returns how long the stream keeps messages, as it was when it was last looked at, or as a
    /// new one would; without an end that is [`Duration::MAX`].
    pub fn stream_max_age(&self) -> Duration {
        match self.max_age_ms.load(Ordering::Relaxed) {
            0 => self.settings.max_age,
            u64::MAX => Duration::MAX,
            found => Duration::from_millis(found),
        }
    }

    /// Returns the settings it was made with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Sends out what still waits and closes the connection; bounded in time.
    pub async fn close(&self) {
        if !self.is_connected() {
            return;
        }
        let flushed = tokio::time::timeout(REQUEST_TIMEOUT, self.client.flush()).await;
        if !matches!(flushed, Ok(Ok(()))) {
            debug!("connection closed before all acknowledgements were sent");
        }
        drop(self.client.drain().await);
    }
}

fn options(
    settings: &Settings,
    credentials: Option<Credentials>,
    name: &str,
) -> Result<ConnectOptions, BusError> {
    let options = match credentials {
        None => ConnectOptions::new(),
        Some(credentials) => ConnectOptions::with_auth_callback(move |nonce| {
            let answer = credentials.answer(&nonce);
            std::future::ready(answer.map_err(|error| AuthError::new(chain(&error))))
        }),
    };
    let mut options = options
        .name(name)
        .retry_on_initial_connect()
        .max_reconnects(None)
        .connection_timeout(Duration::from_secs(5))
        .request_timeout(Some(REQUEST_TIMEOUT))
        .ping_interval(PING_INTERVAL)
        .client_capacity(CLIENT_CAPACITY)
        .reconnect_delay_callback(reconnect_delay);
    let wants_tls = settings.urls.iter().any(|url| url.starts_with("tls://"));
    if settings.tls.is_some() || settings.tls_first || wants_tls {
        let tls = settings.tls.clone().unwrap_or_default();
        // The client keeps one configuration for ever; this one looks at its files each time.
        let tls = Arc::new(Live::new(tls, Vec::new())).following()?;
        options = options.require_tls(true).tls_client_config(tls);
    }
    if settings.tls_first {
        options = options.tls_first();
    }
    Ok(options)
}

/// Backoff with jitter, so that a thousand sites do not come back to one server in step.
fn reconnect_delay(attempt: usize) -> Duration {
    let mut backoff = crate::retry::Backoff::new(RECONNECT_MIN, RECONNECT_MAX);
    backoff.skip(u32::try_from(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
    if attempt == 0 {
        Duration::ZERO
    } else {
        backoff.next(Retry::Yes)
    }
}

fn note(event: &Event, connected: &watch::Sender<bool>, attempts: &Attempts) {
    match event {
        Event::Connected => {
            info!(attempts = attempts.succeeded(), "connected to NATS");
            connected.send_replace(true);
        }
        Event::Disconnected => {
            warn!("lost the connection to NATS; connecting again");
            connected.send_replace(false);
        }
        Event::ClientError(error) => debug!(error = error.to_string(), "cannot connect to NATS"),
        Event::ServerError(error) => warn!(error = error.to_string(), "NATS reports an error"),
        Event::LameDuckMode => info!("the NATS server is about to stop; moving to another"),
        Event::SlowConsumer(_) => warn!("NATS messages come faster than they are taken"),
        Event::Draining | Event::Closed => connected.send_modify(|connected| *connected = false),
    }
}

/// Returns a server's address without user and password.
fn redact(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((before, host)) => {
            let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
            format!("{scheme}://***@{host}")
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_an_error_shows_no_password() {
        assert_eq!(
            redact("nats://user:secret@host:4222"),
            "nats://***@host:4222"
        );
        assert_eq!(redact("nats://host:4222"), "nats://host:4222");
    }

    #[test]
    fn reconnecting_waits_longer_but_not_for_ever() {
        assert_eq!(reconnect_delay(0), Duration::ZERO);
        for attempt in 1..100 {
            let delay = reconnect_delay(attempt);
            assert!(
                delay >= RECONNECT_MIN / 2 && delay <= RECONNECT_MAX,
                "{attempt}: {delay:?}"
            );
        }
        assert!(reconnect_delay(50) >= RECONNECT_MAX / 2);
    }
}
