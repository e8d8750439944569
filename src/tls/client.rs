//! Builds TLS client configurations.

use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

use super::error::TlsError;
use super::own::Own;
use super::verify::verifier;
use super::{Settings, Version};

/// Makes ring the process's provider of cryptography; call once, first thing.
pub fn install_provider() {
    // An error says that one is installed already, which is what we want.
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// Builds the TLS configuration of a client, with its files as they are now.
pub fn client_config(settings: &Settings) -> Result<ClientConfig, TlsError> {
    let verifier = verifier(settings, &provider())?;
    let own = Own::read(settings)?;
    assemble(settings, verifier, own.as_ref().map(single))
}

/// Builds a configuration that trusts nobody: every handshake fails.
pub fn distrusting_config() -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider());
    let builder = builder
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Refused)?;
    Ok(builder
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth())
}

/// Puts a configuration together.
pub(super) fn assemble(
    settings: &Settings,
    verifier: Arc<dyn ServerCertVerifier>,
    own: Option<Arc<dyn ResolvesClientCert>>,
) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&versions(settings)?)
        .map_err(TlsError::Refused)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    Ok(match own {
        None => builder.with_no_client_auth(),
        Some(own) => builder.with_client_cert_resolver(own),
    })
}

/// Shows one certificate to whoever asks.
pub(super) fn single(own: &Own) -> Arc<dyn ResolvesClientCert> {
    Arc::new(SingleCertAndKey::from(Arc::clone(&own.key)))
}

/// Returns our cryptography.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

pub(super) fn versions(
    settings: &Settings,
) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    let min = settings.min_version.unwrap_or(Version::Tls12);
    let max = settings.max_version.unwrap_or(Version::Tls13);
    let wanted = |version| (min..=max).contains(&version);
    let mut versions = Vec::with_capacity(2);
    if wanted(Version::Tls13) {
        versions.push(&rustls::version::TLS13);
    }
    if wanted(Version::Tls12) {
        versions.push(&rustls::version::TLS12);
    }
    if versions.is_empty() {
        return Err(TlsError::Versions);
    }
    Ok(versions)
}
