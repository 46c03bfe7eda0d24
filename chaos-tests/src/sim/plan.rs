//! What a seed means: how large the cluster is, how it is tuned, who works on it and what goes
//! wrong.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use node::config::Source;
use node::{Config, WorldDial};
use raft::MEMBERSHIP_INTERVAL;

use super::dice::Dice;
use super::{access, sweeping};

/// Where every node listens for clients.
pub(crate) const API_PORT: u16 = 5000;
/// Where every node listens for its peers.
pub(crate) const PEER_PORT: u16 = 5001;
/// Where every node listens for operators.
pub(crate) const ADMIN_PORT: u16 = 5002;

/// Between two sweeps of a machine, each of which takes many requests to S3.
const SWEEP_PAUSE_OF_S3: Duration = Duration::from_millis(4500);
/// The same where nothing becomes old enough to be swept before the end.
const SWEEP_PAUSE_OF_NOTHING: Duration = Duration::from_secs(15);

/// A run, before it runs.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed that all else derives from.
    pub seed: u64,
    /// For how long clients work and things go wrong, in simulated time.
    pub working: Duration,
    /// How many nodes the cluster has.
    pub nodes: usize,
    /// How many of them vote.
    pub voters: usize,
    /// How many clients work at a time.
    pub clients: usize,
    /// How many tags they move.
    pub tags: usize,
    /// Raft's heartbeat, in whole milliseconds.
    pub heartbeat: Duration,
    /// After how many entries the log is purged.
    pub snapshot_every: u64,
    /// The longest that a message travels while nothing is wrong.
    pub latency: Duration,
    /// How far a machine runs ahead of the others before they have their turn. Coarser, a run costs
    /// less, so that there can be more of them.
    pub tick: Duration,
    /// The longest that a disk takes to sync while nothing is wrong.
    pub sync: Duration,
    /// After what time the machines sweep what nobody needs.
    pub sweep_after: Duration,
    /// How often they look for it.
    pub sweep_pause: Duration,
    /// Whether an operator removes nodes now and then, which come back as new ones.
    pub removes: bool,
    /// The pause between two faults, on average.
    pub calm: Duration,
    /// Which object store the nodes share.
    pub store: StoreKind,
    /// Whether clients push blobs too that are sent to S3 in parts.
    pub is_large: bool,
    /// Whether nobody may do anything that is not granted.
    pub is_closed: bool,
    /// Whether the nodes come to rest at the end, which takes a minute, and are looked at then.
    pub rests: bool,
}

/// An object store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// One in memory that the nodes call.
    Called,
    /// A simulated S3 that they send requests to.
    S3,
}

impl Plan {
    /// Three nodes that vote, on a quick network with quick disks, and nobody who works: where
    /// stories begin.
    pub const STILL: Self = Self {
        seed: 1,
        working: Duration::ZERO,
        nodes: 3,
        voters: 3,
        clients: 0,
        tags: 3,
        heartbeat: Duration::from_millis(100),
        snapshot_every: 10_000,
        latency: Duration::from_millis(5),
        tick: Duration::from_millis(1),
        sync: Duration::from_millis(2),
        sweep_after: Duration::from_secs(24 * 60 * 60),
        sweep_pause: sweeping::PAUSE,
        removes: false,
        calm: Duration::MAX,
        store: StoreKind::Called,
        is_large: false,
        is_closed: false,
        rests: false,
    };

    /// The plan of a seed, with faults and work for `working`.
    pub fn of(seed: u64, working: Duration) -> Self {
        let mut dice = Dice::new(seed, "plan");
        let nodes = *dice.pick(&[3, 3, 3, 4, 5, 5, 7]);
        let voters = if nodes >= 5 && dice.one_in(2) { 5 } else { 3 };
        let mut plan = Self {
            seed,
            working,
            nodes,
            voters,
            clients: usize::try_from(dice.number(2..=5)).unwrap_or(2),
            tags: usize::try_from(dice.number(1..=6)).unwrap_or(1),
            heartbeat: dice.millis(50..=200),
            snapshot_every: *dice.pick(&[10, 10, 20, 50, 200, 10_000]),
            latency: Duration::from_millis(*dice.pick(&[2, 5, 20, 50])),
            tick: Duration::from_millis(*Dice::new(seed, "tick").pick(&[1, 4, 4, 4])),
            sync: Duration::from_millis(*dice.pick(&[1, 5, 20])),
            calm: dice.millis(1000..=5000),
            // The shortest gives up uploads that are under way, and their clients learn so.
            sweep_after: Duration::from_millis(*dice.pick(&[300, 2_000, 10_000, 30_000])),
            removes: dice.one_in(2),
            is_closed: Dice::new(seed, "access").one_in(2),
            rests: Dice::new(seed, "at rest").one_in(8),
            ..Self::STILL
        };
        if dice.one_in(3) {
            plan.store = StoreKind::S3;
            plan.sweep_pause = SWEEP_PAUSE_OF_S3;
            plan.is_large = dice.one_in(2);
        }
        if plan.is_large {
            // On S3 the pieces of an upload must have been named when they are so old. That takes
            // many requests, each of which may be repeated.
            plan.sweep_after = Self::STILL.sweep_after;
            plan.sweep_pause = SWEEP_PAUSE_OF_NOTHING;
        }
        plan
    }

    /// How long the cluster may take to heal once nothing is wrong any more. The nodes give up what
    /// connections are dead; then they elect a leader, with votes that may be split once; which
    /// looks whether the right ones vote, and promotes one. To start again, and to catch up with a
    /// catalog that a minute has made, takes less than that.
    pub(crate) fn healing_max(&self) -> Duration {
        let elections = 2 * self.election_max();
        let messages = 8 * self.latency;
        WorldDial::CONNECTION_LOST + elections + 2 * MEMBERSHIP_INTERVAL + messages
    }

    /// Raft's longest election timeout.
    fn election_max(&self) -> Duration {
        self.heartbeat * 7
    }

    /// The names of the nodes.
    pub(crate) fn node_names(&self) -> Vec<String> {
        (1..=self.nodes).map(node_name).collect()
    }

    /// The configuration of node `number`, in the form in which an operator writes it: the first
    /// founds the cluster.
    pub(crate) fn config(&self, number: usize) -> Result<Config> {
        let join = if number == 1 { String::new() } else { self.others(number) };
        self.config_with(number, &join)
    }

    /// The one of a node that takes its place: none founds another cluster.
    pub(crate) fn config_anew(&self, number: usize) -> Result<Config> {
        self.config_with(number, &self.others(number))
    }

    /// Where the nodes but `number` are reached by their peers.
    fn others(&self, number: usize) -> String {
        let others = (1..=self.nodes).filter(|other| *other != number);
        let others: Vec<String> =
            others.map(|other| format!("'{}:{PEER_PORT}'", node_name(other))).collect();
        others.join(", ")
    }

    fn config_with(&self, number: usize, join: &str) -> Result<Config> {
        let access = if self.is_closed {
            let path = access::password_file()?;
            format!("mode = 'closed'\nadministrator_password_file = '{}'", path.display())
        } else {
            "mode = 'open'".to_owned()
        };
        let text = format!(
            "[node]\ndata_dir = '/node'\n\
             [access]\n{access}\n\
             [storage]\npath = '/blobs'\n\
             [api]\nlisten = '0.0.0.0:{API_PORT}'\n\
             [peer]\nlisten = '0.0.0.0:{PEER_PORT}'\nadvertise = '{}:{PEER_PORT}'\n\
             [admin]\nlisten = '0.0.0.0:{ADMIN_PORT}'\n\
             [cluster]\njoin = [{join}]\nvoters = {}\n\
             [raft]\nheartbeat_ms = {}\nelection_min_ms = {}\nelection_max_ms = {}\n\
             replace_after_s = 15\nsnapshot_every = {}\n",
            node_name(number),
            self.voters,
            self.heartbeat.as_millis(),
            (self.heartbeat * 4).as_millis(),
            self.election_max().as_millis(),
            self.snapshot_every,
        );
        let mut source = Source::default().with_text(Path::new("simulated.toml"), &text)?;
        Ok(Config::read(&mut source)?)
    }
}

/// The name of node `number` in the simulated network.
pub(crate) fn node_name(number: usize) -> String {
    format!("node-{number}")
}
