//! In whose name a node speaks: in its own only.

use proto::NodeId;
use tonic::{Request, Status};

use crate::PeerName;

/// Who has sent `request`, as its certificate says. None where nodes have no certificates: where
/// they have, whoever serves lets nobody through to here without a name.
pub(crate) fn proved<T>(request: &Request<T>) -> Option<PeerName> {
    request.extensions().get().copied()
}

/// What a node that was removed is told.
pub(crate) fn removed(node: NodeId) -> Status {
    Status::permission_denied(format!("node {node} was removed from the cluster"))
}

/// Refuses what the node that `proved` names sends in the name of `claimed`.
pub(crate) fn check_claim(proved: Option<PeerName>, claimed: NodeId) -> Result<(), Status> {
    match proved {
        Some(name) if name.node != claimed => {
            let node = name.node;
            let reason = format!("this is by node {node}, in the name of node {claimed}");
            Err(Status::permission_denied(reason))
        }
        _ => Ok(()),
    }
}
