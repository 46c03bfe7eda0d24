//! Whom this node hears: the leader that it follows, or the nodes that it leads.

mod hindrance;
mod presence;
mod silences;

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use openraft::async_runtime::WatchReceiver as _;
use openraft::{Instant as _, RaftMetrics, ServerState};
use proto::{NodeId, PeerAddress};

pub use self::hindrance::Hindrance;
pub(crate) use self::presence::{Presence, REMINDER_INTERVAL};
pub(crate) use self::silences::Silences;
use crate::Tuning;
use crate::participant::Participant;
use crate::peer::{Addresses, Majority};
use crate::types::{Raft, TypeConfig};

/// For how long a node must have answered no heartbeat in time before it is asked whether it lives.
const LATE_MIN: Duration = Duration::from_secs(3);

/// Tells what this node sends to others with where they are, and whether a majority answers.
pub(crate) fn connect(raft: &Raft, tuning: Tuning, addresses: &Addresses, majority: &Majority) {
    let metrics = raft.metrics();
    addresses.look_up_by(move |node| {
        let metrics = metrics.borrow_watched();
        let node = metrics.membership_config.membership().get_node(&node);
        node.map(|node| node.peer_address.clone())
    });
    let metrics = raft.metrics();
    majority.look_by(move || has_majority(&metrics.borrow_watched(), silence_max(tuning)));
}

/// After how long without a word a node is taken for silent.
fn silence_max(tuning: Tuning) -> Duration {
    tuning.election_max * 2
}

/// The address of the leader that a node with these `metrics`, itself at `own`, follows.
fn followed(metrics: &RaftMetrics<TypeConfig>, own: &PeerAddress) -> Option<PeerAddress> {
    let is_led = matches!(metrics.state, ServerState::Follower | ServerState::Learner);
    // A node that led before it was started again may be named as its own leader.
    let leader = metrics.current_leader.filter(|leader| is_led && *leader != metrics.id)?;
    let leader = metrics.membership_config.membership().get_node(&leader)?;
    (leader.peer_address != *own).then(|| leader.peer_address.clone())
}

/// The other nodes that have answered a leader with these `metrics` lately. A node's place in the
/// log says nothing of that: a dead node keeps it.
fn answering(metrics: &RaftMetrics<TypeConfig>, silence_max: Duration) -> BTreeSet<NodeId> {
    let answered = metrics.heartbeat.iter().flatten();
    answered
        .filter(|(_, when)| when.is_some_and(|when| when.elapsed() <= silence_max))
        .map(|(node, _)| *node)
        .filter(|node| *node != metrics.id)
        .collect()
}

/// Whether enough voters have answered a leader with these `metrics` lately.
fn has_majority(metrics: &RaftMetrics<TypeConfig>, silence_max: Duration) -> bool {
    let mut alive = answering(metrics, silence_max);
    alive.insert(metrics.id);
    let mut configs = metrics.membership_config.membership().get_joint_config().iter();
    configs.all(|voters| voters.intersection(&alive).count() > voters.len() / 2)
}

impl Participant {
    /// After how long without a word a node is taken for silent.
    pub(crate) fn silence_max(&self) -> Duration {
        silence_max(self.config.tuning)
    }

    /// Where the leader is reached that this node follows. `None` when it leads itself, or knows of
    /// no leader.
    pub(crate) fn followed(&self) -> Option<PeerAddress> {
        if self.has_ended() {
            return None;
        }
        followed(&self.raft.metrics().borrow_watched(), &self.config.peer_address)
    }

    /// The other nodes that have answered this leader lately.
    pub(crate) fn heard_from(&self) -> BTreeSet<NodeId> {
        answering(&self.raft.metrics().borrow_watched(), self.silence_max())
    }

    /// Whether this node has lately heard a majority of voters, when it leads; else, a leader that
    /// says that it hears one. What openraft says is not enough: it goes on naming the last leader
    /// that it knew, and a leader that is cut off goes on leading, and is heard by the nodes that
    /// are cut off with it.
    pub(crate) fn hears_a_majority(&self) -> bool {
        match self.leads() {
            true => has_majority(&self.raft.metrics().borrow_watched(), self.silence_max()),
            false => self.presence.hears_a_majority(self.silence_max()),
        }
    }

    /// Why this leader hears no majority, when that is because nodes answer too late: heartbeats
    /// that take too long count as lost, however well they arrive.
    pub(crate) async fn lateness(&self) -> Option<Hindrance> {
        if self.hears_a_majority() {
            return None;
        }
        let late = self.majority.late_for(LATE_MIN).into_iter();
        let answers = late.map(async |node| self.stays(node).await.then_some(node));
        let node = join_all(answers).await.into_iter().flatten().next()?;
        Some(Hindrance::Late { node, heartbeat: self.config.tuning.heartbeat })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use std::sync::Arc;

    use openraft::type_config::alias::InstantOf;

    use super::*;
    use crate::convert::samples;
    use crate::types::{StoredMembership, log_id};

    /// The metrics of node 1 among `voters`, with node 9 as a learner.
    fn metrics(voters: &[&[NodeId]]) -> RaftMetrics<TypeConfig> {
        let mut metrics = RaftMetrics::new_initial(1);
        let members = samples::membership(voters, &[9]);
        metrics.membership_config = Arc::new(StoredMembership::new(Some(log_id(1, 1)), members));
        metrics
    }

    #[test]
    fn a_node_follows_another_one_that_it_knows_and_never_itself() {
        use ServerState::{Candidate, Follower, Leader, Learner, Shutdown};
        let mut metrics = metrics(&[&[1, 2]]);
        let members = metrics.membership_config.membership().clone();
        let address = |node| members.get_node(&node).unwrap().peer_address.clone();
        for (state, leader, expected) in [
            (Follower, Some(2), Some(address(2))),
            (Learner, Some(2), Some(address(2))),
            (Follower, Some(1), None),
            (Follower, Some(7), None),
            (Follower, None, None),
            (Candidate, Some(2), None),
            (Leader, Some(1), None),
            (Shutdown, Some(2), None),
        ] {
            (metrics.state, metrics.current_leader) = (state, leader);
            assert_eq!(followed(&metrics, &address(1)), expected, "{state:?} of {leader:?}");
        }
        (metrics.state, metrics.current_leader) = (Follower, Some(2));
        assert_eq!(followed(&metrics, &address(2)), None, "it has the other's address");
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_has_a_majority_when_enough_of_each_set_of_voters_have_answered_lately() {
        let patience = Duration::from_secs(1);
        let long_ago = InstantOf::<TypeConfig>::now();
        tokio::time::advance(patience * 2).await;
        let now = InstantOf::<TypeConfig>::now();
        let sets: [&[&[NodeId]]; 3] = [&[&[1]], &[&[1, 2, 3]], &[&[1, 2, 3], &[1, 4, 5]]];
        for (answered, expected) in [
            (vec![], [true, false, false]),
            (vec![(2, now)], [true, true, false]),
            (vec![(2, now), (5, now)], [true, true, true]),
            (vec![(2, long_ago), (9, now)], [true, false, false]),
        ] {
            let has = sets.map(|voters| {
                let mut metrics = metrics(voters);
                let heard = answered.iter().map(|(node, when)| (*node, Some((*when).into())));
                metrics.heartbeat = Some(heard.collect());
                has_majority(&metrics, patience)
            });
            assert_eq!(has, expected, "{answered:?}");
        }
    }
}
