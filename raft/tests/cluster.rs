//! Three nodes of one process over loopback: agreement, reads on every node, the loss of a leader,
//! and catching up.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed test panics")]
#![allow(clippy::disallowed_methods, reason = "a test has no other door to the network")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proto::{
    Algorithm, Command, Digest, Manifest, MediaType, ObjectKey, Reference, RepoName, RequestId,
    Tag, Timestamp,
};
use raft::{Clock, Cluster, Config, Dial, DialError, ProposeError, ReadError, Role, Tuning};
use storage::Kv;
use storage::kv::MemoryKv;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};

/// How long anything here may take that should take seconds.
const PATIENCE: Duration = Duration::from_secs(30);

struct Loopback;

impl Dial for Loopback {
    fn dial(&self, address: &str) -> Result<Channel, DialError> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"));
        let endpoint = endpoint.map_err(|_| DialError(address.to_owned()))?;
        Ok(endpoint.connect_timeout(Duration::from_millis(500)).connect_lazy())
    }
}

struct Node {
    cluster: Cluster,
    address: String,
    kv: Arc<dyn Kv>,
    server: JoinHandle<()>,
}

impl Node {
    /// Starts a node on a free port, or again on the one it had.
    async fn start(address: &str, join: &[&str], kv: Arc<dyn Kv>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let tuning = Tuning {
            heartbeat: Duration::from_millis(100),
            election_min: Duration::from_millis(400),
            election_max: Duration::from_millis(800),
            snapshot_every: 50,
        };
        let join = join.iter().map(ToString::to_string).collect();
        let config = Config { peer_address: address.clone(), join, voters: 3, tuning };
        let ticks = AtomicU64::new(1);
        let clock =
            Clock::new(move || Timestamp::from_millis(ticks.fetch_add(1, Ordering::Relaxed)));
        let cluster =
            Cluster::start(config, Arc::clone(&kv), Arc::new(Loopback), clock).await.unwrap();
        let router = cluster.peer_services().into_axum_router();
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { cluster, address, kv, server }
    }

    /// Ends the node as a crash would: nobody is told. What is left of it is its store and its
    /// address.
    async fn kill(self) -> (String, Arc<dyn Kv>) {
        self.server.abort();
        let _ = self.server.await;
        drop(self.cluster);
        (self.address, self.kv)
    }

    async fn until(&self, what: &str, is_so: impl Fn(&raft::Status) -> bool) {
        let so = tokio::time::timeout(PATIENCE, async {
            while !is_so(&self.cluster.status()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        so.await.unwrap_or_else(|_| panic!("{what}: {:?}", self.cluster.status()));
    }

    /// Proposes until it is decided, as handlers do.
    async fn propose(&self, command: Command) {
        let request = RequestId::from_bytes(random());
        let decided = tokio::time::timeout(PATIENCE, async {
            loop {
                match self.cluster.propose(request, "tester", command.clone()).await {
                    Ok(_) => return,
                    Err(ProposeError::Refused(refusal)) => panic!("{refusal}"),
                    Err(ProposeError::Unavailable { .. } | ProposeError::Unknown) => {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
            }
        });
        decided.await.expect("the proposal is decided");
    }

    /// What `tag` names, after everything that was acknowledged.
    async fn tag(&self, repository: &RepoName, tag: &Tag) -> Option<Digest> {
        let view = tokio::time::timeout(PATIENCE, async {
            loop {
                match self.cluster.read().await {
                    Ok(view) => return view,
                    Err(ReadError::Unavailable { .. }) => {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        });
        view.await.expect("the read passes").tag(repository, tag).unwrap()
    }
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
    let first = Node::start("127.0.0.1:0", &[], memory()).await;
    let seed = first.address.clone();
    let mut nodes = vec![first];
    for _ in 0..2 {
        nodes.push(Node::start("127.0.0.1:0", &[&seed], memory()).await);
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

fn repository() -> RepoName {
    "team/app".parse().unwrap()
}

fn tag() -> Tag {
    "latest".parse().unwrap()
}

fn link_config() -> Command {
    let (digest, object) = (Digest::of(Algorithm::Sha256, b"{}"), ObjectKey::from_random(1));
    Command::LinkBlob { repository: repository(), digest, size: 2, object, replaces: None }
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
    };
    (put, digest)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_acknowledged_every_node_shows_at_once() {
    let nodes = three_nodes().await;
    nodes[0].propose(link_config()).await;
    for number in 0..300 {
        let (command, digest) = move_tag(number);
        nodes[number % 3].propose(command).await;
        for reader in [(number + 1) % 3, (number + 2) % 3] {
            let seen = nodes[reader].tag(&repository(), &tag()).await;
            assert_eq!(seen.as_ref(), Some(&digest), "move {number} on node {reader}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_loss_of_the_leader_loses_nothing_and_a_node_that_returns_catches_up() {
    let mut nodes = three_nodes().await;
    nodes[0].propose(link_config()).await;
    let (before, digest_before) = move_tag(1);
    nodes[1].propose(before).await;

    let (address, kv) = nodes.remove(leader(&nodes)).kill().await;
    assert_eq!(nodes[0].tag(&repository(), &tag()).await, Some(digest_before));
    let (after, digest_after) = move_tag(2);
    nodes[1].propose(after).await;
    assert_eq!(nodes[0].tag(&repository(), &tag()).await.as_ref(), Some(&digest_after));

    let returned = Node::start(&address, &[], kv).await;
    returned.until("the node that returned is ready", |status| status.ready).await;
    assert_eq!(returned.tag(&repository(), &tag()).await, Some(digest_after));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lags_behind_the_purged_log_gets_a_snapshot() {
    let mut nodes = three_nodes().await;
    nodes[0].propose(link_config()).await;
    let follower = (leader(&nodes) + 1) % 3;
    let (address, kv) = nodes.remove(follower).kill().await;
    let mut last = None;
    for number in 0..200 {
        let (command, digest) = move_tag(number);
        nodes[number % 2].propose(command).await;
        last = Some(digest);
    }
    let returned = Node::start(&address, &[], kv).await;
    returned.until("the node that returned is ready", |status| status.ready).await;
    assert_eq!(returned.tag(&repository(), &tag()).await, last);
    let view = returned.cluster.read().await.unwrap();
    let manifest = view.manifest(&repository(), &Reference::Tag(tag())).unwrap();
    assert_eq!(manifest.map(|manifest| manifest.digest().clone()), last);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_stops_in_order_hands_leadership_over() {
    let nodes = three_nodes().await;
    let stopping = leader(&nodes);
    let term = nodes[stopping].cluster.status().term;
    nodes[stopping].cluster.stop().await;
    let other = &nodes[(stopping + 1) % 3];
    let own = nodes[stopping].cluster.status().node;
    other
        .until("another node leads", |status| status.leader.is_some_and(|leader| leader != own))
        .await;
    assert_eq!(other.cluster.status().term, term + 1, "one election, begun by the handover");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fourth_node_learns_and_serves_without_a_vote() {
    let nodes = three_nodes().await;
    nodes[0].propose(link_config()).await;
    let fourth = Node::start("127.0.0.1:0", &[&nodes[2].address], memory()).await;
    fourth.until("the fourth node is ready", |status| status.ready).await;
    let (command, digest) = move_tag(1);
    fourth.propose(command).await;
    assert_eq!(fourth.tag(&repository(), &tag()).await, Some(digest));
    assert_eq!(fourth.cluster.status().role, Role::Learner);
    let survey = fourth.cluster.survey().await;
    assert_eq!(survey.iter().filter(|peer| peer.reachable).count(), 4, "{survey:?}");
}
