//! Enrollment with a Puppet CA: from a name to a signed certificate, and to the next one.
//!
//! In: [`Settings`]. Out: the files of an ssldir ([`crate::tls::SslDir`]): key, certificate, CA
//! bundle and revocation list. This module alone knows the CA's HTTP interface. It never shows a
//! key, and never overwrites one.

use std::path::PathBuf;

/// What `config` or the command line fills.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the files are kept.
    pub ssl_dir: PathBuf,
    /// The name to enroll.
    pub certname: String,
}
