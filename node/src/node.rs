//! A node: its parts put together, listening, and taken apart again in order.

mod error;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use api::{AccessMode, Appointed, Registry};
use prometheus_client::registry::Registry as Metrics;
use proto::Authority;
use raft::{Clock, Cluster, Ended, StartError, Tuning};
use storage::blob::{ClaimError, Unclaimed};
use storage::{Blobs, Kv};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

pub use self::error::NodeError;
use crate::admin::health::{Health, StoreHealth};
use crate::admin::{Operators, fingerprint, health, invitations};
use crate::http::Manner;
use crate::peers::{PeerDoor, authority, guarded};
use crate::service::Service;
use crate::tls::{Acceptor, Files, Handshake, TlsError, WorldTime};
use crate::{Config, Listener, World, WorldDial, access, metrics, options, sweeper};

/// How long a node may take to stop: with the end of what blocks its threads, this fits into the 30
/// seconds that `deploy` gives it.
const STOP_DEADLINE: Duration = Duration::from_millis(27_500);
/// How long peers and operators may take to end their conversations, once there is nothing left to
/// say.
const HANG_UP_DEADLINE: Duration = Duration::from_millis(500);

/// Where a node listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// For registry clients.
    pub api: SocketAddr,
    /// For other nodes.
    pub peer: SocketAddr,
    /// For operators.
    pub admin: SocketAddr,
}

/// The listeners of a node that is about to start: a port at which somebody listens shows before
/// anything is written.
pub struct Listeners {
    api: Box<dyn Listener>,
    peer: Box<dyn Listener>,
    admin: Operators,
    addresses: Addresses,
    metrics: Metrics,
    refused: metrics::Refused,
}

impl Listeners {
    /// Takes the addresses of `config`. Operators are told from now on that the node starts; at the
    /// others it listens only once it can answer.
    ///
    /// # Errors
    /// [`NodeError::InUse`] and [`NodeError::Bind`].
    pub async fn bind(config: &Config, world: &dyn World) -> Result<Self, NodeError> {
        let (api, api_address) = bind(world, "api.listen", config.api.listen).await?;
        let (peer, peer_address) = bind(world, "peer.listen", config.peer.listen).await?;
        let (mut admin, admin_address) = bind(world, "admin.listen", config.admin.listen).await?;
        admin.listen().map_err(NodeError::bind("admin.listen", admin_address))?;
        let addresses = Addresses { api: api_address, peer: peer_address, admin: admin_address };
        let mut metrics = Metrics::default();
        let refused = metrics::Refused::register(&mut metrics);
        let admin = Operators::welcome(admin, refused.by("admin"));
        Ok(Self { api, peer, admin, addresses, metrics, refused })
    }
}

async fn bind(
    world: &dyn World,
    key: &'static str,
    address: SocketAddr,
) -> Result<(Box<dyn Listener>, SocketAddr), NodeError> {
    let listener = world.bind(address).await.map_err(NodeError::bind(key, address))?;
    let address = listener.local_address().map_err(NodeError::bind(key, address))?;
    Ok((listener, address))
}

/// A running node. Dropping it stops it at once, as a crash would.
pub struct Node {
    cluster: Cluster,
    registry: Registry,
    addresses: Addresses,
    api: Service,
    peer: Service,
    admin: Service,
    _sweeper: AbortOnDropHandle<()>,
    /// What goes on for access.
    _accompanying: JoinSet<()>,
    appointed: Option<oneshot::Receiver<Appointed>>,
    /// Cancelled when the node begins to stop: it is no longer ready then.
    stopping: CancellationToken,
}

impl Node {
    /// Starts a node in `world`: the only composition there is. It answers when this returns; when
    /// it is ready, `/readyz` of its admin listener says.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn start(
        config: &Config,
        world: Arc<dyn World>,
        kv: Arc<dyn Kv>,
        blobs: Arc<dyn Blobs>,
    ) -> Result<Self, NodeError> {
        let listeners = Listeners::bind(config, &*world).await?;
        Self::start_on(listeners, config, world, kv, blobs, std::future::pending()).await
    }

    /// Does what [`Node::start`] does, on listeners that were bound before the stores were opened,
    /// until `stop` resolves: a node that takes part in its cluster by then leaves in order.
    ///
    /// # Errors
    /// See [`NodeError`].
    pub async fn start_on(
        listeners: Listeners,
        config: &Config,
        world: Arc<dyn World>,
        kv: Arc<dyn Kv>,
        blobs: Arc<dyn Blobs>,
        stop: impl Future<Output = ()>,
    ) -> Result<Self, NodeError> {
        let Listeners { mut api, mut peer, admin, addresses, mut metrics, refused } = listeners;
        let clock = {
            let world = Arc::clone(&world);
            Clock::new(move || world.now())
        };
        // All files are opened before this node takes part: a node that joins, fails on a bad file
        // and starts again, over and over, does more harm than one that never joins.
        let tls = open_tls(config, &world).await?;
        let access = access::open(&config.access)?;
        let authority = own_authority(config, &*kv, &world)?;
        let dial = Arc::new(WorldDial::new(world));
        let door = dial.door();
        let part = part_in_cluster(config, addresses.peer, authority)?;
        let mut stop = pin!(stop);
        let cluster = tokio::select! {
            cluster = Cluster::start(part, kv, dial, clock.clone()) => cluster,
            () = &mut stop => return Err(NodeError::Stopped),
        };
        let cluster = cluster.map_err(|error| match (error, &config.cluster.token) {
            (StartError::TokenMissing, Err(file)) => NodeError::NoTokenIn { file: file.clone() },
            (error, _) => error.into(),
        })?;
        // Before the store is asked, which may not answer for long: consensus goes on meanwhile,
        // and a leader that nobody reaches stops those that have elected it.
        peer.listen().map_err(NodeError::bind("peer.listen", addresses.peer))?;
        let peer = serve_peers(peer, &cluster, door, &refused);
        let claimed = claim_until(stop, &cluster, &*blobs).await;
        let listen = |()| api.listen().map_err(NodeError::bind("api.listen", addresses.api));
        if let Err(error) = claimed.and_then(listen) {
            // It may lead.
            leave(&cluster).await;
            peer.stop(HANG_UP_DEADLINE).await;
            return Err(error);
        }

        metrics::register(&mut metrics, cluster.clone(), Arc::clone(&blobs));
        let options = options::of(config, access.clone());
        let store = StoreHealth::watch(Arc::clone(&blobs));
        let registry = Registry::new(cluster.clone(), blobs, clock, options, &mut metrics)
            .map_err(NodeError::Randomness)?;
        let pause = config.storage.sweep_every.duration();
        let sweeping = sweeper::run(cluster.clone(), registry.clone(), pause);
        let (accompanying, appointed) = accompany(config, &access, &cluster, &registry);
        let stopping = CancellationToken::new();
        let health = health::router(Health::new(cluster.clone(), store, stopping.clone(), metrics));
        let operators = health
            .merge(invitations::router(cluster.clone(), addresses.admin.ip()))
            .merge(fingerprint::router(cluster.clone()));
        let distribution = api::router(registry.clone());
        Ok(Self {
            api: Service::start(api, distribution, tls, clients(config), refused.by("api")),
            peer,
            admin: admin.serve(operators),
            _sweeper: AbortOnDropHandle::new(tokio::spawn(sweeping)),
            _accompanying: accompanying,
            appointed,
            cluster,
            registry,
            addresses,
            stopping,
        })
    }

    /// Where it listens.
    pub const fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The node's part in its cluster.
    pub const fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Frees what has been in the object store for `age` without a fact that needs it, and answers
    /// how much that was. The leading node does so by itself now and then, with an age longer than
    /// any upload goes on: of a shorter one, uploads under way are given up too. Safe beside
    /// everything else, on any node and on several at once: see [`Registry::sweep`].
    pub async fn sweep(&self, age: Duration) -> u64 {
        self.registry.sweep(age).await
    }

    /// Resolves when this node has appointed the cluster's first administrator, or the one that was
    /// asked for; pending when it does not. Only the first call can resolve.
    pub fn appointed(&mut self) -> impl Future<Output = Appointed> + use<> {
        let appointed = self.appointed.take();
        async {
            match appointed {
                Some(appointed) => match appointed.await {
                    Ok(appointed) => appointed,
                    Err(_) => std::future::pending().await,
                },
                None => std::future::pending().await,
            }
        }
    }

    /// Resolves, with the reason, when the node cannot go on: see [`Cluster::failed`].
    pub async fn failed(&self) -> Ended {
        self.cluster.failed().await
    }

    /// Stops in order: takes no more requests and answers those under way, hands leadership over,
    /// and leaves. Each step has a deadline, after which the next one comes anyway.
    pub async fn stop(self) {
        self.stopping.cancel();
        // Before requests are waited for: other nodes that stop too must not count on this one.
        self.cluster.prepare_to_stop();
        let drain = drain_deadline(self.cluster.stop_deadline());
        if !self.api.stop(drain).await {
            tracing::warn!("requests that took longer than {drain:?} to end are cut off");
        }
        leave(&self.cluster).await;
        tokio::join!(self.peer.stop(HANG_UP_DEADLINE), self.admin.stop(HANG_UP_DEADLINE));
    }
}

/// How long requests under way may take to end when the node stops, where consensus may take
/// `leave` after them.
fn drain_deadline(leave: Duration) -> Duration {
    STOP_DEADLINE.saturating_sub(leave + HANG_UP_DEADLINE)
}

/// Leaves `cluster` in order, or once that takes too long.
async fn leave(cluster: &Cluster) {
    let deadline = cluster.stop_deadline();
    if timeout(deadline, cluster.stop()).await.is_err() {
        tracing::warn!("consensus did not stop within {deadline:?}");
    }
}

/// Does what [`claim_store`] does, which may take long, until the node is to `stop`, or cannot go
/// on.
async fn claim_until(
    stop: impl Future<Output = ()>,
    cluster: &Cluster,
    blobs: &dyn Blobs,
) -> Result<(), NodeError> {
    tokio::select! {
        claimed = claim_store(cluster, blobs) => claimed,
        ended = cluster.failed() => Err(NodeError::Ended(ended)),
        () = stop => Err(NodeError::Stopped),
    }
}

/// Makes sure that the store of `blobs` is that of `cluster`, and that this node remembers so.
async fn claim_store(cluster: &Cluster, blobs: &dyn Blobs) -> Result<(), NodeError> {
    let founds = cluster.may_found_store()?;
    let unclaimed = if founds { Unclaimed::Bind } else { Unclaimed::Refuse };
    let claimed = blobs.claim(cluster.status().cluster, unclaimed).await;
    claimed.map_err(|error| match error {
        ClaimError::Taken(owner) if founds => NodeError::Astray(owner),
        error => error.into(),
    })?;
    Ok(cluster.remember_store().await?)
}

/// Has other nodes reach this one's part in `cluster`.
fn serve_peers(
    listener: Box<dyn Listener>,
    cluster: &Cluster,
    door: Option<Arc<PeerDoor>>,
    refused: &metrics::Refused,
) -> Service {
    let peers = cluster.peer_services().into_axum_router();
    let peers = if door.is_some() { guarded(peers) } else { peers };
    let door = door.map(|door| door as Arc<dyn Handshake>);
    Service::start(listener, peers, door, Manner::nodes(), refused.by("peer"))
}

/// Starts what goes on for access beside answering.
fn accompany(
    config: &Config,
    mode: &AccessMode,
    cluster: &Cluster,
    registry: &Registry,
) -> (JoinSet<()>, Option<oneshot::Receiver<Appointed>>) {
    let mut tasks = JoinSet::new();
    let AccessMode::Closed(options) = mode else {
        tasks.spawn(access::warn_while_open(cluster.clone()));
        return (tasks, None);
    };
    if let (Some(path), Some(users)) = (&config.access.htpasswd, &options.htpasswd) {
        tasks.spawn(access::watch_users(path.clone(), users.clone()));
    }
    if let (Some(name), Some(path), Some(issuer)) =
        (&config.access.issuer, &config.access.issuer_keys, &options.issuer)
    {
        tasks.spawn(access::watch_keys(name.clone(), path.clone(), issuer.clone()));
    }
    let (tell, told) = oneshot::channel();
    let (cluster, registry) = (cluster.clone(), registry.clone());
    let file = config.access.administrator_password.clone();
    let anew = config.access.appoint_anew;
    tasks.spawn(access::appoint(cluster, registry, file, anew, tell));
    (tasks, Some(told))
}

/// What secures the API, if that is to be secure.
async fn open_tls(
    config: &Config,
    world: &Arc<dyn World>,
) -> Result<Option<Arc<dyn Handshake>>, TlsError> {
    let Some(settings) = &config.tls else { return Ok(None) };
    let time = WorldTime::new(Arc::clone(world));
    let acceptor = Acceptor::open(Files::from(settings), time).await?;
    Ok(Some(Arc::new(acceptor)))
}

fn clients(config: &Config) -> Manner {
    let limits = config.limits;
    Manner::public(limits.connections.get(), limits.connections_per_client.get())
}

/// The authority that the operator has for the cluster, when this start founds that.
fn own_authority(
    config: &Config,
    kv: &dyn Kv,
    world: &Arc<dyn World>,
) -> Result<Option<Authority>, NodeError> {
    match &config.cluster.authority {
        Some(files) if config.cluster.join.is_empty() && !raft::is_settled(kv)? => {
            Ok(Some(authority::read(files, &WorldTime::new(Arc::clone(world)))?))
        }
        _ => Ok(None),
    }
}

fn part_in_cluster(
    config: &Config,
    peer: SocketAddr,
    authority: Option<Authority>,
) -> Result<raft::Config, NodeError> {
    let peer_address = match &config.peer.advertise {
        Some(advertised) => advertised.clone(),
        None => peer.to_string().parse().map_err(|_| NodeError::Advertise(peer))?,
    };
    Ok(raft::Config {
        peer_address,
        join: config.cluster.join.clone(),
        authority,
        token: config.cluster.token.clone().ok().flatten(),
        voters: config.cluster.voters.count().into(),
        tuning: Tuning {
            heartbeat: config.raft.heartbeat.duration(),
            election_min: config.raft.election_min.duration(),
            election_max: config.raft.election_max.duration(),
            replace_after: config.raft.replace_after.duration(),
            snapshot_every: config.raft.snapshot_every.get() as u64,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_as_long_to_end_as_consensus_leaves_them() {
        for (heartbeat, drain) in [(1, 23), (150, 23), (500, 23), (1_000, 20), (30_000, 20)] {
            let heartbeat = Duration::from_millis(heartbeat);
            let leave = Tuning { heartbeat, ..Tuning::default() }.stop_deadline();
            assert_eq!(drain_deadline(leave), Duration::from_secs(drain), "{heartbeat:?}");
        }
    }
}
