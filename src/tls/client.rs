//! Builds TLS client configurations.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use super::{Pem, Settings, Version};
use crate::model::{Secret, SecretError};

/// Why no TLS configuration could be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read.
    #[error("cannot read {what} file `{}`", path.display())]
    Read {
        /// What it should hold.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The key's file cannot be read.
    #[error("cannot read the private key")]
    Secret(#[from] SecretError),
    /// The text is not PEM, or damaged.
    #[error("{what} in {place} is not valid PEM: {detail}")]
    Pem {
        /// What it should hold.
        what: &'static str,
        /// File or setting.
        place: String,
        /// The parser's words.
        detail: String,
    },
    /// There is no such thing in the text.
    #[error("{place} holds no {what}")]
    Missing {
        /// What it should hold.
        what: &'static str,
        /// File or setting.
        place: String,
    },
    /// A certificate without key, or a key without certificate.
    #[error("a client certificate needs both `cert` and `key`")]
    Unpaired,
    /// The library refuses what was given.
    #[error("TLS settings are refused: {0}")]
    Refused(#[source] rustls::Error),
    /// The verifier cannot be built from the trusted certificates.
    #[error("cannot trust the certificates in {place}: {detail}")]
    Roots {
        /// File or setting.
        place: String,
        /// The library's words.
        detail: String,
    },
    /// The name to expect is not a host name or address.
    #[error("`server_name` `{0}` is not a host name")]
    ServerName(String),
    /// `min_version` is newer than `max_version`.
    #[error("`min_version` is newer than `max_version`")]
    Versions,
}

/// Makes ring the process's provider of cryptography; call once, first thing.
pub fn install_provider() {
    // An error says that one is installed already, which is what we want.
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// Builds the TLS configuration of a client.
pub fn client_config(settings: &Settings) -> Result<rustls::ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = versions(settings)?;
    let verifier: Arc<dyn ServerCertVerifier> = if settings.insecure_skip_verify {
        Arc::new(AnyCertificate(Arc::clone(&provider)))
    } else {
        verifier(settings, &provider)?
    };
    let verifier: Arc<dyn ServerCertVerifier> = match &settings.server_name {
        None => verifier,
        Some(name) => {
            let name = ServerName::try_from(name.clone())
                .map_err(|_invalid| TlsError::ServerName(name.clone()))?;
            Arc::new(OtherName { name, verifier })
        }
    };
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(TlsError::Refused)?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    match (&settings.cert, &settings.key) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(cert), Some(key)) => {
            let chain = certificates("certificate", cert)?;
            builder
                .with_client_auth_cert(chain, private_key(key)?)
                .map_err(TlsError::Refused)
        }
        (None, Some(_)) | (Some(_), None) => Err(TlsError::Unpaired),
    }
}

/// Builds a configuration that trusts nobody: every handshake fails.
pub fn distrusting_config() -> Result<rustls::ClientConfig, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let builder = builder
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Refused)?;
    Ok(builder
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth())
}

fn versions(settings: &Settings) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
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

fn verifier(
    settings: &Settings,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
    let (roots, place) = match &settings.ca {
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates("certificate", ca)? {
                roots.add(certificate).map_err(|error| TlsError::Roots {
                    place: place(ca),
                    detail: error.to_string(),
                })?;
            }
            (Arc::new(roots), place(ca))
        }
        None => (system_roots(), "the system's store".to_owned()),
    };
    if roots.is_empty() {
        return Err(TlsError::Missing {
            what: "trusted certificate",
            place,
        });
    }
    WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider))
        .build()
        .map_err(|error| TlsError::Roots {
            place,
            detail: error.to_string(),
        })
}

/// Returns the certificates that the system trusts, read once: some hundred kilobytes, which every
/// client would have otherwise. A store that is empty may be filled later.
fn system_roots() -> Arc<RootCertStore> {
    static READ: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    if let Some(roots) = READ.get() {
        return Arc::clone(roots);
    }
    let mut roots = RootCertStore::empty();
    // Some systems hold certificates that no longer parse: the others are still good.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let roots = Arc::new(roots);
    if roots.is_empty() {
        return roots;
    }
    Arc::clone(READ.get_or_init(|| roots))
}

fn certificates(what: &'static str, pem: &Pem) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = match pem {
        Pem::Inline(text) => text.clone().into_bytes(),
        Pem::File(path) => std::fs::read(path).map_err(|source| TlsError::Read {
            what,
            path: path.clone(),
            source,
        })?,
    };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|error| TlsError::Pem {
        what,
        place: place(pem),
        detail: error.to_string(),
    })?;
    if chain.is_empty() {
        return Err(TlsError::Missing {
            what,
            place: place(pem),
        });
    }
    Ok(chain)
}

fn private_key(key: &Secret) -> Result<PrivateKeyDer<'static>, TlsError> {
    let place = key.path().map_or_else(
        || "`key`".to_owned(),
        |path| format!("`{}`", path.display()),
    );
    let text = key.reveal()?;
    PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|error| match error {
        rustls_pki_types::pem::Error::NoItemsFound => TlsError::Missing {
            what: "private key",
            place,
        },
        // The library's words quote no key material.
        other => TlsError::Pem {
            what: "private key",
            place,
            detail: other.to_string(),
        },
    })
}

fn place(pem: &Pem) -> String {
    match pem {
        Pem::Inline(_) => "the configuration".to_owned(),
        Pem::File(path) => format!("`{}`", path.display()),
    }
}

/// Verifies a certificate against a name other than the one connected to.
#[derive(Debug)]
struct OtherName {
    name: ServerName<'static>,
    verifier: Arc<dyn ServerCertVerifier>,
}

impl ServerCertVerifier for OtherName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verifier
            .verify_server_cert(end_entity, intermediates, &self.name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// Takes any certificate; signatures are still checked, so that the handshake means something.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_file_that_cannot_be_read() {
        let ca = Some(Pem::File("/nowhere/ca.pem".into()));
        let error = client_config(&Settings {
            ca,
            ..Settings::default()
        })
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot read certificate file `/nowhere/ca.pem`"
        );
    }

    #[test]
    fn refuses_text_without_a_certificate() {
        let ca = Some(Pem::Inline("hello".to_owned()));
        let error = client_config(&Settings {
            ca,
            ..Settings::default()
        })
        .unwrap_err();
        assert_eq!(error.to_string(), "the configuration holds no certificate");
    }

    #[test]
    fn a_certificate_needs_its_key() {
        let settings = Settings {
            cert: Some(Pem::Inline(String::new())),
            insecure_skip_verify: true,
            ..Settings::default()
        };
        assert!(matches!(client_config(&settings), Err(TlsError::Unpaired)));
    }

    #[test]
    fn an_own_certificate_and_its_key_are_taken() {
        let made = rcgen::generate_simple_self_signed(vec!["site".to_owned()]).unwrap();
        let settings = Settings {
            ca: Some(Pem::Inline(made.cert.pem())),
            cert: Some(Pem::Inline(made.cert.pem())),
            key: Some(Secret::Inline(made.signing_key.serialize_pem().into())),
            server_name: Some("hub.example.net".to_owned()),
            ..Settings::default()
        };
        client_config(&settings).unwrap();
    }

    #[test]
    fn versions_must_leave_one_to_speak() {
        let settings = Settings {
            min_version: Some(Version::Tls13),
            max_version: Some(Version::Tls12),
            ..Settings::default()
        };
        assert!(matches!(client_config(&settings), Err(TlsError::Versions)));
    }
}
