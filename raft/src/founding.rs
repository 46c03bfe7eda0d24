//! The founding of a cluster: by its first node, once, however often that is started.

use std::collections::BTreeMap;
use std::sync::Arc;

use openraft::errors::{InitializeError, RaftError};
use proto::{Actor, Command, NodeId, UploadKey};

use crate::cluster::Inner;
use crate::error::RETRY_AFTER;
use crate::types::PeerNode;
use crate::{ProposeError, StartError, View, random};

/// The id of the node that founds a cluster. The ids of all others are indexes of log entries, of
/// which the first that can admit a node comes later.
pub(crate) const FOUNDER: NodeId = 1;

impl Inner {
    /// Makes the founder, on its first start, the only voter of its cluster.
    pub(crate) async fn initialize(&self) -> Result<(), StartError> {
        if self.identity.node != FOUNDER {
            return Ok(());
        }
        let founder = PeerNode { peer_address: self.config.peer_address.clone() };
        match self.raft.initialize(BTreeMap::from([(FOUNDER, founder)])).await {
            // Not allowed: it has a log already, so this is not its first start.
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(error) => Err(StartError::Raft(error.to_string())),
        }
    }

    /// Gives the cluster its identity and its secrets, unless it has them.
    pub(crate) async fn found(self: &Arc<Self>) {
        let request = random::request_id();
        let upload_key = UploadKey::from_bytes(random::bytes());
        let command = Command::FoundCluster { cluster: self.identity.cluster, upload_key };
        while !self.is_founded() {
            match self.propose(request, &Actor::CLUSTER, command.clone()).await {
                Ok(_) => return,
                Err(ProposeError::Refused(refusal)) => {
                    tracing::error!(%refusal, "this cluster was founded by another");
                    return;
                }
                Err(ProposeError::Unavailable { .. } | ProposeError::Unknown) => {
                    tokio::time::sleep(RETRY_AFTER / 4).await;
                }
            }
        }
    }

    /// Whether the catalog has the cluster's identity.
    pub(crate) fn is_founded(&self) -> bool {
        let view = View::current(self.kv.freeze());
        view.and_then(|view| view.cluster()).is_ok_and(|cluster| cluster.is_some())
    }
}
