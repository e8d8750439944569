//! The files of a Puppet agent's ssldir.

use std::path::{Path, PathBuf};

use super::{Pem, Settings};
use crate::model::Secret;

/// The longest name: with `.pem` behind it, it is a file's.
const CERTNAME_MAX: usize = 250;

/// A folder that is laid out as a Puppet agent's `ssldir`, and the name to look for in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SslDir {
    dir: PathBuf,
    certname: String,
}

impl SslDir {
    /// Names a folder and a certificate in it; nothing is looked at.
    pub fn new(dir: impl Into<PathBuf>, certname: impl Into<String>) -> Self {
        Self {
            dir: dir.into(),
            certname: certname.into(),
        }
    }

    /// Returns where Puppet keeps its files by default, for whoever runs this program.
    pub fn default_dir() -> PathBuf {
        let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
        match home {
            Some(home) if !rustix::process::geteuid().is_root() => {
                Path::new(&home).join(".puppetlabs/etc/puppet/ssl")
            }
            _ => "/etc/puppetlabs/puppet/ssl".into(),
        }
    }

    /// Tells whether a name can be one of Puppet's, which never has capital letters, and whether it
    /// can be the name of a file.
    pub fn is_certname(name: &str) -> bool {
        let is_good =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        (1..=CERTNAME_MAX).contains(&name.len())
            && !name.starts_with('.')
            && name.bytes().all(is_good)
    }

    /// Returns the folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the certificate's name.
    pub fn certname(&self) -> &str {
        &self.certname
    }

    /// Returns the CA's certificates.
    pub fn ca(&self) -> PathBuf {
        self.dir.join("certs/ca.pem")
    }

    /// Returns the revocation lists.
    pub fn crl(&self) -> PathBuf {
        self.dir.join("crl.pem")
    }

    /// Returns our certificate.
    pub fn cert(&self) -> PathBuf {
        self.named("certs")
    }

    /// Returns our private key.
    pub fn key(&self) -> PathBuf {
        self.named("private_keys")
    }

    /// Returns the request that was sent last.
    pub fn request(&self) -> PathBuf {
        self.named("certificate_requests")
    }

    /// Returns TLS settings that use these files.
    pub fn settings(&self) -> Settings {
        Settings {
            ca: Some(Pem::File(self.ca())),
            cert: Some(Pem::File(self.cert())),
            key: Some(Secret::File(self.key())),
            crl: Some(Pem::File(self.crl())),
            ssl_dir: Some(self.clone()),
            ..Settings::default()
        }
    }

    fn named(&self, folder: &str) -> PathBuf {
        self.dir.join(folder).join(format!("{}.pem", self.certname))
    }
}
