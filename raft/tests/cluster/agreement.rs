//! Agreement, reads on every node, the loss of a leader, and catching up.

use std::ops::ControlFlow;
use std::sync::Arc;

use proto::Reference;
use raft::{Role, Tuning};
use storage::{Kv, Space};

use super::{
    Node, QUICK, eventually, leader, link_config, memory, move_tag, repository, tag, three_nodes,
};

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_acknowledged_every_node_shows_at_once() {
    let nodes = three_nodes().await;
    nodes[0].propose(link_config()).await;
    for number in 0..300 {
        let (command, digest) = move_tag(number);
        nodes[number % 3].propose(command).await;
        for reader in [(number + 1) % 3, (number + 2) % 3] {
            let seen = nodes[reader].tag(&repository(), &tag()).await;
            assert_eq!(seen.as_ref(), Some(&digest), "move {number} on node {reader}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_loss_of_the_leader_loses_nothing_and_a_node_that_returns_catches_up() {
    let mut nodes = three_nodes().await;
    nodes[0].propose(link_config()).await;
    let (before, digest_before) = move_tag(1);
    nodes[1].propose(before).await;

    let (address, kv) = nodes.remove(leader(&nodes)).kill().await;
    assert_eq!(nodes[0].tag(&repository(), &tag()).await, Some(digest_before));
    let (after, digest_after) = move_tag(2);
    nodes[1].propose(after).await;
    assert_eq!(nodes[0].tag(&repository(), &tag()).await.as_ref(), Some(&digest_after));

    let returned = Node::start(&address, &[], kv).await;
    returned.until("the node that returned is ready", |status| status.ready).await;
    assert_eq!(returned.tag(&repository(), &tag()).await, Some(digest_after));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_returns_at_another_address_is_reached_by_the_leader_there_is() {
    let mut nodes = three_nodes().await;
    nodes[0].propose(link_config()).await;
    let leading = leader(&nodes);
    let before = nodes[leading].cluster.status();
    let (old_address, kv) = nodes.remove((leading + 1) % 3).kill().await;
    let (command, digest) = move_tag(1);
    nodes[0].propose(command).await;

    // Its old address stays taken, so that nothing else can be reached there.
    let _taken = std::net::TcpListener::bind(&old_address).unwrap();
    let returned = Node::start("127.0.0.1:0", &[], kv).await;
    returned.until("the node that returned is ready", |status| status.ready).await;
    assert_eq!(returned.tag(&repository(), &tag()).await, Some(digest));
    let status = returned.cluster.status();
    assert_eq!((status.leader, status.term), (Some(before.node), before.term), "no election");
    let member = status.members.into_iter().find(|member| member.node == status.node).unwrap();
    assert_eq!(member.peer_address.as_str(), returned.address);
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_all_return_at_other_addresses_elect_a_leader() {
    let nodes = three_nodes().await;
    nodes[0].propose(link_config()).await;
    let (command, digest) = move_tag(1);
    nodes[1].propose(command).await;
    let (mut disks, mut taken) = (Vec::new(), Vec::new());
    for node in nodes {
        let (old_address, kv) = node.kill().await;
        taken.push(std::net::TcpListener::bind(old_address).unwrap());
        disks.push(kv);
    }

    let mut returned: Vec<Node> = Vec::new();
    for kv in disks {
        let join: Vec<&str> = returned.iter().map(|node| node.address.as_str()).collect();
        let node = Node::start("127.0.0.1:0", &join, kv).await;
        returned.push(node);
    }
    let addresses: Vec<&str> = returned.iter().map(|node| node.address.as_str()).collect();
    for node in &returned {
        node.until("it knows where the others are", |status| {
            let mut members = status.members.iter();
            status.ready && members.all(|member| addresses.contains(&member.peer_address.as_str()))
        })
        .await;
        assert_eq!(node.tag(&repository(), &tag()).await.as_ref(), Some(&digest));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lags_behind_the_purged_log_gets_a_snapshot() {
    let mut nodes = three_nodes().await;
    nodes[0].propose(link_config()).await;
    let follower = (leader(&nodes) + 1) % 3;
    let (address, kv) = nodes.remove(follower).kill().await;
    let mut last = None;
    for number in 0..200 {
        let (command, digest) = move_tag(number);
        nodes[number % 2].propose(command).await;
        last = Some(digest);
    }
    let returned = Node::start(&address, &[], kv).await;
    returned.until("the node that returned is ready", |status| status.ready).await;
    assert_eq!(returned.tag(&repository(), &tag()).await, last);
    let view = returned.cluster.read().await.unwrap();
    let manifest = view.manifest(&repository(), &Reference::Tag(tag())).unwrap();
    assert_eq!(manifest.map(|manifest| manifest.digest().clone()), last);
}

/// How many entries the log in `kv` has.
fn entries(kv: &dyn Kv) -> usize {
    let mut entries = 0;
    let mut count = |_: &[u8], _: &[u8]| {
        entries += 1;
        ControlFlow::Continue(())
    };
    kv.scan(Space::Log, b"e", b"f", &mut count).unwrap();
    entries
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_a_node_that_is_often_started_is_purged_as_that_of_any_other() {
    let tuning = Tuning { snapshot_every: 10, ..QUICK };
    let kv = memory();
    let mut address = "127.0.0.1:0".to_owned();
    for start in 0..6 {
        let node = Node::start_with(&address, &[], Arc::clone(&kv), tuning).await;
        node.until("the node is ready", |status| status.ready).await;
        // Half of what a snapshot is built after stays, and an entry or two come with the start.
        eventually("the log is purged", async || match entries(&*kv) {
            left if start == 0 || left <= 8 => Ok(()),
            left => Err(format!("{left} entries are left")),
        })
        .await;
        node.propose(link_config()).await;
        for number in 0..7 {
            node.propose(move_tag(number).0).await;
        }
        (address, _) = node.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fourth_node_learns_and_serves_without_a_vote() {
    let nodes = three_nodes().await;
    nodes[0].propose(link_config()).await;
    let fourth = Node::start("127.0.0.1:0", &[&nodes[2].address], memory()).await;
    fourth.until("the fourth node is ready", |status| status.ready).await;
    let (command, digest) = move_tag(1);
    fourth.propose(command).await;
    assert_eq!(fourth.tag(&repository(), &tag()).await, Some(digest));
    assert_eq!(fourth.cluster.status().role, Role::Learner);
    let survey = fourth.cluster.survey().await;
    assert_eq!(survey.iter().filter(|peer| peer.reachable).count(), 4, "{survey:?}");
}
