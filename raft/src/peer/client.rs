//! What openraft sends to other nodes.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::time::Duration;

use bytes::Bytes;
use openraft::errors::{
    NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable,
};
use openraft::network::{RPCOption, RPCTypes};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{OptionalSend, RaftNetworkFactory, RaftNetworkV2};
use proto::limits::PEER_MESSAGE_BYTES_MAX;
use proto::pb::peer as pb;
use proto::pb::peer::peer_client::PeerClient;
use proto::{Mutant, NodeId, PeerAddress};
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use super::addresses::Addresses;
use super::claims::is_far_ahead;
use super::confirmed::Confirmed;
use super::majority::Majority;
use super::outgoing::send_snapshot;
use super::rows::SnapshotSource;
use crate::convert::Wire;
use crate::identity::Identity;
use crate::neighbours::{Lane, Lanes};
use crate::types::{PeerNode, SnapshotOf, TypeConfig, Vote};

type RpcError = RPCError<TypeConfig>;

/// Makes the clients through which this node reaches others; `S` is what it sends as a snapshot.
pub(crate) struct PeerNetwork<S> {
    identity: Identity,
    lanes: Lanes,
    addresses: Addresses,
    majority: Majority,
    confirmed: Confirmed,
    snapshot: PhantomData<fn(S)>,
}

impl<S> PeerNetwork<S> {
    /// The network of the node that `identity` names, in which nodes are where `addresses` says,
    /// and which has the `majority` when it leads.
    pub(crate) fn new(
        lanes: Lanes,
        identity: Identity,
        addresses: Addresses,
        majority: Majority,
    ) -> Self {
        let confirmed = Confirmed::default();
        Self { identity, lanes, addresses, majority, confirmed, snapshot: PhantomData }
    }

    fn client(&self, target: NodeId, peer: &PeerNode, appends: Lane) -> Peer<S> {
        Peer {
            identity: self.identity,
            target,
            first_address: peer.peer_address.clone(),
            addresses: self.addresses.clone(),
            majority: self.majority.clone(),
            confirmed: self.confirmed.clone(),
            appends,
            lanes: self.lanes.clone(),
            snapshot: PhantomData,
        }
    }
}

impl<S: SnapshotSource> RaftNetworkFactory<TypeConfig> for PeerNetwork<S> {
    type Network = Peer<S>;

    async fn new_client(&mut self, target: NodeId, peer: &PeerNode) -> Peer<S> {
        self.client(target, peer, Lane::Entries)
    }

    async fn new_heartbeat_client(&mut self, target: NodeId, peer: &PeerNode) -> Peer<S> {
        self.client(target, peer, Lane::Heartbeats)
    }
}

/// How long entries may take to arrive and be synced. Openraft offers less than a heartbeat's
/// interval, in which a large manifest crosses no ordinary network: it would be sent again and
/// again. Whether the node lives, heartbeats tell.
const APPEND_PATIENCE: Duration = Duration::from_secs(10);

/// A client for one other node.
pub(crate) struct Peer<S> {
    identity: Identity,
    target: NodeId,
    /// Where the other node was when this client was made.
    first_address: PeerAddress,
    addresses: Addresses,
    majority: Majority,
    confirmed: Confirmed,
    /// The lane of what this client appends: entries or heartbeats.
    appends: Lane,
    lanes: Lanes,
    snapshot: PhantomData<fn(S)>,
}

impl<S> Peer<S> {
    fn rpc(&self, lane: Lane) -> Result<PeerClient<Channel>, RpcError> {
        // Looked up for each call: a node may come back at another address.
        let address = self.addresses.of(self.target);
        let address = address.as_ref().unwrap_or(&self.first_address);
        let channel = self.lanes.channel(address, lane).map_err(|e| Unreachable::new(&e))?;
        Ok(PeerClient::new(channel)
            .max_decoding_message_size(PEER_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(PEER_MESSAGE_BYTES_MAX))
    }

    fn envelope(&self) -> Option<pb::Envelope> {
        let cluster_id = Bytes::copy_from_slice(self.identity.cluster.as_bytes());
        Some(pb::Envelope { cluster_id, target: self.target, no_majority: false })
    }

    /// Waits for an answer until the deadline, and checks it.
    async fn answer<T: Wire>(
        &self,
        action: RPCTypes,
        deadline: Duration,
        call: impl Future<Output = Result<Response<T::Message>, Status>>,
    ) -> Result<T, RpcError> {
        if Mutant::RpcWithoutDeadline.is_active() {
            return T::from_message(call.await.map_err(rpc_error)?.into_inner()).map_err(invalid);
        }
        let answer = tokio::time::timeout(deadline, call).await;
        let answer = answer.map_err(|_| self.timeout(action, deadline))?;
        T::from_message(answer.map_err(rpc_error)?.into_inner()).map_err(invalid)
    }

    fn timeout(&self, action: RPCTypes, timeout: Duration) -> Timeout<TypeConfig> {
        Timeout { action, id: self.identity.node, target: self.target, timeout }
    }

    async fn ask_vote(
        &self,
        request: &VoteRequest<TypeConfig>,
        option: &RPCOption,
        pre_vote: bool,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        let mut rpc = self.rpc(Lane::Votes)?;
        let message = pb::VoteRequest { envelope: self.envelope(), ..request.to_message() };
        let call =
            async { if pre_vote { rpc.pre_vote(message).await } else { rpc.vote(message).await } };
        let answer: VoteResponse<TypeConfig> =
            self.answer(RPCTypes::Vote, option.soft_ttl(), call).await?;
        check_term(&answer.vote, &request.vote)?;
        Ok(answer)
    }
}

impl<S: SnapshotSource> RaftNetworkV2<TypeConfig> for Peer<S> {
    type SnapshotData = S;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RpcError> {
        let mut rpc = self.rpc(self.appends)?;
        let no_majority = self.majority.is_missing();
        let envelope = self.envelope().map(|envelope| pb::Envelope { no_majority, ..envelope });
        let message = pb::AppendEntriesRequest { envelope, ..request.to_message() };
        let deadline = match self.appends {
            Lane::Heartbeats => option.soft_ttl(),
            Lane::Entries | Lane::Votes | Lane::Snapshots | Lane::Requests => {
                APPEND_PATIENCE.max(option.soft_ttl())
            }
        };
        let call = rpc.append_entries(message);
        let answer = self.answer(RPCTypes::AppendEntries, deadline, call).await;
        if self.appends == Lane::Heartbeats {
            self.majority.note(self.target, matches!(answer, Err(RPCError::Timeout(_))));
        }
        let answer = answer?;
        check_answer(&request, &answer)?;
        let noted = self.confirmed.note(self.target, &request, &answer);
        // Openraft waits a while after that, and takes the node for one that does not answer.
        noted.map_err(|lost| Unreachable::new(&lost))?;
        Ok(answer)
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        self.ask_vote(&request, &option, false).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RpcError> {
        self.ask_vote(&request, &option, true).await
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RpcError> {
        let mut rpc = self.rpc(Lane::Votes)?;
        let message =
            pb::TransferLeaderRequest { envelope: self.envelope(), ..request.to_message() };
        let call = rpc.transfer_leader(message);
        self.answer(RPCTypes::TransferLeader, option.soft_ttl(), call).await
    }

    /// Sends a snapshot. The deadline is not for the whole, which may be large, but for each
    /// message and for the answer.
    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf<S>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let rpc = self.rpc(Lane::Snapshots)?;
        let sending = send_snapshot(rpc, self.envelope(), vote, snapshot, option.soft_ttl());
        let sent = tokio::select! {
            closed = cancel => return Err(StreamingError::Closed(closed)),
            sent = sending => sent?,
        };
        let timeout = || self.timeout(RPCTypes::InstallSnapshot, option.soft_ttl());
        let answer = sent.ok_or_else(timeout)?.map_err(rpc_error)?;
        let answer = SnapshotResponse::<TypeConfig>::from_message(answer).map_err(invalid)?;
        check_term(&answer.vote, &vote)?;
        Ok(answer)
    }
}

/// Refuses answers that do not belong to the request: openraft would panic over them or count what
/// was never sent.
fn check_answer(
    request: &AppendEntriesRequest<TypeConfig>,
    answer: &AppendEntriesResponse<TypeConfig>,
) -> Result<(), RpcError> {
    let prev = request.prev_log_id;
    let last = request.entries.last().map(|entry| entry.log_id).or(prev);
    match answer {
        AppendEntriesResponse::Conflict if prev.is_none() => {
            Err(invalid("a conflict before the first entry"))
        }
        AppendEntriesResponse::PartialSuccess(matching) if *matching < prev || *matching > last => {
            Err(invalid("a success with entries that were not sent"))
        }
        AppendEntriesResponse::HigherVote(vote) => check_term(vote, &request.vote),
        _ => Ok(()),
    }
}

/// Refuses an answer with a vote in a term that there cannot be: openraft would make it its own.
fn check_term(answered: &Vote, asked: &Vote) -> Result<(), RpcError> {
    match is_far_ahead(answered, asked) {
        true => Err(invalid("a term that there cannot be")),
        false => Ok(()),
    }
}

fn invalid(reason: impl fmt::Display) -> RpcError {
    NetworkError::from_string(format!("the peer's answer is not valid: {reason}")).into()
}

/// Openraft waits a while after each [`Unreachable`], but after a [`NetworkError`] only when some
/// ten have come in a row, and tries again at once before. So the former is for peers that cannot
/// be connected to, have stopped, or refuse this node, since none of these passes at once.
fn rpc_error(status: Status) -> RpcError {
    match status.code() {
        Code::Unavailable | Code::FailedPrecondition => Unreachable::new(&status).into(),
        _ => NetworkError::new(&status).into(),
    }
}
