//! Joining: a node with an empty folder asks a cluster for an id before it has one.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::future::select_all;
use proto::pb::cluster as pb;
use proto::pb::cluster::cluster_client::ClusterClient;
use proto::pb::cluster::join_response::Result as Pb;
use proto::{ClusterId, PeerAddress, RequestId};
use tonic::Status;

use crate::identity::Identity;
use crate::neighbours::{Neighbours, follow, named_leader};
use crate::{Config, StartError, random};

/// How long a node looks for its cluster before it gives up: other nodes may be starting too.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long one node may take to answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// The time between two tries.
const INTERVAL: Duration = Duration::from_millis(250);

/// Asks the nodes at [`Config::join`], all at once so that one that hangs holds up nobody, until
/// one has admitted this one.
pub(crate) async fn join(config: &Config, neighbours: &Neighbours) -> Result<Identity, StartError> {
    // One id for all tries: neither a lost answer nor a second one admits the node twice.
    let request_id = random::request_id();
    let last_reason = Mutex::new(String::new());
    let tries = config.join.iter().map(|address| {
        let last_reason = &last_reason;
        Box::pin(async move {
            loop {
                match ask(config, neighbours, address, request_id).await {
                    Ok(identity) => return identity,
                    Err(status) => {
                        let reason = format!("{address}: {}", status.message());
                        tracing::info!(reason, "waiting for a cluster to join");
                        *last_reason.lock().unwrap_or_else(PoisonError::into_inner) = reason;
                    }
                }
                tokio::time::sleep(INTERVAL).await;
            }
        })
    });
    let admitted = tokio::time::timeout(PATIENCE, select_all(tries)).await;
    let identity = admitted.map(|(identity, _, _)| identity);
    identity.map_err(|_| StartError::Join {
        addresses: config.join.iter().map(PeerAddress::as_str).collect::<Vec<_>>().join(", "),
        reason: last_reason.into_inner().unwrap_or_else(PoisonError::into_inner),
    })
}

/// Asks the node at `address`, and the leader when it names one.
async fn ask(
    config: &Config,
    neighbours: &Neighbours,
    address: &PeerAddress,
    request_id: RequestId,
) -> Result<Identity, Status> {
    let leader = |answer: &Option<Pb>| match answer {
        Some(Pb::NotLeader(answer)) => named_leader(answer),
        _ => None,
    };
    let ask = |address: PeerAddress| async move {
        let message = pb::JoinRequest {
            peer_address: config.peer_address.to_string(),
            request_id: request_id.as_bytes().to_vec().into(),
        };
        let call = async |mut node: ClusterClient<_>, request| node.join(request).await;
        neighbours.ask(&address, DEADLINE, message, call).await.map(|answer| answer.result)
    };
    match follow(address, leader, ask).await? {
        Some(Pb::Admitted(admitted)) => {
            let cluster = ClusterId::try_from(admitted.cluster_id.as_ref());
            let cluster = cluster.map_err(|error| Status::data_loss(error.to_string()))?;
            Ok(Identity { cluster, node: admitted.node_id })
        }
        Some(Pb::NotLeader(_) | Pb::Unavailable(_)) | None => {
            Err(Status::unavailable("the cluster has no leader now"))
        }
    }
}
