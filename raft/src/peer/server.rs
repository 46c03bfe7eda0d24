//! What other nodes ask of this one's Raft.

use std::sync::Arc;

use openraft::errors::Fatal;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, VoteRequest,
};
use proto::limits::PEER_MESSAGE_BYTES_MAX;
use proto::pb::peer as pb;
use proto::pb::peer::peer_server::{Peer, PeerServer};
use proto::{DecodeError, NodeId};
use storage::Kv;
use storage::kv::MAKE_ANEW;
use tonic::{Request, Response, Status, Streaming};

use super::claims::{check_claim, is_far_ahead, proved, removed};
use super::consensus::{Alone, Consensus, RaftConsensus};
use super::incoming;
use super::rows::SnapshotSink;
use super::turns::Turns;
use crate::catalog::{Staging, has_left};
use crate::convert::{SnapshotHeader, Wire};
use crate::hearing::Presence;
use crate::identity::Identity;
use crate::types::{LogId, Raft, SnapshotMeta, SnapshotOf, TypeConfig, Vote};
use crate::{Hindrance, PeerName, View};

/// The gRPC service that hands what peers send to Raft, after it was checked.
#[derive(Clone)]
pub(crate) struct PeerService<C = RaftConsensus> {
    identity: Identity,
    consensus: C,
    /// Whose turn it is to send a snapshot.
    turns: Turns,
    presence: Arc<Presence>,
    /// Where the catalog is, which knows who was removed.
    kv: Arc<dyn Kv>,
}

impl PeerService {
    /// The service of the node that `identity` names.
    pub(crate) fn new(
        raft: Raft,
        identity: Identity,
        staging: Staging,
        presence: Arc<Presence>,
        kv: Arc<dyn Kv>,
    ) -> Self {
        Self::over(RaftConsensus::new(raft, staging), identity, presence, kv)
    }
}

impl<C: Consensus> PeerService<C> {
    /// The service that hands what comes to `consensus`.
    pub(super) fn over(
        consensus: C,
        identity: Identity,
        presence: Arc<Presence>,
        kv: Arc<dyn Kv>,
    ) -> Self {
        Self { identity, consensus, turns: Turns::default(), presence, kv }
    }

    /// The service with its limits, to be served.
    pub(crate) fn into_server(self) -> PeerServer<Self> {
        PeerServer::new(self)
            .max_decoding_message_size(PEER_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(PEER_MESSAGE_BYTES_MAX)
    }

    /// Refuses what is meant for another cluster or another node: an address may have changed
    /// hands.
    fn check_envelope(&self, envelope: Option<&pb::Envelope>) -> Result<(), Status> {
        let envelope =
            envelope.ok_or_else(|| Status::invalid_argument("the request has no envelope"))?;
        if envelope.cluster_id != self.identity.cluster.as_bytes().as_slice() {
            return Err(Status::failed_precondition(format!(
                "this is a node of cluster {}, and the request is for another cluster",
                self.identity.cluster
            )));
        }
        if envelope.target != self.identity.node {
            return Err(Status::failed_precondition(format!(
                "this is node {}, and the request is for node {}",
                self.identity.node, envelope.target
            )));
        }
        Ok(())
    }

    /// Refuses a request that the node named by `proved` sends in the name of another node, and any
    /// request of a node that was removed and has no vote any more: its certificate is good for a
    /// while yet.
    fn check_sender(&self, proved: Option<PeerName>, sender: NodeId) -> Result<(), Status> {
        check_claim(proved, sender)?;
        let has_left = || {
            let view = View::current(self.kv.freeze());
            view.and_then(|view| has_left(&view, sender)).is_ok_and(|left| left)
        };
        if proved.is_some() && has_left() {
            return Err(removed(sender));
        }
        Ok(())
    }

    /// Refuses a vote in the name of this node, which no other node can have; one in the name of
    /// another node than its sender; and one of a term that there cannot be.
    fn check_vote(&self, vote: &Vote, proved: Option<PeerName>) -> Result<(), Status> {
        if vote.leader_id.voted_for == self.identity.node {
            return Err(Status::invalid_argument("the request is in this node's own name"));
        }
        if is_far_ahead(vote, &self.consensus.known_vote()) {
            return Err(Status::invalid_argument("the request is of a term that there cannot be"));
        }
        self.check_sender(proved, vote.leader_id.voted_for)
    }

    /// Has the store fail when this node has the only vote, by what it has stored, and yet another
    /// node leads: in a term in which this node leads, or led before it was started anew; or in a
    /// later term while this node leads. Nobody could be elected without that only vote. So the
    /// store is an older copy, from before there were other voters, and no other log has what this
    /// node acknowledges now.
    fn check_alone(&self, vote: &Vote) -> Result<(), Status> {
        let Some(Alone { vote: own, leads }) = self.consensus.alone() else { return Ok(()) };
        let (other, term) = (vote.leader_id.voted_for, vote.leader_id.term);
        // Openraft starts a former leader as a candidate of its term, which would follow the other.
        let led = own.leader_id.voted_for == self.identity.node && term == own.leader_id.term;
        if led || leads && term >= own.leader_id.term {
            return Err(self.fail(&format!(
                "node {other} leads in term {term}, and only this node has a vote, by what is in \
                 its folder"
            )));
        }
        Ok(())
    }

    /// Refuses a request that names other entries than this node knows to be committed: openraft
    /// would take them for the entries that it has. If this node has committed its entries with the
    /// only vote, its store fails. If not, the leader's store may be the older copy.
    async fn check_log(&self, request: &AppendEntriesRequest<TypeConfig>) -> Result<(), Status> {
        let Some(committed) = self.consensus.local_committed() else { return Ok(()) };
        let entries = request.entries.iter().map(|entry| entry.log_id);
        let claims = entries.chain(request.prev_log_id);
        // As a rule there are none.
        let claims: Vec<LogId> =
            claims.filter(|claim| claim.index <= committed.index && *claim != committed).collect();
        if claims.is_empty() {
            return Ok(());
        }
        let found = self.consensus.contradiction(request.vote, claims).await.map_err(ended)?;
        let Some((claim, known)) = found else { return Ok(()) };
        let contradiction = format!("{claim} contradicts {known}, which is committed");
        match self.consensus.alone() {
            Some(_) => Err(self.fail(&contradiction)),
            None => Err(Status::invalid_argument(contradiction)),
        }
    }

    /// Has the store fail, and the node end: its disk is not to be trusted. Where nodes have no
    /// certificates, the sender may have lied about other nodes, so an operator is told to look at
    /// those before the folder is made anew.
    fn fail(&self, found: &str) -> Status {
        let failed = self.kv.fail(format!(
            "{found}; only if the other nodes have what is in this registry: {MAKE_ANEW}"
        ));
        Status::failed_precondition(failed.to_string())
    }

    /// Refuses positions that cannot be in the same log as what this node knows to be committed.
    /// Openraft takes it for granted that no leader claims them.
    fn check_committed(&self, claims: impl IntoIterator<Item = LogId>) -> Result<(), Status> {
        let Some(committed) = self.consensus.local_committed() else { return Ok(()) };
        let contradicts = |claim: &LogId| {
            claim.index <= committed.index && claim.leader_id.term > committed.leader_id.term
        };
        match claims.into_iter().find(contradicts) {
            None => Ok(()),
            Some(claim) => Err(Status::invalid_argument(format!(
                "{claim} contradicts {committed}, which is committed"
            ))),
        }
    }

    /// Refuses entries that do not read. Where that is because their leader is of a newer version,
    /// this node cannot go on until it is, too; the leader tries again, but not at once.
    fn unreadable(&self, error: DecodeError) -> Status {
        if !error.is_newer() {
            return invalid(error);
        }
        let outdated = Hindrance::Outdated(error);
        let refused = Status::failed_precondition(outdated.to_string());
        self.presence.hinder(outdated);
        refused
    }

    fn vote_request(
        &self,
        request: Request<pb::VoteRequest>,
    ) -> Result<VoteRequest<TypeConfig>, Status> {
        let proved = proved(&request);
        let message = request.into_inner();
        self.check_envelope(message.envelope.as_ref())?;
        let request = VoteRequest::from_message(message).map_err(invalid)?;
        self.check_vote(&request.vote, proved)?;
        Ok(request)
    }
}

#[tonic::async_trait]
impl<C: Consensus> Peer for PeerService<C> {
    async fn append_entries(
        &self,
        request: Request<pb::AppendEntriesRequest>,
    ) -> Result<Response<pb::AppendEntriesResponse>, Status> {
        let proved = proved(&request);
        let message = request.into_inner();
        self.check_envelope(message.envelope.as_ref())?;
        let has_majority = message.envelope.as_ref().is_none_or(|from| !from.no_majority);
        let request =
            AppendEntriesRequest::from_message(message).map_err(|error| self.unreadable(error))?;
        self.check_vote(&request.vote, proved)?;
        self.check_alone(&request.vote)?;
        // A leader with another log is not heard: this node is not ready to serve from its own.
        self.check_log(&request).await?;
        let entries = request.entries.iter().map(|entry| entry.log_id);
        self.check_committed(entries.chain(request.prev_log_id).chain(request.leader_commit))?;
        // Before the answer, which takes as long as the disk does: a leader that waits for it no
        // longer has this call dropped.
        if request.vote >= self.consensus.known_vote() {
            let committed = request.leader_commit.map(|id| id.index);
            self.presence.hear(has_majority, committed);
        }
        let has_entries = !request.entries.is_empty();
        let appended = self.consensus.append_entries(request).await;
        if has_entries && appended.as_ref().is_ok_and(has_taken) {
            self.presence.proceed();
        }
        answer(appended)
    }

    async fn vote(
        &self,
        request: Request<pb::VoteRequest>,
    ) -> Result<Response<pb::VoteResponse>, Status> {
        let request = self.vote_request(request)?;
        answer(self.consensus.vote(request).await)
    }

    async fn pre_vote(
        &self,
        request: Request<pb::VoteRequest>,
    ) -> Result<Response<pb::VoteResponse>, Status> {
        let request = self.vote_request(request)?;
        answer(self.consensus.pre_vote(request).await)
    }

    async fn transfer_leader(
        &self,
        request: Request<pb::TransferLeaderRequest>,
    ) -> Result<Response<pb::TransferLeaderResponse>, Status> {
        let proved = proved(&request);
        let message = request.into_inner();
        self.check_envelope(message.envelope.as_ref())?;
        let request = TransferLeaderRequest::from_message(message).map_err(invalid)?;
        self.check_sender(proved, request.from_leader().leader_id.voted_for)?;
        if *request.to_node_id() == self.identity.node && self.presence.is_leaving() {
            return Err(Status::failed_precondition("this node is stopping, it cannot lead"));
        }
        answer(self.consensus.transfer_leader(request).await)
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<pb::SnapshotChunk>>,
    ) -> Result<Response<pb::SnapshotResponse>, Status> {
        let proved = proved(&request);
        let mut chunks = request.into_inner();
        let header = incoming::header(&mut chunks).await?;
        self.check_envelope(header.envelope.as_ref())?;
        let SnapshotHeader { vote, meta } =
            SnapshotHeader::from_message(header).map_err(invalid)?;
        self.check_vote(&vote, proved)?;
        self.check_committed(meta.last_log_id)?;
        let mut turn = self
            .turns
            .take(vote)
            .ok_or_else(|| Status::resource_exhausted("another snapshot is on its way"))?;

        let rows = turn.unless_displaced(incoming::rows(&mut chunks, self.consensus.stage())).await;
        let snapshot = rows.ok_or_else(|| Status::aborted("a newer snapshot took its place"))??;
        check_meta(&meta, &snapshot)?;
        // Once more: more may be committed than when it began to come.
        self.check_committed(meta.last_log_id)?;
        self.check_alone(&vote)?;
        let snapshot = SnapshotOf { meta, snapshot };
        let Some(_installing) = turn.install() else {
            return Err(Status::aborted("a newer snapshot took its place"));
        };
        let installed = self.consensus.install_snapshot(vote, snapshot).await;
        if installed.is_ok() {
            self.presence.proceed();
        }
        answer(installed)
    }
}

/// Refuses a snapshot whose header is not that of its rows: installed, it would have Raft and the
/// catalog disagree on what is applied.
fn check_meta(header: &SnapshotMeta, rows: &impl SnapshotSink) -> Result<(), Status> {
    let own = rows.meta().map_err(|error| {
        Status::data_loss(format!("the snapshot's rows do not say how far they go: {error}"))
    })?;
    if own == *header {
        return Ok(());
    }
    Err(Status::data_loss(format!(
        "the snapshot's header goes up to {:?}, its rows up to {:?}",
        header.last_log_id, own.last_log_id
    )))
}

fn answer<T: Wire>(result: Result<T, Fatal<TypeConfig>>) -> Result<Response<T::Message>, Status> {
    match result {
        Ok(answer) => Ok(Response::new(answer.to_message())),
        Err(fatal) => Err(ended(fatal)),
    }
}

fn ended(fatal: Fatal<TypeConfig>) -> Status {
    Status::unavailable(format!("this node's Raft has ended: {fatal}"))
}

/// Whether this node has taken what it answers.
const fn has_taken(answer: &AppendEntriesResponse<TypeConfig>) -> bool {
    use AppendEntriesResponse::{PartialSuccess, Success};
    matches!(answer, Success | PartialSuccess(_))
}

fn invalid(error: DecodeError) -> Status {
    Status::invalid_argument(error.to_string())
}
