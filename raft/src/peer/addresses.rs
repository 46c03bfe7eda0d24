//! Where nodes are reached now: openraft tells a client where its peer was when the client was
//! made, and a leader keeps its clients for as long as it leads.

use std::sync::{Arc, OnceLock};

use proto::{NodeId, PeerAddress};

type Lookup = Box<dyn Fn(NodeId) -> Option<PeerAddress> + Send + Sync>;

/// The address of each node of the membership. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Addresses {
    lookup: Arc<OnceLock<Lookup>>,
}

impl Addresses {
    /// Has `lookup` say where nodes are, from now on: the membership is known only once openraft
    /// runs, which needs its network first.
    pub(crate) fn follow<L>(&self, lookup: L)
    where
        L: Fn(NodeId) -> Option<PeerAddress> + Send + Sync + 'static,
    {
        // Only the first call counts, and there is one.
        let _ = self.lookup.set(Box::new(lookup));
    }

    /// Where `node` is; `None` when the membership does not have it.
    pub(super) fn of(&self, node: NodeId) -> Option<PeerAddress> {
        self.lookup.get().and_then(|lookup| lookup(node))
    }
}
