//! What an operator can set: the keys with their defaults, and what must hold between them.
//!
//! A key is set, in this order, on the command line, by an environment variable
//! `ROADSTEAD_<SECTION>_<KEY>`, in a TOML file, or not at all. Adding one takes a field and a line
//! in [`Config::read`].

mod access;
mod audit;
mod authority;
mod error;
mod number;
mod setting;
mod source;
mod storage;
mod tls;
mod token;

use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use proto::{JoinToken, PeerAddress, limits};
use raft::Tuning;

pub use self::access::Access;
pub use self::audit::Audit;
pub use self::authority::AuthorityFiles;
pub use self::error::ConfigError;
pub use self::number::{Allowance, Bandwidth, CacheSize, Count, Milliseconds, Seconds, Voters};
pub use self::setting::{
    AccessKind, CertificateName, Encryption, Endpoint, Filter, LogFormat, Redirect, Service,
    StorageKind, TokenUrl,
};
pub use self::source::{Origin, Source};
pub(crate) use self::source::{readable, variable};
pub use self::storage::Storage;
pub use self::tls::Tls;
pub use self::token::NoToken;

/// A node's configuration, checked: every address is one, and the values fit each other.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[node]`
    pub node: Node,
    /// `[api]`
    pub api: Api,
    /// `[access]`
    pub access: Access,
    /// `[tls]`; `None`: the API is served in the clear.
    pub tls: Option<Tls>,
    /// `[limits]`
    pub limits: Limits,
    /// `[peer]`
    pub peer: Peer,
    /// `[admin]`
    pub admin: Admin,
    /// `[cluster]`
    pub cluster: Cluster,
    /// `[storage]`
    pub storage: Storage,
    /// `[log]`
    pub log: Log,
    /// `[audit]`
    pub audit: Audit,
    /// `[raft]`
    pub raft: Raft,
}

/// The node itself.
#[derive(Clone, Debug)]
pub struct Node {
    /// The folder for what this node alone keeps: Raft's log and the catalog.
    pub data_dir: PathBuf,
}

/// The registry's API, for docker and its like.
#[derive(Clone, Debug)]
pub struct Api {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Whether manifests, tags and blobs can be deleted.
    pub deletion: bool,
    /// Whether a manifest is taken although its repository lacks something that it names.
    pub sparse: bool,
    /// The proxies that are believed when they say for whom they ask.
    pub trusted_proxies: Vec<IpNet>,
}

/// How much clients may have at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections to the API.
    pub connections: Count,
    /// Connections to the API from one address.
    pub connections_per_client: Count,
    /// Pushes and pulls of content.
    pub transfers: Count,
    /// Pushes and pulls of content from one address.
    pub transfers_per_client: Count,
    /// Requests that one address may make in a minute.
    pub requests_per_client_per_minute: Allowance,
    /// Requests that one account may make in a minute.
    pub requests_per_account_per_minute: Allowance,
    /// Bytes of bodies that one address may send and receive in a second.
    pub bytes_per_client_per_second: Bandwidth,
    /// Bytes of bodies that one account may send and receive in a second.
    pub bytes_per_account_per_second: Bandwidth,
    /// Uploads that one address may begin in a minute.
    pub uploads_per_client_per_minute: Allowance,
    /// Those of them that it may begin without a pause.
    pub uploads_per_client_at_once: Allowance,
}

/// The traffic between nodes.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Where this node listens for other nodes.
    pub listen: SocketAddr,
    /// Where other nodes reach this one; unset: at `listen`.
    pub advertise: Option<PeerAddress>,
}

/// Health and metrics.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Where they are served.
    pub listen: SocketAddr,
}

/// The cluster.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Peer addresses of a cluster to join, at which a node asks also later when it hears of no
    /// leader; none: found a cluster, while the data folder is new.
    pub join: Vec<PeerAddress>,
    /// The authority of the cluster that is founded while the data folder is new; none: it makes
    /// its own.
    pub authority: Option<AuthorityFiles>,
    /// The token to join with, while the data folder is new; else why the file that was to have one
    /// has none.
    pub token: Result<Option<JoinToken>, NoToken>,
    /// How many nodes shall vote; further ones are learners. What the leader has counts.
    pub voters: Voters,
}

/// What the node writes to its log, which is its standard error.
#[derive(Clone, Debug)]
pub struct Log {
    /// For people or for programs.
    pub format: LogFormat,
    /// Which events.
    pub filter: Filter,
}

/// Raft's timing.
#[derive(Clone, Copy, Debug)]
pub struct Raft {
    /// Between two heartbeats of a leader.
    pub heartbeat: Milliseconds,
    /// Shortest time that a node waits once the leader's lease is over, before it stands for
    /// election.
    pub election_min: Milliseconds,
    /// Longest such time, and the lease.
    pub election_max: Milliseconds,
    /// How long a voter may be silent until a learner takes its place.
    pub replace_after: Seconds,
    /// After how many applied entries the log is purged up to what the catalog has made durable.
    pub snapshot_every: Count,
}

impl Config {
    /// The configuration that `source` says, which also has the effective value of every key
    /// afterwards.
    ///
    /// # Errors
    /// See [`ConfigError`]: its text is one sentence that tells the operator what to change.
    pub fn read(source: &mut Source) -> Result<Self, ConfigError> {
        let data_dir = source.take("node.data_dir", || PathBuf::from("/var/lib/roadstead"))?;
        let join = source.take("cluster.join", Vec::new)?;
        let token = token::read(source)?;
        let config = Self {
            api: Api {
                listen: source.take("api.listen", || loopback(5000))?,
                deletion: source.take("api.deletion", || true)?,
                sparse: source.take("api.sparse", || false)?,
                trusted_proxies: source.take("api.trusted_proxies", Vec::new)?,
            },
            access: Access::read(source)?,
            tls: Tls::read(source)?,
            limits: Limits::read(source)?,
            peer: Peer {
                listen: source.take("peer.listen", || loopback(5001))?,
                advertise: source.take_optional("peer.advertise")?,
            },
            admin: Admin { listen: source.take("admin.listen", || loopback(5002))? },
            storage: Storage::read(source, &data_dir, !join.is_empty())?,
            log: Log {
                format: source.take("log.format", || LogFormat::Human)?,
                filter: source.take("log.filter", Filter::default)?,
            },
            audit: Audit::read(source)?,
            raft: Raft::read(source)?,
            cluster: Cluster {
                join,
                authority: authority::read(source)?,
                token,
                voters: source.take("cluster.voters", || Voters::Three)?,
            },
            node: Node { data_dir },
        };
        source.refuse_rest()?;
        config.check()?;
        Ok(config)
    }

    /// What must hold between keys.
    fn check(&self) -> Result<(), ConfigError> {
        self.check_ports()?;
        let Raft { heartbeat, election_min, election_max, .. } = self.raft;
        if heartbeat.millis() * 2 > election_min.millis() {
            return Err(ConfigError::conflict(format!(
                "raft.election_min_ms is {election_min}, but must be at least twice \
                 raft.heartbeat_ms, which is {heartbeat}"
            )));
        }
        if election_min.millis() >= election_max.millis() {
            return Err(ConfigError::conflict(format!(
                "raft.election_max_ms is {election_max}, but must be more than \
                 raft.election_min_ms, which is {election_min}"
            )));
        }
        self.check_peers()
    }

    /// The nodes must be able to reach each other by what is set here.
    fn check_peers(&self) -> Result<(), ConfigError> {
        let advertised = self.peer.advertise.iter().map(|address| ("peer.advertise", address));
        let others = self.cluster.join.iter().map(|address| ("cluster.join", address));
        if let Some((key, address)) =
            advertised.chain(others).find(|(_, address)| address.is_unspecified())
        {
            return Err(ConfigError::conflict(format!(
                "{key} is {address}, which is no machine's: name an address at which other nodes \
                 reach the one that is meant"
            )));
        }
        if self.peer.advertise.is_none() && self.peer.listen.ip().is_unspecified() {
            return Err(ConfigError::conflict(format!(
                "peer.advertise must be set to an address at which other nodes reach this one, \
                 because peer.listen is {}",
                self.peer.listen
            )));
        }
        let elsewhere = self.cluster.join.iter().find(|address| !address.is_loopback());
        if let (None, true, Some(other)) =
            (&self.peer.advertise, self.peer.listen.ip().is_loopback(), elsewhere)
        {
            return Err(ConfigError::conflict(format!(
                "peer.listen must be an address at which {other}, which cluster.join names, \
                 reaches this node: it is {}, where only this machine does; where all nodes are on \
                 it, set peer.advertise",
                self.peer.listen
            )));
        }
        Ok(())
    }

    /// No port can be listened at twice. The system says so only when the second one listens, and
    /// by then this node has taken part.
    fn check_ports(&self) -> Result<(), ConfigError> {
        let (api, peer, admin) = (self.api.listen, self.peer.listen, self.admin.listen);
        for (key, address, other_key, other) in [
            ("peer.listen", peer, "api.listen", api),
            ("admin.listen", admin, "api.listen", api),
            ("admin.listen", admin, "peer.listen", peer),
        ] {
            let is_any = address.ip().is_unspecified() || other.ip().is_unspecified();
            let overlap = is_any || address.ip() == other.ip();
            if overlap && address.port() == other.port() && address.port() != 0 {
                return Err(ConfigError::conflict(format!(
                    "{key} must have another port than {other_key}: they are {address} and {other}"
                )));
            }
        }
        Ok(())
    }
}

impl Limits {
    fn read(source: &mut Source) -> Result<Self, ConfigError> {
        let mut take = |key, default| source.take(key, || Count::new(default));
        Ok(Self {
            connections: take("limits.connections", limits::CONNECTIONS_DEFAULT)?,
            connections_per_client: take(
                "limits.connections_per_client",
                limits::CONNECTIONS_PER_CLIENT_DEFAULT,
            )?,
            transfers: take("limits.transfers", limits::TRANSFERS_DEFAULT)?,
            transfers_per_client: take(
                "limits.transfers_per_client",
                limits::TRANSFERS_PER_CLIENT_DEFAULT,
            )?,
            requests_per_client_per_minute: source
                .take("limits.requests_per_client_per_minute", || Allowance::new(0))?,
            requests_per_account_per_minute: source
                .take("limits.requests_per_account_per_minute", || Allowance::new(0))?,
            bytes_per_client_per_second: source
                .take("limits.bytes_per_client_per_second", || Bandwidth::UNLIMITED)?,
            bytes_per_account_per_second: source
                .take("limits.bytes_per_account_per_second", || Bandwidth::UNLIMITED)?,
            uploads_per_client_per_minute: source
                .take("limits.uploads_per_client_per_minute", || {
                    Allowance::new(limits::UPLOADS_PER_MINUTE_DEFAULT)
                })?,
            uploads_per_client_at_once: source.take("limits.uploads_per_client_at_once", || {
                Allowance::new(limits::UPLOADS_AT_ONCE_DEFAULT)
            })?,
        })
    }
}

impl Raft {
    fn read(source: &mut Source) -> Result<Self, ConfigError> {
        let Tuning { heartbeat, election_min, election_max, snapshot_every, replace_after } =
            Tuning::default();
        let mut take = |key, default| source.take(key, || Milliseconds::of(default));
        Ok(Self {
            heartbeat: take("raft.heartbeat_ms", heartbeat)?,
            election_min: take("raft.election_min_ms", election_min)?,
            election_max: take("raft.election_max_ms", election_max)?,
            replace_after: source.take("raft.replace_after_s", || Seconds::of(replace_after))?,
            snapshot_every: source.take("raft.snapshot_every", || Count::of(snapshot_every))?,
        })
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}
