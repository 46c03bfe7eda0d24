//! Several nodes of one process over loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed test panics")]
#![allow(clippy::disallowed_methods, reason = "a test has no other door to the network")]

mod agreement;
mod disk;
mod failure;
mod handover;
mod membership;
mod purging;
mod slow;
mod snapshots;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proto::{
    Actor, Algorithm, Command, Digest, Manifest, MediaType, NodeId, ObjectKey, PeerAddress,
    RepoName, RequestId, Tag, Tagging, Timestamp,
};
use raft::{
    Clock, Cluster, Config, Dial, DialError, ProposeError, ReadError, Role, StartError, Tuning,
};
use storage::Kv;
use storage::kv::MemoryKv;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};

use crate::disk::Disk;

/// How long anything here may take that should take seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at whether what is waited for is so.
const PAUSE: Duration = Duration::from_millis(20);

/// An election soon after a leader is lost, and a replacement soon after a node is, both also on a
/// machine that is busy.
const QUICK: Tuning = Tuning {
    heartbeat: Duration::from_millis(100),
    election_min: Duration::from_millis(400),
    election_max: Duration::from_millis(800),
    snapshot_every: 50,
    replace_after: Duration::from_secs(3),
};

/// The same, with a leader that takes a node for silent only after six seconds.
const TRUSTING: Tuning = Tuning { election_max: Duration::from_secs(3), ..QUICK };

/// Tries `attempt` until it succeeds, and answers what it gave.
async fn eventually<T>(what: &str, mut attempt: impl AsyncFnMut() -> Result<T, String>) -> T {
    let mut last = String::new();
    let success = tokio::time::timeout(PATIENCE, async {
        loop {
            match attempt().await {
                Ok(value) => return value,
                Err(error) => last = error,
            }
            tokio::time::sleep(PAUSE).await;
        }
    })
    .await;
    success.unwrap_or_else(|_| panic!("{what}: {last}"))
}

struct Loopback;

impl Dial for Loopback {
    fn dial(&self, address: &PeerAddress) -> Result<Channel, DialError> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"));
        let endpoint = endpoint.map_err(|_| DialError(address.clone()))?;
        Ok(endpoint.connect_timeout(Duration::from_millis(500)).connect_lazy())
    }
}

struct Node {
    cluster: Cluster,
    address: String,
    disk: Arc<Disk>,
    server: JoinHandle<()>,
}

impl Node {
    /// Starts a node on a free port, or again on the one it had.
    async fn start(address: &str, join: &[&str], kv: Arc<dyn Kv>) -> Self {
        Self::start_with(address, join, kv, QUICK).await
    }

    async fn start_with(address: &str, join: &[&str], kv: Arc<dyn Kv>, tuning: Tuning) -> Self {
        Self::try_start(address, join, kv, tuning).await.unwrap()
    }

    async fn try_start(
        address: &str,
        join: &[&str],
        kv: Arc<dyn Kv>,
        tuning: Tuning,
    ) -> Result<Self, StartError> {
        Self::try_start_through(Arc::new(Loopback), address, join, kv, tuning).await
    }

    /// Starts a node that reaches others through `dial`.
    async fn try_start_through(
        dial: Arc<dyn Dial>,
        address: &str,
        join: &[&str],
        kv: Arc<dyn Kv>,
        tuning: Tuning,
    ) -> Result<Self, StartError> {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let join = join.iter().map(|address| address.parse().unwrap()).collect();
        let peer_address = address.parse().unwrap();
        let config = Config { peer_address, join, authority: None, token: None, voters: 3, tuning };
        let ticks = AtomicU64::new(1);
        let clock =
            Clock::new(move || Timestamp::from_millis(ticks.fetch_add(1, Ordering::Relaxed)));
        let disk = Arc::new(Disk::new(kv));
        let kv: Arc<dyn Kv> = Arc::<Disk>::clone(&disk);
        let cluster = Cluster::start(config, kv, dial, clock).await?;
        let router = cluster.peer_services().into_axum_router();
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Ok(Self { cluster, address, disk, server })
    }

    /// Ends the node as a crash would: nobody is told. What is left of it is its store and its
    /// address.
    async fn kill(self) -> (String, Arc<dyn Kv>) {
        self.server.abort();
        let _ = self.server.await;
        drop(self.cluster);
        (self.address, self.disk.take())
    }

    async fn until(&self, what: &str, is_so: impl Fn(&raft::Status) -> bool) {
        eventually(what, async || {
            let status = self.cluster.status();
            if is_so(&status) { Ok(()) } else { Err(format!("{status:?}")) }
        })
        .await;
    }

    /// Proposes until it is decided, as handlers do.
    async fn propose(&self, command: Command) {
        let request = RequestId::from_bytes(random());
        eventually("the proposal is decided", async || {
            match self.cluster.propose(request, &actor(), command.clone()).await {
                Err(error @ (ProposeError::Unavailable { .. } | ProposeError::Unknown)) => {
                    Err(error.to_string())
                }
                decided => Ok(decided.unwrap()),
            }
        })
        .await;
    }

    /// What `tag` names, after everything that was acknowledged.
    async fn tag(&self, repository: &RepoName, tag: &Tag) -> Option<Digest> {
        let view = eventually("the read passes", async || match self.cluster.read().await {
            Err(ReadError::Unavailable { .. }) => Err("there is no leader".to_owned()),
            read => Ok(read.unwrap()),
        });
        view.await.tag(repository, tag).unwrap()
    }
}

fn actor() -> Actor {
    "tester".parse().unwrap()
}

fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

fn memory() -> Arc<dyn Kv> {
    Arc::new(MemoryKv::new())
}

async fn three_nodes() -> Vec<Node> {
    three_nodes_with(QUICK).await
}

async fn three_nodes_with(tuning: Tuning) -> Vec<Node> {
    with_two_more(Node::start_with("127.0.0.1:0", &[], memory(), tuning).await, tuning).await
}

/// The cluster that `first` has founded, with two more voters.
async fn with_two_more(first: Node, tuning: Tuning) -> Vec<Node> {
    let seed = first.address.clone();
    let mut nodes = vec![first];
    for _ in 0..2 {
        nodes.push(Node::start_with("127.0.0.1:0", &[&seed], memory(), tuning).await);
    }
    for node in &nodes {
        node.until("three voters know each other", |status| {
            status.ready && status.members.iter().filter(|member| member.voter).count() == 3
        })
        .await;
    }
    nodes
}

fn leader(nodes: &[Node]) -> usize {
    nodes.iter().position(|node| node.cluster.status().role == Role::Leader).expect("one leads")
}

/// The ids of the voters that `node` knows.
fn voters(node: &Node) -> Vec<NodeId> {
    let members = node.cluster.status().members.into_iter();
    members.filter(|member| member.voter).map(|member| member.node).collect()
}

fn repository() -> RepoName {
    "team/app".parse().unwrap()
}

fn tag() -> Tag {
    "latest".parse().unwrap()
}

fn link_config() -> Command {
    let (digest, object) = (Digest::of(Algorithm::Sha256, b"{}"), ObjectKey::from_random(1));
    Command::LinkBlob {
        repository: repository(),
        digest,
        size: 2,
        checksum: None,
        object,
        replaces: None,
        upload: None,
    }
}

/// Points the tag to a manifest that there is once for each number.
fn move_tag(number: usize) -> (Command, Digest) {
    let config = Digest::of(Algorithm::Sha256, b"{}");
    let json = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"a/b","digest":"{config}","size":2}},
            "layers":[],"annotations":{{"n":"{number}"}}}}"#
    );
    let media_type: MediaType = MediaType::OCI_MANIFEST.parse().unwrap();
    let manifest = Manifest::parse(media_type, Algorithm::Sha256, json.into()).unwrap();
    let digest = manifest.digest().clone();
    let put = Command::PutManifest {
        repository: repository(),
        manifest,
        tags: vec![tag()],
        preconditions: vec![],
        sparse: false,
        tagging: Tagging::ANY,
    };
    (put, digest)
}
