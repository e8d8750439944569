//! A password, token or key that is never printed.

use std::fmt;
use std::path::{Path, PathBuf};

/// A secret, given in the configuration or in a file of its own.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// The secret itself.
    Inline(Box<str>),
    /// A file that holds it; read at each use, so that it can be replaced while we run.
    File(PathBuf),
}

/// A secret's file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read secret file `{}`", path.display())]
pub struct SecretError {
    path: PathBuf,
    source: std::io::Error,
}

impl Secret {
    /// Returns the secret; a file's surrounding white space is not part of it.
    pub fn reveal(&self) -> Result<String, SecretError> {
        match self {
            Self::Inline(secret) => Ok(secret.to_string()),
            Self::File(path) => std::fs::read_to_string(path)
                .map(|text| text.trim().to_owned())
                .map_err(|source| SecretError {
                    path: path.clone(),
                    source,
                }),
        }
    }

    /// Returns the file's path, if the secret stands in one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Inline(_) => None,
            Self::File(path) => Some(path),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(_) => f.write_str("***"),
            Self::File(path) => write!(f, "file {}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_not_printed() {
        let secret = Secret::Inline("hunter2".into());
        assert_eq!(format!("{secret:?}"), "***");
        assert_eq!(secret.reveal().unwrap(), "hunter2");
    }
}
