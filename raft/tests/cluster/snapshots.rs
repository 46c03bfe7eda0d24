//! Snapshots that are not what they say, or say what cannot be.

use futures::{FutureExt as _, stream};
use prost::Message as _;
use proto::pb::peer::peer_client::PeerClient;
use proto::pb::peer::snapshot_chunk::Chunk;
use proto::pb::{peer as pb, raft as pb_raft};
use raft::Dial as _;
use sha2::{Digest as _, Sha256};
use tonic::{Code, Status};

use super::{Loopback, Node, link_config, memory};

/// The key of the row that says how far a snapshot goes.
const APPLIED: &[u8] = b"a";

/// A node that no other node sends anything to.
async fn target() -> Node {
    let node = Node::start("127.0.0.1:0", &[], memory()).await;
    node.until("the node is ready", |status| status.ready).await;
    node
}

fn membership(node: &Node) -> pb_raft::StoredMembership {
    let ids = [node.cluster.status().node, 77];
    let peer = || pb_raft::Node { peer_address: node.address.clone() };
    let members = pb_raft::Membership {
        configs: vec![pb_raft::NodeSet { ids: ids.into() }],
        nodes: ids.map(|id| (id, peer())).into(),
    };
    let log_id = Some(pb_raft::LogId { term: 1, index: 0 });
    pb_raft::StoredMembership { log_id, membership: Some(members) }
}

/// Sends a snapshot in the name of node 77, which leads in a later term: it ends at `last`, and has
/// these rows.
async fn send(node: &Node, last: pb_raft::LogId, rows: Vec<pb::Row>) -> Status {
    let own = node.cluster.status();
    let header = pb::SnapshotHeader {
        envelope: Some(pb::Envelope {
            cluster_id: own.cluster.as_bytes().to_vec().into(),
            target: own.node,
            no_majority: false,
        }),
        vote: Some(pb_raft::Vote { term: 1_000, node_id: 77, committed: true }),
        last_log_id: Some(last),
        membership: Some(membership(node)),
    };
    let mut sum = Sha256::new();
    for part in rows.iter().flat_map(|row| [&row.key, &row.value]) {
        sum.update((part.len() as u64).to_be_bytes());
        sum.update(part);
    }
    let end = pb::SnapshotEnd { rows: rows.len() as u64, sha256: sum.finalize().to_vec().into() };
    let chunks = [Chunk::Header(header), Chunk::Rows(pb::SnapshotRows { rows }), Chunk::End(end)]
        .map(|chunk| pb::SnapshotChunk { chunk: Some(chunk) });
    let mut peer = PeerClient::new(Loopback.dial(&node.address.parse().unwrap()).unwrap());
    peer.install_snapshot(stream::iter(chunks)).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_whose_header_differs_from_its_rows_is_refused_and_stops_nobody() {
    let node = target().await;
    let refused = send(&node, pb_raft::LogId { term: 999, index: 1_000_000 }, vec![]).await;
    assert_eq!(refused.code(), Code::DataLoss, "{refused}");

    node.propose(link_config()).await;
    assert_eq!(node.cluster.failed().now_or_never(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_contradicts_what_is_committed_is_refused_and_stops_nobody() {
    let node = target().await;
    // At an index that this node has applied, in a term in which nothing was.
    let last = pb_raft::LogId { term: 999, index: 1 };
    let applied = pb_raft::Applied {
        last: Some(last),
        membership: Some(membership(&node)),
        ..Default::default()
    };
    let row = pb::Row { key: APPLIED.into(), value: applied.encode_to_vec().into() };
    let refused = send(&node, last, vec![row]).await;
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");

    node.propose(link_config()).await;
    assert_eq!(node.cluster.failed().now_or_never(), None);
}
