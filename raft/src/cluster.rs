//! The handle through which a node uses its cluster.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openraft::async_runtime::WatchReceiver as _;
use openraft::{RaftMetrics, ServerState};
use proto::limits::PEER_MESSAGE_BYTES_MAX;
use proto::pb::cluster::cluster_server::ClusterServer;
use proto::{
    Actor, Answer, Command, JoinToken, Mutant, NodeId, PeerAddress, RequestId, Thumbprint,
    TokenSecret,
};
use storage::Kv;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tonic::service::Routes;

use crate::catalog::StateMachine;
use crate::credentials::renewal;
use crate::hearing::{Presence, Silences};
use crate::identity::{FOUNDER, Identified, Identity, has_store, identify, remember_store};
use crate::log::LogStore;
use crate::membership::Pace;
use crate::neighbours::{Lanes, Neighbours};
use crate::peer::{Addresses, Majority, Network, PeerService};
use crate::purging::Purging;
use crate::service::ClusterService;
use crate::store::{Failure, Watched};
use crate::types::{Membership, Raft, TypeConfig};
use crate::{
    Clock, Config, Dial, Ended, Handover, Hindrance, Member, PeerStatus, ProposeError, ReadError,
    RemoveError, Removed, Role, StartError, Status, View, barrier, hearing, membership, recovery,
};

/// A node's part in its cluster. Clones share it.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
    services: Routes,
    /// What runs for as long as a clone is alive.
    _tasks: Arc<JoinSet<()>>,
}

/// What the parts of this crate share.
pub(crate) struct Inner {
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
    has_recovered: AtomicBool,
}

impl Cluster {
    /// Starts the node's part in its cluster: as the node that `kv` remembers to be, else as the
    /// first of a new cluster, else as a new node of the one at [`Config::join`]. Peers can
    /// reach it once [`Cluster::peer_services`] is served.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(
        config: Config,
        kv: Arc<dyn Kv>,
        dial: Arc<dyn Dial>,
        clock: Clock,
    ) -> Result<Self, StartError> {
        let failure = Failure::default();
        let kv: Arc<dyn Kv> = Arc::new(Watched::new(kv, failure.clone()));
        let lanes = Lanes::new(Arc::clone(&dial));
        let neighbours = Neighbours::new(lanes.clone());
        let identified = identify(&config, &kv, &neighbours, &*dial, &clock).await?;
        let Identified { identity, credentials } = identified;
        tracing::info!(cluster = %identity.cluster, node = identity.node, "this node");

        let mut machine = StateMachine::open(Arc::clone(&kv))?;
        let staging = machine.staging();
        let mut log = LogStore::open(Arc::clone(&kv)).map_err(StartError::unusable)?;
        recovery::recover(&mut log, &mut machine).await.map_err(StartError::unusable)?;
        let purging = Purging::new(config.tuning.snapshot_every);
        let size = log.measure(purging.bytes_kept()).map_err(StartError::unusable)?;
        let (addresses, majority) = (Addresses::default(), Majority::default());
        let network = Network::new(lanes, identity, addresses.clone(), majority.clone());
        let settings = Arc::new(config.tuning.settings()?);
        let raft = Raft::new(identity.node, settings, network, log, machine).await;
        let raft = raft.map_err(|error| StartError::inconsistent(&failure, &error))?;
        hearing::follow(&raft, config.tuning, &addresses, &majority);

        let (readers, waiting) = mpsc::channel(barrier::READERS_MAX);
        let presence = Arc::<Presence>::default();
        let peer_service = {
            let (presence, kv) = (Arc::clone(&presence), Arc::clone(&kv));
            PeerService::new(raft.clone(), identity, staging, presence, kv)
        };
        let has_recovered = AtomicBool::new(false);
        let inner = Arc::new(Inner {
            config,
            identity,
            raft,
            clock,
            authority: credentials.as_ref().map(|own| Thumbprint::of(&own.authority)),
            neighbours,
            addresses,
            majority,
            readers,
            kv,
            failure,
            presence,
            silences: Mutex::default(),
            pace: Mutex::default(),
            removed: watch::Sender::new(false),
            has_recovered,
        });
        inner.initialize().await?;

        let mut tasks = JoinSet::new();
        tasks.spawn(purging.run(inner.raft.clone(), size));
        tasks.spawn(barrier::run(Arc::clone(&inner), waiting));
        tasks.spawn(membership::run(Arc::clone(&inner)));
        tasks.spawn(begin(Arc::clone(&inner)));
        if let Some(credentials) = credentials {
            tasks.spawn(renewal::run(Arc::clone(&inner), dial, credentials));
        }
        let cluster_service = ClusterServer::new(ClusterService::new(Arc::clone(&inner)))
            .max_decoding_message_size(PEER_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(PEER_MESSAGE_BYTES_MAX);
        let services = Routes::new(cluster_service).add_service(peer_service.into_server());
        Ok(Self { inner, services, _tasks: Arc::new(tasks) })
    }

    /// The gRPC services that other nodes call, for the peer listener.
    pub fn peer_services(&self) -> Routes {
        self.services.clone()
    }

    /// Has the cluster decide `command`, which `actor` asked for, and waits until it is applied on
    /// the leader. What it did, every later [`Cluster::read`] on any node shows. Repeating it
    /// with the same `request` gets the first answer.
    ///
    /// # Errors
    /// See [`ProposeError`].
    ///
    /// # Cancellation
    /// Dropping the future leaves the outcome unknown.
    pub async fn propose(
        &self,
        request: RequestId,
        actor: &Actor,
        command: Command,
    ) -> Result<Answer, ProposeError> {
        self.inner.propose(request, actor, command).await
    }

    /// The catalog as it is after everything that was acknowledged, on any node, before this call
    /// (a linearizable read).
    ///
    /// # Errors
    /// See [`ReadError`].
    pub async fn read(&self) -> Result<View, ReadError> {
        if !Mutant::ReadWithoutBarrier.is_active() {
            self.inner.pass_barrier().await?;
        }
        self.local()
    }

    /// The catalog as far as this node has applied it, which may be behind: for what cannot change,
    /// such as content by digest, while there is no quorum.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn local(&self) -> Result<View, ReadError> {
        self.inner.view()
    }

    /// Whether the object store may be new: this node has founded its cluster, and never had a
    /// store. That nothing was pushed yet would not do: it may not have heard of that, and where
    /// all was deleted, others still have the store that there was.
    ///
    /// # Errors
    /// When this node's own store cannot be read.
    pub fn may_found_store(&self) -> Result<bool, StartError> {
        let pushed = self.local()?.repositories(None, 1)?;
        let founds = self.inner.identity.node == FOUNDER && pushed.is_empty();
        Ok(founds && !has_store(&*self.inner.kv)?)
    }

    /// Notes that this node has its cluster's object store: it takes no new one from now on.
    /// Durable when it returns.
    ///
    /// # Errors
    /// When this node's own store fails.
    pub async fn remember_store(&self) -> Result<(), StartError> {
        let kv = &self.inner.kv;
        if self.inner.identity.node == FOUNDER && !has_store(&**kv)? {
            remember_store(kv).await?;
        }
        Ok(())
    }

    /// What this node knows of the cluster, without asking another.
    pub fn status(&self) -> Status {
        self.inner.status()
    }

    /// What keeps this node from taking part until its operator does something.
    pub fn hindrance(&self) -> Option<Hindrance> {
        self.inner.presence.hindrance()
    }

    /// The nodes that have not answered this one lately, when it leads.
    pub fn silent(&self) -> Vec<NodeId> {
        if !self.inner.leads() {
            return Vec::new();
        }
        let heard = self.inner.heard_from();
        let membership = self.inner.membership();
        let others = membership.nodes().map(|(node, _)| *node);
        others.filter(|node| *node != self.inner.identity.node && !heard.contains(node)).collect()
    }

    /// Asks every node of the cluster for its status, each with a deadline of a second.
    pub async fn survey(&self) -> Vec<PeerStatus> {
        self.inner.survey().await
    }

    /// Removes `node` from the cluster, for good, through any node: it stops, and its id is never
    /// taken again. When this returns, it is decided, and as a rule carried out. `actor` asked for
    /// it; repeating it with the same `request` has no second effect.
    ///
    /// # Errors
    /// See [`RemoveError`].
    pub async fn remove(
        &self,
        request: RequestId,
        actor: &Actor,
        node: NodeId,
    ) -> Result<Removed, RemoveError> {
        self.inner.remove(request, actor, node).await
    }

    /// The token with which nodes join this cluster, once the hash of `secret` is among those that
    /// it has issued. `None` where nodes have no certificates.
    pub fn join_token(&self, secret: TokenSecret) -> Option<JoinToken> {
        let cluster = self.inner.identity.cluster;
        self.inner.authority.map(|authority| JoinToken { cluster, authority, secret })
    }

    /// Resolves when this node cannot go on, with the reason: the process must end. Pending for as
    /// long as all is well, and after [`Cluster::stop`].
    pub async fn failed(&self) -> Ended {
        self.inner.ended().await
    }

    /// Announces that this node is about to stop: it takes part as before, but no other node hands
    /// leadership to it any more.
    pub fn prepare_to_stop(&self) {
        self.inner.presence.leave();
    }

    /// How long [`Cluster::stop`] may take: [`Tuning`](crate::Tuning::stop_deadline) says why.
    pub fn stop_deadline(&self) -> Duration {
        self.inner.config.tuning.stop_deadline()
    }

    /// Leaves in order: hands leadership over when this node leads, and stops. Answers what became
    /// of the leadership.
    pub async fn stop(&self) -> Handover {
        self.prepare_to_stop();
        let handover = self.inner.hand_over().await;
        if let Err(error) = self.inner.raft.shutdown().await {
            tracing::warn!(%error, "consensus did not stop in order");
        }
        handover
    }
}

impl Inner {
    /// Marks this node as ready when it has caught up with what the cluster had committed when it
    /// started.
    async fn mark_ready(&self) {
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

/// Founds the cluster, if that is for this node to do, and then comes to be ready.
async fn begin(inner: Arc<Inner>) {
    inner.found().await;
    inner.mark_ready().await;
}
