//! What an enrollment tells while it goes on.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::certificate::Signed;
use super::{Address, Fingerprint, Trust};

/// A step that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The CA is trusted from now on.
    CaTrusted {
        /// Which one.
        ca: Address,
        /// Why.
        trust: Trust,
        /// Its root certificate.
        root: Fingerprint,
        /// All of its certificates.
        bundle: Fingerprint,
    },
    /// The CA has other certificates than before.
    CaReplaced {
        /// All of them.
        bundle: Fingerprint,
    },
    /// The revocation lists are here, as they were or new.
    CrlStored,
    /// The revocation lists here are too old to be used; new ones are fetched without them.
    CrlOutdated,
    /// There was no key; now there is.
    KeyMade(PathBuf),
    /// The CA took the request.
    RequestSent {
        /// For this name.
        certname: String,
        /// Which an operator can compare at the CA.
        fingerprint: Fingerprint,
    },
    /// The certificate is not signed yet.
    Waiting {
        /// For this name.
        certname: String,
        /// Until the next look.
        delay: Duration,
    },
    /// Something failed that may go better.
    Failed {
        /// The error with its causes.
        error: String,
        /// Until the next try.
        delay: Duration,
    },
    /// The certificate is here.
    CertificateStored(Signed),
}

impl Event {
    /// Tells whether an operator should look at it.
    pub fn is_warning(&self) -> bool {
        match self {
            Self::CaTrusted { trust, .. } => *trust == Trust::FirstUse,
            Self::CrlOutdated | Self::Failed { .. } => true,
            _ => false,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CaTrusted {
                ca,
                trust,
                root,
                bundle,
            } => match trust {
                Trust::FirstUse => write!(
                    f,
                    "NOT VERIFIED: the CA at {ca} is trusted because it answered first; compare the \
                     fingerprint of its root certificate, {root}, or that of all its certificates, \
                     {bundle}, with those at the CA, and next time give one with --ca-fingerprint"
                ),
                Trust::Fingerprint(_) => {
                    write!(
                        f,
                        "the CA at {ca} has the given fingerprint; its root is {root}"
                    )
                }
                Trust::File(path) => {
                    write!(
                        f,
                        "the CA at {ca} is that of `{}`; its root is {root}",
                        path.display()
                    )
                }
            },
            Self::CaReplaced { bundle } => write!(f, "the CA has other certificates now: {bundle}"),
            Self::CrlStored => f.write_str("revocation lists fetched"),
            Self::CrlOutdated => f.write_str(
                "the revocation lists here are out of date; fetching new ones without checking the \
                 CA's own certificate against them",
            ),
            Self::KeyMade(path) => write!(f, "new key in `{}`", path.display()),
            Self::RequestSent {
                certname,
                fingerprint,
            } => {
                write!(
                    f,
                    "request for `{certname}` submitted; its fingerprint is {fingerprint}"
                )
            }
            Self::Waiting { certname, delay } => write!(
                f,
                "the certificate `{certname}` is not signed yet: `puppetserver ca sign --certname \
                 {certname}` at the CA does it; next look in {} s",
                delay.as_secs()
            ),
            Self::Failed { error, delay } => {
                write!(f, "{error}; next try in {} s", delay.as_secs().max(1))
            }
            Self::CertificateStored(signed) => write!(f, "{signed}, is here"),
        }
    }
}
