//! The read barrier (Raft dissertation, section 6.4): a read on any node shows all that was
//! acknowledged before it.
//!
//! Readers share rounds. A round asks the leader, which confirms with a quorum that it still leads,
//! for the index up to which a read must see; then it waits until this node has applied that far. A
//! reader joins only a round that starts after it came: one that is under way may have asked before
//! the reader's predecessor was acknowledged.

use std::sync::Arc;
use std::time::Duration;

use openraft::ReadPolicy;
use openraft::async_runtime::WatchReceiver as _;
use openraft::errors::{LinearizableReadError, RaftError};
use proto::pb::cluster as pb;
use proto::pb::cluster::cluster_client::ClusterClient;
use proto::{Mutant, PeerAddress};
use tokio::sync::{mpsc, oneshot};

use crate::ReadError;
use crate::error::RETRY_AFTER;
use crate::neighbours::not_leader;
use crate::participant::Participant;

/// How long a round may take to get its index, and then this node to apply that far.
pub(crate) const DEADLINE: Duration = Duration::from_secs(2);

/// How long a round may take to get its index from a leader that was not heard of lately.
const DEADLINE_SILENT: Duration = Duration::from_millis(300);

/// How many readers may wait for the next round; one more is told to try again.
pub(crate) const READERS_MAX: usize = 16 * 1024;

/// A reader that waits for the next round.
pub(crate) type Reader = oneshot::Sender<Result<(), ReadError>>;

/// The answer of a node that was asked for a read index.
pub(crate) enum ReadIndex {
    /// It leads, and a read must see this far.
    At(u64),
    /// It does not lead; the leader's address, when it is known.
    NotLeader(Option<PeerAddress>),
    /// It could not confirm that it leads.
    Unconfirmed,
}

/// Runs rounds for the readers that arrive, one after another, until `readers` closes.
pub(crate) async fn run(inner: Arc<Participant>, mut readers: mpsc::Receiver<Reader>) {
    let mut round = Vec::new();
    let mut before = None;
    while readers.recv_many(&mut round, READERS_MAX).await > 0 {
        let readers = std::mem::take(&mut round);
        let mut index = inner.read_index().await;
        if Mutant::ReadIndexReused.is_active() {
            index = index.or(before);
            before = index;
        }
        let Some(index) = index else {
            answer(readers, &Err(unavailable()));
            continue;
        };
        // Most rounds find that this node has applied that far: then neither a task nor a timer is
        // made.
        if inner.has_applied(index) {
            answer(readers, &Ok(()));
            continue;
        }
        let inner = Arc::clone(&inner);
        // The next round need not wait until this node has applied what this one asks for.
        tokio::spawn(async move {
            let result = inner.await_applied(index).await;
            answer(readers, &result);
        });
    }
}

fn answer(readers: Vec<Reader>, result: &Result<(), ReadError>) {
    for reader in readers {
        // A reader that is gone was cancelled.
        let _ = reader.send(result.clone());
    }
}

impl Participant {
    /// The index up to which a read that starts now must see. `None` when no leader could confirm
    /// it.
    async fn read_index(&self) -> Option<u64> {
        // A follower need not ask its own consensus who leads.
        let leader = match self.followed() {
            Some(leader) => leader,
            None => match self.read_index_here().await {
                ReadIndex::At(index) => return Some(index),
                ReadIndex::NotLeader(leader) => leader?,
                ReadIndex::Unconfirmed => return None,
            },
        };
        // A leader that was not heard of for long will probably not answer either: give up sooner,
        // since readers are waiting.
        let hears = self.presence.hears_a_leader(self.silence_max());
        let patience = if hears { DEADLINE } else { DEADLINE_SILENT };
        let message =
            pb::ReadIndexRequest { cluster_id: self.identity.cluster.as_bytes().to_vec().into() };
        let call = async |mut leader: ClusterClient<_>, request| leader.read_index(request).await;
        match self.ask_leader(&leader, patience, message, call).await {
            Ok(answer) => match answer.result? {
                pb::read_index_response::Result::Ready(ready) => Some(ready.index),
                pb::read_index_response::Result::NotLeader(_)
                | pb::read_index_response::Result::Unavailable(_) => None,
            },
            Err(status) => {
                tracing::debug!(%status, %leader, "the leader gave no read index");
                None
            }
        }
    }

    /// The read index, when this node leads.
    pub(crate) async fn read_index_here(&self) -> ReadIndex {
        let confirm = self.raft.get_read_linearizer(ReadPolicy::ReadIndex);
        match tokio::time::timeout(DEADLINE, confirm).await {
            Ok(Ok(linearizer)) => ReadIndex::At(linearizer.read_log_id().index()),
            Ok(Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(leader)))) => {
                ReadIndex::NotLeader(leader.leader_node.map(|node| node.peer_address))
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "leadership is not confirmed");
                ReadIndex::Unconfirmed
            }
            Err(_) => ReadIndex::Unconfirmed,
        }
    }

    /// Whether this node has applied as far as `index`.
    fn has_applied(&self, index: u64) -> bool {
        let metrics = self.raft.metrics();
        let applied = metrics.borrow_watched().last_applied.map(|id| id.index());
        applied.is_some_and(|applied| applied >= index)
    }

    pub(crate) async fn await_applied(&self, index: u64) -> Result<(), ReadError> {
        let wait = self.raft.wait(Some(DEADLINE));
        let applied = wait.applied_index_at_least(Some(index), "read barrier").await;
        applied.map(|_| ()).map_err(|error| {
            tracing::debug!(%error, index, "this node is too far behind to read");
            unavailable()
        })
    }

    /// Waits for the next round.
    pub(crate) async fn pass_barrier(&self) -> Result<(), ReadError> {
        let (reader, passed) = oneshot::channel();
        self.readers.try_send(reader).map_err(|_| unavailable())?;
        passed.await.map_err(|_| unavailable())?
    }
}

const fn unavailable() -> ReadError {
    ReadError::Unavailable { retry_after: RETRY_AFTER }
}

/// The answer to a node that asked for a read index.
impl From<ReadIndex> for pb::ReadIndexResponse {
    fn from(index: ReadIndex) -> Self {
        use pb::read_index_response::Result as Pb;
        let result = match index {
            ReadIndex::At(index) => Pb::Ready(pb::ReadIndex { index }),
            ReadIndex::NotLeader(leader) => Pb::NotLeader(not_leader(leader)),
            ReadIndex::Unconfirmed => Pb::Unavailable(pb::Unavailable {}),
        };
        Self { result: Some(result) }
    }
}
