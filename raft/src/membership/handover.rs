//! Handing leadership over before this node stops, to a node that stays.
//!
//! Several nodes may be stopped at once, so a leader first asks the other voters whether they stay:
//! one that is stopping as well says so, and takes no leadership. When none stays, there is nothing
//! to wait for.

use std::future::ready;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use openraft::RaftMetrics;
use proto::NodeId;
use tokio::time::sleep;

use crate::participant::Participant;
use crate::types::TypeConfig;
use crate::{Handover, Tuning};

/// How long all of it may take: then this node stops anyway, and an election follows. Longer where
/// nodes may take longer to answer.
const DEADLINE_MIN: Duration = Duration::from_secs(3);
const DEADLINE_MAX: Duration = Duration::from_secs(6);

/// How long consensus may take to stop, after that.
const SHUTDOWN_MAX: Duration = Duration::from_secs(1);

/// How long a node may take to say whether it stays, at least.
const ANSWER_DEADLINE_MIN: Duration = Duration::from_millis(500);

/// Round trips until a node has answered: two to connect, and one to ask. Each may take as long as
/// the time between two heartbeats.
const CROSSINGS: u32 = 3;

/// How long another node that stays is waited for once one has said that it does: the time between
/// two heartbeats, and no longer than this.
const FURTHER_MAX: Duration = Duration::from_secs(1);

/// How long the leader waits for its successor to lead before it asks again whether that one stays.
const ROUND: Duration = Duration::from_millis(200);

impl Tuning {
    /// How long a node may take to say whether it stays.
    fn answer_deadline(&self) -> Duration {
        (self.heartbeat * CROSSINGS).max(ANSWER_DEADLINE_MIN)
    }

    /// How long all of a hand-over may take.
    fn handover_deadline(&self) -> Duration {
        (2 * self.answer_deadline()).clamp(DEADLINE_MIN, DEADLINE_MAX)
    }

    /// How long [`Cluster::stop`] may take: 4 seconds, and up to 7 where nodes may take longer to
    /// answer. A supervisor that waits less may cut it off in the middle of a hand-over.
    ///
    /// [`Cluster::stop`]: crate::Cluster::stop
    pub fn stop_deadline(&self) -> Duration {
        self.handover_deadline() + SHUTDOWN_MAX
    }
}

impl Participant {
    /// Has another voter lead, when this node does, and waits until it does.
    pub(crate) async fn hand_over(&self) -> Handover {
        if !self.leads() {
            return Handover::NotNeeded;
        }
        let deadline = self.config.tuning.handover_deadline();
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

    /// The most advanced of the other voters that stay. One that has just died and does not answer
    /// holds nobody up when there is another one.
    async fn successor(&self) -> Option<NodeId> {
        let metrics = self.metrics();
        let voters: Vec<NodeId> = metrics.membership_config.membership().voter_ids().collect();
        let alive = self.heard_from();
        let replication = metrics.replication.into_iter().flatten();
        let candidates = replication.filter(|(node, _)| {
            alive.contains(node) && voters.contains(node) && !self.is_removed(*node)
        });
        let answers = candidates
            .map(async |(node, matched)| self.stays(node).await.then_some((matched, node)));
        let mut staying = answers.collect::<FuturesUnordered<_>>().filter_map(ready);
        let first = staying.next().await?;
        let further = sleep(self.config.tuning.heartbeat.min(FURTHER_MAX));
        let best = staying.take_until(further).fold(first, |best, other| ready(best.max(other)));
        Some(best.await.1)
    }

    /// Whether `node` answers and is not about to stop.
    pub(crate) async fn stays(&self, node: NodeId) -> bool {
        let Some(address) = self.address_of(node) else { return false };
        let answer = self.neighbours.status(&address, self.answer_deadline()).await;
        answer.is_ok_and(|answer| answer.node_id == node && !answer.leaving)
    }

    /// How long a node may take to say whether it stays.
    pub(crate) fn answer_deadline(&self) -> Duration {
        self.config.tuning.answer_deadline()
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
