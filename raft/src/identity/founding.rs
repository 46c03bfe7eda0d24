//! The founding of a cluster: by its first node, once, however often that is started.

use std::collections::BTreeMap;
use std::sync::Arc;

use openraft::errors::{InitializeError, RaftError};
use proto::{Actor, Command, NodeId, UploadKey};

use super::{forget_founding, founding_authority};
use crate::error::RETRY_AFTER;
use crate::participant::Participant;
use crate::types::PeerNode;
use crate::{ProposeError, StartError, random};

/// The id of the node that founds a cluster. The ids of all others are indexes of log entries, of
/// which the first that can admit a node comes later.
pub(crate) const FOUNDER: NodeId = 1;

impl Participant {
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

    /// Gives the cluster that this node has founded, if it has, its identity and its secrets,
    /// unless it has them.
    pub(crate) async fn found(self: &Arc<Self>) {
        if self.identity.node != FOUNDER {
            return;
        }
        let upload_key = UploadKey::from_bytes(random::bytes());
        let cluster = self.identity.cluster;
        let command = Command::FoundCluster { cluster, upload_key };
        self.propose_until(command, Self::has_identity).await;
        match founding_authority(&*self.kv) {
            Ok(Some(authority)) => {
                let command = Command::EstablishAuthority { authority };
                self.propose_until(command, Self::has_authority).await;
            }
            Ok(None) => return,
            Err(error) => tracing::error!(%error, "the cluster's authority cannot be read"),
        }
        if self.has_authority()
            && let Err(error) = forget_founding(&self.kv).await
        {
            tracing::warn!(%error, "what the founder needs no longer stays in its folder");
        }
    }

    /// Proposes `command` until it `is_done`.
    async fn propose_until(self: &Arc<Self>, command: Command, is_done: fn(&Self) -> bool) {
        let request = random::request_id();
        while !is_done(self) {
            match self.propose(request, &Actor::CLUSTER, command.clone()).await {
                Ok(_) => return,
                Err(ProposeError::Refused(refusal)) => {
                    tracing::error!(%command, %refusal, "what this cluster begins with is refused");
                    return;
                }
                Err(ProposeError::Unavailable { .. } | ProposeError::Unknown) => {
                    tokio::time::sleep(RETRY_AFTER / 4).await;
                }
            }
        }
    }

    /// Whether the catalog has all that the cluster begins with.
    pub(crate) fn is_founded(&self) -> bool {
        self.has_identity() && (self.authority.is_none() || self.has_authority())
    }

    fn has_authority(&self) -> bool {
        self.view().and_then(|view| view.authority()).is_ok_and(|authority| authority.is_some())
    }

    fn has_identity(&self) -> bool {
        self.view().and_then(|view| view.cluster()).is_ok_and(|cluster| cluster.is_some())
    }
}
