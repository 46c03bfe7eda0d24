//! Nodes whose consensus ends without having been asked to.

use std::ops::ControlFlow;
use std::sync::Arc;

use futures::FutureExt as _;
use proto::pb::peer::peer_client::PeerClient;
use proto::pb::{peer as pb, raft as pb_raft};
use raft::{Dial as _, Ended, ReadError, Role};
use storage::kv::MemoryKv;
use storage::{Batch, Kv, Space};
use tonic::Code;

use super::membership::{ended, remove};
use super::{
    Loopback, Node, PATIENCE, QUICK, eventually, leader, link_config, memory, move_tag, repository,
    tag, three_nodes, with_two_more,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_consensus_panicked_says_that_it_cannot_go_on() {
    let node = Node::start("127.0.0.1:0", &[], memory()).await;
    node.until("the node is ready", |status| status.ready).await;
    assert_eq!(node.cluster.failed().now_or_never(), None);

    node.disk.panic_when_written_to();
    // A node that joins has the leader write to its log.
    let seed = [node.address.as_str()];
    let joining = Node::start("127.0.0.1:0", &seed, memory());
    let ended = async { tokio::time::timeout(PATIENCE, node.cluster.failed()).await.unwrap() };
    let ended = tokio::select! {
        ended = ended => ended,
        _ = joining => panic!("nobody admits a node"),
    };
    assert!(matches!(&ended, Ended::Failed(why) if why.contains("panic")), "{ended}");
    assert_eq!(node.cluster.status().role, Role::Stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_stopped_has_not_failed() {
    let nodes = three_nodes().await;
    nodes[0].cluster.stop().await;
    nodes[0].until("the node has stopped", |status| status.role == Role::Stopped).await;
    assert_eq!(nodes[0].cluster.failed().now_or_never(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_a_row_that_does_not_decode_says_so_and_cannot_go_on() {
    let kv = memory();
    let node = Node::start("127.0.0.1:0", &[], Arc::clone(&kv)).await;
    node.propose(link_config()).await;
    let (command, digest) = move_tag(1);
    node.propose(command).await;
    assert_eq!(node.tag(&repository(), &tag()).await.as_ref(), Some(&digest));
    assert_eq!(node.cluster.failed().now_or_never(), None);

    let mut damaged = Batch::new();
    let mut damage = |key: &[u8], value: &[u8]| {
        if value == digest.as_str().as_bytes() {
            damaged.put(key, b"sha256:not what was written");
        }
        ControlFlow::Continue(())
    };
    kv.scan(Space::Catalog, &[], &[u8::MAX], &mut damage).unwrap();
    kv.write(Space::Catalog, damaged).unwrap();
    // It is not noticed before somebody reads it.
    assert_eq!(node.cluster.failed().now_or_never(), None);
    let read = node.cluster.read().await.unwrap().tag(&repository(), &tag());
    assert!(matches!(read, Err(ReadError::Damaged(_))), "{read:?}");

    let ended = node.cluster.failed().now_or_never();
    let says = |ended: &Ended| ended.to_string().contains("make a new node of this one");
    assert!(ended.as_ref().is_some_and(says), "{ended:?}");
    assert_eq!(node.cluster.status().role, Role::Stopped);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_left_without_a_majority_knows_no_leader() {
    for leads in [true, false] {
        let mut nodes = three_nodes().await;
        let leading = leader(&nodes);
        let left = nodes.remove(if leads { leading } else { (leading + 1) % 3 });
        left.until("it knows a leader", |status| status.leader.is_some()).await;
        for node in nodes {
            node.kill().await;
        }
        left.until("it knows none", |status| status.leader.is_none()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_cut_off_together_with_its_leader_knows_no_leader() {
    let mut nodes = three_nodes().await;
    let leading = nodes.remove(leader(&nodes));
    let learner = Node::start("127.0.0.1:0", &[&leading.address], memory()).await;
    learner.until("it knows a leader", |status| status.ready && status.leader.is_some()).await;
    for node in nodes {
        node.kill().await;
    }
    learner.until("it knows none", |status| status.leader.is_none()).await;
    assert_eq!(leading.cluster.status().role, Role::Leader, "openraft's leader goes on to lead");
}

/// Nothing is heard of consensus itself then: it waits for the disk.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_disk_hangs_is_not_ready_until_it_has_caught_up() {
    let nodes = three_nodes().await;
    let leading = &nodes[leader(&nodes)];
    let follower = &nodes[(leader(&nodes) + 1) % 3];
    let hanging = follower.disk.hang();
    leading.propose(link_config()).await;
    follower
        .until("it lags and hears its leader", |status| !status.ready && status.leader.is_some())
        .await;
    assert!(leading.cluster.status().ready);
    drop(hanging);
    follower.until("it has caught up", |status| status.ready).await;
    let last = leading.cluster.status().applied;
    follower.until("it is where the leader is", |status| status.applied >= last).await;
}

/// What `kv` holds now, in a store of its own.
fn copy_of(kv: &dyn Kv) -> Arc<dyn Kv> {
    let copy = MemoryKv::new();
    for space in [Space::Log, Space::Catalog] {
        let mut batch = Batch::new();
        let mut put = |key: &[u8], value: &[u8]| {
            batch.put(key, value);
            ControlFlow::Continue(())
        };
        kv.scan(space, &[], &[u8::MAX], &mut put).unwrap();
        copy.write(space, batch).unwrap();
    }
    Arc::new(copy)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_disk_is_an_older_copy_is_found_out_and_stops_nobody() {
    let mut nodes = three_nodes().await;
    nodes[0].propose(link_config()).await;
    let follower = nodes.remove((leader(&nodes) + 1) % 3);
    let id = follower.cluster.status().node;
    let (address, kv) = follower.kill().await;
    let older = copy_of(&*kv);
    let follower = Node::start(&address, &[], kv).await;
    for number in 0..3 {
        let (command, digest) = move_tag(number);
        nodes[0].propose(command).await;
        assert_eq!(follower.tag(&repository(), &tag()).await, Some(digest));
    }
    let leading = &nodes[leader(&nodes)];
    let term = leading.cluster.status().term;
    follower.kill().await;

    let reverted = Node::start(&address, &[], older).await;
    reverted.until("it hears of the leader", |status| status.leader.is_some()).await;
    eventually("the leader takes it for silent", async || {
        let silent = leading.cluster.silent();
        if silent.contains(&id) { Ok(()) } else { Err(format!("{silent:?}")) }
    })
    .await;
    let (command, _) = move_tag(3);
    nodes[0].propose(command).await;
    assert_eq!(leading.cluster.failed().now_or_never(), None);
    assert_eq!(leading.cluster.status().term, term, "no election");
    assert!(!reverted.cluster.status().ready);
    remove(&nodes[0], id).await.unwrap();
    assert_eq!(ended(&reverted).await, Ended::Removed(id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_founder_whose_disk_is_from_when_it_was_alone_is_found_out_and_ends() {
    let founder = Node::start("127.0.0.1:0", &[], memory()).await;
    founder.until("it is ready", |status| status.ready).await;
    let older = copy_of(&*founder.disk);
    let mut nodes = with_two_more(founder, QUICK).await;
    nodes[0].propose(link_config()).await;
    nodes[0].cluster.stop().await;
    let (address, _) = nodes.remove(0).kill().await;

    // Where nobody looks for it, it leads, and acknowledges what no other node has.
    let reverted = Node::start("127.0.0.1:0", &[], older).await;
    reverted.until("it leads", |status| status.ready && status.role == Role::Leader).await;
    reverted.propose(link_config()).await;
    reverted.propose(move_tag(1).0).await;
    let (_, diverged) = reverted.kill().await;

    let reverted = Node::start(&address, &[], diverged).await;
    let said = ended(&reverted).await.to_string();
    assert!(said.contains("make a new node of this one"), "{said}");
    let (command, digest) = move_tag(2);
    nodes[0].propose(command).await;
    assert_eq!(nodes[1].tag(&repository(), &tag()).await, Some(digest));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_what_is_committed_is_refused_and_stops_nobody() {
    let nodes = three_nodes().await;
    let leading = leader(&nodes);
    let term = nodes[leading].cluster.status().term;
    let follower = &nodes[(leading + 1) % 3];
    let own = follower.cluster.status();
    let request = pb::AppendEntriesRequest {
        envelope: Some(pb::Envelope {
            cluster_id: own.cluster.as_bytes().to_vec().into(),
            target: own.node,
            no_majority: false,
        }),
        vote: Some(pb_raft::Vote { term: 1_000, node_id: 77, committed: true }),
        // In the term of the entry that founds a cluster, which is the only one of it.
        prev_log_id: Some(pb_raft::LogId { term: 0, index: 2 }),
        ..Default::default()
    };
    let mut peer = PeerClient::new(Loopback.dial(&follower.address.parse().unwrap()).unwrap());
    let refused = peer.append_entries(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    assert!(refused.message().contains("contradicts"), "{refused}");

    follower.propose(link_config()).await;
    assert_eq!(follower.cluster.status().term, term, "no election");
    assert_eq!(follower.cluster.failed().now_or_never(), None);
}
