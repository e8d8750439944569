//! Builds TLS server configurations, as Prometheus's web configuration describes them.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, SupportedKxGroup, ring};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{
    CertificateError, CipherSuite, DistinguishedName, ServerConfig, SupportedCipherSuite,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use super::client::versions;
use super::error::TlsError;
use super::own::Own;
use super::signatures::{Signatures, signatures_as};
use super::verify::{roots_of, system_roots};
use super::{Pem, Settings, Version, seconds};
use crate::clock::Clock;
use crate::model::Secret;

/// TLS of a server, as in Prometheus's `tls_server_config`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// Our certificate, leaf first.
    pub cert: Pem,
    /// The certificate's key.
    pub key: Secret,
    /// Whether clients need a certificate.
    pub client_auth: ClientAuth,
    /// Who signs clients' certificates, instead of the system's store.
    pub client_ca: Option<Pem>,
    /// Names of which a client's certificate must have one; any, if empty.
    pub client_allowed_sans: Vec<String>,
    /// The oldest version to speak.
    pub min_version: Option<Version>,
    /// The newest version to speak.
    pub max_version: Option<Version>,
    /// What TLS 1.2 may be spoken with, the most welcome first; ours, if empty.
    pub cipher_suites: Vec<CipherName>,
    /// Whether our order of these counts, not the client's.
    pub prefer_server_cipher_suites: bool,
    /// Curves for the exchange of keys, the most welcome first; ours, if empty.
    pub curve_preferences: Vec<Curve>,
}

/// Whether clients need a certificate, in the words of Go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// `NoClientCert`: it is not asked for.
    None,
    /// `RequestClientCert`: it is asked for, and taken whatever it is.
    Request,
    /// `RequireAnyClientCert`, `RequireClientCert`: there must be one, whatever it is.
    RequireAny,
    /// `VerifyClientCertIfGiven`: one that is given must be good.
    VerifyIfGiven,
    /// `RequireAndVerifyClientCert`: there must be one, and it must be good.
    RequireAndVerify,
}

/// A cipher suite of TLS 1.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CipherName(CipherSuite);

/// A curve for the exchange of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// `CurveP256`
    P256,
    /// `CurveP384`
    P384,
    /// `X25519`
    X25519,
}

/// The names by which Go calls the cipher suites that we speak.
const CIPHERS: [(&str, CipherSuite); 6] = [
    (
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ),
    (
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ),
];

impl ServerSettings {
    /// Reads every file as a connection would, and returns what its author should know.
    pub fn verify(&self) -> Result<Vec<String>, TlsError> {
        server_config(self, Vec::new())?;
        let own = Own::read(&self.own())?;
        let complaint = own.and_then(|own| own.complaint(seconds(&Clock::system())));
        Ok(complaint.into_iter().collect())
    }

    /// Returns the files that it names.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let pem = [Some(&self.cert), self.client_ca.as_ref()];
        let pem = pem.into_iter().flatten().filter_map(Pem::path);
        pem.chain(self.key.path())
    }

    fn own(&self) -> Settings {
        Settings {
            cert: Some(self.cert.clone()),
            key: Some(self.key.clone()),
            min_version: self.min_version,
            max_version: self.max_version,
            ..Settings::default()
        }
    }
}

impl CipherName {
    /// Finds a suite by the name that Go has for it.
    pub fn parse(name: &str) -> Option<Self> {
        let found = CIPHERS.iter().find(|(known, _)| *known == name);
        found.map(|(_, suite)| Self(*suite))
    }
}

/// Builds the TLS configuration of a server, with its files as they are now; `protocols` are
/// offered by ALPN.
pub fn server_config(
    settings: &ServerSettings,
    protocols: Vec<Vec<u8>>,
) -> Result<ServerConfig, TlsError> {
    let provider = Arc::new(provider(settings));
    let own = settings.own();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(&own)?)
        .map_err(TlsError::Refused)?;
    let builder = match verifier(settings, &provider)? {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(verifier),
    };
    let own = Own::read(&own)?.ok_or(TlsError::Unpaired)?;
    let shown = SingleCertAndKey::from(Arc::clone(&own.key));
    let mut config = builder.with_cert_resolver(Arc::new(shown));
    config.ignore_client_order = settings.prefer_server_cipher_suites;
    config.alpn_protocols = protocols;
    Ok(config)
}

/// Our cryptography, narrowed to what the settings name; the suites of TLS 1.3 always stay.
fn provider(settings: &ServerSettings) -> CryptoProvider {
    let mut provider = ring::default_provider();
    if !settings.cipher_suites.is_empty() {
        let (mut suites, others): (Vec<_>, Vec<_>) = provider
            .cipher_suites
            .into_iter()
            .partition(|suite| matches!(suite, SupportedCipherSuite::Tls13(_)));
        for CipherName(wanted) in &settings.cipher_suites {
            let found = others.iter().find(|suite| suite.suite() == *wanted);
            suites.extend(found.copied());
        }
        provider.cipher_suites = suites;
    }
    if !settings.curve_preferences.is_empty() {
        let group = |curve: &Curve| -> &'static dyn SupportedKxGroup {
            match curve {
                Curve::P256 => ring::kx_group::SECP256R1,
                Curve::P384 => ring::kx_group::SECP384R1,
                Curve::X25519 => ring::kx_group::X25519,
            }
        };
        provider.kx_groups = settings.curve_preferences.iter().map(group).collect();
    }
    provider
}

/// Builds what judges clients' certificates, if they are asked for.
fn verifier(
    settings: &ServerSettings,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    let any = |is_mandatory| {
        Ok(Arc::new(AnyClient {
            is_mandatory,
            signatures: Signatures(Arc::clone(provider)),
        }) as Arc<dyn ClientCertVerifier>)
    };
    let verifier = match settings.client_auth {
        ClientAuth::None => return Ok(None),
        ClientAuth::Request => any(false),
        ClientAuth::RequireAny => any(true),
        ClientAuth::VerifyIfGiven => trusting(settings, provider, false),
        ClientAuth::RequireAndVerify => trusting(settings, provider, true),
    }?;
    if settings.client_allowed_sans.is_empty() {
        return Ok(Some(verifier));
    }
    Ok(Some(Arc::new(Named {
        names: settings.client_allowed_sans.clone(),
        verifier,
    })))
}

fn trusting(
    settings: &ServerSettings,
    provider: &Arc<CryptoProvider>,
    is_mandatory: bool,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let (roots, place) = match &settings.client_ca {
        Some(ca) => (Arc::new(roots_of(ca)?), super::read::place_of(ca)),
        None => (system_roots(), "the system's store".to_owned()),
    };
    let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider));
    let builder = if is_mandatory {
        builder
    } else {
        builder.allow_unauthenticated()
    };
    let verifier = builder.build().map_err(|error| TlsError::Roots {
        place,
        detail: error.to_string(),
    })?;
    Ok(verifier)
}

/// Takes any certificate; signatures are still checked, so that the handshake means something.
#[derive(Debug)]
struct AnyClient {
    is_mandatory: bool,
    signatures: Signatures,
}

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        self.is_mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    signatures_as!(signatures);
}

/// Takes of the certificates that are good those with one of some names.
#[derive(Debug)]
struct Named {
    names: Vec<String>,
    verifier: Arc<dyn ClientCertVerifier>,
}

impl ClientCertVerifier for Named {
    fn client_auth_mandatory(&self) -> bool {
        self.verifier.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let good = self
            .verifier
            .verify_client_cert(end_entity, intermediates, now)?;
        let names = names_of(end_entity);
        if names.iter().any(|name| self.names.contains(name)) {
            Ok(good)
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    signatures_as!(verifier);
}

/// Returns the subject's alternative names: hosts, addresses, mail addresses, URIs.
fn names_of(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else {
        return Vec::new();
    };
    let Ok(Some(names)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let names = names.value.general_names.iter();
    let names = names.filter_map(|name| match name {
        GeneralName::DNSName(name) | GeneralName::RFC822Name(name) | GeneralName::URI(name) => {
            Some((*name).to_owned())
        }
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
            let address = v4.or_else(|_other| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    });
    names.collect()
}
