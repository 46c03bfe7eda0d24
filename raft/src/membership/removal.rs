//! Removing a node for good: asked for through any node, decided in the catalog, carried out by
//! whichever node leads, and noticed by the node that was removed.

use std::sync::Arc;
use std::time::Duration;

use openraft::RaftMetrics;
use proto::pb::cluster as pb;
use proto::pb::cluster::cluster_client::ClusterClient;
use proto::{Actor, Command, NodeId, PeerAddress, Refusal, RequestId};

use crate::barrier::ReadIndex;
use crate::catalog::has_left;
use crate::error::RETRY_AFTER;
use crate::neighbours::{not_leader, was_sent};
use crate::participant::Participant;
use crate::propose::Proposed;
use crate::types::TypeConfig;
use crate::{RemoveError, Removed, identity, propose};

/// How long the leader waits, once a removal is decided, until it is carried out.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a forwarded request and its answer may be on their way.
const TRAVEL_MAX: Duration = Duration::from_secs(1);

/// What became of a removal that this node was asked for.
pub(crate) enum Removal {
    /// It is decided, and has come so far.
    Removed(Removed),
    /// It is refused, and nothing happened.
    Refused(Refusal),
    /// Nothing happened, nor does anything come of what was asked before: those that stay would be
    /// too few.
    WouldLoseQuorum(String),
    /// This node does not lead; the leader's address, when it is known.
    NotLeader(Option<PeerAddress>),
    /// This node leads, but does not know yet which nodes answer, or what becomes of its log.
    /// Nothing happened.
    Unavailable,
    /// Perhaps it is decided, perhaps not.
    Unknown,
}

impl Participant {
    /// Removes `node`, here or through the leader.
    pub(crate) async fn remove(
        self: &Arc<Self>,
        request: RequestId,
        actor: &Actor,
        node: NodeId,
    ) -> Result<Removed, RemoveError> {
        match self.remove_here(request, actor, node).await {
            Removal::Removed(removed) => Ok(removed),
            Removal::Refused(refusal) => Err(RemoveError::Refused(refusal)),
            Removal::WouldLoseQuorum(why) => Err(RemoveError::WouldLoseQuorum(why)),
            Removal::Unknown => Err(RemoveError::Unknown),
            Removal::NotLeader(None) | Removal::Unavailable => Err(unavailable()),
            Removal::NotLeader(Some(leader)) => {
                self.forward_removal(&leader, request, actor, node).await
            }
        }
    }

    /// Removes `node`, when this node leads.
    pub(crate) async fn remove_here(
        &self,
        request: RequestId,
        actor: &Actor,
        node: NodeId,
    ) -> Removal {
        if !self.leads() {
            return Removal::NotLeader(self.leader_address());
        }
        let has_listened = self.has_listened();
        if !self.is_removed(node) {
            let outlook = self.outlook_now().await;
            if !self.leads() {
                return Removal::NotLeader(self.leader_address());
            }
            if let Err(why) = outlook.check_removal(node) {
                // A removal that was asked for before may be in the log still, here or at the next
                // leader: that the node stays, only a leader says that knows of none.
                if !has_listened || !self.has_applied_its_log().await {
                    return Removal::Unavailable;
                }
                if !self.is_removed(node) {
                    return Removal::WouldLoseQuorum(why);
                }
            }
        }
        match self.propose_here(request, actor, Command::RemoveNode { node }).await {
            Proposed::Decided(Ok(_)) => {}
            Proposed::Decided(Err(refusal)) => return Removal::Refused(refusal),
            Proposed::NotLeader(leader) => return Removal::NotLeader(leader),
            Proposed::Unknown => return Removal::Unknown,
        }
        Removal::Removed(self.await_removal(node).await)
    }

    /// Whether this node surely leads, and has applied all that its log had when it was asked.
    async fn has_applied_its_log(&self) -> bool {
        let ReadIndex::At(_) = self.read_index_here().await else { return false };
        let Some(last) = self.metrics().last_log_index else { return false };
        self.await_applied(last).await.is_ok()
    }

    /// Waits a while until the removal of `node` is carried out: what a leader has only appended,
    /// the next one may take back.
    async fn await_removal(&self, node: NodeId) -> Removed {
        let own = self.identity.node;
        let is_gone = move |metrics: &RaftMetrics<TypeConfig>| {
            let membership = metrics.committed_membership_config.membership();
            let votes = membership.voter_ids().any(|voter| voter == node);
            !votes && (node == own || membership.get_node(&node).is_none())
        };
        let wait = self.raft.wait(Some(PATIENCE));
        match wait.metrics(is_gone, "the node is removed").await {
            Ok(_) => Removed::CarriedOut,
            Err(error) => {
                tracing::info!(%error, node, "the removal is decided, and not carried out yet");
                Removed::Decided
            }
        }
    }

    async fn forward_removal(
        &self,
        leader: &PeerAddress,
        request_id: RequestId,
        actor: &Actor,
        node: NodeId,
    ) -> Result<Removed, RemoveError> {
        use pb::remove_response::Result as Pb;
        let message = pb::RemoveRequest {
            cluster_id: self.identity.cluster.as_bytes().to_vec().into(),
            request_id: request_id.as_bytes().to_vec().into(),
            actor: actor.to_string(),
            node_id: node,
        };
        let call = async |mut leader: ClusterClient<_>, request| leader.remove(request).await;
        // The leader asks the others, proposes, and waits.
        let deadline = TRAVEL_MAX + self.answer_deadline() + propose::DEADLINE + PATIENCE;
        let answer = self.ask_leader(leader, deadline, message, call).await;
        let answer = answer.map_err(|status| {
            tracing::warn!(%status, %leader, node, "the leader gave no outcome");
            if was_sent(&status) { RemoveError::Unknown } else { unavailable() }
        })?;
        match answer.result {
            Some(Pb::Decided(decided)) if decided.carried_out => Ok(Removed::CarriedOut),
            Some(Pb::Decided(_)) => Ok(Removed::Decided),
            Some(Pb::Refused(refusal)) => Err(match Refusal::try_from(refusal) {
                Ok(refusal) => RemoveError::Refused(refusal),
                Err(error) => {
                    tracing::warn!(%error, %leader, node, "no readable outcome");
                    RemoveError::Unknown
                }
            }),
            Some(Pb::WouldLoseQuorum(why)) => Err(RemoveError::WouldLoseQuorum(why)),
            Some(Pb::NotLeader(_) | Pb::Unavailable(_)) => Err(unavailable()),
            Some(Pb::Unknown(_)) | None => Err(RemoveError::Unknown),
        }
    }

    /// Whether `node` was removed, as far as this node knows.
    pub(crate) fn is_removed(&self, node: NodeId) -> bool {
        self.view().and_then(|view| view.is_removed(node)).is_ok_and(|removed| removed)
    }

    /// Whether `node` was removed and has no vote any more, as far as this node knows: then it is
    /// not needed for anything, and can stop.
    pub(crate) fn has_left(&self, node: NodeId) -> bool {
        self.view().and_then(|view| has_left(&view, node)).is_ok_and(|left| left)
    }

    /// Remembers that this node was removed, and has the process end.
    pub(crate) async fn go(&self) {
        tracing::warn!(node = self.identity.node, "this node was removed from its cluster");
        if let Err(error) = identity::remember_removal(&self.kv).await {
            // The next start learns it from the others again.
            tracing::warn!(%error, "that this node was removed cannot be noted down");
        }
        self.removed.send_replace(true);
    }
}

const fn unavailable() -> RemoveError {
    RemoveError::Unavailable { retry_after: RETRY_AFTER }
}

/// The answer to a node that forwarded a removal.
impl From<Removal> for pb::RemoveResponse {
    fn from(removal: Removal) -> Self {
        use pb::remove_response::Result as Pb;
        let result = match removal {
            Removal::Removed(removed) => {
                Pb::Decided(pb::RemovalDecided { carried_out: removed == Removed::CarriedOut })
            }
            Removal::Refused(refusal) => Pb::Refused((&refusal).into()),
            Removal::WouldLoseQuorum(why) => Pb::WouldLoseQuorum(why),
            Removal::NotLeader(leader) => Pb::NotLeader(not_leader(leader)),
            Removal::Unavailable => Pb::Unavailable(pb::Unavailable {}),
            Removal::Unknown => Pb::Unknown(pb::Unknown {}),
        };
        Self { result: Some(result) }
    }
}
