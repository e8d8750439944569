//! Our own certificate and its key.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;

use super::error::TlsError;
use super::read::{Found, certificates, place_of, place_of_key, private_key};
use super::{Pem, Settings};
use crate::model::Secret;

/// What the library's cryptography can sign with.
const KINDS: &str = "RSA from 2048 bits, ECDSA P-256 and P-384, and Ed25519 are supported";

/// A certificate with its chain, the key that it is for, and when it may be used.
#[derive(Debug, Clone)]
pub(super) struct Own {
    pub(super) key: Arc<CertifiedKey>,
    place: String,
    subject: String,
    not_before: ASN1Time,
    not_after: ASN1Time,
}

impl Own {
    /// Reads both; `None`: there is neither.
    pub(super) fn read(settings: &Settings) -> Result<Option<Self>, TlsError> {
        match (&settings.cert, &settings.key) {
            (None, None) => Ok(None),
            (Some(cert), Some(key)) => {
                let provider = rustls::crypto::ring::default_provider();
                Self::read_pair(cert, key, settings, &provider).map(Some)
            }
            (None, Some(_)) | (Some(_), None) => Err(TlsError::Unpaired),
        }
    }

    fn read_pair(
        cert: &Pem,
        key: &Secret,
        settings: &Settings,
        provider: &CryptoProvider,
    ) -> Result<Self, TlsError> {
        let chain = certificates(cert, settings)?;
        let Found { line, der } = private_key(key, settings)?;
        let key_place = place_of_key(key);
        let signing = provider.key_provider.load_private_key(der);
        let signing = signing.map_err(|_damaged| TlsError::Damaged {
            place: key_place.clone(),
            line,
            what: format!("the private key is damaged, or of another kind: {KINDS}"),
        })?;
        let wanted = signing.public_key();
        let wanted = wanted.as_ref().map(AsRef::as_ref);
        let place = place_of(cert);
        let (subject, not_before, not_after) = match chain.first() {
            Some(leaf) => facts(&leaf.der),
            None => None,
        }
        .ok_or_else(|| TlsError::Missing {
            what: super::read::CERTIFICATE,
            place: place.clone(),
            instead: String::new(),
        })?;
        let is_for_key = |found: &Found<CertificateDer<'_>>| {
            wanted.is_none() || public_key(&found.der).as_deref() == wanted
        };
        if !chain.first().is_some_and(is_for_key) {
            let is_later = chain.iter().any(is_for_key);
            return Err(TlsError::Mismatch {
                subject,
                cert: place,
                key: key_place,
                hint: if is_later {
                    "; the one that is stands further down, and must come first"
                } else {
                    ""
                },
            });
        }
        let chain = chain.into_iter().map(|found| found.der).collect();
        Ok(Self {
            key: Arc::new(CertifiedKey::new(chain, signing)),
            place,
            subject,
            not_before,
            not_after,
        })
    }

    /// Says that the certificate may not be used now, if that is so.
    pub(super) fn complaint(&self, now: i64) -> Option<String> {
        let Self { subject, place, .. } = self;
        if now > self.not_after.timestamp() {
            let end = self.not_after;
            Some(format!(
                "our certificate `{subject}` in {place} has expired: it ended {end}"
            ))
        } else if now < self.not_before.timestamp() {
            let begin = self.not_before;
            Some(format!(
                "our certificate `{subject}` in {place} is not valid yet: it begins {begin}"
            ))
        } else {
            None
        }
    }
}

/// Returns whose certificate it is, and from when until when it is valid.
pub(super) fn facts(der: &[u8]) -> Option<(String, ASN1Time, ASN1Time)> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let validity = certificate.validity();
    let subject = certificate.subject().to_string();
    Some((subject, validity.not_before, validity.not_after))
}

fn public_key(der: &[u8]) -> Option<Vec<u8>> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(certificate.public_key().raw.to_vec())
}
