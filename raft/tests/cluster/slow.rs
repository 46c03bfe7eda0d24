//! Nodes that are far from each other.

use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proto::PeerAddress;
use raft::{Dial, DialError, Hindrance, Status, Tuning};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tonic::transport::Channel;

use super::{Loopback, Node, QUICK, eventually, link_config, memory, move_tag, repository, tag};

/// Of nodes that are half a second apart, and answer each heartbeat in time.
const DISTANT: Tuning = Tuning {
    heartbeat: Duration::from_millis(1000),
    election_min: Duration::from_millis(2000),
    election_max: Duration::from_millis(2500),
    ..QUICK
};

/// Lines that take so many milliseconds each way.
#[derive(Clone, Default)]
struct Lines(Arc<AtomicU64>);

impl Dial for Lines {
    fn dial(&self, address: &PeerAddress) -> Result<Channel, DialError> {
        let near = StdListener::bind("127.0.0.1:0").unwrap();
        near.set_nonblocking(true).unwrap();
        let line = near.local_addr().unwrap().to_string().parse().unwrap();
        let near = TcpListener::from_std(near).unwrap();
        tokio::spawn(self.clone().connect(near, address.to_string()));
        Loopback.dial(&line)
    }
}

impl Lines {
    async fn start(&self, join: &[&str], tuning: Tuning) -> Node {
        let dial = Arc::new(self.clone());
        Node::try_start_through(dial, "127.0.0.1:0", join, memory(), tuning).await.unwrap()
    }

    async fn connect(self, near: TcpListener, far: String) {
        while let Ok((near, _)) = near.accept().await {
            let Ok(far) = TcpStream::connect(&far).await else { continue };
            let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
            tokio::spawn(self.clone().carry(from_near, to_far));
            tokio::spawn(self.clone().carry(from_far, to_near));
        }
    }

    async fn carry(self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from.read(&mut bytes).await {
            tokio::time::sleep(Duration::from_millis(self.0.load(Ordering::Relaxed))).await;
            if to.write_all(&bytes[..read]).await.is_err() {
                return;
            }
        }
    }
}

fn three_vote(status: &Status) -> bool {
    status.ready && status.members.iter().filter(|member| member.voter).count() == 3
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_are_far_from_each_other_come_to_vote() {
    let lines = Lines::default();
    lines.0.store(260, Ordering::Relaxed);
    let first = lines.start(&[], DISTANT).await;
    let join = [first.address.as_str()];
    let _others = [lines.start(&join, DISTANT).await, lines.start(&join, DISTANT).await];
    first.until("three nodes vote", three_vote).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_to_which_others_are_too_far_for_its_heartbeats_says_so() {
    let lines = Lines::default();
    let first = lines.start(&[], QUICK).await;
    let join = [first.address.as_str()];
    let others = [lines.start(&join, QUICK).await, lines.start(&join, QUICK).await];
    first.until("three nodes vote", three_vote).await;
    first.propose(link_config()).await;

    // Each answer comes after more than 3/4 of the time between two heartbeats, and most before
    // whoever asks whether a node lives gives up.
    lines.0.store(60, Ordering::Relaxed);
    let nodes = [&first, &others[0], &others[1]];
    let late = eventually("the leader says why it has no majority", async || {
        let hindrances = nodes.map(|node| node.cluster.hindrance());
        let late =
            |hindrance: &Option<Hindrance>| matches!(hindrance, Some(Hindrance::Late { .. }));
        hindrances.iter().position(late).ok_or_else(|| format!("{hindrances:?}"))
    })
    .await;
    let said = nodes[late].cluster.hindrance().map(|late| late.to_string()).unwrap_or_default();
    assert!(said.contains("raft.heartbeat_ms, 100 now"), "{said}");

    lines.0.store(0, Ordering::Relaxed);
    let (command, digest) = move_tag(1);
    first.propose(command).await;
    assert_eq!(others[0].tag(&repository(), &tag()).await, Some(digest));
    eventually("nothing is in the way", async || {
        let hindrance = nodes[late].cluster.hindrance();
        hindrance.map_or(Ok(()), |late| Err(late.to_string()))
    })
    .await;
}
