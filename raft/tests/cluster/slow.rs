//! Nodes that are far from each other, and lines on which nothing arrives any more.

use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::future::{join, join3};
use proto::{PeerAddress, RequestId};
use raft::{Dial, DialError, Hindrance, ProposeError, ReadError, RemoveError, Status, Tuning};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tonic::transport::Channel;

use super::{
    Loopback, Node, QUICK, actor, eventually, leader, link_config, memory, move_tag, random,
    repository, tag,
};

/// Of nodes that are half a second apart, and answer each heartbeat in time.
const DISTANT: Tuning = Tuning {
    heartbeat: Duration::from_millis(1000),
    election_min: Duration::from_millis(2000),
    election_max: Duration::from_millis(2500),
    ..QUICK
};

/// How many milliseconds a line takes that is as good as cut: nobody is told.
const HOUR: u64 = 60 * 60 * 1000;

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
    // the node that asks whether another lives gives up.
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

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_a_leader_that_vanished_waits_no_longer_than_until_there_is_another_term() {
    let lines: [Lines; 3] = Default::default();
    let first = lines[0].start(&[], QUICK).await;
    let seed = first.address.clone();
    let mut nodes = vec![first];
    for lines in &lines[1..] {
        nodes.push(lines.start(&[&seed], QUICK).await);
    }
    for node in &nodes {
        node.until("three nodes vote", three_vote).await;
    }
    nodes[0].propose(link_config()).await;
    let leading = leader(&nodes);
    let (vanishes, asked) = (nodes[leading].cluster.status(), &nodes[(leading + 1) % 3]);
    asked.until("it follows", |status| status.leader == Some(vanishes.node)).await;

    // Those of the third node are as they were: it will lead.
    for cut in [leading, (leading + 1) % 3] {
        lines[cut].0.store(HOUR, Ordering::Relaxed);
    }
    let (cluster, actor) = (&asked.cluster, actor());
    let [put, removal] = [(); 2].map(|()| RequestId::from_bytes(random()));
    let asking = async {
        let outcomes = join3(
            cluster.propose(put, &actor, move_tag(1).0),
            cluster.remove(removal, &actor, vanishes.node),
            cluster.read(),
        );
        (outcomes.await, Instant::now())
    };
    let electing = async {
        asked.until("there is another term", |status| status.term > vanishes.term).await;
        Instant::now()
    };
    let (((proposed, removed, read), answered), elected) = join(asking, electing).await;
    assert_eq!(proposed, Err(ProposeError::Unknown));
    assert_eq!(removed, Err(RemoveError::Unknown));
    assert!(matches!(read, Err(ReadError::Unavailable { .. })));
    let late = answered.saturating_duration_since(elected);
    assert!(late < Duration::from_secs(1), "{late:?}");
}
