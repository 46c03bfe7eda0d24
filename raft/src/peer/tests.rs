//! Client and service together, over loopback, with a Raft that only notes what it is asked.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed test panics")]
#![allow(clippy::disallowed_methods, reason = "a test has no other door to the network")]

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream;
use openraft::errors::{Fatal, RPCError, ReplicationClosed, StreamingError};
use openraft::network::RPCOption;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderError,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::{EntryPayload, RaftNetworkFactory as _, RaftNetworkV2 as _};
use proto::pb::peer as pb;
use proto::pb::peer::peer_client::PeerClient;
use proto::pb::peer::snapshot_chunk::Chunk;
use proto::{ClusterId, NodeId, PeerAddress};
use storage::kv::MemoryKv;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Response, Status};

use super::client::{Peer, PeerNetwork};
use super::consensus::{Alone, Consensus, Contradiction};
use super::rows::{RowSum, SnapshotSink, SnapshotSource};
use super::{Addresses, Majority, PeerService};
use crate::catalog::Row;
use crate::convert::{SnapshotHeader, Wire as _, samples};
use crate::hearing::Presence;
use crate::identity::Identity;
use crate::neighbours::Lanes;
use crate::types::{
    Entry, LogId, Membership, PeerNode, SnapshotMeta, SnapshotOf, StoredMembership, TypeConfig,
    Vote, log_id,
};
use crate::{Dial, DialError, Hindrance};

const CLUSTER: ClusterId = ClusterId::from_bytes([1; 16]);
const SENDER: Identity = Identity { cluster: CLUSTER, node: 1 };
const RECEIVER: Identity = Identity { cluster: CLUSTER, node: 2 };
const DEADLINE: Duration = Duration::from_secs(10);

/// A snapshot that came whole.
type Installed = (SnapshotMeta, Vec<Row>);

/// What the Raft of these tests was asked, and what it answers.
#[derive(Clone, Default)]
struct FakeRaft {
    appended: Arc<Mutex<Vec<Entry>>>,
    /// For whom its vote was asked for.
    candidates: Arc<Mutex<Vec<Vote>>>,
    installed: Arc<Mutex<Vec<Installed>>>,
    has_stopped: bool,
    conflicts: bool,
    /// Whether it never answers what is appended, but tells that it was asked.
    stalls: Option<Arc<Notify>>,
    voted: Option<Vote>,
    /// The vote that it answers to all that comes.
    answers: Option<Vote>,
    committed: Option<LogId>,
    alone: Option<Alone>,
    /// Entries that are committed.
    log: Vec<LogId>,
}

#[derive(Default)]
struct FakeSink(Vec<Row>);

impl SnapshotSink for FakeSink {
    fn write_rows(&mut self, rows: Vec<Row>) -> io::Result<()> {
        self.0.extend(rows);
        Ok(())
    }

    fn meta(&self) -> io::Result<SnapshotMeta> {
        Ok(snapshot(vec![]).meta)
    }
}

#[async_trait]
impl Consensus for FakeRaft {
    type Staged = FakeSink;

    async fn append_entries(
        &self,
        request: AppendEntriesRequest<TypeConfig>,
    ) -> Result<AppendEntriesResponse<TypeConfig>, Fatal<TypeConfig>> {
        if self.has_stopped {
            return Err(Fatal::Stopped);
        }
        if let Some(asked) = &self.stalls {
            asked.notify_one();
            return std::future::pending().await;
        }
        if self.conflicts {
            return Ok(AppendEntriesResponse::Conflict);
        }
        if let Some(vote) = self.answers {
            return Ok(AppendEntriesResponse::HigherVote(vote));
        }
        self.appended.lock().unwrap().extend(request.entries);
        Ok(AppendEntriesResponse::Success)
    }

    async fn vote(
        &self,
        request: VoteRequest<TypeConfig>,
    ) -> Result<VoteResponse<TypeConfig>, Fatal<TypeConfig>> {
        self.candidates.lock().unwrap().push(request.vote);
        let vote = self.answers.unwrap_or(request.vote);
        Ok(VoteResponse::new(vote, request.last_log_id, request.leadership_transfer))
    }

    async fn pre_vote(
        &self,
        request: VoteRequest<TypeConfig>,
    ) -> Result<VoteResponse<TypeConfig>, Fatal<TypeConfig>> {
        self.candidates.lock().unwrap().push(request.vote);
        Ok(VoteResponse::new(self.answers.unwrap_or(request.vote), None, false))
    }

    async fn transfer_leader(
        &self,
        request: TransferLeaderRequest<TypeConfig>,
    ) -> Result<TransferLeaderResponse<TypeConfig>, Fatal<TypeConfig>> {
        let expected = request.last_log_id().copied();
        Ok(Err(TransferLeaderError::LogNotFlushed { expected, actual: None }))
    }

    fn known_vote(&self) -> Vote {
        self.voted.unwrap_or_else(|| Vote::new(0, 0))
    }

    fn local_committed(&self) -> Option<LogId> {
        self.committed
    }

    fn alone(&self) -> Option<Alone> {
        self.alone
    }

    async fn contradiction(
        &self,
        _: Vote,
        claims: Vec<LogId>,
    ) -> Result<Option<Contradiction>, Fatal<TypeConfig>> {
        let at = |claim: &LogId| self.log.iter().find(|known| known.index == claim.index).copied();
        let mut pairs = claims.into_iter().filter_map(|claim| Some((claim, at(&claim)?)));
        Ok(pairs.find(|(claim, known)| claim != known))
    }

    fn stage(&self) -> FakeSink {
        FakeSink::default()
    }

    async fn install_snapshot(
        &self,
        vote: Vote,
        snapshot: SnapshotOf<FakeSink>,
    ) -> Result<SnapshotResponse<TypeConfig>, Fatal<TypeConfig>> {
        self.installed.lock().unwrap().push((snapshot.meta, snapshot.snapshot.0));
        Ok(SnapshotResponse::new(self.answers.unwrap_or(vote)))
    }
}

struct FakeSource(std::vec::IntoIter<Row>);

impl SnapshotSource for FakeSource {
    fn next_rows(&mut self, bytes_max: usize) -> io::Result<Vec<Row>> {
        let mut bytes = 0;
        let mut rows = Vec::new();
        while bytes < bytes_max {
            let Some(row) = self.0.next() else { break };
            bytes += row.1.len();
            rows.push(row);
        }
        Ok(rows)
    }
}

struct PlainDial;

impl Dial for PlainDial {
    fn dial(&self, address: &PeerAddress) -> Result<Channel, DialError> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"));
        Ok(endpoint.map_err(|_| DialError(address.clone()))?.connect_lazy())
    }
}

/// A running service; it ends with the test.
struct Served {
    address: SocketAddr,
    _server: JoinSet<()>,
}

async fn serve(raft: FakeRaft) -> Served {
    serve_while(raft, Arc::default()).await
}

async fn serve_while(raft: FakeRaft, presence: Arc<Presence>) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service =
        PeerService::over(raft, RECEIVER, presence, Arc::new(MemoryKv::new())).into_server();
    let mut server = JoinSet::new();
    server.spawn(async move {
        Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpIncoming::from(listener))
            .await
            .unwrap();
    });
    Served { address, _server: server }
}

fn lanes() -> Lanes {
    Lanes::new(Arc::new(PlainDial))
}

fn peer_address(address: SocketAddr) -> PeerAddress {
    address.to_string().parse().unwrap()
}

async fn client(address: SocketAddr, from: Identity, to: NodeId) -> Peer<FakeSource> {
    let node = PeerNode { peer_address: peer_address(address) };
    PeerNetwork::new(lanes(), from, Addresses::default(), Majority::default())
        .new_client(to, &node)
        .await
}

fn option() -> RPCOption {
    RPCOption::new(DEADLINE)
}

fn append(entries: Vec<Entry>) -> AppendEntriesRequest<TypeConfig> {
    AppendEntriesRequest {
        vote: Vote::new_committed(3, 1),
        prev_log_id: Some(log_id(2, 9)),
        entries,
        leader_commit: Some(log_id(2, 9)),
    }
}

fn snapshot(rows: Vec<Row>) -> SnapshotOf<FakeSource> {
    let membership = samples::membership(&[&[1, 2]], &[3]);
    let meta = SnapshotMeta {
        last_log_id: Some(log_id(3, 20)),
        last_membership: StoredMembership::new(Some(log_id(1, 1)), membership),
    };
    SnapshotOf { meta, snapshot: FakeSource(rows.into_iter()) }
}

fn rows(count: u32, bytes: usize) -> Vec<Row> {
    (0..count)
        .map(|row| (Bytes::copy_from_slice(&row.to_be_bytes()), Bytes::from(vec![7; bytes])))
        .collect()
}

#[tokio::test]
async fn entries_of_every_kind_arrive_as_they_were_sent() {
    let raft = FakeRaft::default();
    let served = serve(raft.clone()).await;
    let mut peer = client(served.address, SENDER, 2).await;
    let entries: Vec<Entry> = (10..)
        .zip(samples::payloads())
        .map(|(index, payload)| Entry { log_id: log_id(3, index), payload })
        .collect();
    let answer = peer.append_entries(append(entries.clone()), option()).await.unwrap();
    assert_eq!(answer, AppendEntriesResponse::Success);
    assert_eq!(*raft.appended.lock().unwrap(), entries);
}

#[tokio::test]
async fn a_peer_is_called_where_it_is_now() {
    let addresses = Addresses::default();
    let mut network = PeerNetwork::new(lanes(), SENDER, addresses.clone(), Majority::default());
    let node = PeerNode { peer_address: "127.0.0.1:1".parse().unwrap() };
    let mut peer: Peer<FakeSource> = network.new_client(2, &node).await;
    assert!(peer.append_entries(append(vec![]), option()).await.is_err());
    let served = serve(FakeRaft::default()).await;
    addresses.look_up_by(move |node| (node == 2).then(|| peer_address(served.address)));
    peer.append_entries(append(vec![]), option()).await.unwrap();
}

#[tokio::test]
async fn votes_and_the_transfer_of_leadership_arrive_whole() {
    let served = serve(FakeRaft::default()).await;
    let mut peer = client(served.address, SENDER, 2).await;
    let mut request = VoteRequest::new(Vote::new(4, 1), Some(log_id(3, 7)));
    request.leadership_transfer = true;
    let granted = peer.vote(request.clone(), option()).await.unwrap();
    assert_eq!(granted, VoteResponse::new(Vote::new(4, 1), Some(log_id(3, 7)), true));
    let refused = peer.pre_vote(request, option()).await.unwrap();
    assert!(!refused.vote_granted, "a pre-vote is asked for, not assumed");

    let request = TransferLeaderRequest::new(Vote::new_committed(4, 1), 2, Some(log_id(4, 8)));
    let answer = peer.transfer_leader(request, option()).await.unwrap();
    let expected = Some(log_id(4, 8));
    assert_eq!(answer, Err(TransferLeaderError::LogNotFlushed { expected, actual: None }));
}

#[tokio::test]
async fn a_node_that_is_stopping_takes_no_leadership_but_hears_of_it() {
    let presence = Arc::<Presence>::default();
    presence.leave();
    let served = serve_while(FakeRaft::default(), presence).await;
    let mut peer = client(served.address, SENDER, 2).await;
    let to_itself = TransferLeaderRequest::new(Vote::new_committed(4, 1), 2, Some(log_id(4, 8)));
    let refused = peer.transfer_leader(to_itself, option()).await.unwrap_err();
    assert!(refused.to_string().contains("is stopping"), "{refused}");
    let to_another = TransferLeaderRequest::new(Vote::new_committed(4, 1), 3, Some(log_id(4, 8)));
    assert!(peer.transfer_leader(to_another, option()).await.is_ok());
}

#[tokio::test]
async fn a_snapshot_larger_than_a_message_arrives_whole() {
    let raft = FakeRaft::default();
    let served = serve(raft.clone()).await;
    let mut peer = client(served.address, SENDER, 2).await;
    let sent = rows(40, 512 * 1024);
    let vote = Vote::new_committed(3, 1);
    let answer = peer
        .full_snapshot(vote, snapshot(sent.clone()), std::future::pending(), option())
        .await
        .unwrap();
    assert_eq!(answer, SnapshotResponse::new(vote));
    let installed = raft.installed.lock().unwrap();
    assert_eq!(*installed, [(snapshot(vec![]).meta, sent)]);
}

#[tokio::test]
async fn a_snapshot_that_openraft_calls_off_is_not_installed() {
    let raft = FakeRaft::default();
    let served = serve(raft.clone()).await;
    let mut peer = client(served.address, SENDER, 2).await;
    let cancel = async { ReplicationClosed::new("over") };
    let vote = Vote::new_committed(3, 1);
    let sent = peer.full_snapshot(vote, snapshot(rows(9, 1)), cancel, option()).await;
    assert!(matches!(sent, Err(StreamingError::Closed(_))), "{sent:?}");
    assert!(raft.installed.lock().unwrap().is_empty());
}

#[tokio::test]
async fn another_cluster_and_another_node_are_refused() {
    let raft = FakeRaft::default();
    let served = serve(raft.clone()).await;
    let stranger = Identity { cluster: ClusterId::from_bytes([9; 16]), node: 1 };
    for (from, to, reason) in [
        (stranger, 2, "for another cluster"),
        (SENDER, 3, "this is node 2, and the request is for"),
    ] {
        let mut peer = client(served.address, from, to).await;
        let refused = peer.append_entries(append(vec![]), option()).await.unwrap_err();
        assert!(matches!(refused, RPCError::Unreachable(_)), "{refused:?}");
        assert!(refused.to_string().contains(reason), "{refused}");
        let refused = peer.vote(VoteRequest::new(Vote::new(4, 1), None), option()).await;
        assert!(refused.unwrap_err().to_string().contains(reason));
        let vote = Vote::new_committed(3, 1);
        let sending =
            peer.full_snapshot(vote, snapshot(rows(2, 8)), std::future::pending(), option());
        assert!(sending.await.unwrap_err().to_string().contains(reason));
    }
    assert!(raft.appended.lock().unwrap().is_empty());
    assert!(raft.installed.lock().unwrap().is_empty());
}

#[tokio::test]
async fn openraft_backs_off_from_a_peer_that_is_gone_or_has_stopped() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = listener.local_addr().unwrap();
    drop(listener);
    let stopped = serve(FakeRaft { has_stopped: true, ..FakeRaft::default() }).await;
    for address in [gone, stopped.address] {
        let mut peer = client(address, SENDER, 2).await;
        let error = peer.append_entries(append(vec![]), option()).await.unwrap_err();
        assert!(matches!(error, RPCError::Unreachable(_)), "{address}: {error:?}");
    }
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_given_up_at_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut peer = client(listener.local_addr().unwrap(), SENDER, 2).await;
    let option = RPCOption::new(Duration::from_millis(50));
    let error = peer.append_entries(append(vec![]), option.clone()).await.unwrap_err();
    assert!(matches!(error, RPCError::Timeout(_)), "{error:?}");
    let vote = Vote::new_committed(3, 1);
    let sending = peer.full_snapshot(vote, snapshot(rows(9, 1)), std::future::pending(), option);
    let error = sending.await.unwrap_err();
    assert!(matches!(error, StreamingError::Timeout(_)), "{error:?}");
}

#[tokio::test]
async fn an_answer_that_openraft_would_panic_over_is_an_error() {
    let served = serve(FakeRaft { conflicts: true, ..FakeRaft::default() }).await;
    let mut peer = client(served.address, SENDER, 2).await;
    let request = AppendEntriesRequest { prev_log_id: None, ..append(vec![]) };
    let error = peer.append_entries(request, option()).await.unwrap_err();
    assert!(matches!(error, RPCError::Network(_)), "{error:?}");
}

fn envelope() -> Option<pb::Envelope> {
    let cluster_id = Bytes::copy_from_slice(CLUSTER.as_bytes());
    Some(pb::Envelope { cluster_id, target: 2, no_majority: false })
}

async fn raw(served: &Served) -> PeerClient<Channel> {
    PeerClient::new(PlainDial.dial(&peer_address(served.address)).unwrap())
}

#[tokio::test]
async fn requests_that_openraft_would_panic_over_are_refused() {
    let raft = FakeRaft::default();
    let served = serve(raft.clone()).await;
    let mut rpc = raw(&served).await;
    let blank = |term, index| Entry { log_id: log_id(term, index), payload: EntryPayload::Blank };
    let good = append(vec![blank(3, 10)]);
    for bad in [
        AppendEntriesRequest { vote: Vote::new(3, 1), ..good.clone() },
        AppendEntriesRequest { vote: Vote::new_committed(3, 2), ..good.clone() },
        AppendEntriesRequest { entries: vec![blank(3, 11)], ..good.clone() },
        AppendEntriesRequest { entries: vec![blank(3, 10), blank(3, 12)], ..good.clone() },
        AppendEntriesRequest { entries: vec![blank(3, 10), blank(2, 11)], ..good.clone() },
        AppendEntriesRequest { entries: vec![blank(4, 10)], ..good.clone() },
        AppendEntriesRequest { leader_commit: Some(log_id(4, 9)), ..good.clone() },
    ] {
        let message = pb::AppendEntriesRequest { envelope: envelope(), ..bad.to_message() };
        let refused = rpc.append_entries(message).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{bad}: {refused}");
    }
    let empty = pb::AppendEntriesRequest { envelope: envelope(), ..Default::default() };
    assert_eq!(rpc.append_entries(empty).await.unwrap_err().code(), Code::InvalidArgument);
    let empty = pb::VoteRequest::default();
    assert_eq!(rpc.vote(empty).await.unwrap_err().code(), Code::InvalidArgument);
    let empty = pb::TransferLeaderRequest { envelope: envelope(), ..Default::default() };
    assert_eq!(rpc.transfer_leader(empty).await.unwrap_err().code(), Code::InvalidArgument);
    assert!(raft.appended.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_term_after_which_there_would_soon_be_none_is_refused_and_goes_no_further() {
    let raft = FakeRaft { voted: Some(Vote::new(7, 2)), ..FakeRaft::default() };
    let served = serve(raft.clone()).await;
    let mut peer = client(served.address, SENDER, 2).await;
    let last = u64::MAX / 2;
    for term in [last + 1, u64::MAX - 1] {
        let request = VoteRequest::new(Vote::new(term, 1), None);
        let leader = Vote::new_committed(term, 1);
        let append = AppendEntriesRequest { vote: leader, ..append(vec![]) };
        let sending =
            peer.full_snapshot(leader, snapshot(vec![]), std::future::pending(), option());
        for refused in [
            sending.await.unwrap_err().to_string(),
            peer.vote(request.clone(), option()).await.unwrap_err().to_string(),
            peer.pre_vote(request, option()).await.unwrap_err().to_string(),
            peer.append_entries(append, option()).await.unwrap_err().to_string(),
        ] {
            assert!(refused.contains("a term that there cannot be"), "{refused}");
        }
    }
    assert!(raft.candidates.lock().unwrap().is_empty());
    assert!(raft.installed.lock().unwrap().is_empty());
    peer.vote(VoteRequest::new(Vote::new(last, 1), None), option()).await.unwrap();
    assert_eq!(*raft.candidates.lock().unwrap(), [Vote::new(last, 1)]);
}

#[tokio::test]
async fn an_answer_in_a_term_after_which_there_would_soon_be_none_is_an_error() {
    let (request, leader) = (VoteRequest::new(Vote::new(3, 1), None), Vote::new_committed(3, 1));
    let last = u64::MAX / 2;
    for (term, is_taken) in [(last, true), (last + 1, false), (u64::MAX - 1, false)] {
        let raft = FakeRaft { answers: Some(Vote::new(term, 2)), ..FakeRaft::default() };
        let served = serve(raft).await;
        let mut peer = client(served.address, SENDER, 2).await;
        let append = peer.append_entries(append(vec![]), option()).await;
        assert_eq!(append.is_ok(), is_taken, "{append:?}");
        let vote = peer.vote(request.clone(), option()).await;
        assert_eq!(vote.is_ok(), is_taken, "{vote:?}");
        let vote = peer.pre_vote(request.clone(), option()).await;
        assert_eq!(vote.is_ok(), is_taken, "{vote:?}");
        let sent =
            peer.full_snapshot(leader, snapshot(vec![]), std::future::pending(), option()).await;
        assert_eq!(sent.is_ok(), is_taken, "{sent:?}");
    }
}

#[tokio::test]
async fn a_node_that_is_older_than_its_leader_says_so_until_it_can_go_on() {
    let presence = Arc::<Presence>::default();
    let served = serve_while(FakeRaft::default(), Arc::clone(&presence)).await;
    let mut rpc = raw(&served).await;
    let blank = Entry { log_id: log_id(3, 10), payload: EntryPayload::Blank };
    let known = append(vec![blank]).to_message();
    let known = pb::AppendEntriesRequest { envelope: envelope(), ..known };
    let mut newer = known.clone();
    // As a payload reads of which only later versions know.
    newer.entries[0].payload = None;
    let refused = rpc.append_entries(newer).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "the leader pauses: {refused}");
    assert!(refused.message().contains("upgrade this node"), "{refused}");
    assert!(matches!(presence.hindrance(), Some(Hindrance::Outdated(_))));

    let heartbeat = pb::AppendEntriesRequest { entries: vec![], ..known.clone() };
    rpc.append_entries(heartbeat).await.unwrap();
    assert!(presence.hindrance().is_some(), "a heartbeat brings nothing to read");
    rpc.append_entries(known).await.unwrap();
    assert_eq!(presence.hindrance(), None);
}

#[tokio::test]
async fn entries_that_are_not_taken_do_not_bring_a_node_on() {
    let presence = Arc::<Presence>::default();
    presence.hinder(Hindrance::Alone);
    let raft = FakeRaft { conflicts: true, ..FakeRaft::default() };
    let served = serve_while(raft, Arc::clone(&presence)).await;
    let mut peer = client(served.address, SENDER, 2).await;
    let entry = Entry { log_id: log_id(3, 10), payload: EntryPayload::Blank };
    let answer = peer.append_entries(append(vec![entry]), option()).await.unwrap();
    assert_eq!(answer, AppendEntriesResponse::Conflict);
    assert_eq!(presence.hindrance(), Some(Hindrance::Alone));
}

#[tokio::test]
async fn a_leader_is_heard_that_gives_up_on_the_answer_unless_another_one_leads() {
    // The request is of term 3.
    for (voted, is_heard) in [(Vote::new_committed(3, 1), true), (Vote::new(4, 2), false)] {
        let presence = Arc::<Presence>::default();
        let asked = Arc::<Notify>::default();
        let stalls = Some(Arc::clone(&asked));
        let raft = FakeRaft { stalls, voted: Some(voted), ..FakeRaft::default() };
        let served = serve_while(raft, Arc::clone(&presence)).await;
        let mut peer = client(served.address, SENDER, 2).await;
        tokio::select! {
            answer = peer.append_entries(append(vec![]), option()) => panic!("{answer:?}"),
            () = asked.notified() => {}
        }
        assert_eq!(presence.hears_a_leader(DEADLINE), is_heard, "after {voted}");
        assert_eq!(presence.hears_a_majority(DEADLINE), is_heard, "after {voted}");
    }
}

#[tokio::test]
async fn a_leader_that_hears_no_majority_says_so_to_those_that_follow_it() {
    let presence = Arc::<Presence>::default();
    let served = serve_while(FakeRaft::default(), Arc::clone(&presence)).await;
    let has_majority = Arc::<AtomicBool>::default();
    let (majority, looked) = (Majority::default(), Arc::clone(&has_majority));
    majority.look_by(move || looked.load(Ordering::Acquire));
    let mut network = PeerNetwork::new(lanes(), SENDER, Addresses::default(), majority);
    let node = PeerNode { peer_address: peer_address(served.address) };
    let mut peer: Peer<FakeSource> = network.new_heartbeat_client(2, &node).await;
    for has in [false, true] {
        has_majority.store(has, Ordering::Release);
        peer.append_entries(append(vec![]), option()).await.unwrap();
        assert!(presence.hears_a_leader(DEADLINE));
        assert_eq!(presence.hears_a_majority(DEADLINE), has);
    }
}

#[tokio::test]
async fn what_contradicts_a_committed_entry_is_refused() {
    let raft = FakeRaft { committed: Some(log_id(2, 20)), ..FakeRaft::default() };
    let served = serve(raft.clone()).await;
    let mut peer = client(served.address, SENDER, 2).await;
    let vote = Vote::new_committed(3, 1);
    let sending = peer.full_snapshot(vote, snapshot(rows(2, 8)), std::future::pending(), option());
    let refused = sending.await.unwrap_err().to_string();
    assert!(refused.contains("contradicts"), "{refused}");

    let blank = |term, index| Entry { log_id: log_id(term, index), payload: EntryPayload::Blank };
    for bad in [
        AppendEntriesRequest { prev_log_id: Some(log_id(3, 20)), ..append(vec![]) },
        AppendEntriesRequest { leader_commit: Some(log_id(3, 19)), ..append(vec![]) },
        append(vec![blank(2, 10), blank(3, 11)]),
    ] {
        let refused = peer.append_entries(bad, option()).await.unwrap_err().to_string();
        assert!(refused.contains("contradicts"), "{refused}");
    }
    peer.append_entries(append(vec![blank(2, 10)]), option()).await.unwrap();
    assert!(raft.installed.lock().unwrap().is_empty());
    assert_eq!(raft.appended.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_node_that_leads_with_the_only_vote_ends_when_another_one_leads_too() {
    // What comes to this node, which is the second, is the first one's, of term 3.
    for (term, voted_for, leads, ends) in [
        (2, 2, true, true),
        (3, 2, true, true),
        (4, 2, true, false),
        (2, 2, false, false),
        (3, 2, false, true),
        (3, 1, false, false),
    ] {
        let alone = Some(Alone { vote: Vote::new(term, voted_for), leads });
        let raft = FakeRaft { alone, ..FakeRaft::default() };
        let served = serve(raft.clone()).await;
        let mut peer = client(served.address, SENDER, 2).await;
        let appended = peer.append_entries(append(vec![]), option()).await;
        let vote = Vote::new_committed(3, 1);
        let sent = snapshot(rows(2, 8));
        let installed = peer.full_snapshot(vote, sent, std::future::pending(), option()).await;
        assert_eq!(installed.is_err(), ends, "{alone:?}: {installed:?}");
        assert_eq!(raft.installed.lock().unwrap().is_empty(), ends);
        let Err(refused) = appended else {
            assert!(!ends, "{alone:?}");
            continue;
        };
        assert!(ends && matches!(refused, RPCError::Unreachable(_)), "{refused:?}");
        assert!(
            refused.to_string().contains("only if the other nodes have what is in this registry"),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn entries_in_the_place_of_committed_ones_are_refused_and_end_who_committed_alone() {
    let log = vec![log_id(1, 9), log_id(1, 10), log_id(2, 11)];
    let raft = FakeRaft { committed: Some(log_id(2, 11)), log, ..FakeRaft::default() };
    let alone = Some(Alone { vote: Vote::new(2, 1), leads: false });
    let alone = FakeRaft { alone, appended: Arc::default(), ..raft.clone() };
    let blank = |term, index| Entry { log_id: log_id(term, index), payload: EntryPayload::Blank };
    let prev_log_id = Some(log_id(1, 9));
    let known = AppendEntriesRequest { prev_log_id, leader_commit: None, ..append(vec![]) };
    for (raft, ends) in [(raft, false), (alone, true)] {
        let served = serve(raft.clone()).await;
        let mut peer = client(served.address, SENDER, 2).await;
        for bad in [
            AppendEntriesRequest { prev_log_id: Some(log_id(2, 10)), ..known.clone() },
            AppendEntriesRequest { entries: vec![blank(2, 10)], ..known.clone() },
            AppendEntriesRequest { entries: vec![blank(1, 10), blank(1, 11)], ..known.clone() },
        ] {
            let refused = peer.append_entries(bad, option()).await.unwrap_err().to_string();
            assert!(refused.contains("contradicts"), "{refused}");
            assert_eq!(
                refused.contains("only if the other nodes have what is in this registry"),
                ends,
                "{refused}"
            );
        }
        assert!(raft.appended.lock().unwrap().is_empty());
        let entries = vec![blank(1, 10), blank(2, 11), blank(3, 12)];
        let good = AppendEntriesRequest { entries, ..known.clone() };
        peer.append_entries(good, option()).await.unwrap();
    }
}

#[tokio::test]
async fn heartbeats_that_are_answered_too_late_are_noted_until_one_is_not() {
    let late = FakeRaft { stalls: Some(Arc::default()), ..FakeRaft::default() };
    let majority = Majority::default();
    for (raft, deadline, expected) in
        [(late, Duration::from_millis(50), vec![2]), (FakeRaft::default(), DEADLINE, vec![])]
    {
        let served = serve(raft).await;
        let node = PeerNode { peer_address: peer_address(served.address) };
        let mut network = PeerNetwork::new(lanes(), SENDER, Addresses::default(), majority.clone());
        let mut peer: Peer<FakeSource> = network.new_heartbeat_client(2, &node).await;
        let answer = peer.append_entries(append(vec![]), RPCOption::new(deadline)).await;
        assert_eq!(answer.is_ok(), expected.is_empty(), "{answer:?}");
        assert_eq!(majority.late_for(Duration::ZERO), expected);
    }
}

#[tokio::test]
async fn a_snapshot_that_is_not_whole_is_not_installed() {
    let raft = FakeRaft::default();
    let served = serve(raft.clone()).await;
    let mut rpc = raw(&served).await;
    let header = SnapshotHeader { vote: Vote::new_committed(3, 1), meta: snapshot(vec![]).meta };
    let header = pb::SnapshotHeader { envelope: envelope(), ..header.to_message() };
    let beyond =
        pb::SnapshotHeader { last_log_id: Some(log_id(4, 20).to_message()), ..header.clone() };
    let another =
        pb::SnapshotHeader { last_log_id: Some(log_id(3, 21).to_message()), ..header.clone() };
    let (header, beyond) = (Chunk::Header(header), Chunk::Header(beyond));
    let another = Chunk::Header(another);
    let two = rows(2, 3);
    let mut sum = RowSum::default();
    sum.add(&two);
    let end = Chunk::End(sum.end());
    let message = |rows: &[Row]| {
        let row = |(key, value): &Row| pb::Row { key: key.clone(), value: value.clone() };
        Chunk::Rows(pb::SnapshotRows { rows: rows.iter().map(row).collect() })
    };
    let turned: Vec<Row> = two.iter().rev().cloned().collect();
    for (bad, code) in [
        (vec![], Code::InvalidArgument),
        (vec![message(&two), end.clone()], Code::InvalidArgument),
        (vec![header.clone(), message(&two)], Code::InvalidArgument),
        (vec![header.clone(), message(&two[..1]), end.clone()], Code::DataLoss),
        (vec![header.clone(), message(&turned), end.clone()], Code::InvalidArgument),
        (vec![header.clone(), header, end.clone()], Code::InvalidArgument),
        (vec![beyond, message(&two), end.clone()], Code::InvalidArgument),
        (vec![another, message(&two), end], Code::DataLoss),
    ] {
        let chunks: Vec<_> =
            bad.into_iter().map(|chunk| pb::SnapshotChunk { chunk: Some(chunk) }).collect();
        let shown = format!("{chunks:?}");
        let refused = rpc.install_snapshot(stream::iter(chunks)).await.unwrap_err();
        assert_eq!(refused.code(), code, "{shown}: {refused}");
    }
    assert!(raft.installed.lock().unwrap().is_empty());
}

#[test]
fn a_snapshot_whose_membership_cannot_be_is_refused() {
    let members = || samples::membership(&[&[1, 2]], &[]);
    let read = |set_by: Option<LogId>, membership| {
        let last_membership = StoredMembership::new(set_by, membership);
        let meta = SnapshotMeta { last_membership, ..snapshot(vec![]).meta };
        let header = SnapshotHeader { vote: Vote::new_committed(3, 1), meta };
        SnapshotHeader::from_message(header.to_message())
    };
    // The snapshot ends at index 20 of term 3.
    assert!(read(Some(log_id(3, 20)), members()).is_ok());
    assert!(read(Some(log_id(1, 1)), Membership::default()).is_err(), "nobody votes");
    assert!(read(None, members()).is_err(), "no entry has set it");
    for later in [log_id(1, 21), log_id(4, 1)] {
        assert!(read(Some(later), members()).is_err(), "{later} is no entry of the snapshot's");
    }
}

/// A snapshot of which no more comes.
struct Stalled {
    answer: JoinHandle<Result<Response<pb::SnapshotResponse>, Status>>,
    _chunks: mpsc::Sender<pb::SnapshotChunk>,
}

/// Begins a snapshot in the name of the leader of `vote`, and waits until it has its turn.
async fn stall(served: &Served, vote: Vote) -> Stalled {
    let header = SnapshotHeader { vote, meta: snapshot(vec![]).meta };
    let header = pb::SnapshotHeader { envelope: envelope(), ..header.to_message() };
    let (sender, chunks) = mpsc::channel(1);
    let mut rpc = raw(served).await;
    let answer =
        tokio::spawn(async move { rpc.install_snapshot(ReceiverStream::new(chunks)).await });
    let chunk = |chunk| pb::SnapshotChunk { chunk: Some(chunk) };
    sender.send(chunk(Chunk::Header(header))).await.unwrap();
    // More than the windows and buffers between the two hold: the last goes only when the other
    // node has taken the first.
    for row in rows(64, 64 * 1024) {
        let rows = vec![pb::Row { key: row.0, value: row.1 }];
        sender.send(chunk(Chunk::Rows(pb::SnapshotRows { rows }))).await.unwrap();
    }
    Stalled { answer, _chunks: sender }
}

#[tokio::test]
async fn a_newer_snapshot_takes_the_place_of_a_stalled_one() {
    for newer in [Vote::new_committed(3, 1), Vote::new_committed(4, 3)] {
        let raft = FakeRaft::default();
        let served = serve(raft.clone()).await;
        let stalled = stall(&served, Vote::new_committed(3, 1)).await;
        let mut peer = client(served.address, SENDER, 2).await;
        let sent = snapshot(rows(9, 1));
        peer.full_snapshot(newer, sent, std::future::pending(), option()).await.unwrap();
        assert_eq!(raft.installed.lock().unwrap().len(), 1);
        let given_up = stalled.answer.await.unwrap().unwrap_err();
        assert_eq!(given_up.code(), Code::Aborted, "{given_up}");
    }
}

#[tokio::test]
async fn a_former_leaders_snapshot_disturbs_nobody() {
    let raft = FakeRaft::default();
    let served = serve(raft.clone()).await;
    let _stalled = stall(&served, Vote::new_committed(4, 3)).await;
    let mut peer = client(served.address, SENDER, 2).await;
    let (former, sent) = (Vote::new_committed(3, 1), snapshot(rows(9, 1)));
    let refused = peer.full_snapshot(former, sent, std::future::pending(), option()).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("another snapshot is on its way"), "{refused}");
    assert!(raft.installed.lock().unwrap().is_empty());
}
