//! What a node is made of as a participant in its cluster, and what it knows of itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use openraft::async_runtime::WatchReceiver as _;
use openraft::{RaftMetrics, ServerState};
use proto::{NodeId, PeerAddress, Thumbprint};
use storage::Kv;
use tokio::sync::{mpsc, watch};

use crate::hearing::{Presence, Silences};
use crate::identity::Identity;
use crate::membership::Pace;
use crate::neighbours::Neighbours;
use crate::peer::{Addresses, Majority};
use crate::store::Failure;
use crate::types::{Membership, Raft, TypeConfig};
use crate::{Clock, Config, Member, ReadError, Role, Status, View, barrier};

/// This node as a participant in its cluster: what the parts of this crate share. Each part adds
/// the methods that are its own: `propose` and `barrier` what a client of Raft asks for,
/// `neighbours` what other nodes are asked, `hearing` whom this node hears, `membership` who
/// belongs, `identity` how a cluster is founded and joined, `credentials` how a node proves who it
/// is, and `ended` when it cannot go on.
pub(crate) struct Participant {
    pub(crate) config: Config,
    pub(crate) identity: Identity,
    pub(crate) raft: Raft,
    pub(crate) clock: Clock,
    /// Fingerprint of the certificate of the cluster's authority; `None` where nodes have no
    /// certificates.
    pub(crate) authority: Option<Thumbprint>,
    pub(crate) neighbours: Neighbours,
    pub(crate) addresses: Addresses,
    pub(crate) majority: Majority,
    pub(crate) readers: mpsc::Sender<barrier::Reader>,
    pub(crate) kv: Arc<dyn Kv>,
    /// Whether `kv` has failed for good.
    pub(crate) failure: Failure,
    pub(crate) presence: Arc<Presence>,
    pub(crate) silences: Mutex<Silences>,
    pub(crate) pace: Mutex<Pace>,
    /// Becomes true when this node learns that it was removed.
    pub(crate) removed: watch::Sender<bool>,
    /// Whether it has caught up, once, with what was committed when it started.
    pub(crate) has_recovered: AtomicBool,
}

impl Participant {
    /// Marks this node as ready when it has caught up with what the cluster had committed when it
    /// started.
    pub(crate) async fn mark_ready(&self) {
        match self.raft.wait_for_recovery(None).await {
            Ok(_) => self.has_recovered.store(true, Ordering::Release),
            Err(error) => tracing::debug!(%error, "stopped before this node had caught up"),
        }
    }

    /// The catalog as far as this node has applied it.
    pub(crate) fn view(&self) -> Result<View, ReadError> {
        View::current(self.kv.freeze())
    }

    pub(crate) fn metrics(&self) -> RaftMetrics<TypeConfig> {
        // Cloned at once: a guard that is held would block consensus.
        self.raft.metrics().borrow_watched().clone()
    }

    pub(crate) fn membership(&self) -> Membership {
        self.raft.metrics().borrow_watched().membership_config.membership().clone()
    }

    /// Where the peers of `node` reach it.
    pub(crate) fn address_of(&self, node: NodeId) -> Option<PeerAddress> {
        self.membership().get_node(&node).map(|node| node.peer_address.clone())
    }

    /// Where the leader that this node knows is reached.
    pub(crate) fn leader_address(&self) -> Option<PeerAddress> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        let leader = membership.get_node(&metrics.current_leader?)?;
        Some(leader.peer_address.clone())
    }

    /// The part that this node plays.
    pub(crate) fn role(&self) -> Role {
        if self.has_ended() {
            return Role::Stopped;
        }
        match self.raft.metrics().borrow_watched().state {
            ServerState::Leader => Role::Leader,
            ServerState::Follower => Role::Follower,
            ServerState::Candidate => Role::Candidate,
            ServerState::Learner => Role::Learner,
            ServerState::Shutdown => Role::Stopped,
        }
    }

    pub(crate) fn leads(&self) -> bool {
        self.role() == Role::Leader
    }

    pub(crate) fn status(&self) -> Status {
        let role = self.role();
        let hears = self.hears_a_majority();
        let metrics = self.raft.metrics();
        // Held for no longer than it takes to copy what is asked for: it blocks consensus.
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        let voters: Vec<NodeId> = membership.voter_ids().collect();
        let applied = metrics.last_applied.map(|id| id.index);
        Status {
            cluster: self.identity.cluster,
            node: self.identity.node,
            role,
            term: metrics.current_term,
            leader: metrics.current_leader.filter(|_| hears),
            last_log: metrics.last_log_index,
            applied,
            ready: self.has_recovered.load(Ordering::Acquire) && self.presence.keeps_up(applied),
            members: membership
                .nodes()
                .map(|(node, peer)| Member {
                    node: *node,
                    peer_address: peer.peer_address.clone(),
                    voter: voters.contains(node),
                })
                .collect(),
        }
    }
}
