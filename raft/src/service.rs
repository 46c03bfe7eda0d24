//! The gRPC service beside Raft: what other nodes ask of this one.

use std::sync::Arc;

use proto::pb::cluster as pb;
use proto::pb::cluster::cluster_server::Cluster;
use proto::{Actor, Answer, Command, PeerAddress, Refusal, RequestId, Thumbprint};
use tonic::{Request, Response, Status};

use crate::audit::Audit;
use crate::identity::decided_as;
use crate::membership::Activation;
use crate::neighbours::not_leader;
use crate::participant::Participant;
use crate::peer::{check_claim, proved, removed};
use crate::propose::Proposed;

/// Answers other nodes.
#[derive(Clone)]
pub(crate) struct ClusterService {
    inner: Arc<Participant>,
    audit: Audit,
}

impl ClusterService {
    pub(crate) fn new(inner: Arc<Participant>) -> Self {
        Self { inner, audit: Audit::default() }
    }

    /// Refuses a node of another cluster.
    fn check_cluster(&self, cluster_id: &[u8]) -> Result<(), Status> {
        let own = self.inner.identity.cluster;
        if cluster_id == own.as_bytes() {
            return Ok(());
        }
        Err(Status::failed_precondition(format!(
            "this node belongs to cluster {own}; the one that called it belongs to another"
        )))
    }

    /// Has it decided whether a node that asks with `token` is admitted, unless it is sure to be
    /// refused.
    async fn admit(
        &self,
        request: RequestId,
        peer_address: &PeerAddress,
        token: Option<Thumbprint>,
        public_key: &[u8],
    ) -> Proposed {
        let id = match &token {
            Some(token) => decided_as(&request, token, public_key),
            None => request,
        };
        if let Some(token) = &token
            && let Some(refusal) = self.inner.foreseen(&id, token).await
        {
            return Proposed::Decided(Err(refusal));
        }
        let actor = Actor::from(peer_address);
        let command = Command::AdmitNode { peer_address: peer_address.clone(), token };
        self.inner.propose_here(id, &actor, command).await
    }

    /// Refuses a node that was removed: its certificate is good for a while.
    fn check_belongs<T>(&self, request: &Request<T>) -> Result<(), Status> {
        match proved(request) {
            Some(name) if self.inner.is_removed(name.node) => Err(removed(name.node)),
            _ => Ok(()),
        }
    }
}

#[tonic::async_trait]
impl Cluster for ClusterService {
    async fn propose(
        &self,
        request: Request<pb::ProposeRequest>,
    ) -> Result<Response<pb::ProposeResponse>, Status> {
        self.check_belongs(&request)?;
        let request = request.into_inner();
        self.check_cluster(&request.cluster_id)?;
        let actor = request.actor.parse().map_err(invalid)?;
        let id = RequestId::try_from(request.request_id.as_ref()).map_err(invalid)?;
        let command =
            request.command.ok_or_else(|| Status::invalid_argument("there is no command"))?;
        let command = Command::try_from(command).map_err(invalid)?;
        let proposed = self.inner.propose_here(id, &actor, command).await;
        Ok(Response::new(proposed.into()))
    }

    async fn read_index(
        &self,
        request: Request<pb::ReadIndexRequest>,
    ) -> Result<Response<pb::ReadIndexResponse>, Status> {
        self.check_belongs(&request)?;
        self.check_cluster(&request.into_inner().cluster_id)?;
        Ok(Response::new(self.inner.read_index_here().await.into()))
    }

    async fn join(
        &self,
        request: Request<pb::JoinRequest>,
    ) -> Result<Response<pb::JoinResponse>, Status> {
        use pb::join_response::Result as Pb;
        let client = request.remote_addr();
        let request = request.into_inner();
        let peer_address: PeerAddress = request.peer_address.parse().map_err(invalid)?;
        let id = RequestId::try_from(request.request_id.as_ref()).map_err(invalid)?;
        if !self.inner.is_founded() {
            // Not proposed, since the refusal would be the answer to this request id from then on.
            let unavailable = Pb::Unavailable(pb::Unavailable {});
            return Ok(Response::new(pb::JoinResponse { result: Some(unavailable) }));
        }
        let is_secure = self.inner.authority.is_some();
        if is_secure && request.public_key.len() != 32 {
            return Err(Status::invalid_argument("a public key has 32 bytes"));
        }
        let token = is_secure.then(|| Thumbprint::of(&request.token_secret));
        let result = match self.admit(id, &peer_address, token, &request.public_key).await {
            Proposed::Decided(Ok(Answer::Admitted { node, .. })) => {
                self.audit.admitted(client, &peer_address, node);
                Pb::Admitted(self.inner.admission(node, &request.public_key)?)
            }
            Proposed::Decided(Err(
                refusal @ (Refusal::TokenUnknown | Refusal::TokenExpired(_)),
            )) => {
                self.audit.refused(client, &peer_address, &refusal);
                Pb::Refused((&refusal).into())
            }
            Proposed::NotLeader(leader) => Pb::NotLeader(not_leader(leader)),
            Proposed::Decided(_) | Proposed::Unknown => Pb::Unavailable(pb::Unavailable {}),
        };
        Ok(Response::new(pb::JoinResponse { result: Some(result) }))
    }

    async fn activate(
        &self,
        request: Request<pb::ActivateRequest>,
    ) -> Result<Response<pb::ActivateResponse>, Status> {
        let proved = proved(&request);
        let request = request.into_inner();
        check_claim(proved, request.node_id)?;
        self.check_cluster(&request.cluster_id)?;
        let peer_address = request.peer_address.parse().map_err(invalid)?;
        if self.inner.has_left(request.node_id) {
            return Ok(Response::new(Activation::Removed.into()));
        }
        if !self.inner.is_admitted(request.node_id) {
            let node = request.node_id;
            return Err(Status::failed_precondition(format!(
                "node {node} is not admitted to this cluster, as far as this node knows"
            )));
        }
        let activation = self.inner.activate(request.node_id, peer_address).await;
        Ok(Response::new(activation.into()))
    }

    async fn remove(
        &self,
        request: Request<pb::RemoveRequest>,
    ) -> Result<Response<pb::RemoveResponse>, Status> {
        self.check_belongs(&request)?;
        let request = request.into_inner();
        self.check_cluster(&request.cluster_id)?;
        let actor = request.actor.parse().map_err(invalid)?;
        let id = RequestId::try_from(request.request_id.as_ref()).map_err(invalid)?;
        let removal = self.inner.remove_here(id, &actor, request.node_id).await;
        Ok(Response::new(removal.into()))
    }

    async fn status(
        &self,
        _request: Request<pb::StatusRequest>,
    ) -> Result<Response<pb::StatusResponse>, Status> {
        let status = self.inner.status();
        Ok(Response::new(pb::StatusResponse {
            cluster_id: status.cluster.as_bytes().to_vec().into(),
            node_id: status.node,
            role: status.role.to_string(),
            term: status.term,
            leader: status.leader,
            last_log_index: status.last_log,
            applied_index: status.applied,
            leaving: self.inner.presence.is_leaving(),
        }))
    }
}

fn invalid(error: impl std::fmt::Display) -> Status {
    Status::invalid_argument(error.to_string())
}
