//! Asking other nodes' cluster services.

mod lanes;
mod leader;
mod survey;

use std::time::Duration;

use proto::limits::PEER_MESSAGE_BYTES_MAX;
use proto::pb::cluster as pb;
use proto::pb::cluster::cluster_client::ClusterClient;
use proto::{Mutant, PeerAddress};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

pub(crate) use self::lanes::{Lane, Lanes};
pub(crate) use self::leader::was_sent;

/// The other nodes, by address. Clones share their connections.
#[derive(Clone)]
pub(crate) struct Neighbours {
    lanes: Lanes,
}

impl Neighbours {
    pub(crate) const fn new(lanes: Lanes) -> Self {
        Self { lanes }
    }

    /// Sends `message` by `call` to the node at `address`, which knows until when it is waited for.
    ///
    /// # Errors
    /// What went wrong. If it [`was_sent`], the message may have arrived: past `deadline`, for one,
    /// the outcome is not known.
    pub(crate) async fn ask<M, A, C, F>(
        &self,
        address: &PeerAddress,
        deadline: Duration,
        message: M,
        call: C,
    ) -> Result<A, Status>
    where
        C: FnOnce(ClusterClient<Channel>, Request<M>) -> F,
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let channel = self.lanes.channel(address, Lane::Requests);
        let channel = channel.map_err(|error| Status::from_error(error.into()))?;
        let client = ClusterClient::new(channel)
            .max_decoding_message_size(PEER_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(PEER_MESSAGE_BYTES_MAX);
        let mut request = Request::new(message);
        if Mutant::RpcWithoutDeadline.is_active() {
            return call(client, request).await.map(Response::into_inner);
        }
        request.set_timeout(deadline);
        match tokio::time::timeout(deadline, call(client, request)).await {
            Ok(answer) => answer.map(Response::into_inner),
            Err(_) => Err(Status::deadline_exceeded(format!("no answer within {deadline:?}"))),
        }
    }

    /// What the node at `address` says of itself.
    pub(crate) async fn status(
        &self,
        address: &PeerAddress,
        deadline: Duration,
    ) -> Result<pb::StatusResponse, Status> {
        let call = async |mut node: ClusterClient<_>, request| node.status(request).await;
        self.ask(address, deadline, pb::StatusRequest {}, call).await
    }

    /// The connections to them.
    pub(crate) const fn lanes(&self) -> &Lanes {
        &self.lanes
    }
}

/// Asks the node at `address` by `ask`, and once more the one that `leader` says the answer names.
pub(crate) async fn ask_and_follow<A, F>(
    address: &PeerAddress,
    leader: impl Fn(&A) -> Option<PeerAddress>,
    ask: impl Fn(PeerAddress) -> F,
) -> Result<A, Status>
where
    F: Future<Output = Result<A, Status>>,
{
    let answer = ask(address.clone()).await?;
    match leader(&answer) {
        Some(leader) if leader != *address => ask(leader).await,
        _ => Ok(answer),
    }
}

/// The answer of a node that does not lead, and perhaps knows who does.
pub(crate) fn not_leader(leader: Option<PeerAddress>) -> pb::NotLeader {
    pb::NotLeader { leader_address: leader.as_ref().map(ToString::to_string) }
}

/// The leader that another node names; one that cannot be dialled is as good as none.
pub(crate) fn named_leader(answer: &pb::NotLeader) -> Option<PeerAddress> {
    answer.leader_address.as_ref().and_then(|address| address.parse().ok())
}
