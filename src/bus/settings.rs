//! What `config` fills for one connection.

use std::path::PathBuf;
use std::time::Duration;

use crate::model::Secret;
use crate::tls;

/// A NATS connection and its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Servers, as `nats://host:port` or `tls://host:port`; user and password may stand in them.
    pub urls: Vec<String>,
    /// Leading tokens of every subject.
    pub topic: String,
    /// The stream's name.
    pub stream: String,
    /// The connection's name, and the start of every durable consumer's name.
    pub client_id: Option<String>,
    /// TLS, when the block stands in the configuration.
    pub tls: Option<tls::Settings>,
    /// Whether the connection begins with TLS, before the server has said anything.
    pub tls_first: bool,
    /// How we identify ourselves.
    pub auth: Option<Auth>,
    /// Whether a missing stream is created.
    pub manage: bool,
    /// How long a created stream keeps messages.
    pub max_age: Duration,
    /// How many servers of a cluster keep a created stream.
    pub replicas: usize,
    /// Where a created stream keeps messages.
    pub storage: Storage,
}

/// Where a stream keeps its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// On disk.
    File,
    /// In memory.
    Memory,
}

/// How a client identifies itself to NATS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// User name and password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A token.
    Token(Secret),
    /// A file with an nkey seed.
    NkeyFile(PathBuf),
    /// A credentials file: a JWT and its nkey seed.
    CredentialsFile(PathBuf),
}
