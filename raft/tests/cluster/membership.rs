//! Nodes that found and join, that are replaced because they died, and that are removed for good.

use std::net::TcpListener;
use std::time::Duration;

use futures::FutureExt as _;
use proto::{NodeId, Refusal, RequestId};
use raft::{Ended, Handover, RemoveError, Removed, Role, StartError};

use super::{
    Node, PATIENCE, QUICK, TRUSTING, actor, eventually, leader, link_config, memory, move_tag,
    random, repository, tag, three_nodes, three_nodes_with, voters,
};

/// Three voters and a learner that has caught up.
async fn four_nodes() -> Vec<Node> {
    let mut nodes = three_nodes().await;
    nodes[0].propose(link_config()).await;
    let fourth = Node::start("127.0.0.1:0", &[&nodes[0].address], memory()).await;
    fourth.until("the fourth node is ready", |status| status.ready).await;
    nodes.push(fourth);
    nodes
}

/// Asks `through` to remove `node`, until there is an answer.
pub(super) async fn remove(through: &Node, node: NodeId) -> Result<Removed, RemoveError> {
    let request = RequestId::from_bytes(random());
    eventually("there is an answer", async || {
        match through.cluster.remove(request, &actor(), node).await {
            Err(error @ (RemoveError::Unavailable { .. } | RemoveError::Unknown)) => {
                Err(error.to_string())
            }
            answer => Ok(answer),
        }
    })
    .await
}

/// Waits until each of `nodes` knows these voters, and no other members.
async fn until_only(nodes: &[Node], members: &[NodeId]) {
    for node in nodes {
        node.until("the members are these", |status| {
            status.members.iter().map(|member| member.node).eq(members.iter().copied())
        })
        .await;
    }
}

pub(super) async fn ended(node: &Node) -> Ended {
    tokio::time::timeout(PATIENCE, node.cluster.failed()).await.expect("the node ends")
}

/// What a node says that is started again on the folder of a removed one.
async fn refusal(address: &str, node: Node) -> StartError {
    let (_, kv) = node.kill().await;
    match Node::try_start("127.0.0.1:0", &[address], kv, QUICK).await {
        Ok(_) => panic!("a removed node started"),
        Err(error) => error,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_learner_takes_the_place_of_a_dead_voter_and_a_further_death_loses_no_quorum() {
    let mut nodes = four_nodes().await;
    let learner = nodes[3].cluster.status().node;
    let dying = (leader(&nodes[..3]) + 1) % 3;
    let dead = nodes[dying].cluster.status().node;
    let (address, kv) = nodes.remove(dying).kill().await;
    for node in &nodes {
        node.until("the learner votes instead of the dead one", |status| {
            let votes = |id| status.members.iter().any(|m| m.node == id && m.voter);
            votes(learner) && !votes(dead)
        })
        .await;
        assert_eq!(voters(node).len(), 3);
        let members = node.cluster.status().members;
        assert!(members.iter().any(|member| member.node == dead), "it stays a learner");
    }

    // A second death, of a voter of old.
    let next = nodes.iter().position(|node| node.cluster.status().node != learner).unwrap();
    drop(nodes.remove(next).kill().await);
    let (command, digest) = move_tag(1);
    nodes[0].propose(command).await;
    assert_eq!(nodes[1].tag(&repository(), &tag()).await.as_ref(), Some(&digest));

    // The first comes back, as a learner; then it can take the place of the second.
    let returned = Node::start(&address, &[], kv).await;
    returned.until("the node that returned is ready", |status| status.ready).await;
    assert_eq!(returned.tag(&repository(), &tag()).await, Some(digest));
    // While a change is under way, the voters before it and after it all count as such.
    returned
        .until("it votes again, as one of three", |status| {
            let voters = status.members.iter().filter(|member| member.voter);
            let voters: Vec<NodeId> = voters.map(|member| member.node).collect();
            voters.len() == 3 && voters.contains(&dead)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_follower_stops_and_never_comes_back() {
    let mut nodes = three_nodes().await;
    let leading = leader(&nodes);
    let removed = nodes.remove((leading + 1) % 3);
    let id = removed.cluster.status().node;
    // Through the node itself, which forwards it.
    remove(&removed, id).await.unwrap();
    assert_eq!(ended(&removed).await, Ended::Removed(id));
    let staying: Vec<NodeId> = voters(&nodes[0]);
    until_only(&nodes, &staying).await;
    assert!(!staying.contains(&id));
    let again = remove(&nodes[0], id).await;
    assert_eq!(again, Ok(Removed::CarriedOut), "once more is no failure");

    let error = refusal(&nodes[0].address, removed).await;
    assert!(matches!(error, StartError::Removed(node) if node == id), "{error}");
    nodes[0].propose(link_config()).await;

    // A new node takes its place, under another id.
    let new = Node::start("127.0.0.1:0", &[&nodes[0].address], memory()).await;
    new.until("the new node votes", |status| status.role == Role::Follower && status.ready).await;
    assert!(new.cluster.status().node > id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_leader_hands_over_first() {
    let mut nodes = four_nodes().await;
    let removed = nodes.remove(leader(&nodes));
    let id = removed.cluster.status().node;
    remove(&nodes[0], id).await.unwrap();
    assert_eq!(ended(&removed).await, Ended::Removed(id));
    let staying: Vec<NodeId> = nodes.iter().map(|node| node.cluster.status().node).collect();
    for node in &nodes {
        node.until("the learner votes in its place", |status| {
            let members = status.members.iter();
            members.filter(|member| member.voter).map(|m| m.node).eq(staying.iter().copied())
        })
        .await;
    }
    until_only(&nodes, &staying).await;
    nodes[2].propose(move_tag(1).0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_removed_while_it_was_away_learns_it_when_it_returns() {
    let mut nodes = four_nodes().await;
    let gone = nodes.remove((leader(&nodes[..3]) + 1) % 3);
    let id = gone.cluster.status().node;
    let (address, kv) = gone.kill().await;
    remove(&nodes[0], id).await.unwrap();
    let staying: Vec<NodeId> = nodes.iter().map(|node| node.cluster.status().node).collect();
    until_only(&nodes, &staying).await;

    let returned = Node::start(&address, &[], kv).await;
    assert_eq!(ended(&returned).await, Ended::Removed(id));
    let error = refusal(&nodes[0].address, returned).await.to_string();
    assert!(error.contains("was removed") && error.contains("empty folder"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_lose_the_quorum_is_not_removed() {
    let mut nodes = three_nodes().await;
    let leading = leader(&nodes);
    let ids: Vec<NodeId> = nodes.iter().map(|node| node.cluster.status().node).collect();
    let (dead, leaving) = ((leading + 1) % 3, (leading + 2) % 3);
    drop(nodes.remove(dead).kill().await);
    let through = nodes.iter().find(|node| node.cluster.status().node == ids[leaving]).unwrap();
    eventually("the leader notices the death", async || {
        let leader = nodes.iter().find(|node| node.cluster.status().role == Role::Leader);
        let silent = leader.map(|node| node.cluster.silent()).unwrap_or_default();
        if silent.contains(&ids[dead]) { Ok(()) } else { Err(format!("{silent:?} are silent")) }
    })
    .await;
    let refused = remove(through, ids[leaving]).await;
    let Err(RemoveError::WouldLoseQuorum(why)) = refused else { panic!("{refused:?}") };
    assert!(why.contains(&format!("node {} does not", ids[dead])), "{why}");
    assert_eq!(voters(through).len(), 3);

    let unknown = Err(RemoveError::Refused(Refusal::NodeUnknown(1_000_000)));
    assert_eq!(remove(through, 1_000_000).await, unknown);
    // The dead one may go; then nobody stands in the way.
    remove(through, ids[dead]).await.unwrap();
    remove(&nodes[0], ids[leaving]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_just_elected_refuses_no_removal_that_is_safe() {
    let nodes = three_nodes().await;
    let stopped = leader(&nodes);
    let id = nodes[stopped].cluster.status().node;
    let Handover::To(successor) = nodes[stopped].cluster.stop().await else {
        panic!("no successor")
    };
    let successor = nodes.iter().find(|node| node.cluster.status().node == successor).unwrap();
    remove(successor, id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_waits_for_a_vote_is_decided_and_carried_out_when_that_is_there() {
    let mut nodes = three_nodes_with(TRUSTING).await;
    let leading = leader(&nodes);
    let (slow, leaving) = ((leading + 1) % 3, (leading + 2) % 3);
    let id = nodes[leaving].cluster.status().node;
    // It is there, and does not agree to anything.
    let hanging = nodes[slow].disk.hang();
    assert_eq!(remove(&nodes[leading], id).await, Ok(Removed::Decided));
    assert!(voters(&nodes[leading]).contains(&id), "its vote is needed");
    drop(hanging);
    assert_eq!(ended(&nodes[leaving]).await, Ended::Removed(id));
    drop(nodes.remove(leaving));
    eventually("it is carried out", async || match remove(&nodes[0], id).await {
        Ok(Removed::CarriedOut) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_just_heard_of_and_is_dead_counts_for_no_removal() {
    let mut nodes = three_nodes_with(TRUSTING).await;
    let leading = leader(&nodes);
    let ids: Vec<NodeId> = nodes.iter().map(|node| node.cluster.status().node).collect();
    let (dying, leaving) = ((leading + 1) % 3, (leading + 2) % 3);
    drop(nodes.remove(dying).kill().await);
    let through = &nodes[leader(&nodes)];
    // What it was asked on connections that it had is answered yet.
    eventually("it answers nobody", async || {
        let seen = through.cluster.survey().await;
        let is_dead = seen.iter().any(|peer| peer.node == ids[dying] && !peer.reachable);
        is_dead.then_some(()).ok_or_else(|| format!("{seen:?}"))
    })
    .await;
    assert!(through.cluster.silent().is_empty(), "the leader has heard of it");
    let refused = remove(through, ids[leaving]).await;
    let Err(RemoveError::WouldLoseQuorum(why)) = refused else { panic!("{refused:?}") };
    assert!(why.contains(&format!("node {} does not", ids[dying])), "{why}");
    through.propose(link_config()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_that_a_node_stays_whose_removal_is_in_the_log() {
    let nodes = three_nodes().await;
    let leading = leader(&nodes);
    let leaving = (leading + 1) % 3;
    let id = nodes[leaving].cluster.status().node;
    let followers = || nodes.iter().enumerate().filter(|(index, _)| *index != leading);
    let hanging: Vec<_> = followers().map(|(_, node)| node.disk.hang()).collect();
    let ask = async || {
        let request = RequestId::from_bytes(random());
        nodes[leading].cluster.remove(request, &actor(), id).await
    };
    assert_eq!(ask().await, Err(RemoveError::Unknown));
    eventually("the leader hears nobody", async || {
        let silent = nodes[leading].cluster.silent();
        if silent.len() == 2 { Ok(()) } else { Err(format!("{silent:?} are silent")) }
    })
    .await;
    let again = ask().await;
    assert!(matches!(again, Err(RemoveError::Unavailable { .. })), "{again:?}");
    drop(hanging);
    assert_eq!(ended(&nodes[leaving]).await, Ended::Removed(id));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_node_is_not_removed() {
    let node = Node::start("127.0.0.1:0", &[], memory()).await;
    node.until("the node is ready", |status| status.ready).await;
    let own = node.cluster.status().node;
    assert_eq!(remove(&node, own).await, Err(RemoveError::Refused(Refusal::LastVoter(own))));
    node.propose(link_config()).await;
    assert_eq!(node.cluster.failed().now_or_never(), None);
}

/// Somebody who takes connections and never answers, at `address`.
#[expect(clippy::disallowed_methods, reason = "the kernel takes its connections, and nobody else")]
fn somebody_silent(address: &str) -> TcpListener {
    TcpListener::bind(address).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_joins_at_once_although_one_of_the_addresses_never_answers() {
    let first = Node::start("127.0.0.1:0", &[], memory()).await;
    let silent = somebody_silent("127.0.0.1:0");
    let silent = silent.local_addr().unwrap().to_string();
    let join = [silent.as_str(), &first.address];
    // Before the one that never answers is given up.
    let joining = Node::start("127.0.0.1:0", &join, memory());
    let second = tokio::time::timeout(Duration::from_secs(4), joining).await.expect("it joins");
    second.until("it is ready", |status| status.ready).await;
}

/// Whatever it has heard of what others pushed meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_founder_takes_a_new_object_store_only_once() {
    let founder = Node::start("127.0.0.1:0", &[], memory()).await;
    assert!(founder.cluster.may_found_store().unwrap());
    let joined = Node::start("127.0.0.1:0", &[&founder.address], memory()).await;
    assert!(!joined.cluster.may_found_store().unwrap(), "it must find the cluster's");
    assert!(founder.cluster.may_found_store().unwrap());
    founder.cluster.remember_store().await.unwrap();
    assert!(!founder.cluster.may_found_store().unwrap());
    let (address, kv) = founder.kill().await;
    let founder = Node::start(&address, &[], kv).await;
    assert!(!founder.cluster.may_found_store().unwrap(), "nor when it starts again");
}
