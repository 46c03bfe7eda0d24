//! Errors of the cluster, each saying what the caller can do.

use std::fmt;
use std::io;
use std::time::Duration;

use futures::FutureExt as _;
use proto::{DecodeError, NodeId, Refusal};
use storage::KvError;
use storage::kv::MAKE_ANEW;

use crate::store::Failure;
use crate::{CertificateError, PapersError};

/// Why a proposal has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// The cluster decided against it; it had no effect.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// There is no leader to take it; it had no effect.
    #[error("the cluster has no leader now; retry after {retry_after:?}")]
    Unavailable {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// It may have had its effect. Retry with the same request id only.
    #[error("the outcome is not known; retry with the same request id")]
    Unknown,
}

/// Why a node was not removed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemoveError {
    /// The cluster decided against it.
    #[error(transparent)]
    Refused(Refusal),
    /// Those that stay would be too few to agree; the text says what to do.
    #[error("{0}")]
    WouldLoseQuorum(String),
    /// There is no leader to take it; nothing happened.
    #[error("the cluster has no leader now; retry after {retry_after:?}")]
    Unavailable {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// It may be decided. Retry with the same request id only.
    #[error("the outcome is not known; retry with the same request id")]
    Unknown,
}

/// Why a read has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No quorum confirmed in time that this node's replica is current.
    #[error("the cluster has no leader now; retry after {retry_after:?}")]
    Unavailable {
        /// When it is worth trying again.
        retry_after: Duration,
    },
    /// This node's store cannot be read.
    #[error(transparent)]
    Store(#[from] KvError),
    /// A row of this node's store is not what was written. The part that finds this has the store
    /// fail.
    #[error("a row of the catalog is damaged: {0}")]
    Damaged(DecodeError),
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The node's store cannot be read or written.
    #[error(transparent)]
    Store(#[from] KvError),
    /// The node's folder holds what this version cannot read.
    #[error("the data folder is damaged or of another version: {0}; {remedy}", remedy = remedy(.0))]
    Damaged(#[from] DecodeError),
    /// The log and the catalog in the node's folder are not what consensus left there.
    #[error("consensus cannot start from the data folder: {0}; {remedy}", remedy = MAKE_ANEW)]
    Inconsistent(String),
    /// None of the addresses to join answered in time.
    #[error(
        "no cluster answered at {addresses}: {reason}; see that a node runs there, and that its \
         peer.listen is an address at which this machine reaches it: by default it is loopback"
    )]
    Join {
        /// The addresses that were tried.
        addresses: String,
        /// What the last one said.
        reason: String,
    },
    /// A node that joins has no token.
    #[error(
        "a node that joins a cluster needs a token: `roadstead cluster token` on a node of that \
         cluster prints one, which goes into --token, cluster.token or cluster.token_file"
    )]
    TokenMissing,
    /// The cluster does not let the node in.
    #[error("the cluster at {address} does not take this node: {reason}")]
    NotAdmitted {
        /// Who says so.
        address: String,
        /// Why.
        reason: String,
    },
    /// The cluster has let the node in, with a certificate that is not good by its own clock.
    #[error(
        "the cluster at {address} has signed a certificate for this node that is not good now by \
         this node's clock: the clocks of its leader and of this node are too far apart; set them \
         right, and start this node again"
    )]
    ClocksApart {
        /// Who has sent it.
        address: String,
    },
    /// The folder is from a time before nodes had certificates.
    #[error(
        "this node has no certificate to show other nodes, because its folder is of an earlier \
         version: make a new node of it, with an empty folder (node.data_dir)"
    )]
    NoCredentials,
    /// A certificate cannot be made.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// A certificate cannot be shown.
    #[error(transparent)]
    Papers(#[from] PapersError),
    /// The node was removed from its cluster while it ran, or before it was started again.
    #[error(
        "node {0} was removed from its cluster, for good: to make a new node of it, give it an \
         empty folder (node.data_dir) and the address of the cluster (cluster.join)"
    )]
    Removed(NodeId),
    /// Raft refused the configuration, or could not recover.
    #[error("consensus cannot start: {0}")]
    Raft(String),
}

impl StartError {
    /// What came of reading the log, or of applying what it holds.
    pub(crate) fn unusable(error: io::Error) -> Self {
        match error.downcast::<ReadError>() {
            Ok(error) => error.into(),
            Err(error) => Self::Inconsistent(error.to_string()),
        }
    }

    /// What openraft found wrong when it started, unless the store could not be read or written.
    pub(crate) fn inconsistent(store: &Failure, error: &dyn fmt::Display) -> Self {
        match store.happened().now_or_never().or_else(|| store.was_full()) {
            Some(failed) => Self::Store(failed),
            None => Self::Inconsistent(error.to_string()),
        }
    }
}

impl From<ReadError> for StartError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Store(error) => Self::Store(error),
            ReadError::Damaged(error) => Self::Damaged(error),
            ReadError::Unavailable { .. } => Self::Raft(error.to_string()),
        }
    }
}

/// What openraft is told when this node's store or its rows are not usable. It stops over any such
/// failure; the kind says whether making space would help.
pub(crate) fn io_error(error: impl Into<ReadError>) -> io::Error {
    let error = error.into();
    let kind = match &error {
        ReadError::Store(KvError::Full(_)) => io::ErrorKind::StorageFull,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

/// What the operator does about `error` in what this node has in its folder.
pub(crate) fn remedy(error: &DecodeError) -> String {
    match error.is_newer() {
        true => format!("start the version of the program that has written it, or {MAKE_ANEW}"),
        false => MAKE_ANEW.to_owned(),
    }
}

/// When it is worth asking again while there is no leader: about half an election.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);
