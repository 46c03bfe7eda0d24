//! Whether this node, as leader, still hears a majority. It tells its followers so in each
//! heartbeat: otherwise a minority that is cut off together with its leader would take all to be
//! well. Also which followers answer too late to be counted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use proto::NodeId;
use tokio::time::Instant;

type Look = Box<dyn Fn() -> bool + Send + Sync>;

/// What this node knows of its majority. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Majority {
    look: Arc<OnceLock<Look>>,
    /// Since when each node has answered no heartbeat in time.
    late: Arc<Mutex<BTreeMap<NodeId, Instant>>>,
}

impl Majority {
    /// Has `look` say whether there is one, from now on: openraft knows, which needs its network
    /// first.
    pub(crate) fn look_by<L>(&self, look: L)
    where
        L: Fn() -> bool + Send + Sync + 'static,
    {
        // Only the first call counts, and there is one.
        let _ = self.look.set(Box::new(look));
    }

    /// Whether none is heard.
    pub(super) fn is_missing(&self) -> bool {
        self.look.get().is_some_and(|has_majority| !has_majority())
    }

    /// Notes whether `node` had not answered a heartbeat when that was given up.
    pub(super) fn note(&self, node: NodeId, is_late: bool) {
        let mut late = self.locked();
        if is_late {
            late.entry(node).or_insert_with(Instant::now);
        } else {
            late.remove(&node);
        }
    }

    /// The nodes that have answered no heartbeat in time for as long as `patience`.
    pub(crate) fn late_for(&self, patience: Duration) -> Vec<NodeId> {
        let late = self.locked();
        late.iter()
            .filter(|(_, since)| since.elapsed() >= patience)
            .map(|(node, _)| *node)
            .collect()
    }

    /// Notes that this node does not lead.
    pub(crate) fn forget(&self) {
        self.locked().clear();
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<NodeId, Instant>> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
