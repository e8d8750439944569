//! What can be wrong with TLS settings and the files that they name.

use std::path::{Path, PathBuf};

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
    /// This user may not read the file.
    #[error("user {user} may not read {what} file `{}`", path.display())]
    Forbidden {
        /// What it should hold.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// Who runs this program.
        user: String,
    },
    /// The file of an ssldir is not there.
    #[error(
        "{what} file `{}` is missing; run `prometheus-streams enroll {certname} --dir {}`",
        path.display(), dir.display()
    )]
    NotEnrolled {
        /// What it should hold.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// The name to enroll.
        certname: String,
        /// The ssldir.
        dir: PathBuf,
    },
    /// The file is too large to be what it should be.
    #[error("{what} file `{}` is larger than {limit} bytes", path.display())]
    TooLarge {
        /// What it should hold.
        what: &'static str,
        /// Its path.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// The text is damaged, or holds something that cannot be used.
    #[error("{place}, line {line}: {what}")]
    Damaged {
        /// File or setting.
        place: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong there; without any of its content.
        what: String,
    },
    /// There is no such thing in the text.
    #[error("{place} holds no {what}{instead}")]
    Missing {
        /// What it should hold.
        what: &'static str,
        /// File or setting.
        place: String,
        /// What it holds in place of it.
        instead: String,
    },
    /// There is more than one key, and nothing says which.
    #[error(
        "{place} holds {} private keys, in lines {}, and one is needed",
        lines.len(), listed(lines)
    )]
    ManyKeys {
        /// File or setting.
        place: String,
        /// Where they begin.
        lines: Vec<usize>,
    },
    /// The key is under a password.
    #[error(
        "{place}, line {line}: the private key is protected by a password, which nobody is there \
         to type; decrypt it with `{remedy}`"
    )]
    Encrypted {
        /// File or setting.
        place: String,
        /// The line, from 1.
        line: usize,
        /// A command that writes it without.
        remedy: String,
    },
    /// Certificate and key are of different pairs.
    #[error("certificate `{subject}` in {cert} is not for the key in {key}{hint}")]
    Mismatch {
        /// Whose certificate it is.
        subject: String,
        /// Where the certificate stands.
        cert: String,
        /// Where the key stands.
        key: String,
        /// What may help.
        hint: &'static str,
    },
    /// A certificate without key, or a key without certificate.
    #[error("a client certificate needs both `cert` and `key`")]
    Unpaired,
    /// The library refuses what was given.
    #[error("TLS settings are refused: {0}")]
    Refused(#[source] rustls::Error),
    /// The verifier cannot be built from the trusted certificates and revocation lists.
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

impl TlsError {
    /// Tells whether a file is missing, or withheld from this user; nothing is known to be wrong.
    pub fn is_absence(&self) -> bool {
        match self {
            Self::NotEnrolled { .. } | Self::Forbidden { .. } => true,
            Self::Read { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
            _ => false,
        }
    }
}

/// Returns how a file is named in a sentence.
pub(super) fn place(path: Option<&Path>, setting: &str) -> String {
    match path {
        Some(path) => format!("`{}`", path.display()),
        None => setting.to_owned(),
    }
}

fn listed(lines: &[usize]) -> String {
    let lines: Vec<String> = lines.iter().map(usize::to_string).collect();
    match lines.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}
