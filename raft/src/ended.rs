//! The end of a node's part in its cluster that nobody asked for: how the rest of the process comes
//! to know that it must end too.

use std::future::pending;

use futures::FutureExt as _;
use openraft::async_runtime::WatchReceiver as _;
use openraft::errors::Fatal;
use proto::NodeId;

use crate::participant::Participant;
use crate::types::TypeConfig;

/// Why a node that ran cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// It was removed from its cluster, for good.
    #[error("node {0} was removed from its cluster")]
    Removed(NodeId),
    /// Consensus has stopped, or the store has failed, for a reason that this node cannot mend.
    #[error("{0}")]
    Failed(String),
}

impl Participant {
    /// Resolves when this node cannot go on. Pending while all is well, and once it was stopped in
    /// order.
    pub(crate) async fn ended(&self) -> Ended {
        let mut removed = self.removed.subscribe();
        tokio::select! {
            fatal = self.consensus_failed() => Ended::Failed(fatal.to_string()),
            error = self.failure.happened() => Ended::Failed(error.to_string()),
            // The sender lives as long as this.
            _ = removed.wait_for(|removed| *removed) => Ended::Removed(self.identity.node),
        }
    }

    /// Whether this node cannot go on.
    pub(crate) fn has_ended(&self) -> bool {
        let is_removed = *self.removed.borrow();
        is_removed
            || self.failure.has_happened()
            || self.consensus_failed().now_or_never().is_some()
    }

    /// Looks when the part that this node plays changes, and when openraft ends, which drops what
    /// tells of that; its other metrics change with each read.
    async fn consensus_failed(&self) -> Fatal<TypeConfig> {
        let metrics = self.raft.metrics();
        let mut changes = self.raft.server_metrics();
        let mut has_ended = false;
        loop {
            let state = metrics.borrow_watched().running_state.clone();
            match state {
                Err(Fatal::Stopped) => return pending().await,
                Err(fatal) => return fatal,
                // Openraft says why it stops, whether in order or not, before it lets go of its
                // metrics; only a panic lets it say nothing.
                Ok(()) if has_ended => return Fatal::Panicked,
                Ok(()) => has_ended = changes.changed().await.is_err(),
            }
        }
    }
}
