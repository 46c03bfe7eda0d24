//! Proposing: on the leader into the log, elsewhere with one forward to the leader.

use std::sync::Arc;
use std::time::Duration;

use openraft::errors::{ClientWriteError, RaftError};
use proto::pb::cluster as pb;
use proto::pb::cluster::cluster_client::ClusterClient;
use proto::{Actor, Answer, Command, Outcome, PeerAddress, RequestId, Stamped};

use crate::ProposeError;
use crate::error::RETRY_AFTER;
use crate::neighbours::{not_leader, was_sent};
use crate::participant::Participant;

/// How long one attempt may take: longer than an election, so that most outcomes become known.
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);

/// What became of a proposal that this node tried to put into the log itself.
pub(crate) enum Proposed {
    /// It is applied, with this outcome.
    Decided(Outcome),
    /// This node does not lead; the leader's address, when it is known. Nothing was appended.
    NotLeader(Option<PeerAddress>),
    /// Perhaps it was appended, perhaps not.
    Unknown,
}

impl Participant {
    /// Puts a command into the log, when this node leads.
    pub(crate) async fn propose_here(
        &self,
        request: RequestId,
        actor: &Actor,
        command: Command,
    ) -> Proposed {
        let when = self.clock.now();
        let stamped = Stamped { request, actor: actor.clone(), when, command };
        let Ok(written) = tokio::time::timeout(DEADLINE, self.raft.client_write(stamped)).await
        else {
            return Proposed::Unknown;
        };
        match written {
            Ok(written) => match written.data.outcome {
                Some(outcome) => Proposed::Decided(outcome),
                None => Proposed::Unknown,
            },
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(leader))) => {
                Proposed::NotLeader(leader.leader_node.map(|node| node.peer_address))
            }
            Err(error) => {
                tracing::warn!(%error, %request, "a proposal's outcome is not known");
                Proposed::Unknown
            }
        }
    }

    /// Proposes here or through the leader, and waits until this is decided.
    pub(crate) async fn propose(
        self: &Arc<Self>,
        request: RequestId,
        actor: &Actor,
        command: Command,
    ) -> Result<Answer, ProposeError> {
        // A follower need not ask its own consensus who leads.
        if let Some(leader) = self.followed() {
            return self.forward(&leader, request, actor, &command).await;
        }
        match self.propose_here(request, actor, command.clone()).await {
            Proposed::Decided(outcome) => outcome.map_err(ProposeError::Refused),
            Proposed::Unknown => Err(ProposeError::Unknown),
            Proposed::NotLeader(None) => Err(unavailable()),
            Proposed::NotLeader(Some(leader)) => {
                self.forward(&leader, request, actor, &command).await
            }
        }
    }

    async fn forward(
        &self,
        leader: &PeerAddress,
        request_id: RequestId,
        actor: &Actor,
        command: &Command,
    ) -> Result<Answer, ProposeError> {
        use pb::propose_response::Result as Pb;
        let message = pb::ProposeRequest {
            cluster_id: self.identity.cluster.as_bytes().to_vec().into(),
            request_id: request_id.as_bytes().to_vec().into(),
            actor: actor.to_string(),
            command: Some(command.into()),
        };
        let call = async |mut leader: ClusterClient<_>, request| leader.propose(request).await;
        let answer = self.ask_leader(leader, DEADLINE, message, call).await;
        let answer = answer.map_err(|status| {
            tracing::warn!(%status, %leader, request = %request_id, "the leader gave no outcome");
            // What was sent may have arrived.
            if was_sent(&status) { ProposeError::Unknown } else { unavailable() }
        })?;
        match answer.result {
            Some(Pb::Decided(decided)) => match decided.outcome.map(Outcome::try_from) {
                Some(Ok(outcome)) => outcome.map_err(ProposeError::Refused),
                Some(Err(error)) => {
                    tracing::warn!(%error, %leader, request = %request_id, "no readable outcome");
                    Err(ProposeError::Unknown)
                }
                None => Err(ProposeError::Unknown),
            },
            Some(Pb::NotLeader(_) | Pb::Unavailable(_)) => Err(unavailable()),
            Some(Pb::Unknown(_)) | None => Err(ProposeError::Unknown),
        }
    }
}

const fn unavailable() -> ProposeError {
    ProposeError::Unavailable { retry_after: RETRY_AFTER }
}

/// The answer to a node that forwarded a proposal.
impl From<Proposed> for pb::ProposeResponse {
    fn from(proposed: Proposed) -> Self {
        use pb::propose_response::Result as Pb;
        let result = match proposed {
            Proposed::Decided(outcome) => {
                Pb::Decided(pb::Decided { outcome: Some((&outcome).into()) })
            }
            Proposed::NotLeader(leader) => Pb::NotLeader(not_leader(leader)),
            Proposed::Unknown => Pb::Unknown(pb::Unknown {}),
        };
        Self { result: Some(result) }
    }
}
