//! I22: a node whose store has failed, of a checksum that is wrong as of any other error, stops: it
//! neither votes nor serves from what it cannot read.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::sim::chronicle::Chronicle;
use crate::sim::invariant::Invariant;

/// How long a node may take to end after its store has told it that it failed.
const STOPPING_MAX: Duration = Duration::from_secs(1);

/// Watches what nodes do after that.
pub(crate) struct Stopped {
    /// Of each machine whose node has seen its store fail and runs: since when.
    failed: BTreeMap<String, Duration>,
    chronicle: Chronicle,
}

impl Stopped {
    pub(crate) fn new(chronicle: Chronicle) -> Self {
        Self { failed: BTreeMap::new(), chronicle }
    }

    /// Looks at a machine: whether its node runs, and whether that has seen its store fail.
    pub(crate) fn observe(&mut self, machine: &str, now: Duration, runs: bool, has_failed: bool) {
        if !runs || !has_failed {
            self.failed.remove(machine);
            return;
        }
        let since = *self.failed.entry(machine.to_owned()).or_insert(now);
        let stopping = now.saturating_sub(since);
        if stopping > STOPPING_MAX {
            let evidence = format!("{machine} runs {stopping:?} after its store has failed");
            self.chronicle.violated(Invariant::FailedStops, evidence);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong after a machine was seen so at these milliseconds.
    fn seen(observed: &[(u64, bool, bool)]) -> bool {
        let chronicle = Chronicle::default();
        let mut watch = Stopped::new(chronicle.clone());
        for (millis, runs, has_failed) in observed {
            watch.observe("a", Duration::from_millis(*millis), *runs, *has_failed);
        }
        chronicle.violation().is_some()
    }

    #[test]
    fn a_node_that_goes_on_without_its_store_is_found() {
        assert!(seen(&[(0, true, false), (10, true, true), (1011, true, true)]));
    }

    #[test]
    fn a_node_that_ends_or_whose_store_works_is_well() {
        assert!(!seen(&[(0, true, true), (900, true, true), (901, false, true)]));
        assert!(!seen(&[(0, true, false), (5000, true, false)]));
        // It failed, ended, and failed again after its restart.
        assert!(!seen(&[(0, true, true), (900, false, true), (1500, true, true)]));
    }
}
