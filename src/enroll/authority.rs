//! The CA's certificates and its revocation lists.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::server::WebPkiClientVerifier;
use rustls::{CertificateError, RootCertStore};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

use super::Fingerprint;
use super::certificate::{Signed, blocks_of, certificates};

/// Certificates of one bundle: Puppet's own has two, one of a company some more.
const CERTIFICATES_MAX: usize = 32;

/// Why to believe that a CA is the right one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Because it answered first.
    FirstUse,
    /// Because its root certificate, or the bundle as a whole, has this fingerprint.
    Fingerprint(Fingerprint),
    /// Because its certificates stand in this file.
    File(PathBuf),
}

/// The certificates of a CA, all of them checked to be what they should be.
#[derive(Debug, Clone)]
pub(super) struct Authority {
    /// As it was read.
    pub(super) text: String,
    certificates: Vec<CertificateDer<'static>>,
}

/// Revocation lists, each signed by one of the CA's certificates.
#[derive(Debug, Clone)]
pub(super) struct Revocations {
    /// As they were read.
    pub(super) text: String,
    lists: Vec<CertificateRevocationListDer<'static>>,
    /// When the first of them has to be fetched anew.
    pub(super) next_update: Option<i64>,
}

/// Why a bundle is not that of a CA to trust.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// It is not PEM.
    #[error("it is not valid PEM: {0}")]
    Pem(String),
    /// It is empty, or too long.
    #[error("it holds {0} certificates instead of 1 to {CERTIFICATES_MAX}")]
    Count(usize),
    /// A certificate is damaged.
    #[error("its certificate {0} is damaged")]
    Damaged(usize),
    /// A certificate cannot sign others.
    #[error("its certificate {number}, `{subject}`, is not that of a CA")]
    NoAuthority {
        /// Which one.
        number: usize,
        /// Whose.
        subject: String,
    },
    /// Another one was expected.
    #[error(
        "its fingerprint is not {expected}: that of the bundle is {bundle}, that of the root \
         certificate {root}"
    )]
    Fingerprint {
        /// What was expected.
        expected: Fingerprint,
        /// What came.
        bundle: Fingerprint,
        /// What came, the root alone.
        root: Fingerprint,
    },
    /// The fingerprint proves less than what would be trusted.
    #[error(
        "the fingerprint is that of `{subject}`, which did not sign all the others; give that of the \
         root certificate, or `sha256sum` of the whole file"
    )]
    NotTheRoot {
        /// Whose it is.
        subject: String,
    },
}

/// Why revocation lists are of no use.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevocationsError {
    /// They are not PEM.
    #[error("they are not valid PEM: {0}")]
    Pem(String),
    /// There are none.
    #[error("there is no list in it")]
    Empty,
    /// One is damaged.
    #[error("list {0} is damaged")]
    Damaged(usize),
    /// One is not by this CA.
    #[error("list {number}, by `{issuer}`, is not signed by the CA")]
    NotSigned {
        /// Which one.
        number: usize,
        /// By whom it says it is.
        issuer: String,
    },
}

impl Authority {
    /// Reads a bundle.
    pub(super) fn parse(text: &str) -> Result<Self, AuthorityError> {
        let certificates = certificates(text.as_bytes()).map_err(AuthorityError::Pem)?;
        if !(1..=CERTIFICATES_MAX).contains(&certificates.len()) {
            return Err(AuthorityError::Count(certificates.len()));
        }
        for (number, certificate) in (1..).zip(&certificates) {
            let parsed = parse(certificate).ok_or(AuthorityError::Damaged(number))?;
            if !parsed.is_ca() {
                return Err(AuthorityError::NoAuthority {
                    number,
                    subject: parsed.subject().to_string(),
                });
            }
        }
        Ok(Self {
            text: text.to_owned(),
            certificates,
        })
    }

    /// Checks that what would be trusted is what a fingerprint stands for.
    ///
    /// That of the bundle proves all of it. That of one certificate proves those which it signed,
    /// and theirs; nothing else may be in the bundle, since all of it would be trusted.
    pub(super) fn check(&self, expected: Fingerprint) -> Result<(), AuthorityError> {
        let bundle = Fingerprint::of(self.text.as_bytes());
        if bundle == expected {
            return Ok(());
        }
        let mut proven: Vec<X509Certificate<'_>> = Vec::new();
        let mut others: Vec<X509Certificate<'_>> = Vec::new();
        for certificate in &self.certificates {
            let list = if Fingerprint::of(certificate) == expected {
                &mut proven
            } else {
                &mut others
            };
            list.extend(parse(certificate));
        }
        let Some(subject) = proven.first().map(|first| first.subject().to_string()) else {
            return Err(AuthorityError::Fingerprint {
                expected,
                bundle,
                root: self.root(),
            });
        };
        while !others.is_empty() {
            let is_by = |certificate: &X509Certificate<'_>| {
                proven.iter().any(|signer| has_signed(signer, certificate))
            };
            let (new, rest): (Vec<_>, Vec<_>) = others.into_iter().partition(is_by);
            if new.is_empty() {
                return Err(AuthorityError::NotTheRoot { subject });
            }
            proven.extend(new);
            others = rest;
        }
        Ok(())
    }

    /// Returns the fingerprint of the root certificate; that of the last one if none is.
    pub(super) fn root(&self) -> Fingerprint {
        let root = self.certificates.iter().find(|der| is_root(der));
        let root = root.or_else(|| self.certificates.last());
        Fingerprint::of(root.map_or(&[], |der| der.as_ref()))
    }

    /// Returns the fingerprint of the bundle.
    pub(super) fn bundle(&self) -> Fingerprint {
        Fingerprint::of(self.text.as_bytes())
    }

    /// Reads revocation lists, and checks that each is by this CA.
    pub(super) fn revocations(&self, text: &str) -> Result<Revocations, RevocationsError> {
        let lists = blocks_of("X509 CRL", text.as_bytes()).map_err(RevocationsError::Pem)?;
        let lists: Vec<CertificateRevocationListDer<'static>> =
            lists.into_iter().map(Into::into).collect();
        if lists.is_empty() {
            return Err(RevocationsError::Empty);
        }
        let signers: Vec<_> = self.certificates.iter().filter_map(parse).collect();
        let mut next_update: Option<i64> = None;
        for (number, list) in (1..).zip(&lists) {
            let (_, list) = CertificateRevocationList::from_der(list)
                .map_err(|_malformed| RevocationsError::Damaged(number))?;
            let is_signed = signers.iter().any(|signer| {
                signer.subject() == list.issuer()
                    && list.verify_signature(signer.public_key()).is_ok()
            });
            if !is_signed {
                let issuer = list.issuer().to_string();
                return Err(RevocationsError::NotSigned { number, issuer });
            }
            if let Some(next) = list.next_update() {
                let next = next.timestamp();
                next_update = Some(next_update.map_or(next, |known| known.min(next)));
            }
        }
        Ok(Revocations {
            text: text.to_owned(),
            lists,
            next_update,
        })
    }

    /// Checks that a certificate is by this CA, is good now, and was not revoked.
    pub(super) fn verify(
        &self,
        signed: &Signed,
        revocations: Option<&Revocations>,
        now_ms: i64,
    ) -> Result<(), rustls::Error> {
        let mut roots = RootCertStore::empty();
        let mut between = Vec::new();
        let has_root = self.certificates.iter().any(is_root);
        for certificate in &self.certificates {
            if is_root(certificate) || !has_root {
                roots.add(certificate.clone())?;
            } else {
                between.push(certificate.clone());
            }
        }
        let lists = revocations.map(|revocations| revocations.lists.clone());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .with_crls(lists.unwrap_or_default())
            // A company's root often has no list of its own.
            .allow_unknown_revocation_status()
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?;
        let now = Duration::from_millis(u64::try_from(now_ms).unwrap_or_default());
        let now = UnixTime::since_unix_epoch(now);
        let verified = verifier.verify_client_cert(&signed.der, &between, now);
        verified.map(drop)
    }
}

/// Says what is wrong with a certificate in words.
pub(super) fn why(error: &rustls::Error) -> String {
    let rustls::Error::InvalidCertificate(error) = error else {
        return error.to_string();
    };
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet; is the clock right?"
        }
        CertificateError::Revoked => "it was revoked",
        CertificateError::UnknownIssuer => "it is not signed by the CA whose certificates are here",
        CertificateError::BadSignature => "its signature is not the CA's",
        other => return other.to_string(),
    }
    .to_owned()
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    let (rest, parsed) = X509Certificate::from_der(der).ok()?;
    rest.is_empty().then_some(parsed)
}

fn is_root(der: &CertificateDer<'_>) -> bool {
    parse(der).is_some_and(|parsed| has_signed(&parsed, &parsed))
}

fn has_signed(signer: &X509Certificate<'_>, signed: &X509Certificate<'_>) -> bool {
    signer.subject() == signed.issuer()
        && signed.verify_signature(Some(signer.public_key())).is_ok()
}
