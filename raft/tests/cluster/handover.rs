//! Nodes that stop in order.

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::future::{join, join_all};
use raft::{Handover, Tuning};

use super::{QUICK, leader, link_config, move_tag, three_nodes_with};

/// A test that waits for an election with this timing waits too long.
const PATIENT: Tuning = Tuning {
    election_min: Duration::from_secs(20),
    election_max: Duration::from_secs(25),
    ..QUICK
};

/// How long a handover, and a proposal meanwhile, may take: what a client is made to wait at most
/// (`api` gives a change up after as long), and a quarter of an election.
const BOUND: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_stops_hands_over_to_another_node_and_no_proposal_fails() {
    let nodes = three_nodes_with(PATIENT).await;
    nodes[0].propose(link_config()).await;
    let stopping = leader(&nodes);
    let before = nodes[stopping].cluster.status();

    let done = AtomicBool::new(false);
    let proposers = join_all((1..3).map(async |offset| {
        let (mut longest, mut number) = (Duration::ZERO, offset * 1_000_000);
        while !done.load(Ordering::Relaxed) {
            let began = Instant::now();
            nodes[(stopping + offset) % 3].propose(move_tag(number).0).await;
            longest = longest.max(began.elapsed());
            number += 1;
        }
        longest
    }));
    let handover = async {
        let began = Instant::now();
        let handover = nodes[stopping].cluster.stop().await;
        let Handover::To(successor) = handover else { panic!("{handover:?}") };
        assert_ne!(successor, before.node);
        for offset in 1..3 {
            let other = &nodes[(stopping + offset) % 3];
            other.until("the successor leads", |status| status.leader == Some(successor)).await;
            let term = other.cluster.status().term;
            assert_eq!(term, before.term + 1, "one election, begun by the handover");
        }
        assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
        nodes[(stopping + 1) % 3].propose(move_tag(1).0).await;
        done.store(true, Ordering::Relaxed);
    };
    let ((), waits) = join(handover, proposers).await;
    for longest in waits {
        assert!(longest < BOUND, "a proposal took {longest:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_stop_together_do_not_wait_for_each_other() {
    let nodes = three_nodes_with(PATIENT).await;
    let leading = leader(&nodes);
    for node in &nodes {
        node.cluster.prepare_to_stop();
    }
    let stopped = join_all(nodes.iter().map(|node| node.cluster.stop())).await;
    for (number, handover) in stopped.into_iter().enumerate() {
        let expected = if number == leading { Handover::NobodyStays } else { Handover::NotNeeded };
        assert_eq!(handover, expected, "node {number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leadership_goes_to_the_node_that_stays() {
    let nodes = three_nodes_with(PATIENT).await;
    let leading = leader(&nodes);
    let (leaving, staying) = (&nodes[(leading + 1) % 3], &nodes[(leading + 2) % 3]);
    leaving.cluster.prepare_to_stop();
    let handover = nodes[leading].cluster.stop().await;
    assert_eq!(handover, Handover::To(staying.cluster.status().node));
    staying.propose(link_config()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_stops_is_not_held_up_by_a_node_that_has_just_died() {
    // A node may take three seconds to say that it stays.
    let distant = Tuning { heartbeat: Duration::from_secs(1), ..PATIENT };
    let mut nodes = three_nodes_with(distant).await;
    let dead = nodes.remove((leader(&nodes) + 1) % 3);
    let (address, _) = dead.kill().await;
    // A node that connects to it waits for an answer.
    let _silent = TcpListener::bind(address).unwrap();

    let leading = leader(&nodes);
    let successor = nodes[1 - leading].cluster.status().node;
    let began = Instant::now();
    assert_eq!(nodes[leading].cluster.stop().await, Handover::To(successor));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}
