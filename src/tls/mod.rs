//! Certificate files: from paths and PEM text to a TLS client configuration.
//!
//! In: [`Settings`] as filled by `config`. Out: a [`rustls::ClientConfig`], or an error that names
//! the file and what is wrong with it. This module alone knows PEM and the provider of the
//! cryptography; [`install_provider`] must run before anything that speaks TLS.

mod client;
mod ssl_dir;

pub use client::{TlsError, client_config, distrusting_config, install_provider};
pub use ssl_dir::SslDir;

use std::path::PathBuf;

use crate::model::Secret;

/// TLS of one connection, as in Prometheus's `tls_config`; the ancestor's `tls` block fits in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Certificates to trust instead of the system's.
    pub ca: Option<Pem>,
    /// Our certificate, leaf first.
    pub cert: Option<Pem>,
    /// The certificate's key.
    pub key: Option<Secret>,
    /// What has been revoked; without it nothing is taken for revoked.
    pub crl: Option<Pem>,
    /// The name to expect in the other side's certificate instead of the one connected to.
    pub server_name: Option<String>,
    /// Whether any certificate will do.
    pub insecure_skip_verify: bool,
    /// The oldest version to speak.
    pub min_version: Option<Version>,
    /// The newest version to speak.
    pub max_version: Option<Version>,
}

/// PEM text that is no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pem {
    /// The text itself.
    Inline(String),
    /// A file that holds it.
    File(PathBuf),
}

/// A TLS version; older ones are not spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// TLS 1.2
    Tls12,
    /// TLS 1.3
    Tls13,
}
