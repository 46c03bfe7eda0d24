//! Where nodes are reached now: openraft tells a client where its peer was when the client was
//! made, and a leader keeps its clients for as long as it leads.
//!
//! The membership has an address for each node, but changes only while there is a leader. Once too
//! many nodes are at other addresses, no leader could be elected. So until the membership changes,
//! a node is reached where it says that it is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use proto::{NodeId, PeerAddress};

type Lookup = Box<dyn Fn(NodeId) -> Option<PeerAddress> + Send + Sync>;

/// The address of each node of the membership. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Addresses {
    lookup: Arc<OnceLock<Lookup>>,
    told: Arc<Mutex<BTreeMap<NodeId, Told>>>,
}

/// Where a node says that it is.
struct Told {
    address: PeerAddress,
    /// Where the membership had it then.
    instead_of: PeerAddress,
}

impl Addresses {
    /// Has `lookup` say where the membership has nodes, from now on: that is known only once
    /// openraft runs, which needs its network first.
    pub(crate) fn look_up_by<L>(&self, lookup: L)
    where
        L: Fn(NodeId) -> Option<PeerAddress> + Send + Sync + 'static,
    {
        // Only the first call counts, and there is one.
        let _ = self.lookup.set(Box::new(lookup));
    }

    /// Notes that `node` says it is at `address`: there it is reached for as long as the membership
    /// has it where it has it now.
    pub(crate) fn note(&self, node: NodeId, address: PeerAddress) {
        let Some(instead_of) = self.listed(node) else { return };
        let mut told = self.locked();
        if address == instead_of {
            told.remove(&node);
        } else {
            told.insert(node, Told { address, instead_of });
        }
    }

    /// Where nodes say that they are, and the membership does not have them.
    pub(crate) fn told(&self) -> Vec<PeerAddress> {
        let mut told = self.locked();
        told.retain(|node, told| self.listed(*node).as_ref() == Some(&told.instead_of));
        told.values().map(|told| told.address.clone()).collect()
    }

    /// Where `node` is; `None` when the membership does not have it.
    pub(super) fn of(&self, node: NodeId) -> Option<PeerAddress> {
        let listed = self.listed(node)?;
        match self.locked().get(&node) {
            Some(told) if told.instead_of == listed => Some(told.address.clone()),
            _ => Some(listed),
        }
    }

    fn listed(&self, node: NodeId) -> Option<PeerAddress> {
        self.lookup.get().and_then(|lookup| lookup(node))
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<NodeId, Told>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;

    #[test]
    fn a_node_is_where_it_says_until_the_membership_has_it_elsewhere_than_before() {
        let [old, new, newer] = ["old:1", "new:1", "newer:1"].map(|at| at.parse().unwrap());
        let (old, new, newer): (PeerAddress, PeerAddress, PeerAddress) = (old, new, newer);
        let (addresses, members) = (Addresses::default(), Arc::new(Mutex::new(BTreeMap::new())));
        let listed = Arc::clone(&members);
        addresses.look_up_by(move |node| listed.lock().unwrap().get(&node).cloned());
        addresses.note(2, new.clone());
        assert_eq!(addresses.of(2), None, "it is no member");

        members.lock().unwrap().insert(2, old.clone());
        assert_eq!(addresses.of(2).as_ref(), Some(&old));
        addresses.note(2, new.clone());
        assert_eq!(addresses.of(2).as_ref(), Some(&new));
        assert_eq!(addresses.told(), std::slice::from_ref(&new));

        members.lock().unwrap().insert(2, newer.clone());
        assert_eq!(addresses.of(2).as_ref(), Some(&newer));
        assert!(addresses.told().is_empty());
        members.lock().unwrap().insert(2, old.clone());
        assert_eq!(addresses.of(2).as_ref(), Some(&old), "what it said counts no longer");

        addresses.note(2, new);
        addresses.note(2, old.clone());
        assert_eq!(addresses.of(2), Some(old), "it is back");
        assert!(addresses.told().is_empty());
    }
}
