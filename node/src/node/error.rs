//! Why a node does not start.

use std::io;
use std::net::SocketAddr;

use proto::ClusterId;
use raft::{Ended, StartError};
use storage::blob::ClaimError;

use crate::AccessError;
use crate::config::NoToken;
use crate::peers::AuthorityError;
use crate::tls::TlsError;

/// Why a node does not start, as a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Another process listens there.
    #[error("{address} is in use by another process; stop that, or set {key} to another address")]
    InUse {
        /// The key that says so.
        key: &'static str,
        /// The address.
        address: SocketAddr,
    },
    /// It cannot listen there.
    #[error("cannot listen at {address}, as {key} says: {reason}")]
    Bind {
        /// The key that says so.
        key: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        reason: io::Error,
    },
    /// Other nodes cannot be told where it listens, for example within one link only.
    #[error("other nodes cannot be told of {0}: set peer.advertise to where they reach this node")]
    Advertise(SocketAddr),
    /// Its certificate cannot be shown.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// It has no part in a cluster.
    #[error(transparent)]
    Cluster(#[from] StartError),
    /// The token to join its cluster with is not where it was to be.
    #[error("{}; {file}", StartError::TokenMissing)]
    NoTokenIn {
        /// The file, and what is wrong with it.
        file: NoToken,
    },
    /// The authority for nodes' certificates cannot be used.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// Access cannot be as it is configured.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The operating system gives no randomness, without which no secret is one.
    #[error("the operating system gives no randomness: {0}")]
    Randomness(io::Error),
    /// It was to join the cluster whose object store this is, and has founded one instead.
    #[error(
        "this node has founded a cluster of its own, because cluster.join was not set at its first \
         start, and the object store that [storage] names belongs to another cluster, {0}: to join \
         that, empty node.data_dir and set cluster.join; to keep this one, name an empty store"
    )]
    Astray(ClusterId),
    /// The blob store is not its cluster's.
    #[error("the object store that [storage] names cannot be used: {0}")]
    Blobs(#[from] ClaimError),
    /// It took part in its cluster, and could not go on.
    #[error(transparent)]
    Ended(Ended),
    /// It was to stop before it had started.
    #[error("the node was stopped before it had started")]
    Stopped,
}

impl NodeError {
    /// For `map_err`: it cannot listen at `address`, as `key` says.
    pub(super) fn bind(key: &'static str, address: SocketAddr) -> impl Fn(io::Error) -> Self {
        move |reason| match reason.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { key, address },
            _ => Self::Bind { key, address, reason },
        }
    }
}
