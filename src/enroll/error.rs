//! What can go wrong between us and the CA, each with its remedy.

use std::fmt;
use std::path::PathBuf;

use http::StatusCode;

use super::authority::{AuthorityError, RevocationsError};
use super::certificate::Shown;
use super::certname::CertnameError;
use super::files::FilesError;
use super::key::KeyError;
use super::request::RequestError;
use crate::http::ClientError;
use crate::retry::{Retry, Retryable};

/// What is asked of the CA, and where a failure is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Document {
    /// The CA's own certificates.
    Authority,
    /// The revocation lists.
    Revocations,
    /// The certificate request.
    Request,
    /// The signed certificate.
    Certificate,
    /// The next certificate.
    Renewal,
    /// Our own files; nothing is asked.
    Files,
}

impl Document {
    /// All of them.
    pub(super) const ALL: [Self; 6] = [
        Self::Authority,
        Self::Revocations,
        Self::Request,
        Self::Certificate,
        Self::Renewal,
        Self::Files,
    ];

    /// Returns the word for a metric's label.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Authority => "ca",
            Self::Revocations => "crl",
            Self::Request => "request",
            Self::Certificate => "certificate",
            Self::Renewal => "renewal",
            Self::Files => "files",
        }
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Authority => "fetch the CA's certificates",
            Self::Revocations => "fetch the revocation lists",
            Self::Request => "submit the certificate request",
            Self::Certificate => "fetch the certificate",
            Self::Renewal => "renew the certificate",
            Self::Files => "use the files",
        })
    }
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// The name cannot be enrolled.
    #[error(transparent)]
    Certname(#[from] CertnameError),
    /// Our own files.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The key is of no use.
    #[error("cannot use the private key in `{}`", path.display())]
    Key {
        /// Its file.
        path: PathBuf,
        /// Why not.
        source: Box<KeyError>,
    },
    /// No request can be made.
    #[error("cannot make a certificate request")]
    Request(#[from] RequestError),
    /// The CA cannot be asked.
    #[error("cannot {document} at `{url}`{}", hint(source))]
    Ask {
        /// What for.
        document: Document,
        /// Where.
        url: String,
        /// Why not.
        source: Box<ClientError>,
    },
    /// The CA refuses.
    #[error(
        "cannot {document}: `{url}` answered with status {status}{}",
        said(words)
    )]
    Refused {
        /// What.
        document: Document,
        /// Where.
        url: String,
        /// How.
        status: StatusCode,
        /// In the CA's words.
        words: String,
    },
    /// The CA sends us elsewhere, where we do not go: it could be anywhere.
    #[error("cannot {document}: `{url}` redirects elsewhere, which is not followed; is it the CA?")]
    Redirected {
        /// What.
        document: Document,
        /// Where.
        url: String,
    },
    /// The CA's certificates are not what they should be.
    #[error("cannot trust the CA's certificates from {place}")]
    Authority {
        /// URL or file.
        place: String,
        /// Why not.
        source: Box<AuthorityError>,
    },
    /// There is no file with the CA's certificates.
    #[error("there is no file `{}`", .0.display())]
    NoAuthority(PathBuf),
    /// The CA's certificates are not those that were given.
    #[error(
        "the certificates in `{}` are not those in `{}`; remove the first to trust the second",
        known.display(), given.display()
    )]
    OtherAuthority {
        /// What is trusted already.
        known: PathBuf,
        /// What was given.
        given: PathBuf,
    },
    /// The revocation lists are of no use.
    #[error("cannot use the revocation lists from {place}")]
    Revocations {
        /// URL or file.
        place: String,
        /// Why not.
        source: Box<RevocationsError>,
    },
    /// What the CA answered, or what a file holds, is no certificate.
    #[error("cannot read the certificate from {place}: {detail}")]
    Malformed {
        /// URL or file.
        place: String,
        /// The parser's words.
        detail: String,
    },
    /// A certificate that is no good.
    #[error("the certificate from {place} is of no use: {detail}")]
    Unfit {
        /// URL or file.
        place: String,
        /// What is wrong with it.
        detail: String,
    },
    /// Our certificate was revoked.
    #[error(
        "the certificate `{certname}` was revoked; to enroll it again, run `puppetserver ca clean \
         --certname {certname}` at the CA, and remove its files below `{}`", dir.display()
    )]
    Revoked {
        /// Whose.
        certname: String,
        /// The ssldir.
        dir: PathBuf,
    },
    /// Someone else has the name.
    #[error(
        "the CA's certificate `{certname}` is for another key than `{}`; choose another name, or \
         run `puppetserver ca clean --certname {certname}` at the CA and enroll again",
        key.display()
    )]
    OtherKey {
        /// The name.
        certname: String,
        /// Our key.
        key: PathBuf,
    },
    /// Our own files do not fit.
    #[error(
        "the certificate `{}` is for another key than `{}`; restore the key, or remove the \
         certificate and enroll again", cert.display(), key.display()
    )]
    Unpaired {
        /// Our certificate.
        cert: PathBuf,
        /// Our key.
        key: PathBuf,
    },
    /// Someone else has asked for the name.
    #[error(
        "the CA has a request for `{certname}` by another key than `{}`; choose another name, or \
         run `puppetserver ca clean --certname {certname}` at the CA and enroll again",
        key.display()
    )]
    OtherRequest {
        /// The name.
        certname: String,
        /// Our key.
        key: PathBuf,
    },
    /// Our certificate has come to its end.
    #[error(
        "the certificate `{}` has expired on {}; run `enroll --renew`, or remove it and `puppetserver \
         ca clean` its name at the CA to enroll again", cert.display(), Shown(*not_after)
    )]
    Expired {
        /// Its file.
        cert: PathBuf,
        /// When, in seconds since the Unix epoch.
        not_after: i64,
    },
    /// There is nothing to renew.
    #[error("there is no certificate `{}` to renew; enroll first, without `--renew`", .0.display())]
    NotEnrolled(PathBuf),
    /// The CA renews nothing.
    #[error(
        "the CA does not renew `{certname}`{}; set `allow-auto-renewal` in its `ca.conf` (Puppet \
         Server 8), or `allow-duplicate-certs` (any version) and sign the new request, or enroll \
         anew after `puppetserver ca clean --certname {certname}`",
        said(words)
    )]
    NoRenewal {
        /// The name.
        certname: String,
        /// In the CA's words.
        words: String,
    },
}

impl EnrollError {
    /// Returns what failed.
    pub fn document(&self) -> Document {
        match self {
            Self::Ask { document, .. }
            | Self::Refused { document, .. }
            | Self::Redirected { document, .. } => *document,
            Self::Authority { .. } | Self::NoAuthority(_) | Self::OtherAuthority { .. } => {
                Document::Authority
            }
            Self::Revocations { .. } => Document::Revocations,
            Self::Request(_) | Self::OtherRequest { .. } => Document::Request,
            Self::Malformed { .. }
            | Self::Unfit { .. }
            | Self::Revoked { .. }
            | Self::OtherKey { .. } => Document::Certificate,
            Self::NoRenewal { .. } | Self::Expired { .. } => Document::Renewal,
            Self::Certname(_)
            | Self::Files(_)
            | Self::Key { .. }
            | Self::Unpaired { .. }
            | Self::NotEnrolled(_) => Document::Files,
        }
    }
}

impl Retryable for EnrollError {
    fn retry(&self) -> Retry {
        match self {
            Self::Ask { source, .. } if is_untrusted(source) => Retry::No,
            Self::Ask { source, .. } => source.retry(),
            Self::Refused { status, .. } => {
                let is_later = status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS;
                if is_later { Retry::Yes } else { Retry::No }
            }
            Self::Files(FilesError::Busy(_)) => Retry::Yes,
            _ => Retry::No,
        }
    }
}

/// Tells whether the other side is there, but is not who it should be.
fn is_untrusted(error: &ClientError) -> bool {
    let text = error.to_string();
    matches!(error, ClientError::Tls(_)) || text.contains("invalid peer certificate")
}

fn hint(error: &ClientError) -> &'static str {
    if is_untrusted(error) {
        ", which is not the CA whose certificates are here, or has no certificate for this name"
    } else {
        ""
    }
}

fn said(words: &str) -> String {
    if words.is_empty() {
        String::new()
    } else {
        format!(", saying `{words}`")
    }
}
