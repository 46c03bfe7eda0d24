//! Nodes among each other: who joins, who is let in by which certificate, and who is told why not.
#![allow(clippy::disallowed_methods, reason = "a test has no other door to the network")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed test panics")]

mod support;

use std::fs;
use std::future::ready;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::pin::pin;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use node::config::Source;
use node::{Config, Connection, Listener, Listeners, Node, NodeError, TcpWorld, World};
use proto::pb::cluster as pb;
use proto::pb::cluster::cluster_client::ClusterClient;
use proto::pb::peer::peer_client::PeerClient;
use proto::pb::{peer as pb_peer, raft as pb_raft};
use proto::{Actor, Command, JoinToken, RequestId, Thumbprint, Timestamp, TokenSecret};
use raft::{Ended, PeerName};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, GeneralSubtree, IsCa, KeyPair, NameConstraints,
    PKCS_ED25519,
};
use rustix::fs::{CWD, Mode, OFlags, mkfifoat, open};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use storage::Kv;
use storage::blob::DiskBlobs;
use storage::kv::MemoryKv;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use support::pki::Pki;
use support::{alone, complaint, free_ports, get, output, roadstead, until};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The real world, with a clock that can be set forward.
#[derive(Clone, Default)]
struct LaterWorld(Arc<AtomicU64>);

impl LaterWorld {
    fn wait(&self, time: Duration) {
        self.0.fetch_add(time.as_millis().try_into().unwrap(), Ordering::Relaxed);
    }

    fn set_right(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

#[async_trait]
impl World for LaterWorld {
    async fn bind(&self, address: SocketAddr) -> io::Result<Box<dyn Listener>> {
        TcpWorld.bind(address).await
    }

    async fn connect(&self, address: &str) -> io::Result<Connection> {
        TcpWorld.connect(address).await
    }

    fn now(&self) -> Timestamp {
        TcpWorld.now().plus(Duration::from_millis(self.0.load(Ordering::Relaxed)))
    }
}

/// What nodes of a test have in common.
struct Place {
    world: LaterWorld,
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { world: LaterWorld::default(), folder: tempfile::tempdir().unwrap() }
    }

    /// Starts a node that joins the one that listens for peers at `join`.
    async fn start(
        &self,
        kv: &Arc<dyn Kv>,
        join: Option<(SocketAddr, &JoinToken)>,
    ) -> Result<Node, NodeError> {
        let joining = join.into_iter().flat_map(|(address, token)| {
            [
                ("ROADSTEAD_CLUSTER_JOIN".to_owned(), address.to_string()),
                ("ROADSTEAD_CLUSTER_TOKEN".to_owned(), token.to_string()),
            ]
        });
        self.start_as(kv, joining.collect()).await
    }

    /// Starts a node with these variables beside those that all have.
    async fn start_as(
        &self,
        kv: &Arc<dyn Kv>,
        mut variables: Vec<(String, String)>,
    ) -> Result<Node, NodeError> {
        let path = self.folder.path().join("blobs");
        variables.extend([
            ("ROADSTEAD_API_LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
            ("ROADSTEAD_PEER_LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
            ("ROADSTEAD_ADMIN_LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
            ("ROADSTEAD_STORAGE_PATH".to_owned(), path.to_str().unwrap().to_owned()),
        ]);
        let config = Config::read(&mut Source::new(variables)).unwrap();
        let blobs = Arc::new(DiskBlobs::open(&path).unwrap());
        Node::start(&config, Arc::new(self.world.clone()), Arc::clone(kv), blobs).await
    }

    async fn found(&self) -> Node {
        self.start(&memory(), None).await.unwrap()
    }

    /// Starts a node that founds a cluster with this CA, whose files are below [`Place::folder`].
    async fn found_with(&self, kv: &Arc<dyn Kv>) -> Result<Node, NodeError> {
        let file = |name: &str| self.folder.path().join(name).to_str().unwrap().to_owned();
        let own = vec![
            ("ROADSTEAD_CLUSTER_CA_CERTIFICATE".to_owned(), file("ca.pem")),
            ("ROADSTEAD_CLUSTER_CA_KEY".to_owned(), file("ca-key.pem")),
        ];
        self.start_as(kv, own).await
    }

    fn write_authority(&self, certificate: &str, key: &str) {
        fs::write(self.folder.path().join("ca.pem"), certificate).unwrap();
        fs::write(self.folder.path().join("ca-key.pem"), key).unwrap();
    }
}

fn memory() -> Arc<dyn Kv> {
    Arc::new(MemoryKv::default())
}

/// A token that the cluster of `node` has issued.
async fn issue(node: &Node, lifetime: Duration, alone: bool) -> JoinToken {
    let secret = TokenSecret::from_bytes(rand());
    let command = Command::IssueToken { token: secret.hash(), lifetime, alone };
    let request = RequestId::from_bytes(rand());
    let cluster = node.cluster();
    until("the token is issued", async || {
        cluster.propose(request, &Actor::CLUSTER, command.clone()).await.is_ok()
    })
    .await;
    cluster.join_token(secret).unwrap()
}

fn rand() -> [u8; 16] {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

/// Somebody who dials a node, believes whatever that shows, and shows a certificate or none.
#[derive(Clone)]
struct Stranger {
    config: Arc<ClientConfig>,
    seen: Arc<Mutex<Option<CertificateDer<'static>>>>,
}

#[derive(Debug)]
struct Credulous(Arc<Mutex<Option<CertificateDer<'static>>>>);

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.0.lock().unwrap() = Some(shown.clone().into_owned());
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

impl Stranger {
    fn new(shows: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>) -> Self {
        let seen = Arc::default();
        let builder =
            ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
                .with_protocol_versions(&[&TLS13])
                .unwrap()
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Credulous(Arc::clone(&seen))));
        let mut config = match shows {
            Some((certificate, key)) => {
                builder.with_client_auth_cert(vec![certificate], key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Self { config: Arc::new(config), seen }
    }

    /// A connection to the peer listener of `node`.
    async fn dial(&self, node: &Node) -> Channel {
        let (address, config) = (node.addresses().peer, Arc::clone(&self.config));
        let connector = tower::service_fn(move |_| {
            let connector = TlsConnector::from(Arc::clone(&config));
            async move {
                let stream = TcpStream::connect(address).await?;
                let stream = connector.connect("any".try_into().unwrap(), stream).await?;
                io::Result::Ok(hyper_util::rt::TokioIo::new(stream))
            }
        });
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        endpoint.connect_with_connector(connector).await.unwrap()
    }

    /// Why `node` does not tell it of itself.
    async fn refusal(&self, node: &Node) -> String {
        let mut client = ClusterClient::new(self.dial(node).await);
        let refused = client.status(pb::StatusRequest {}).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
        refused.message().to_owned()
    }
}

/// What `node` answers to a request to join.
async fn answer(node: &Node, request: pb::JoinRequest) -> Option<pb::join_response::Result> {
    let mut client = ClusterClient::new(Stranger::new(None).dial(node).await);
    client.join(request).await.unwrap().into_inner().result
}

/// The certificate that `node` shows.
async fn shown(node: &Node) -> CertificateDer<'static> {
    let stranger = Stranger::new(None);
    drop(stranger.dial(node).await);
    let seen = stranger.seen.lock().unwrap().clone();
    seen.unwrap()
}

/// Waits until `node` has had another one's word that it has all that was acknowledged.
async fn until_it_reads(node: &Node) {
    until("it reads", async || node.cluster().read().await.is_ok()).await;
}

/// Joins the cluster of `node` by hand, as a node that says it listens at `address`.
async fn join(node: &Node, token: &JoinToken, address: &str) -> (PeerName, Stranger) {
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let request = pb::JoinRequest {
        peer_address: address.to_owned(),
        request_id: rand().to_vec().into(),
        token_secret: token.secret.as_bytes().to_vec().into(),
        public_key: key.public_key_raw().to_vec().into(),
    };
    let answer = answer(node, request).await;
    let Some(pb::join_response::Result::Admitted(admission)) = answer else {
        panic!("{answer:?}");
    };
    let name = PeerName { cluster: token.cluster, node: admission.node_id };
    let certificate = CertificateDer::from(admission.certificate.to_vec());
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    (name, Stranger::new(Some((certificate, key))))
}

async fn until_all_are_members(nodes: &[&Node]) {
    until("every node reaches every other", async || {
        for node in nodes {
            let seen = node.cluster().survey().await;
            if seen.len() != nodes.len() || !seen.iter().all(|peer| peer.reachable) {
                return false;
            }
        }
        true
    })
    .await;
}

#[tokio::test]
async fn nodes_join_by_a_token_and_know_each_other_by_their_certificates() {
    let place = Place::new();
    let first = place.found().await;
    let token = issue(&first, DAY, false).await;
    let at = first.addresses().peer;
    let second = place.start(&memory(), Some((at, &token))).await.unwrap();
    until_all_are_members(&[&first, &second]).await;
    let third = place.start(&memory(), Some((second.addresses().peer, &token))).await.unwrap();
    until_all_are_members(&[&first, &second, &third]).await;
}

#[tokio::test]
async fn a_settled_node_needs_no_file_with_a_token() {
    let (place, kv) = (Place::new(), memory());
    let variables = || vec![("ROADSTEAD_CLUSTER_TOKEN_FILE".to_owned(), "/".to_owned())];
    place.start_as(&kv, variables()).await.unwrap().stop().await;
    place.start_as(&kv, variables()).await.unwrap();
}

#[tokio::test]
async fn who_founds_a_cluster_in_place_of_joining_one_is_told_how_to_join() {
    let place = Place::new();
    let first = place.found().await;
    let token = issue(&first, DAY, false).await;
    let kv = memory();
    let told = async |join| place.start(&kv, join).await.err().expect("it is refused").to_string();
    for join in [None, Some((first.addresses().peer, &token))] {
        let said = told(join).await;
        assert!(said.contains("because cluster.join was not set at its first start"), "{said}");
        assert!(said.contains("empty node.data_dir and set cluster.join"), "{said}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_files_of_access_shows_before_a_node_takes_part() {
    let (place, kv) = (Place::new(), memory());
    let variables = vec![("ROADSTEAD_ACCESS_HTPASSWD".to_owned(), "/nowhere".to_owned())];
    let refusal = place.start_as(&kv, variables).await.err().expect("it is refused");
    assert!(matches!(refusal, NodeError::Access(_)), "{refusal}");
    assert!(!raft::is_settled(&*kv).unwrap());
}

#[tokio::test]
async fn a_node_takes_part_while_its_object_store_does_not_answer() {
    let (place, elsewhere) = (Place::new(), Place::new());
    let first = place.found().await;
    let token = issue(&first, DAY, false).await;
    // The store as the second node finds it, which has a pipe where it says whose it is: a node
    // that asks waits for the other end.
    let [store, found] = [&place, &elsewhere].map(|place| place.folder.path().join("blobs"));
    fs::create_dir(&found).unwrap();
    for entry in fs::read_dir(&store).unwrap().map(Result::unwrap) {
        let to = found.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => fs::create_dir(to).unwrap(),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
    let path = found.join("cluster");
    let owner = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();

    let kv = memory();
    let mut starting = pin!(elsewhere.start(&kv, Some((first.addresses().peer, &token))));
    let reached = async {
        let mut other_end = None;
        until("the store is asked", || {
            other_end = open(&path, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty()).ok();
            ready(other_end.is_some())
        })
        .await;
        until("the node that starts is reached", async || {
            let seen = first.cluster().survey().await;
            seen.len() == 2 && seen.iter().all(|peer| peer.reachable)
        })
        .await;
        other_end.unwrap()
    };
    let other_end = tokio::select! {
        _ = &mut starting => panic!("it has started without its store"),
        other_end = reached => other_end,
    };
    fs::remove_file(&path).unwrap();
    fs::write(&path, &owner).unwrap();
    fs::File::from(other_end).write_all(&owner).unwrap();
    let second = starting.await.unwrap();
    until_all_are_members(&[&first, &second]).await;
}

/// The real world, if nobody else lived there: nodes show no certificates.
struct OpenWorld;

#[async_trait]
impl World for OpenWorld {
    async fn bind(&self, address: SocketAddr) -> io::Result<Box<dyn Listener>> {
        TcpWorld.bind(address).await
    }

    async fn connect(&self, address: &str) -> io::Result<Connection> {
        TcpWorld.connect(address).await
    }

    fn now(&self) -> Timestamp {
        TcpWorld.now()
    }

    fn secures_peers(&self) -> bool {
        false
    }
}

/// A node that starts, and whose store does not answer.
struct Waiting {
    starting: JoinHandle<Result<(), NodeError>>,
    stop: CancellationToken,
    peer: ClusterClient<Channel>,
    /// What its store waits for.
    _other_end: OwnedFd,
    _folder: TempDir,
}

impl Waiting {
    /// Starts one that listens for peers at `port`, and joins the one at `join`.
    async fn start(port: u16, join: Option<u16>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let blobs = DiskBlobs::open(folder.path()).unwrap();
        let path = folder.path().join("cluster");
        mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).unwrap();
        let at = |port: u16| format!("127.0.0.1:{port}");
        let mut variables = vec![
            ("ROADSTEAD_API_LISTEN".to_owned(), at(0)),
            ("ROADSTEAD_PEER_LISTEN".to_owned(), at(port)),
            ("ROADSTEAD_ADMIN_LISTEN".to_owned(), at(0)),
            ("ROADSTEAD_STORAGE_PATH".to_owned(), folder.path().to_str().unwrap().to_owned()),
            // So that who leads was handed it.
            ("ROADSTEAD_RAFT_ELECTION_MIN_MS".to_owned(), "5000".to_owned()),
            ("ROADSTEAD_RAFT_ELECTION_MAX_MS".to_owned(), "8000".to_owned()),
        ];
        variables.extend(join.map(|join| ("ROADSTEAD_CLUSTER_JOIN".to_owned(), at(join))));
        let config = Config::read(&mut Source::new(variables)).unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let starting = tokio::spawn(async move {
            let world = Arc::new(OpenWorld);
            let listeners = Listeners::bind(&config, &*world).await?;
            let start =
                Node::start_on(listeners, &config, world, memory(), Arc::new(blobs), stopped);
            start.await.map(drop)
        });
        let mut other_end = None;
        until("the store is asked", || {
            other_end = open(&path, OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty()).ok();
            ready(other_end.is_some())
        })
        .await;
        let channel = Endpoint::from_shared(format!("http://{}", at(port))).unwrap();
        let peer = ClusterClient::new(channel.connect_lazy());
        Self { starting, stop, peer, _other_end: other_end.unwrap(), _folder: folder }
    }

    async fn status(&self) -> pb::StatusResponse {
        self.peer.clone().status(pb::StatusRequest {}).await.unwrap().into_inner()
    }

    async fn ended(self) -> NodeError {
        let ended = timeout(support::DEADLINE, self.starting).await.expect("it ends");
        ended.unwrap().expect_err("its store did not answer")
    }
}

#[tokio::test]
async fn a_node_whose_object_store_does_not_answer_ends_in_order() {
    let port = free_ports();
    let first = Waiting::start(port, None).await;
    let second = Waiting::start(port + 1, Some(port)).await;
    let third = Waiting::start(port + 2, Some(port)).await;
    until("all vote", async || {
        second.status().await.role == "follower" && third.status().await.role == "follower"
    })
    .await;

    let (leads, goes) = (first.status().await, third.status().await);
    assert_eq!(leads.role, "leader");
    let removal = pb::RemoveRequest {
        cluster_id: leads.cluster_id,
        request_id: rand().to_vec().into(),
        actor: "tester".to_owned(),
        node_id: goes.node_id,
    };
    until("the third node is removed", async || {
        let answer = first.peer.clone().remove(removal.clone()).await.unwrap().into_inner();
        let carried_out = pb::RemovalDecided { carried_out: true };
        answer.result == Some(pb::remove_response::Result::Decided(carried_out))
    })
    .await;
    let ended = third.ended().await;
    let is_removed = matches!(ended, NodeError::Ended(Ended::Removed(id)) if id == goes.node_id);
    assert!(is_removed, "{ended}");

    first.stop.cancel();
    let ended = first.ended().await;
    assert!(matches!(ended, NodeError::Stopped), "{ended}");
    assert_eq!(second.status().await.role, "leader");
}

#[tokio::test]
async fn who_has_no_good_token_is_not_admitted_and_is_told_why() {
    let (place, other) = (Place::new(), Place::new());
    let (first, stranger) = (place.found().await, other.found().await);
    let at = first.addresses().peer;
    let refusal = async |token: &JoinToken| {
        place.start(&memory(), Some((at, token))).await.err().expect("it is refused").to_string()
    };
    let expired = issue(&first, Duration::from_secs(1), false).await;
    place.world.wait(Duration::from_secs(2));
    let said = refusal(&expired).await;
    assert!(said.contains("this join token has expired"), "{said}");

    let made_up = JoinToken { secret: TokenSecret::from_bytes([1; 16]), ..expired };
    let before = first.cluster().status().last_log;
    let said = refusal(&made_up).await;
    assert!(said.contains("does not know this join token"), "{said}");
    assert_eq!(first.cluster().status().last_log, before, "guesses are not in the log");
    let large = pb::JoinRequest {
        peer_address: "a:1".to_owned(),
        request_id: rand().to_vec().into(),
        token_secret: vec![1; 64 * 1024].into(),
        public_key: bytes::Bytes::new(),
    };
    let mut client = ClusterClient::new(Stranger::new(None).dial(&first).await);
    client.join(large).await.expect_err("it is not read to its end");

    let before = issue(&first, DAY, false).await;
    let rotated = issue(&first, DAY, true).await;
    let said = refusal(&before).await;
    assert!(said.contains("does not know this join token"), "{said}");

    let foreign = issue(&stranger, DAY, false).await;
    let said = refusal(&foreign).await;
    assert!(said.contains("a node of another cluster than the token is for"), "{said}");

    let second = place.start(&memory(), Some((at, &rotated))).await.unwrap();
    until_all_are_members(&[&first, &second]).await;
}

#[tokio::test]
async fn a_node_without_a_certificate_of_the_cluster_is_served_nothing() {
    let place = Place::new();
    let first = place.found().await;
    let said = Stranger::new(None).refusal(&first).await;
    assert!(said.contains("serves nodes of its cluster, which show a certificate"), "{said}");

    // Of another cluster, and by another authority with the right names.
    let other = Place::new().found().await;
    let token = issue(&other, DAY, false).await;
    let (_, foreign) = join(&other, &token, "127.0.0.1:1").await;
    let said = foreign.refusal(&first).await;
    assert!(said.contains("not by the authority of the cluster"), "{said}");
    let cluster = first.cluster().status().cluster;
    let names = [PeerName { cluster, node: 1 }.to_string(), PeerName::common(cluster)];
    let forged = Pki::new().named(&names);
    let said = Stranger::new(Some((forged.der(), forged.key()))).refusal(&first).await;
    assert!(said.contains("not by the authority of the cluster"), "{said}");

    let token = issue(&first, DAY, false).await;
    let (_, member) = join(&first, &token, "127.0.0.1:1").await;
    let mut client = ClusterClient::new(member.dial(&first).await);
    client.status(pb::StatusRequest {}).await.unwrap();
    place.world.wait(DAY * 100);
    let said = member.refusal(&first).await;
    assert!(said.contains("the node's certificate has expired: with its clock right"), "{said}");

    let plain = get(&format!("http://{}/", first.addresses().peer)).await.unwrap();
    assert_eq!(plain.0, 400);
    assert!(plain.1.contains("this port speaks TLS"), "{plain:?}");
}

/// Of a request for the node with id 1.
fn envelope(cluster_id: &bytes::Bytes) -> Option<pb_peer::Envelope> {
    let cluster_id = cluster_id.clone();
    Some(pb_peer::Envelope { cluster_id, target: 1, no_majority: false })
}

#[tokio::test]
async fn a_node_speaks_in_its_own_name_only() {
    let place = Place::new();
    let first = place.found().await;
    let token = issue(&first, DAY, false).await;
    let (name, member) = join(&first, &token, "127.0.0.1:1").await;
    let cluster_id: bytes::Bytes = token.cluster.as_bytes().to_vec().into();
    let channel = member.dial(&first).await;
    let mut peer = PeerClient::new(channel.clone());
    let vote = |node_id| pb_peer::VoteRequest {
        envelope: envelope(&cluster_id),
        vote: Some(pb_raft::Vote { term: 1, node_id, committed: false }),
        ..pb_peer::VoteRequest::default()
    };
    let check = |refused: Status| {
        assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
        let sentence = format!("this is by node {}, in the name of node 99", name.node);
        assert_eq!(refused.message(), sentence);
    };
    check(peer.pre_vote(vote(99)).await.unwrap_err());
    check(peer.vote(vote(99)).await.unwrap_err());
    peer.pre_vote(vote(name.node)).await.expect("in its own name it may ask");
    let mut cluster = ClusterClient::new(channel);
    let activate =
        pb::ActivateRequest { cluster_id, node_id: 99, peer_address: "127.0.0.1:1".to_owned() };
    check(cluster.activate(activate).await.unwrap_err());
}

#[tokio::test]
async fn a_node_that_was_removed_takes_no_part_any_more() {
    let place = Place::new();
    let first = place.found().await;
    let token = issue(&first, DAY, false).await;
    let (name, member) = join(&first, &token, "127.0.0.1:1").await;
    let request = RequestId::from_bytes(rand());
    let remove = Command::RemoveNode { node: name.node };
    first.cluster().propose(request, &Actor::CLUSTER, remove).await.unwrap();
    let cluster_id: bytes::Bytes = token.cluster.as_bytes().to_vec().into();
    let channel = member.dial(&first).await;
    let check = |refused: Status| {
        assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
        assert_eq!(refused.message(), format!("node {} was removed from the cluster", name.node));
    };
    let vote = pb_peer::VoteRequest {
        envelope: envelope(&cluster_id),
        vote: Some(pb_raft::Vote { term: 1, node_id: name.node, committed: false }),
        ..pb_peer::VoteRequest::default()
    };
    check(PeerClient::new(channel.clone()).vote(vote).await.unwrap_err());
    let mut cluster = ClusterClient::new(channel);
    let message = pb::ReadIndexRequest { cluster_id: cluster_id.clone() };
    check(cluster.read_index(message).await.unwrap_err());
    let node_id = name.node;
    let message = pb::ActivateRequest { cluster_id, node_id, peer_address: "a:1".to_owned() };
    let answer = cluster.activate(message).await.unwrap().into_inner().result;
    assert!(matches!(answer, Some(pb::activate_response::Result::Removed(_))), "{answer:?}");
}

#[tokio::test]
async fn a_message_between_nodes_that_is_too_large_is_refused() {
    let place = Place::new();
    let first = place.found().await;
    let token = issue(&first, DAY, false).await;
    let (_, member) = join(&first, &token, "127.0.0.1:1").await;
    let mut cluster =
        ClusterClient::new(member.dial(&first).await).max_encoding_message_size(usize::MAX);
    let message =
        pb::ProposeRequest { actor: "a".repeat(17 * 1024 * 1024), ..pb::ProposeRequest::default() };
    let refused = cluster.propose(message).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange, "{refused}");
    cluster.status(pb::StatusRequest {}).await.expect("the node goes on");
}

#[tokio::test]
async fn certificates_are_renewed_before_they_expire() {
    let place = Place::new();
    let (first, kv) = (place.found().await, memory());
    let token = issue(&first, DAY, false).await;
    let second = place.start(&kv, Some((first.addresses().peer, &token))).await.unwrap();
    until_all_are_members(&[&first, &second]).await;
    for _ in 0..2 {
        let before = [shown(&first).await, shown(&second).await];
        place.world.wait(DAY * 61);
        until("both show others", async || {
            shown(&first).await != before[0] && shown(&second).await != before[1]
        })
        .await;
    }
    // The first ones would have expired a month ago: it comes back with what it has kept.
    let at = first.addresses().peer;
    second.stop().await;
    let second = place.start(&kv, Some((at, &token))).await.unwrap();
    until_all_are_members(&[&first, &second]).await;
}

#[tokio::test]
async fn a_node_whose_certificate_has_expired_signs_itself_another_and_is_served() {
    let place = Place::new();
    let (first, kv) = (place.found().await, memory());
    let token = issue(&first, DAY, false).await;
    let joined = Some((first.addresses().peer, &token));
    let second = place.start(&kv, joined).await.unwrap();
    until_all_are_members(&[&first, &second]).await;
    until_it_reads(&second).await;
    second.stop().await;
    let before = shown(&first).await;
    place.world.wait(DAY * 100);
    until("the other one shows another", async || shown(&first).await != before).await;

    let second = place.start(&kv, joined).await.unwrap();
    until_it_reads(&second).await;
    until_all_are_members(&[&first, &second]).await;
}

#[tokio::test]
async fn a_node_that_was_refused_for_its_clock_is_served_when_that_is_set_right() {
    let mut place = Place::new();
    let (first, kv) = (place.found().await, memory());
    place.world = LaterWorld::default();
    let token = issue(&first, DAY, false).await;
    let joined = Some((first.addresses().peer, &token));
    let second = place.start(&kv, joined).await.unwrap();
    until_all_are_members(&[&first, &second]).await;
    until_it_reads(&second).await;
    let before = shown(&second).await;
    place.world.wait(DAY * 61);
    until("it shows one of a day to come", async || shown(&second).await != before).await;
    second.stop().await;

    let second = place.start(&kv, joined).await.unwrap();
    // A node that has just started may have yet to say who its members are.
    until("it is refused", async || {
        second.cluster().survey().await.iter().any(|peer| !peer.reachable)
    })
    .await;
    place.world.set_right();
    until_it_reads(&second).await;
    until_all_are_members(&[&first, &second]).await;
}

#[tokio::test]
async fn a_request_to_join_is_answered_again_and_for_no_other_key() {
    use pb::join_response::Result as Pb;
    let place = Place::new();
    let first = place.found().await;
    let token = issue(&first, DAY, false).await;
    let key = || KeyPair::generate_for(&PKCS_ED25519).unwrap().public_key_raw().to_vec().into();
    let request = pb::JoinRequest {
        peer_address: "127.0.0.1:1".to_owned(),
        request_id: rand().to_vec().into(),
        token_secret: token.secret.as_bytes().to_vec().into(),
        public_key: key(),
    };
    let admitted = async || match answer(&first, request.clone()).await {
        Some(Pb::Admitted(admission)) => admission.node_id,
        answer => panic!("{answer:?}"),
    };
    let node = admitted().await;
    // The token is good no longer.
    issue(&first, DAY, true).await;
    assert_eq!(admitted().await, node);
    for stranger in [
        pb::JoinRequest { public_key: key(), ..request.clone() },
        pb::JoinRequest { token_secret: rand().to_vec().into(), ..request.clone() },
    ] {
        let answer = answer(&first, stranger).await;
        assert!(matches!(answer, Some(Pb::Refused(_))), "{answer:?}");
    }
}

fn serve(folder: &Path, blobs: &Path, arguments: &[&str]) -> tokio::process::Command {
    fs::create_dir_all(folder).unwrap();
    let mut command = roadstead(&[&["serve"], arguments].concat());
    alone(&mut command, folder);
    command.env("ROADSTEAD_STORAGE_PATH", blobs).stdin(Stdio::null());
    command
}

/// Waits until the log says `message` of a client on this machine.
async fn until_recorded(message: &str, log: impl Fn() -> String) {
    until(message, async || {
        log().lines().any(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
            line["message"] == message && line["client"] == "127.0.0.1"
        })
    })
    .await;
}

#[tokio::test]
async fn the_command_line_makes_tokens_and_joins_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let log = |name: &str| fs::read_to_string(at(name).join("log")).unwrap_or_default();
    let address = |name: &str, key: &str| {
        let log = log(name);
        let lines = log.lines().filter_map(|line| serde_json::from_str(line).ok());
        let serving = lines.into_iter().find(|l: &serde_json::Value| l["message"] == "serving")?;
        Some(serving[key].as_str()?.to_owned())
    };
    let run = |name: &str, arguments: &[&str]| {
        let mut command = serve(&at(name), &at("blobs"), arguments);
        let log = fs::File::create(at(name).join("log")).unwrap();
        command.stderr(log).spawn().unwrap()
    };
    let _first = run("first", &[]);
    until("the first node serves", async || address("first", "peer").is_some()).await;
    let peer = address("first", "peer").unwrap();
    let admin = format!("http://{}", address("first", "admin").unwrap());
    let said = complaint(serve(&at("none"), &at("blobs"), &["--join", &peer])).await;
    assert!(said.contains("needs a token: `roadstead cluster token`"), "{said}");
    let elsewhere = ["--join", &peer, "--token-file", "/nowhere/token"];
    let said = complaint(serve(&at("none"), &at("blobs"), &elsewhere)).await;
    assert!(
        said.contains("/nowhere/token, which cluster.token_file names, is not there"),
        "{said}"
    );
    let closed = ["--join", &peer, "--token-file", "/"];
    let said = complaint(serve(&at("none"), &at("blobs"), &closed)).await;
    assert!(said.contains("/, which cluster.token_file names, cannot be read"), "{said}");
    let said = complaint(serve(&at("none"), &at("blobs"), &["--token", "RSJ1-x"])).await;
    assert!(said.contains("must be what `roadstead cluster token` prints"), "{said}");

    let page = reqwest::Client::new().post(format!("{admin}/roadstead/v1/cluster/tokens"));
    let answer = page.header("origin", "https://example.com").send().await.unwrap();
    assert_eq!(answer.status(), 403, "pages in a browser get none");

    let print = ["cluster", "token", "--admin", &admin];
    until("the first node is ready", async || {
        get(&format!("{admin}/readyz")).await.is_some_and(|(status, _)| status == 200)
    })
    .await;
    let before = output(roadstead(&print)).await;
    let before = String::from_utf8(before.stdout).unwrap();
    let rotated = output(roadstead(&[&print[..2], &["rotate"], &print[2..]].concat())).await;
    let rotated = String::from_utf8(rotated.stdout).unwrap();
    let (before, rotated) = (before.trim(), rotated.trim());
    assert!(rotated.parse::<JoinToken>().is_ok(), "{rotated}");
    let join = ["--join", &peer, "--token"];
    let said = complaint(serve(&at("none"), &at("blobs"), &[&join[..], &[before]].concat())).await;
    assert!(said.contains("does not know this join token"), "{said}");
    until_recorded("node refused", || log("first")).await;
    let _second = run("second", &[&join[..], &[rotated]].concat());
    until_recorded("node admitted", || log("first")).await;
    until("the second node is ready", async || match address("second", "admin") {
        Some(admin) => {
            let ready = get(&format!("http://{admin}/readyz")).await;
            ready.is_some_and(|(status, _)| status == 200)
        }
        None => false,
    })
    .await;
    for name in ["first", "second"] {
        let secret = rotated.rsplit('-').next().unwrap();
        assert!(!log(name).contains(secret), "the log has no secret");
    }
}

/// A CA that a company has, whose key is of this kind.
fn own_authority(key: &KeyPair, is_ca: IsCa) -> String {
    own_authority_for(key, is_ca, None)
}

/// The same, for names below `domain` alone.
fn own_authority_for(key: &KeyPair, is_ca: IsCa, domain: Option<&str>) -> String {
    let mut params = CertificateParams::default();
    params.name_constraints = domain.map(|domain| NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName(domain.to_owned())],
        excluded_subtrees: vec![],
    });
    params.distinguished_name.push(DnType::OrganizationName, "Example");
    params.distinguished_name.push(DnType::CommonName, "Example's CA for registries");
    params.is_ca = is_ca;
    params.self_signed(key).unwrap().pem()
}

fn ca() -> IsCa {
    IsCa::Ca(BasicConstraints::Constrained(0))
}

#[tokio::test]
async fn a_cluster_takes_the_authority_that_its_founder_has() {
    let place = Place::new();
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    place.write_authority(&own_authority(&key, ca()), &key.serialize_pem());
    let kv = memory();
    let founder = place.found_with(&kv).await.unwrap();
    let token = issue(&founder, DAY, false).await;
    let pem = fs::read(place.folder.path().join("ca.pem")).unwrap();
    let authority = CertificateDer::from_pem_slice(&pem).unwrap();
    assert_eq!(token.authority, Thumbprint::of(&authority));

    let address = founder.addresses().peer;
    let joined = place.start(&memory(), Some((address, &token))).await.unwrap();
    until("the new node follows", async || joined.cluster().status().leader == Some(1)).await;
    let shown = Stranger::new(None);
    shown.refusal(&joined).await;
    let certificate = shown.seen.lock().unwrap().clone().unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(authority).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider).build();
    let name = ServerName::try_from(PeerName::common(token.cluster)).unwrap();
    let verifier = verifier.unwrap();
    verifier.verify_server_cert(&certificate, &[], &name, &[], UnixTime::now()).unwrap();

    // Once the cluster has it, the files are no longer needed.
    founder.stop().await;
    fs::remove_file(place.folder.path().join("ca-key.pem")).unwrap();
    place.found_with(&kv).await.unwrap();
}

#[tokio::test]
async fn an_authority_that_cannot_sign_is_refused_with_the_reason() {
    let place = Place::new();
    let refusal = async || match place.found_with(&memory()).await {
        Ok(_) => panic!("it was taken"),
        Err(error) => error.to_string(),
    };
    assert!(refusal().await.contains("ca.pem, which cannot be read"), "{}", refusal().await);
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let other = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let ecdsa = KeyPair::generate().unwrap();
    for (certificate, key, reason) in [
        ("none".to_owned(), key.serialize_pem(), "has no certificate in PEM"),
        (own_authority(&key, IsCa::NoCa), key.serialize_pem(), "is no CA's"),
        (own_authority(&key, ca()), other.serialize_pem(), "is not the key of the certificate"),
        (own_authority(&ecdsa, ca()), ecdsa.serialize_pem(), "is not one of Ed25519"),
        (
            own_authority_for(&key, ca(), Some("example")),
            key.serialize_pem(),
            "must leave room for *.roadstead",
        ),
    ] {
        place.write_authority(&certificate, &key);
        let said = refusal().await;
        assert!(said.contains(reason), "{said}");
    }
}
