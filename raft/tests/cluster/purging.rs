//! Logs of large entries.

use std::ops::ControlFlow;
use std::sync::Arc;

use proto::{Algorithm, Command, Manifest, MediaType, RequestId, Tagging};
use raft::{ProposeError, Role, Tuning};
use storage::{KvRead, Space};

use super::{
    Node, QUICK, actor, eventually, link_config, memory, move_tag, random, repository, tag,
    three_nodes,
};

/// What a log may have with [`QUICK`]: 64 KiB for each of 50 entries.
const LOG_BYTES_MAX: usize = 50 * 64 * 1024;

/// What each push here has: more of them than a log may have come before the fiftieth.
const PUSH_BYTES: usize = 256 * 1024;

/// A push that is refused, since its blobs are not there.
fn refused(number: usize) -> Command {
    let digest = format!("sha256:{number:064x}");
    let json = format!(
        r#"{{"schemaVersion":2,"config":{{"mediaType":"a/b","digest":"{digest}","size":2}},
            "layers":[]{}}}"#,
        " ".repeat(PUSH_BYTES)
    );
    let media_type: MediaType = MediaType::OCI_MANIFEST.parse().unwrap();
    Command::PutManifest {
        repository: repository(),
        manifest: Manifest::parse(media_type, Algorithm::Sha256, json.into()).unwrap(),
        tags: vec![],
        preconditions: vec![],
        sparse: false,
        tagging: Tagging::ANY,
    }
}

async fn push_in_vain(node: &Node, number: usize) {
    let request = RequestId::from_bytes(random());
    eventually("the push is refused", async || {
        match node.cluster.propose(request, &actor(), refused(number)).await {
            Err(ProposeError::Refused(_)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

/// The bytes of the entries of the log in `kv`.
fn bytes(kv: &dyn KvRead) -> usize {
    let mut bytes = 0;
    let mut count = |_: &[u8], value: &[u8]| {
        bytes += value.len();
        ControlFlow::Continue(())
    };
    kv.scan(Space::Log, b"e", b"f", &mut count).unwrap();
    bytes
}

async fn until_short(node: &Node) {
    eventually("the log is purged", async || match bytes(&*node.disk) {
        ..=LOG_BYTES_MAX => Ok(()),
        bytes => Err(format!("{bytes} bytes are left")),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_pushes_that_are_refused_fill_no_log() {
    let nodes = three_nodes().await;
    nodes[0].propose(link_config()).await;
    let away = Node::start("127.0.0.1:0", &[&nodes[0].address], memory()).await;
    away.until("the fourth node is ready", |status| status.ready).await;
    let (address, kv) = away.kill().await;
    for number in 0..100 {
        push_in_vain(&nodes[number % 3], number).await;
    }
    for node in &nodes {
        until_short(node).await;
    }

    let (command, digest) = move_tag(1);
    nodes[0].propose(command).await;
    let returned = Node::start(&address, &[], kv).await;
    returned.until("the node that was away is ready", |status| status.ready).await;
    assert_eq!(returned.tag(&repository(), &tag()).await, Some(digest));
    until_short(&returned).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_too_large_when_its_node_starts_is_purged() {
    let kv = memory();
    let unbounded = Tuning { snapshot_every: 10_000, ..QUICK };
    let node = Node::start_with("127.0.0.1:0", &[], Arc::clone(&kv), unbounded).await;
    node.until("it leads", |status| status.ready && status.role == Role::Leader).await;
    for number in 0..20 {
        push_in_vain(&node, number).await;
    }
    let (address, _) = node.kill().await;
    assert!(bytes(&*kv) > LOG_BYTES_MAX);
    let node = Node::start(&address, &[], kv).await;
    until_short(&node).await;
}
