//! Why a cluster gave no targets.

use std::path::PathBuf;

/// Why a cluster cannot be reached, or gives no list.
#[derive(Debug, thiserror::Error)]
pub enum KubernetesError {
    /// The kubeconfig file is of no use.
    #[error("cannot use the kubeconfig `{}`: {reason}", path.display())]
    Kubeconfig {
        /// Its path.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// There is no service account.
    #[error(
        "cannot use the service account of a pod: {reason}; outside a cluster, set `api_server` or `kubeconfig_file`"
    )]
    InCluster {
        /// Why.
        reason: String,
    },
    /// The own namespace is not known.
    #[error("cannot read the namespace of our pod from `{}`", path.display())]
    OwnNamespace {
        /// Where it should stand.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The client cannot be set up.
    #[error("cannot set up the client of the API server: {reason}")]
    Client {
        /// Why.
        reason: String,
    },
    /// Objects cannot be listed or watched.
    #[error("cannot {action} {what}: {reason}")]
    Watch {
        /// `list` or `watch`.
        action: &'static str,
        /// Which objects.
        what: String,
        /// Why.
        reason: String,
    },
}

/// An answer of the API server that is larger than we read, or too late.
#[derive(Debug, thiserror::Error)]
pub(super) enum AnswerError {
    #[error("the answer is larger than {} MiB", .0 >> 20)]
    TooLarge(usize),
    #[error("one event is larger than {} MiB", .0 >> 20)]
    EventTooLarge(usize),
    #[error("no answer within {}s", .0.as_secs())]
    Late(std::time::Duration),
}
