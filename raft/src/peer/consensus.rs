//! What peers may ask of this node's Raft.

use async_trait::async_trait;
use openraft::ServerState;
use openraft::async_runtime::WatchReceiver as _;
use openraft::errors::{Fatal, RaftError};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};

use super::rows::SnapshotSink;
use crate::catalog::{CatalogSnapshot, StagedRows, Staging};
use crate::types::{LogId, Raft, SnapshotOf, TypeConfig, Vote};

/// A node that has the only vote of its cluster, as far as it knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alone {
    /// Its last vote. One in its own name made it the leader of that term.
    pub(crate) vote: Vote,
    pub(crate) leads: bool,
}

/// Two positions at one index, of which the first is claimed and the second committed.
pub(crate) type Contradiction = (LogId, LogId);

/// Openraft as its peers see it. The only error is that it has stopped.
#[async_trait]
pub(crate) trait Consensus: Clone + Send + Sync + 'static {
    /// A snapshot while it comes.
    type Staged: SnapshotSink;

    /// Takes entries, or a heartbeat, from the leader.
    async fn append_entries(
        &self,
        request: AppendEntriesRequest<TypeConfig>,
    ) -> Result<AppendEntriesResponse<TypeConfig>, Fatal<TypeConfig>>;

    /// Answers a candidate.
    async fn vote(
        &self,
        request: VoteRequest<TypeConfig>,
    ) -> Result<VoteResponse<TypeConfig>, Fatal<TypeConfig>>;

    /// Answers a node that asks before it becomes a candidate.
    async fn pre_vote(
        &self,
        request: VoteRequest<TypeConfig>,
    ) -> Result<VoteResponse<TypeConfig>, Fatal<TypeConfig>>;

    /// Hears that the leader hands over.
    async fn transfer_leader(
        &self,
        request: TransferLeaderRequest<TypeConfig>,
    ) -> Result<TransferLeaderResponse<TypeConfig>, Fatal<TypeConfig>>;

    /// The last vote that this node is known to have made durable: in the name of the leader that
    /// it follows, or of a candidate.
    fn known_vote(&self) -> Vote;

    /// The last entry that this node knows to be committed.
    fn local_committed(&self) -> Option<LogId>;

    /// What this node is, if it has the only vote: all of it at one moment.
    fn alone(&self) -> Option<Alone>;

    /// The first of `claims`, all of committed positions, where this node has another entry. `None`
    /// if `vote` is out of date: a former leader may have had another entry there before this one
    /// was committed.
    async fn contradiction(
        &self,
        vote: Vote,
        claims: Vec<LogId>,
    ) -> Result<Option<Contradiction>, Fatal<TypeConfig>>;

    /// Begins to stage a snapshot.
    fn stage(&self) -> Self::Staged;

    /// Installs a snapshot that came whole.
    async fn install_snapshot(
        &self,
        vote: Vote,
        snapshot: SnapshotOf<Self::Staged>,
    ) -> Result<SnapshotResponse<TypeConfig>, Fatal<TypeConfig>>;
}

/// The running openraft, and where snapshots for its state machine are staged.
#[derive(Clone)]
pub(crate) struct RaftConsensus {
    raft: Raft,
    staging: Staging,
}

impl RaftConsensus {
    pub(super) const fn new(raft: Raft, staging: Staging) -> Self {
        Self { raft, staging }
    }
}

#[async_trait]
impl Consensus for RaftConsensus {
    type Staged = StagedRows;

    async fn append_entries(
        &self,
        request: AppendEntriesRequest<TypeConfig>,
    ) -> Result<AppendEntriesResponse<TypeConfig>, Fatal<TypeConfig>> {
        self.raft.append_entries(request).await.map_err(fatal)
    }

    async fn vote(
        &self,
        request: VoteRequest<TypeConfig>,
    ) -> Result<VoteResponse<TypeConfig>, Fatal<TypeConfig>> {
        self.raft.vote(request).await.map_err(fatal)
    }

    async fn pre_vote(
        &self,
        request: VoteRequest<TypeConfig>,
    ) -> Result<VoteResponse<TypeConfig>, Fatal<TypeConfig>> {
        self.raft.pre_vote(request).await.map_err(fatal)
    }

    async fn transfer_leader(
        &self,
        request: TransferLeaderRequest<TypeConfig>,
    ) -> Result<TransferLeaderResponse<TypeConfig>, Fatal<TypeConfig>> {
        self.raft.handle_transfer_leader(request).await
    }

    fn known_vote(&self) -> Vote {
        self.raft.metrics().borrow_watched().vote
    }

    fn local_committed(&self) -> Option<LogId> {
        self.raft.metrics().borrow_watched().local_committed
    }

    fn alone(&self) -> Option<Alone> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let mut voters = metrics.membership_config.membership().voter_ids();
        let leads = metrics.state == ServerState::Leader;
        let is_alone = voters.next() == Some(metrics.id) && voters.next().is_none();
        is_alone.then_some(Alone { vote: metrics.vote, leads })
    }

    async fn contradiction(
        &self,
        vote: Vote,
        claims: Vec<LogId>,
    ) -> Result<Option<Contradiction>, Fatal<TypeConfig>> {
        let look = self.raft.with_raft_state(move |state| {
            let differs = |claim: LogId| {
                let known = state.log_ids.get(claim.index)?;
                (known != claim).then_some((claim, known))
            };
            let is_current = vote >= *state.vote_ref();
            is_current.then(|| claims.into_iter().find_map(differs)).flatten()
        });
        look.await
    }

    fn stage(&self) -> StagedRows {
        self.staging.begin()
    }

    async fn install_snapshot(
        &self,
        vote: Vote,
        snapshot: SnapshotOf<StagedRows>,
    ) -> Result<SnapshotResponse<TypeConfig>, Fatal<TypeConfig>> {
        let SnapshotOf { meta, snapshot } = snapshot;
        let snapshot = SnapshotOf { meta, snapshot: CatalogSnapshot::Staged(snapshot) };
        self.raft.install_full_snapshot(vote, snapshot).await
    }
}

/// These calls have no error of their own.
fn fatal(error: RaftError<TypeConfig>) -> Fatal<TypeConfig> {
    match error {
        RaftError::Fatal(fatal) => fatal,
    }
}
