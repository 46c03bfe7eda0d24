//! What a node tells its cluster about itself, and the doors to the world that it hands in.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use openraft::SnapshotPolicy;
use proto::limits::SNAPSHOT_IDLE_MAX;
use proto::{Authority, JoinToken, PeerAddress, Timestamp};
use tonic::transport::Channel;

use crate::{Papers, StartError};

/// How this node takes part in a cluster.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where other nodes reach this one's peer listener.
    pub peer_address: PeerAddress,
    /// Peer addresses of a cluster to join. While the node's folder is new, none means that it
    /// founds a cluster; later, a node that hears of no leader asks there too.
    pub join: Vec<PeerAddress>,
    /// The authority of the cluster that this node founds, if it does; `None`: it makes one.
    pub authority: Option<Authority>,
    /// The token to join with, where nodes have certificates.
    pub token: Option<JoinToken>,
    /// How many voters the cluster shall have; further nodes are learners. Odd: 1, 3 or 5. What the
    /// leader is told counts.
    pub voters: usize,
    /// Raft's timing.
    pub tuning: Tuning,
}

/// Raft's timing. A follower that hears nothing waits out the leader's lease, which is
/// [`Tuning::election_max`], and then a random time between the two, before it stands for election:
/// with the defaults a dead leader is replaced within two seconds, unless two nodes stand at once.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// Time between two heartbeats of the leader.
    pub heartbeat: Duration,
    /// Shortest time that a node waits once the leader's lease is over, before it stands for
    /// election.
    pub election_min: Duration,
    /// Longest such time, and the lease.
    pub election_max: Duration,
    /// Applied log entries after which the log is purged up to what the catalog has made durable.
    /// Before there are as many, it is purged when they are large.
    pub snapshot_every: u64,
    /// How long a voter may be silent until a learner that has caught up takes its place.
    pub replace_after: Duration,
}

impl Tuning {
    /// What openraft is told of it.
    pub(crate) fn settings(self) -> Result<openraft::Config, StartError> {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let settings = openraft::Config {
            cluster_name: "roadstead".to_owned(),
            heartbeat_interval: millis(self.heartbeat),
            election_timeout_min: millis(self.election_min),
            election_timeout_max: millis(self.election_max),
            snapshot_policy: SnapshotPolicy::LogsSinceLast(self.snapshot_every),
            // What is purged, `Purging` says.
            max_in_snapshot_log_to_keep: u64::MAX,
            // The deadline of each message of a snapshot, and of its installation.
            install_snapshot_timeout: millis(SNAPSHOT_IDLE_MAX),
            enable_pre_vote: Some(true),
            // What is applied is not synced, so a leader that restarts must be elected again.
            enable_leader_restore: Some(false),
            ..openraft::Config::default()
        };
        settings.validate().map_err(|error| StartError::Raft(error.to_string()))
    }
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(150),
            election_min: Duration::from_millis(500),
            election_max: Duration::from_millis(900),
            snapshot_every: 10_000,
            replace_after: Duration::from_secs(5 * 60),
        }
    }
}

/// Opens connections to peers: the node's door to the network.
pub trait Dial: Send + Sync + 'static {
    /// A channel to the peer listener at `address`, which connects when it is first used and again
    /// when it broke.
    ///
    /// # Errors
    /// When nothing can be reached at `address`, now or later.
    fn dial(&self, address: &PeerAddress) -> Result<Channel, DialError>;

    /// Whether nodes show each other certificates. Without them, any program that reaches a node
    /// may speak for any other node, and join without a token: a world for tests.
    fn is_secure(&self) -> bool {
        false
    }

    /// Has connections that are made from now on, either way, show `papers`. Those that there are
    /// go on.
    ///
    /// # Errors
    /// When they cannot be shown: nothing changes then.
    fn show(&self, _papers: Papers) -> Result<(), PapersError> {
        Ok(())
    }
}

/// What a node has to show cannot be shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node's certificate cannot be used: {0}")]
pub struct PapersError(pub String);

/// Nothing can be reached at the address, now or later.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} cannot be dialled")]
pub struct DialError(pub PeerAddress);

/// The wall clock, read by the leader when it takes a command.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// A clock that asks `now`.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
