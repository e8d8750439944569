//! Why a source gave no targets.

use std::path::PathBuf;
use std::time::Duration;

use super::CatalogError;
use super::dns::DnsError;
use super::file::FileError;
use super::glob::GlobError;
use super::http::HttpError;
use crate::http::ClientError;

/// Why a source cannot be set up, or why one of its answers is of no use.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// It did not answer at all in time.
    #[error("no answer within {}s", .0.as_secs_f64())]
    NoAnswer(Duration),
    /// It lists more targets than we take.
    #[error("it lists {found} targets, more than {limit}")]
    TooManyTargets {
        /// How many there are.
        found: usize,
        /// How many may be.
        limit: usize,
    },
    /// A file of targets is of no use.
    #[error("cannot use `{}`", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// What is wrong with it.
        source: FileError,
    },
    /// The pattern of files cannot be read.
    #[error("cannot use the pattern `{0}`")]
    Pattern(String, #[source] GlobError),
    /// There are more files than we read.
    #[error("there are {found} files, of which only the first {limit} are read")]
    TooManyFiles {
        /// How many there are.
        found: usize,
        /// How many are read.
        limit: usize,
    },
    /// A catalog of services gave no answer, or one that cannot be used.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A cluster cannot be followed.
    #[cfg(feature = "kubernetes")]
    #[error(transparent)]
    Kubernetes(#[from] super::kubernetes::KubernetesError),
    /// The client for a server cannot be set up.
    #[error("cannot set up the client")]
    Client(#[source] ClientError),
    /// A server's list is of no use.
    #[error("cannot use `{url}`")]
    Http {
        /// Where it is, without what may be secret.
        url: String,
        /// What is wrong with it.
        source: HttpError,
    },
    /// Nothing is known of a name.
    #[error("cannot look up `{name}`")]
    Dns {
        /// The name as it is configured.
        name: String,
        /// Why not.
        source: DnsError,
    },
}
