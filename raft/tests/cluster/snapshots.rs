//! Snapshots that are not what they say.

use futures::{FutureExt as _, stream};
use proto::pb::peer::peer_client::PeerClient;
use proto::pb::peer::snapshot_chunk::Chunk;
use proto::pb::{peer as pb, raft as pb_raft};
use raft::Dial as _;
use sha2::{Digest as _, Sha256};
use tonic::Code;

use super::{Loopback, Node, link_config, memory};

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_whose_header_differs_from_its_rows_is_refused_and_stops_nobody() {
    let node = Node::start("127.0.0.1:0", &[], memory()).await;
    node.until("the node is ready", |status| status.ready).await;
    let own = node.cluster.status();

    let members = pb_raft::Membership {
        configs: vec![pb_raft::NodeSet { ids: vec![own.node, 77] }],
        nodes: [own.node, 77]
            .map(|id| (id, pb_raft::Node { peer_address: node.address.clone() }))
            .into(),
    };
    let header = pb::SnapshotHeader {
        envelope: Some(pb::Envelope {
            cluster_id: own.cluster.as_bytes().to_vec().into(),
            target: own.node,
        }),
        vote: Some(pb_raft::Vote { term: 1_000, node_id: 77, committed: true }),
        last_log_id: Some(pb_raft::LogId { term: 999, index: 1_000_000 }),
        membership: Some(pb_raft::StoredMembership {
            log_id: Some(pb_raft::LogId { term: 999, index: 9 }),
            membership: Some(members),
        }),
    };
    let end = pb::SnapshotEnd { rows: 0, sha256: Sha256::digest([]).to_vec().into() };
    let chunks = [Chunk::Header(header), Chunk::End(end)]
        .map(|chunk| pb::SnapshotChunk { chunk: Some(chunk) });
    let mut peer = PeerClient::new(Loopback.dial(&node.address).unwrap());
    let refused = peer.install_snapshot(stream::iter(chunks)).await.unwrap_err();
    assert_eq!(refused.code(), Code::DataLoss, "{refused}");

    node.propose(link_config()).await;
    assert_eq!(node.cluster.failed().now_or_never(), None);
}
