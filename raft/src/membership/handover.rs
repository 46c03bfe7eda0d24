//! Handing leadership over before this node stops, to a node that stays.
//!
//! Several nodes may be stopped at once, so a leader first asks the other voters whether they stay:
//! one that is stopping as well says so, and takes no leadership. When none stays, there is nothing
//! to wait for.

use std::time::Duration;

use futures::future::join_all;
use openraft::RaftMetrics;
use proto::NodeId;

use crate::Handover;
use crate::cluster::Inner;
use crate::types::TypeConfig;

/// How long all of it may take: then this node stops anyway, and an election follows. Longer where
/// nodes may take longer to answer, so that one that has just died leaves time for another one; but
/// no longer than whoever stops the node waits for it.
const DEADLINE_MIN: Duration = Duration::from_secs(3);
const DEADLINE_MAX: Duration = Duration::from_secs(6);

/// How long a node may take to say whether it stays, at least.
const ANSWER_DEADLINE_MIN: Duration = Duration::from_millis(500);

/// How often a message may cross to a node and back, in no more than the time between two
/// heartbeats each, until it has said so: twice to connect, and once to ask.
const CROSSINGS: u32 = 3;

/// How long the leader waits for its successor to lead before it asks again whether that one stays.
const ROUND: Duration = Duration::from_millis(200);

impl Inner {
    /// Has another voter lead, when this node does, and waits until it does.
    pub(crate) async fn hand_over(&self) -> Handover {
        if !self.leads() {
            return Handover::NotNeeded;
        }
        let deadline = (2 * self.answer_deadline()).clamp(DEADLINE_MIN, DEADLINE_MAX);
        let outcome = tokio::time::timeout(deadline, self.find_successor()).await;
        let outcome = outcome.unwrap_or(Handover::TimedOut);
        match outcome {
            Handover::To(leader) => tracing::info!(leader, "leadership handed over"),
            Handover::NobodyStays => {
                tracing::info!("no other voter stays to take leadership over");
            }
            Handover::TimedOut => {
                tracing::warn!("leadership is not handed over; an election follows");
            }
            Handover::NotNeeded => {}
        }
        outcome
    }

    async fn find_successor(&self) -> Handover {
        loop {
            let Some(successor) = self.successor().await else { return Handover::NobodyStays };
            if self.raft.trigger().transfer_leader(successor).await.is_err() {
                return Handover::TimedOut;
            }
            loop {
                if let Some(leader) = self.other_leader().await {
                    return Handover::To(leader);
                }
                if !self.stays(successor).await {
                    break;
                }
            }
        }
    }

    /// The most advanced of the other voters that stay.
    async fn successor(&self) -> Option<NodeId> {
        let metrics = self.metrics();
        let voters: Vec<NodeId> = metrics.membership_config.membership().voter_ids().collect();
        let alive = self.heard_from();
        let replication = metrics.replication.into_iter().flatten();
        let candidates = replication.filter(|(node, _)| {
            alive.contains(node) && voters.contains(node) && !self.is_removed(*node)
        });
        let answers =
            candidates.map(async |(node, matched)| (self.stays(node).await, node, matched));
        let answers = join_all(answers).await.into_iter();
        let staying = answers.filter(|(stays, ..)| *stays);
        staying.max_by_key(|(_, _, matched)| *matched).map(|(_, node, _)| node)
    }

    /// Whether `node` answers and is not about to stop.
    pub(crate) async fn stays(&self, node: NodeId) -> bool {
        let Some(address) = self.address_of(node) else { return false };
        let answer = self.neighbours.status(&address, self.answer_deadline()).await;
        answer.is_ok_and(|answer| answer.node_id == node && !answer.leaving)
    }

    /// How long a node may take to say whether it stays.
    pub(crate) fn answer_deadline(&self) -> Duration {
        (self.config.tuning.heartbeat * CROSSINGS).max(ANSWER_DEADLINE_MIN)
    }

    /// The other node that leads, once one does; `None` when none does for a while.
    async fn other_leader(&self) -> Option<NodeId> {
        let own = self.identity.node;
        let other = |metrics: &RaftMetrics<TypeConfig>| {
            metrics.current_leader.filter(|leader| *leader != own)
        };
        let wait = self.raft.wait(Some(ROUND));
        let led = wait.metrics(|metrics| other(metrics).is_some(), "leadership handed over").await;
        led.ok().as_ref().and_then(other)
    }
}
