//! I10: the engine that simulations run on and the one that runs in production keep the same
//! catalog of the same log. Real nodes on real sockets, each on an engine of its own.
#![allow(clippy::unwrap_used, reason = "a failed test panics")]
#![allow(clippy::large_futures, reason = "a test has room on its stack")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use node::config::Source;
use node::{Config, Node, TcpWorld};
use proto::{Actor, Command, JoinToken, RequestId, TokenSecret};
use raft::Fingerprint;
use storage::Kv;
use storage::blob::DiskBlobs;
use storage::kv::{MemoryKv, RocksKv};

use super::chronicle::Chronicle;
use super::dice::Dice;
use super::disk::{SimDisk, Watch};
use crate::processes::free_ports;
use crate::{Image, Outcome, RegistryClient, eventually};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// A log so short that nodes which were away are sent snapshots.
const SNAPSHOT_EVERY: &str = "20";

/// What all nodes of the cluster know: where its blobs are, and how to join it.
struct Site<'a> {
    folder: &'a Path,
    invitation: Option<(String, JoinToken)>,
}

impl Site<'_> {
    async fn start(&self, kv: Arc<dyn Kv>, peer: &str) -> Node {
        let blobs = self.folder.join("blobs");
        let mut set = vec![
            ("ROADSTEAD_ACCESS_MODE", "open".to_owned()),
            ("ROADSTEAD_API_LISTEN", "127.0.0.1:0".to_owned()),
            ("ROADSTEAD_PEER_LISTEN", peer.to_owned()),
            ("ROADSTEAD_ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
            ("ROADSTEAD_STORAGE_PATH", blobs.to_str().unwrap().to_owned()),
            ("ROADSTEAD_RAFT_SNAPSHOT_EVERY", SNAPSHOT_EVERY.to_owned()),
        ];
        if let Some((address, token)) = &self.invitation {
            set.push(("ROADSTEAD_CLUSTER_JOIN", address.clone()));
            set.push(("ROADSTEAD_CLUSTER_TOKEN", token.to_string()));
        }
        let set = set.into_iter().map(|(name, value)| (name.to_owned(), value));
        let config = Config::read(&mut Source::new(set)).unwrap();
        let blobs = Arc::new(DiskBlobs::open(&blobs).unwrap());
        Node::start(&config, Arc::new(TcpWorld), kv, blobs).await.unwrap()
    }
}

async fn invitation(founder: &Node) -> (String, JoinToken) {
    let secret = TokenSecret::from_bytes([7; 16]);
    let lifetime = Duration::from_secs(3600);
    let command = Command::IssueToken { token: secret.hash(), lifetime, alone: false };
    let mut attempts = 0_u128..;
    eventually("a token is issued", PATIENCE, async || {
        // A refusal is remembered with its id, and the cluster may still be being founded.
        let request = RequestId::from_bytes(attempts.next().unwrap().to_be_bytes());
        Ok(founder.cluster().propose(request, &Actor::CLUSTER, command.clone()).await?)
    })
    .await
    .unwrap();
    (founder.addresses().peer.to_string(), founder.cluster().join_token(secret).unwrap())
}

/// Pushes, moves and deletes through all `nodes` in turn.
async fn work(nodes: &[&Node], numbers: std::ops::Range<u64>) {
    let clients: Vec<RegistryClient> = nodes
        .iter()
        .map(|node| RegistryClient::new(&format!("http://{}", node.addresses().api)).unwrap())
        .collect();
    for (number, client) in numbers.zip(clients.iter().cycle()) {
        let tag = format!("tag-{}", number % 5);
        let image = Image::numbered(number);
        eventually("the push is acknowledged", PATIENCE, async || {
            client.push("team/app", &tag, &image).await
        })
        .await
        .unwrap();
        if number % 7 == 0 {
            let outcome = client.delete("team/app", image.digest().as_str()).await;
            assert_eq!(outcome, Outcome::Done);
        }
    }
}

async fn until_alike(nodes: &[&Node]) {
    let all = eventually("all have applied the same", PATIENCE, async || {
        let mut all = Vec::new();
        for node in nodes {
            all.push(Fingerprint::of_all(&node.cluster().local()?)?);
        }
        ensure!(all.iter().all(|one| one.map(|(index, _)| index) == all[0].map(|(i, _)| i)));
        Ok(all)
    })
    .await
    .unwrap();
    assert!(all[0].is_some() && all.iter().all(|one| *one == all[0]), "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn engines_keep_the_same_catalog_of_the_same_log() {
    let folder = tempfile::tempdir().unwrap();
    let mut site = Site { folder: folder.path(), invitation: None };
    let path = folder.path().join("rocks");
    std::fs::create_dir(&path).unwrap();
    let rocks: Arc<dyn Kv> = Arc::new(RocksKv::open(&path).unwrap());
    let [first, second, third] = free_ports().unwrap().map(|p| format!("127.0.0.1:{p}"));
    let founder = site.start(rocks, &first).await;
    site.invitation = Some(invitation(&founder).await);
    let chronicle = Chronicle::default();
    let watch = Watch::new(&chronicle);
    let dice = Dice::new(1, "disk");
    let disk = SimDisk::new(
        "simulated".to_owned(),
        dice,
        Duration::from_millis(2),
        chronicle.clone(),
        watch,
    );
    let simulated = site.start(Arc::new(disk.open()), &second).await;
    let memory = site.start(Arc::new(MemoryKv::new()), &third).await;
    work(&[&founder, &simulated, &memory], 0..40).await;
    until_alike(&[&founder, &simulated, &memory]).await;

    // The simulated disk crashes, the others go on until they have purged what it misses.
    drop(simulated);
    work(&[&founder, &memory], 40..90).await;
    let simulated = site.start(Arc::new(disk.open()), &second).await;
    until_alike(&[&founder, &simulated, &memory]).await;

    // The one on RocksDB stops and comes back.
    founder.stop().await;
    work(&[&simulated, &memory], 90..140).await;
    let rocks: Arc<dyn Kv> =
        eventually("RocksDB opens again", PATIENCE, async || Ok(Arc::new(RocksKv::open(&path)?)))
            .await
            .unwrap();
    let founder = site.start(rocks, &first).await;
    work(&[&founder, &simulated, &memory], 140..160).await;
    until_alike(&[&founder, &simulated, &memory]).await;
    assert_eq!(chronicle.violation(), None);
}
