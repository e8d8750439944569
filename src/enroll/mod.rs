//! Enrollment with a Puppet CA: from a name to a signed certificate, and to the next one.
//!
//! In: [`Settings`]. Out: the files of an ssldir ([`SslDir`]): key, certificate, CA bundle and
//! revocation list, written whole or not at all. [`Enrollment`] takes one step after the other
//! and can be repeated at any point, since all that it remembers is in these files; [`Keeper`]
//! does so while a program runs. This module alone knows the CA's HTTP interface and what a
//! certificate request looks like. It never shows a key or a challenge, never overwrites a key,
//! and speaks to a CA that it cannot verify only to ask for the CA's own certificate.

mod address;
mod attributes;
mod authority;
mod ca;
mod certificate;
mod certname;
mod enrollment;
mod error;
mod event;
mod files;
mod fingerprint;
mod keeper;
mod key;
mod metrics;
mod renewal;
mod request;
#[cfg(test)]
mod tests;

pub use address::{Address, AddressError};
pub use attributes::{Attributes, AttributesError};
pub use authority::{AuthorityError, RevocationsError, Trust};
pub use certificate::Signed;
pub use certname::{CertnameError, check_certname};
pub use enrollment::{Enrollment, Outcome};
pub use error::{Document, EnrollError};
pub use event::Event;
pub use files::FilesError;
pub use fingerprint::{Fingerprint, FingerprintError};
pub use keeper::Keeper;
pub use key::KeyError;
pub use metrics::Metrics;
pub use request::RequestError;

use std::time::Duration;

use crate::tls::SslDir;

/// How long to wait between two looks for the certificate, as `puppet agent` does.
pub const WAIT: Duration = Duration::from_secs(2 * 60);

/// How long the command line waits in all, as the ancestor did.
pub const TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// How long before its end a certificate is renewed, as `puppet agent` does.
pub const RENEW_BEFORE: Duration = Duration::from_secs(30 * 24 * 3600);

/// How old the CA's certificates and revocation lists get, as with `puppet agent`.
pub const REFRESH: Duration = Duration::from_secs(24 * 3600);

/// What `config` or the command line fills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the files are kept, and the name to enroll.
    pub ssl_dir: SslDir,
    /// The CA.
    pub ca: Address,
    /// Why to believe that it is the right one.
    pub trust: Trust,
    /// What the certificate is to say besides the name.
    pub attributes: Attributes,
    /// How long to wait between two looks for the certificate.
    pub wait: Duration,
    /// How long before its end the certificate is renewed.
    pub renew_before: Duration,
    /// How often the CA's certificates and revocation lists are fetched.
    pub refresh: Duration,
}

impl Settings {
    /// Returns settings for a name at Puppet's own default CA.
    pub fn new(ssl_dir: SslDir) -> Self {
        Self {
            ssl_dir,
            ca: Address::default(),
            trust: Trust::FirstUse,
            attributes: Attributes::default(),
            wait: WAIT,
            renew_before: RENEW_BEFORE,
            refresh: REFRESH,
        }
    }
}
