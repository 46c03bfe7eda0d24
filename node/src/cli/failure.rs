//! Why a command fails.

use std::io;
use std::path::PathBuf;

use proto::NodeId;
use proto::access::AccountName;
use raft::Ended;
use storage::KvError;

use super::cluster::StatusError;
use crate::config::ConfigError;
use crate::playground::PlaygroundError;
use crate::telemetry::AuditError;
use crate::tls::SelfSignedError;
use crate::{FolderError, NodeError, TlsError};

/// Why a command fails, as one sentence for the person who gave it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The configuration is refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The audit log is refused.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The data folder is refused.
    #[error("{0}; node.data_dir or --data-dir names it")]
    Folder(#[from] FolderError),
    /// The key-value store does not open.
    #[error("the data in {} cannot be used: {reason}", path.display())]
    Kv {
        /// Its folder.
        path: PathBuf,
        /// What it said.
        reason: KvError,
    },
    /// The blob store does not open.
    #[error(transparent)]
    Blobs(#[from] storage::blob::OpenError),
    /// The bucket cannot be used.
    #[error(transparent)]
    Bucket(#[from] storage::blob::S3OpenError),
    /// The folder of the cache cannot be used.
    #[error("the cache in {} (storage.cache_path) cannot be used: {reason}", folder.display())]
    Cache {
        /// The folder.
        folder: PathBuf,
        /// What it said.
        reason: io::Error,
    },
    /// The node does not start.
    #[error(transparent)]
    Node(NodeError),
    /// The node could not go on.
    #[error("the node has stopped, because consensus has failed: {0}")]
    Consensus(String),
    /// The cluster has no place for the node any more.
    #[error(
        "node {0} has stopped, because it was removed from its cluster, for good: to make a new \
         node of it, empty its folder (node.data_dir) and name the cluster (cluster.join)"
    )]
    Removed(NodeId),
    /// Somebody did not want to wait for the end of requests.
    #[error("stopped at once by a second signal; requests under way were cut off")]
    Hurried,
    /// Nobody can be asked.
    #[error("HTTP requests cannot be made: {0}")]
    Client(#[from] reqwest::Error),
    /// The cluster cannot be asked, or refuses.
    #[error(transparent)]
    Status(#[from] StatusError),
    /// A registry cannot be put under load.
    #[error(transparent)]
    Bench(#[from] ::bench::BenchError),
    /// The playground does not work.
    #[error(transparent)]
    Playground(#[from] PlaygroundError),
    /// There is nobody to ask for a password.
    #[error("set ROADSTEAD_PASSWORD to the account's password, or to an access key")]
    NoPassword,
    /// Somebody wants to remove a robot that is none.
    #[error("{0} is a user and no robot: `roadstead user remove` removes users")]
    NoRobot(AccountName),
    /// Somebody typed two passwords.
    #[error("the two passwords differ; nothing was changed")]
    PasswordsDiffer,
    /// The terminal cannot be read.
    #[error("the password cannot be read: {0}")]
    Terminal(#[source] io::Error),
    /// What is needed for TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Certificates are not made.
    #[error(transparent)]
    SelfSigned(#[from] SelfSignedError),
    /// Signals cannot be received.
    #[error("signals cannot be received: {0}")]
    Signals(#[source] io::Error),
    /// The program's threads cannot be started.
    #[error("the program's threads cannot be started: {0}")]
    Runtime(#[source] io::Error),
}

impl From<NodeError> for Failure {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::Ended(ended) => ended.into(),
            error => Self::Node(error),
        }
    }
}

impl From<Ended> for Failure {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Failed(reason) => Self::Consensus(reason),
            Ended::Removed(id) => Self::Removed(id),
        }
    }
}
