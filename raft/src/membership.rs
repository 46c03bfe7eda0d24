//! Who belongs to the cluster and who votes: asked for by the node itself, settled by the leader.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use openraft::errors::{ClientWriteError, RaftError};
use openraft::{ChangeMembers, Instant as _};
use proto::pb::cluster as pb;
use proto::{Command, NodeId, UploadKey};

use crate::cluster::Inner;
use crate::error::RETRY_AFTER;
use crate::neighbours::{request, within};
use crate::types::{Membership, PeerNode, TypeConfig};
use crate::{ProposeError, Role, random};

/// How often the leader looks whether the membership is as it should be, and a node whether it
/// belongs to it.
const INTERVAL: Duration = Duration::from_millis(500);

/// How long one change may take.
const DEADLINE: Duration = Duration::from_secs(5);

/// How many entries a learner may be behind the leader to be promoted.
const PROMOTION_LAG_MAX: u64 = 100;

/// What a node that asks to be a member is answered.
pub(crate) enum Activation {
    /// It is a member, at the address that it gave.
    Member,
    /// This node does not lead; the leader's address, when it is known.
    NotLeader(Option<String>),
    /// Not now, or perhaps done already: it should ask again.
    Unsettled,
}

/// Keeps the membership as it should be, for as long as the node runs.
pub(crate) async fn run(inner: Arc<Inner>) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let leads = inner.status().role == Role::Leader;
        if leads {
            inner.settle().await;
        }
        if inner.is_member() {
            continue;
        }
        if leads {
            let address = inner.config.peer_address.clone();
            inner.activate(inner.identity.node, address).await;
        } else {
            inner.ask_for_membership().await;
        }
    }
}

impl Inner {
    /// Whether the membership that this node knows has it, at its address.
    fn is_member(&self) -> bool {
        let node = self.membership().get_node(&self.identity.node).cloned();
        node.is_some_and(|node| node.peer_address == self.config.peer_address)
    }

    /// Asks the leader, wherever it is, to make this node a member at its address.
    async fn ask_for_membership(&self) {
        let known = self.membership();
        let known = known.nodes().map(|(_, node)| node.peer_address.clone());
        let mut addresses: Vec<String> = self.config.join.iter().cloned().chain(known).collect();
        addresses.retain(|address| *address != self.config.peer_address);
        while let Some(address) = addresses.pop() {
            match self.ask_at(&address).await {
                Some(pb::activate_response::Result::Activated(_)) => return,
                Some(pb::activate_response::Result::NotLeader(leader)) => {
                    if let Some(leader) = leader.leader_address
                        && leader != address
                        && let Some(pb::activate_response::Result::Activated(_)) =
                            self.ask_at(&leader).await
                    {
                        return;
                    }
                }
                Some(pb::activate_response::Result::Unavailable(_)) | None => {}
            }
        }
    }

    async fn ask_at(&self, address: &str) -> Option<pb::activate_response::Result> {
        let message = pb::ActivateRequest {
            cluster_id: self.identity.cluster.as_bytes().to_vec().into(),
            node_id: self.identity.node,
            peer_address: self.config.peer_address.clone(),
        };
        let mut client = self.neighbours.at(address).ok()?;
        match within(DEADLINE, client.activate(request(message, DEADLINE))).await {
            Ok(answer) => answer.into_inner().result,
            Err(status) => {
                tracing::info!(address, %status, "asking to be a member of the cluster");
                None
            }
        }
    }

    /// Makes `node` a member at `peer_address`, when this node leads.
    pub(crate) async fn activate(&self, node: NodeId, peer_address: String) -> Activation {
        let status = self.status();
        if status.role != Role::Leader {
            let leader = status.leader.and_then(|leader| self.address_of(leader));
            return Activation::NotLeader(leader);
        }
        let membership = self.membership();
        let peer = PeerNode { peer_address };
        match membership.get_node(&node) {
            Some(known) if *known == peer => return Activation::Member,
            Some(_) => self.change(ChangeMembers::SetNodes(BTreeMap::from([(node, peer)]))).await,
            None => self.change(ChangeMembers::AddNodes(BTreeMap::from([(node, peer)]))).await,
        }
        Activation::Unsettled
    }

    /// Finishes a change that a former leader left half done, else promotes learners while voters
    /// are wanted.
    async fn settle(&self) {
        let membership = self.membership();
        if let [_, last] = membership.get_joint_config().as_slice() {
            return self.change(ChangeMembers::ReplaceAllVoters(last.clone())).await;
        }
        let promoted = promotable(&membership, self.config.voters, &self.caught_up());
        if !promoted.is_empty() {
            tracing::info!(?promoted, "learners become voters");
            self.change(ChangeMembers::AddVoterIds(promoted)).await;
        }
    }

    /// The nodes that live, and whose log is nearly as long as the leader's.
    fn caught_up(&self) -> BTreeSet<NodeId> {
        let metrics = self.metrics();
        let last = metrics.last_log_index.unwrap_or(0);
        let mut alive = self.heard_from();
        let replication = metrics.replication.unwrap_or_default();
        alive.retain(|node| {
            let matched = replication.get(node).copied().flatten();
            matched.is_some_and(|id| last.saturating_sub(id.index()) <= PROMOTION_LAG_MAX)
        });
        alive
    }

    /// The other nodes that have answered this leader lately. How far a node's log had come says
    /// nothing of that: a dead one keeps its place.
    pub(crate) fn heard_from(&self) -> BTreeSet<NodeId> {
        let silence_max = self.config.tuning.election_max * 2;
        let answered = self.metrics().heartbeat.unwrap_or_default();
        answered
            .into_iter()
            .filter(|(_, when)| when.is_some_and(|when| when.elapsed() <= silence_max))
            .map(|(node, _)| node)
            .filter(|node| *node != self.identity.node)
            .collect()
    }

    async fn change(&self, change: ChangeMembers<NodeId, PeerNode>) {
        let change = self.raft.change_membership(change, true);
        match tokio::time::timeout(DEADLINE, change).await {
            Ok(Ok(_)) => {}
            Ok(Err(RaftError::APIError(
                ClientWriteError::<TypeConfig>::ChangeMembershipError(error),
            ))) => {
                tracing::debug!(%error, "the membership does not change now");
            }
            Ok(Err(error)) => tracing::warn!(%error, "the membership may not have changed"),
            Err(_) => tracing::warn!("the membership did not change within {DEADLINE:?}"),
        }
    }

    /// Gives the cluster its identity: the first node does, once, however often it is started.
    pub(crate) async fn found(self: &Arc<Self>) {
        let request = random::request_id();
        let upload_key = UploadKey::from_bytes(random::bytes());
        let command = Command::FoundCluster { cluster: self.identity.cluster, upload_key };
        while !self.is_founded() {
            match self.propose(request, "cluster", command.clone()).await {
                Ok(_) => return,
                Err(ProposeError::Refused(refusal)) => {
                    tracing::error!(%refusal, "this cluster was founded by another");
                    return;
                }
                Err(ProposeError::Unavailable { .. } | ProposeError::Unknown) => {
                    tokio::time::sleep(RETRY_AFTER / 4).await;
                }
            }
        }
    }
}

/// The learners to make voters of: those that have caught up, as many as are wanted, and so that
/// the number of voters stays odd, since an even number survives no more failures than the odd one
/// below it.
fn promotable(
    membership: &Membership,
    wanted: usize,
    caught_up: &BTreeSet<NodeId>,
) -> BTreeSet<NodeId> {
    let voters = membership.voter_ids().count();
    let ready: Vec<NodeId> =
        membership.learner_ids().filter(|node| caught_up.contains(node)).collect();
    let mut number = wanted.saturating_sub(voters).min(ready.len());
    if (voters + number).is_multiple_of(2) {
        number = number.saturating_sub(1);
    }
    ready.into_iter().take(number).collect()
}

/// The answer to a node that asked to be a member.
pub(crate) fn response(activation: Activation) -> pb::ActivateResponse {
    use pb::activate_response::Result as Pb;
    let result = match activation {
        Activation::Member => Pb::Activated(pb::Activated {}),
        Activation::NotLeader(leader_address) => Pb::NotLeader(pb::NotLeader { leader_address }),
        Activation::Unsettled => Pb::Unavailable(pb::Unavailable {}),
    };
    pb::ActivateResponse { result: Some(result) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;

    fn membership(voters: &[NodeId], learners: &[NodeId]) -> Membership {
        let nodes: BTreeMap<NodeId, PeerNode> =
            voters.iter().chain(learners).map(|node| (*node, PeerNode::default())).collect();
        Membership::new(vec![voters.iter().copied().collect()], nodes).unwrap()
    }

    #[test]
    fn learners_are_promoted_when_they_keep_the_number_of_voters_odd() {
        let all = BTreeSet::from([1, 2, 3, 4, 5]);
        let none = BTreeSet::new();
        assert_eq!(promotable(&membership(&[1], &[2]), 3, &all), none);
        assert_eq!(promotable(&membership(&[1], &[2, 3]), 3, &all), BTreeSet::from([2, 3]));
        assert_eq!(promotable(&membership(&[1], &[2, 3]), 3, &BTreeSet::from([1, 3])), none);
        assert_eq!(promotable(&membership(&[1, 2, 3], &[4, 5]), 3, &all), none);
        assert_eq!(promotable(&membership(&[1, 2], &[3, 4]), 3, &all), BTreeSet::from([3]));
        assert_eq!(
            promotable(&membership(&[1], &[2, 3, 4, 5]), 5, &all),
            BTreeSet::from([2, 3, 4, 5])
        );
    }
}
