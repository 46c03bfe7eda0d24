//! Removals: a node that is removed is one that somebody asked for, and one whose removal was
//! acknowledged is out of the cluster for good.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proto::NodeId;

use crate::sim::chronicle::Chronicle;
use crate::sim::invariant::Invariant;

/// What operators asked for, and what they were told. Clones are the same records.
#[derive(Clone)]
pub(crate) struct Removals {
    pages: Arc<Mutex<Pages>>,
    chronicle: Chronicle,
}

#[derive(Default)]
struct Pages {
    /// How many requests there were to remove each node that were not refused.
    asked: BTreeMap<NodeId, usize>,
    acknowledged: BTreeSet<NodeId>,
}

impl Removals {
    pub(crate) fn new(chronicle: Chronicle) -> Self {
        Self { pages: Arc::default(), chronicle }
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody asks to remove `node`.
    pub(crate) fn ask(&self, node: NodeId) {
        *self.pages().asked.entry(node).or_default() += 1;
    }

    /// Such a request was refused, and had no effect.
    pub(crate) fn refused(&self, node: NodeId) {
        if let Some(asked) = self.pages().asked.get_mut(&node) {
            *asked = asked.saturating_sub(1);
        }
    }

    /// Somebody was told that `node` is removed, or that this is decided.
    pub(crate) fn acknowledged(&self, node: NodeId) {
        self.pages().acknowledged.insert(node);
    }

    /// Looks at `node` of `machine`, which has learnt that it was removed.
    pub(crate) fn observe(&self, machine: &str, node: NodeId) {
        if self.pages().asked.get(&node).is_none_or(|asked| *asked == 0) {
            let evidence = format!("node {node} on {machine} was removed, which nobody asked for");
            self.chronicle.violated(Invariant::Removals, evidence);
        }
    }

    /// Looks at those who are members of a cluster that has healed.
    pub(crate) fn check_members(&self, members: impl IntoIterator<Item = NodeId>) {
        let pages = self.pages();
        for node in members.into_iter().filter(|node| pages.acknowledged.contains(node)) {
            let evidence = format!("node {node} is a member, whose removal was acknowledged");
            self.chronicle.violated(Invariant::Removals, evidence);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether something is wrong after what `happens`.
    fn is_wrong(happens: impl FnOnce(&Removals)) -> bool {
        let chronicle = Chronicle::default();
        happens(&Removals::new(chronicle.clone()));
        chronicle.violation().is_some()
    }

    #[test]
    fn a_node_that_nobody_asked_to_remove_is_not_removed() {
        assert!(is_wrong(|removals| removals.observe("a", 1)));
        let other = |removals: &Removals| {
            removals.ask(2);
            removals.observe("a", 1);
        };
        assert!(is_wrong(other), "it is another one");
        let refused = |removals: &Removals| {
            removals.ask(1);
            removals.refused(1);
            removals.observe("a", 1);
        };
        assert!(is_wrong(refused));
        let one_of_two = |removals: &Removals| {
            removals.ask(1);
            removals.ask(1);
            removals.refused(1);
            removals.observe("a", 1);
        };
        assert!(!is_wrong(one_of_two), "the other request may have done it");
    }

    #[test]
    fn a_removal_that_was_acknowledged_is_not_lost() {
        let acknowledged = |removals: &Removals| {
            removals.ask(1);
            removals.ask(2);
            removals.acknowledged(1);
        };
        assert!(!is_wrong(|removals| {
            acknowledged(removals);
            removals.check_members([2, 3]);
        }));
        assert!(is_wrong(|removals| {
            acknowledged(removals);
            removals.check_members([1, 2, 3]);
        }));
    }
}
