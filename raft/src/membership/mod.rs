//! Who belongs to the cluster and who votes. Each node asks to be a member; the leader brings
//! Raft's membership to what the catalog and [`voters`] want, one change at a time.

mod handover;
pub(crate) mod removal;
mod voters;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use openraft::ChangeMembers;
use openraft::errors::{ClientWriteError, RaftError};
use proto::pb::cluster as pb;
use proto::pb::cluster::cluster_client::ClusterClient;
use proto::{NodeId, PeerAddress, Refusal, RequestId, Thumbprint};
use tokio::time::Instant;

pub(crate) use self::voters::Pace;
use self::voters::{Change, Outlook};
use crate::Hindrance;
use crate::catalog::foreseen;
use crate::hearing::Silences;
use crate::identity::FOUNDER;
use crate::neighbours::{ask_and_follow, named_leader, not_leader};
use crate::participant::Participant;
use crate::types::{PeerNode, TypeConfig};

/// How often the leader looks whether the membership is as it should be, and a node whether it
/// belongs to it.
pub const INTERVAL: Duration = Duration::from_millis(500);

/// How long one change may take, or a node ask for membership.
const DEADLINE: Duration = Duration::from_secs(5);

/// How long a node that is no member and knows no other one waits for a leader that knows it.
const ALONE_MIN: Duration = Duration::from_secs(10);

/// What a node that asks to be a member is answered.
pub(crate) enum Activation {
    /// It is a member, at the address that it gave.
    Member,
    /// This node does not lead; the leader's address, when it is known.
    NotLeader(Option<PeerAddress>),
    /// Not now, or perhaps done already: it should ask again.
    Unsettled,
    /// It was removed, for good, and must stop.
    Removed,
}

/// Keeps the membership as it should be, for as long as the node runs and belongs to it.
pub(crate) async fn run(inner: Arc<Participant>) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let begun = Instant::now();
    let mut led = false;
    loop {
        interval.tick().await;
        if inner.has_left(inner.identity.node) {
            return inner.go().await;
        }
        inner.neighbours.lanes().keep(&inner.known_addresses());
        let mut patience = DEADLINE;
        if inner.leads() {
            led = true;
            inner.keep_adjusted().await;
            // A leader that all others have removed is told so by nobody: while it hands over, it
            // sends no message that could be answered with a later term. So a leader that hears no
            // majority asks the others.
            if inner.hears_a_majority() {
                continue;
            }
            // It has more to do as soon as it hears one again.
            patience = INTERVAL * 2;
        } else {
            if std::mem::take(&mut led) {
                inner.presence.proceed();
            }
            inner.silences().forget();
            inner.pace().forget();
            inner.majority.forget();
            // A member asks too when it hears nothing: it may have been removed without having
            // heard.
            if inner.is_member() && inner.presence.hears_a_leader(inner.silence_max()) {
                continue;
            }
            if inner.is_alone() && begun.elapsed() >= ALONE_MIN {
                inner.presence.hinder(Hindrance::Alone);
            }
        }
        let asked = tokio::time::timeout(patience, inner.ask_for_membership()).await;
        if asked.is_ok_and(|learnt| learnt == Learnt::Removed) {
            return inner.go().await;
        }
    }
}

/// What a node that asked for membership has learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Learnt {
    /// It was removed, for good.
    Removed,
    /// It is a member, or will be, or must ask again.
    Open,
}

impl Participant {
    /// Whether the membership that this node knows has it, at its address.
    fn is_member(&self) -> bool {
        let node = self.membership().get_node(&self.identity.node).cloned();
        node.is_some_and(|node| node.peer_address == self.config.peer_address)
    }

    /// Whether this node waits for others to find it: it is no member, and has nobody to ask. The
    /// founder needs nobody.
    fn is_alone(&self) -> bool {
        self.identity.node != FOUNDER && !self.is_member() && self.others().is_empty()
    }

    /// The addresses of all members, those at which they say that they are, and those that this
    /// node was told to join at.
    fn known_addresses(&self) -> BTreeSet<PeerAddress> {
        let membership = self.membership();
        let members = membership.nodes().map(|(_, node)| node.peer_address.clone());
        self.config.join.iter().cloned().chain(members).chain(self.addresses.told()).collect()
    }

    /// The addresses at which other nodes may be.
    fn others(&self) -> BTreeSet<PeerAddress> {
        let mut addresses = self.known_addresses();
        addresses.remove(&self.config.peer_address);
        addresses
    }

    /// Why the request `request` to join with `token` will be refused, as far as this node knows.
    /// It is proposed to nobody then: a stranger may send as many as they like.
    pub(crate) async fn foreseen(
        &self,
        request: &RequestId,
        token: &Thumbprint,
    ) -> Option<Refusal> {
        self.pass_barrier().await.ok()?;
        self.view().and_then(|view| foreseen(&view, request, token)).ok().flatten()
    }

    /// Asks the leader, wherever it is, to make this node a member at its address: all nodes at
    /// once, so that one that hangs holds up nobody.
    async fn ask_for_membership(&self) -> Learnt {
        use pb::activate_response::Result as Pb;
        let addresses = self.others();
        let mut answers: FuturesUnordered<_> =
            addresses.iter().map(|address| self.ask_through(address)).collect();
        while let Some(answer) = answers.next().await {
            match answer {
                Some(Pb::Removed(_)) => return Learnt::Removed,
                Some(Pb::Activated(_)) => return Learnt::Open,
                Some(Pb::NotLeader(_) | Pb::Unavailable(_)) | None => {}
            }
        }
        Learnt::Open
    }

    /// Asks the node at `address`, and the leader when it names one.
    async fn ask_through(&self, address: &PeerAddress) -> Option<pb::activate_response::Result> {
        use pb::activate_response::Result as Pb;
        let leader = |answer: &Option<Pb>| match answer {
            Some(Pb::NotLeader(answer)) => named_leader(answer),
            _ => None,
        };
        let ask = |address: PeerAddress| async move {
            let message = pb::ActivateRequest {
                cluster_id: self.identity.cluster.as_bytes().to_vec().into(),
                node_id: self.identity.node,
                peer_address: self.config.peer_address.to_string(),
            };
            let call = async |mut node: ClusterClient<_>, request| node.activate(request).await;
            let answer = self.neighbours.ask(&address, DEADLINE, message, call).await;
            answer.map(|answer| answer.result)
        };
        match ask_and_follow(address, leader, ask).await {
            Ok(answer) => answer,
            Err(status) if self.is_member() => {
                tracing::debug!(%address, %status, "asking whether this node is still a member");
                None
            }
            Err(status) => {
                tracing::info!(%address, %status, "asking to be a member of the cluster");
                None
            }
        }
    }

    /// Makes `node` a member at `peer_address`, when this node leads. A member is reached there
    /// from now on, also when no node leads: there may be no leader until it is.
    pub(crate) async fn activate(&self, node: NodeId, peer_address: PeerAddress) -> Activation {
        self.addresses.note(node, peer_address.clone());
        if !self.leads() {
            return Activation::NotLeader(self.leader_address());
        }
        if self.is_removed(node) {
            return Activation::Unsettled;
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

    /// Does what a leader does for the membership at each look at it.
    async fn keep_adjusted(&self) {
        match self.lateness().await {
            Some(late) => self.presence.hinder(late),
            None => self.presence.proceed(),
        }
        self.adjust().await;
        if !self.is_member() {
            self.activate(self.identity.node, self.config.peer_address.clone()).await;
        }
    }

    /// Makes the next change that brings the membership closer to what it should be.
    async fn adjust(&self) {
        let last = self.metrics().last_log_index.unwrap_or(0);
        self.pace().note(Instant::now(), last, self.round_max());
        let mut outlook = self.outlook();
        if matches!(outlook.next(), Some(Change::Voters(_))) {
            outlook = self.outlook_now().await;
        }
        let Some(change) = outlook.next() else { return };
        let members = &outlook.membership;
        match change {
            Change::StepDown => {
                tracing::info!("this node is to have no vote, so another one has to lead");
                self.hand_over().await;
            }
            Change::Voters(voters) => {
                tracing::info!(?voters, dead = ?outlook.dead, %members, "the voters change");
                self.change(ChangeMembers::ReplaceAllVoters(voters)).await;
            }
            Change::Forget(nodes) => {
                tracing::info!(?nodes, "removed nodes are members no longer");
                self.change(ChangeMembers::RemoveNodes(nodes)).await;
            }
        }
    }

    /// What this leader has not heard, and for how long, as of now.
    fn listen(&self) -> MutexGuard<'_, Silences> {
        let term = self.metrics().current_term;
        let voters = self.membership().voter_ids().collect();
        let mut alive = self.heard_from();
        alive.insert(self.identity.node);
        let mut silences = self.silences();
        silences.observe(Instant::now(), term, &voters, &alive);
        silences
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long it may take until the leader knows that a node which keeps up has an entry. The
    /// entry waits for those before it; each of the two round trips takes less than a heartbeat's
    /// interval.
    fn round_max(&self) -> Duration {
        INTERVAL.max(self.config.tuning.heartbeat * 2)
    }

    fn silences(&self) -> MutexGuard<'_, Silences> {
        self.silences.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this leader has led for so long that a node of which it has not heard has had the
    /// time to answer: a heartbeat goes out within an interval, and is answered within another.
    pub(crate) fn has_listened(&self) -> bool {
        self.listen().has_listened(Instant::now(), self.config.tuning.heartbeat * 2)
    }

    /// What this leader knows of the nodes.
    fn outlook(&self) -> Outlook {
        let membership = self.membership();
        let (patience, now) = (self.config.tuning.replace_after, Instant::now());
        let dead = {
            let silences = self.listen();
            let voters = membership.voter_ids();
            voters.filter(|node| silences.is_dead(*node, now, patience)).collect()
        };
        let nodes: BTreeSet<NodeId> = membership.nodes().map(|(node, _)| *node).collect();
        let mut alive = self.heard_from();
        alive.insert(self.identity.node);
        Outlook {
            own: self.identity.node,
            wanted: self.config.voters,
            alive,
            caught_up: self.caught_up(),
            dead,
            removed: nodes.into_iter().filter(|node| self.is_removed(*node)).collect(),
            membership,
        }
    }

    /// Like [`Inner::outlook`], but a node counts as alive only if it answers now, and is not about
    /// to stop. It may have died since it was last heard of, and a change of the voters that needs
    /// a dead node stops all else. A node that dies while others are asked still counts.
    pub(crate) async fn outlook_now(&self) -> Outlook {
        let heard = self.heard_from().into_iter();
        let answers = join_all(heard.map(async |node| self.stays(node).await.then_some(node)));
        let staying: BTreeSet<NodeId> = answers.await.into_iter().flatten().collect();
        let mut outlook = self.outlook();
        outlook.alive.retain(|node| *node == self.identity.node || staying.contains(node));
        outlook.caught_up.retain(|node| staying.contains(node));
        outlook
    }

    /// The nodes that live, and whose log is nearly as long as the leader's.
    fn caught_up(&self) -> BTreeSet<NodeId> {
        let metrics = self.metrics();
        let last = metrics.last_log_index.unwrap_or(0);
        let required = self.pace().required(Instant::now(), last, self.round_max());
        let mut alive = self.heard_from();
        let replication = metrics.replication.unwrap_or_default();
        alive.retain(|node| {
            let matched = replication.get(node).copied().flatten();
            matched.is_some_and(|id| id.index() >= required)
        });
        alive
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
}

/// The answer to a node that asked to be a member.
impl From<Activation> for pb::ActivateResponse {
    fn from(activation: Activation) -> Self {
        use pb::activate_response::Result as Pb;
        let result = match activation {
            Activation::Member => Pb::Activated(pb::Activated {}),
            Activation::NotLeader(leader) => Pb::NotLeader(not_leader(leader)),
            Activation::Unsettled => Pb::Unavailable(pb::Unavailable {}),
            Activation::Removed => Pb::Removed(pb::Removed {}),
        };
        Self { result: Some(result) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use proto::{ClusterId, Timestamp};
    use storage::kv::MemoryKv;
    use storage::{Batch, Kv};
    use tonic::transport::Channel;

    use super::*;
    use crate::identity::Identity;
    use crate::store::write;
    use crate::{Clock, Cluster, Config, Dial, DialError, Tuning};

    struct Nowhere;

    impl Dial for Nowhere {
        fn dial(&self, address: &PeerAddress) -> Result<Channel, DialError> {
            Err(DialError(address.clone()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_admitted_node_that_knows_no_other_says_what_it_waits_for() {
        let kv: Arc<dyn Kv> = Arc::new(MemoryKv::new());
        let mut batch = Batch::new();
        Identity { cluster: ClusterId::from_bytes([1; 16]), node: 7 }.add_to(&mut batch);
        write(&kv, batch).await.unwrap();
        let config = Config {
            peer_address: "node-7:5001".parse().unwrap(),
            join: vec![],
            authority: None,
            token: None,
            voters: 3,
            tuning: Tuning::default(),
        };
        let clock = Clock::new(Timestamp::default);
        let cluster = Cluster::start(config, kv, Arc::new(Nowhere), clock).await.unwrap();
        assert_eq!(cluster.hindrance(), None, "it may be known to others");
        let said = async {
            while cluster.hindrance() != Some(Hindrance::Alone) {
                tokio::time::sleep(INTERVAL).await;
            }
        };
        tokio::time::timeout(ALONE_MIN * 2, said).await.unwrap();
    }
}
