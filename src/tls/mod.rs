//! Certificate files: from paths and PEM text to a TLS client configuration that follows them.
//!
//! In: [`Settings`] as filled by `config`. Out: a [`rustls::ClientConfig`], one that is made anew
//! when files change ([`Live`]), or an error that names the file, the line and what is wrong.
//! This module alone knows PEM, revocation lists and the provider of the cryptography;
//! [`install_provider`] must run before anything that speaks TLS. It shows no key material, and
//! never goes on trusting what a file held before it was changed.
//!
//! `pem` finds blocks in text, `read` turns them into certificates, keys and revocation lists,
//! `own` is our certificate and its key, `server` what our own pages are served with, `verify` judges the other side's, `live` looks at files.

mod client;
mod error;
mod live;
mod metrics;
mod own;
pub mod pem;
mod read;
mod server;
mod signatures;
mod ssl_dir;
mod verify;

pub use client::{client_config, distrusting_config, install_provider};
pub use error::TlsError;
pub use live::{Current, Live};
pub use metrics::Metrics;
pub use server::{CipherName, ClientAuth, Curve, ServerSettings, server_config};
pub use ssl_dir::SslDir;

use std::path::{Path, PathBuf};

use rustls_pki_types::PrivateKeyDer;

use crate::clock::Clock;
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
    /// The ssldir that the files are in, if it is one: then what is missing comes by enrollment,
    /// and `crl` may be missing.
    pub ssl_dir: Option<SslDir>,
    /// The name to expect in the other side's certificate instead of the one connected to.
    pub server_name: Option<String>,
    /// Whether any certificate will do.
    pub insecure_skip_verify: bool,
    /// The oldest version to speak.
    pub min_version: Option<Version>,
    /// The newest version to speak.
    pub max_version: Option<Version>,
}

impl Settings {
    /// Reads every file as a connection would, and returns what its author should know: what is
    /// out of time, or will not be checked.
    pub fn verify(&self) -> Result<Vec<String>, TlsError> {
        let now = seconds(&Clock::system());
        client_config(self)?;
        let mut warnings = Vec::new();
        warnings.extend(own::Own::read(self)?.and_then(|own| own.complaint(now)));
        warnings.extend(verify::complaints(self, now)?);
        Ok(warnings)
    }

    /// Returns the file of our own certificate, if it stands in one.
    pub fn own_certificate(&self) -> Option<&Path> {
        self.cert.as_ref().and_then(Pem::path)
    }
}

/// PEM text that is no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pem {
    /// The text itself.
    Inline(String),
    /// A file that holds it.
    File(PathBuf),
}

impl Pem {
    /// Returns the file's path, if the text stands in one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Inline(_) => None,
            Self::File(path) => Some(path),
        }
    }
}

/// A TLS version; older ones are not spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// TLS 1.2
    Tls12,
    /// TLS 1.3
    Tls13,
}

/// Reads a private key in any of the forms that are good for a connection.
pub fn private_key(key: &Secret) -> Result<PrivateKeyDer<'static>, TlsError> {
    read::private_key(key, &Settings::default()).map(|found| found.der)
}

/// Returns the time as certificates have it.
pub(crate) fn seconds(clock: &Clock) -> i64 {
    clock.now_ms().div_euclid(1000)
}

#[cfg(test)]
mod tests;
