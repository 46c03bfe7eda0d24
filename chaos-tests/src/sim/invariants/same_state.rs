//! I9: nodes that have applied the log equally far have the same catalog, to the byte.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::sim::chronicle::Chronicle;
use crate::sim::invariant::Invariant;

/// The first fingerprint that was seen at each applied index, and on which node. Clones are the
/// same watch.
#[derive(Clone)]
pub(crate) struct SameState {
    seen: Arc<Mutex<BTreeMap<u64, (u128, String)>>>,
    chronicle: Chronicle,
}

impl SameState {
    pub(crate) fn new(chronicle: Chronicle) -> Self {
        Self { seen: Arc::default(), chronicle }
    }

    /// Looks at the fingerprint that `node` has after it has applied the entry of `index`.
    pub(crate) fn observe(&self, node: &str, index: u64, fingerprint: u128) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (first, by) = seen.entry(index).or_insert_with(|| (fingerprint, node.to_owned()));
        if *first != fingerprint {
            let evidence = format!(
                "after entry {index} the catalog of {by} is {first:032x}, and that of {node} is \
                 {fingerprint:032x}"
            );
            self.chronicle.violated(Invariant::SameState, evidence);
        }
    }

    /// The last index that was seen, and its fingerprint.
    pub(crate) fn last(&self) -> Option<(u64, u128)> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.last_key_value().map(|(index, (fingerprint, _))| (*index, *fingerprint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalog_that_differs_at_an_equal_index_is_found() {
        let chronicle = Chronicle::default();
        let watch = SameState::new(chronicle.clone());
        watch.observe("a", 1, 7);
        watch.observe("b", 1, 7);
        watch.observe("b", 2, 8);
        assert_eq!(chronicle.violation(), None);
        watch.observe("a", 2, 9);
        assert!(chronicle.violation().is_some());
    }
}
