//! What a leader has not heard, and for how long.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proto::NodeId;
use tokio::time::Instant;

/// Since when a leader leads, and since when it has not heard of voters: counted anew in each term,
/// since a leader that was just elected has heard of nobody yet.
#[derive(Debug, Default)]
pub(crate) struct Silences {
    reign: Option<(u64, Instant)>,
    voters: BTreeMap<NodeId, Instant>,
}

impl Silences {
    /// Notes that at `now` this node leads in `term`, that these nodes vote, and that it has heard
    /// of those that are `alive` lately.
    pub(crate) fn observe(
        &mut self,
        now: Instant,
        term: u64,
        voters: &BTreeSet<NodeId>,
        alive: &BTreeSet<NodeId>,
    ) {
        if self.reign.is_none_or(|(of, _)| of != term) {
            *self = Self { reign: Some((term, now)), voters: BTreeMap::new() };
        }
        self.voters.retain(|node, _| voters.contains(node) && !alive.contains(node));
        for node in voters.difference(alive) {
            self.voters.entry(*node).or_insert(now);
        }
    }

    /// Notes that this node does not lead.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Whether `node` has been silent for as long as `patience`.
    pub(crate) fn is_dead(&self, node: NodeId, now: Instant, patience: Duration) -> bool {
        self.voters.get(&node).is_some_and(|since| now.duration_since(*since) >= patience)
    }

    /// Whether this node has led for as long as `patience`: only then it says something that it has
    /// not heard of a node.
    pub(crate) fn has_listened(&self, now: Instant, patience: Duration) -> bool {
        self.reign.is_some_and(|(_, since)| now.duration_since(since) >= patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(3);

    #[test]
    fn a_new_leader_counts_anew() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let (voters, alive) = (BTreeSet::from([1, 2, 3]), BTreeSet::from([1, 2]));
        let mut silences = Silences::default();
        assert!(!silences.has_listened(at(9), PATIENCE), "it does not lead");
        silences.observe(at(10), 7, &voters, &BTreeSet::from([1]));
        assert!(!silences.has_listened(at(12), PATIENCE));
        silences.observe(at(12), 7, &voters, &alive);
        assert!(silences.has_listened(at(13), PATIENCE));
        assert!(silences.is_dead(3, at(13), PATIENCE));
        assert!(!silences.is_dead(2, at(13), PATIENCE), "it was heard of");

        silences.observe(at(14), 9, &voters, &BTreeSet::from([1]));
        assert!(!silences.has_listened(at(16), PATIENCE), "it was elected again");
        assert!(!silences.is_dead(3, at(16), PATIENCE));
        silences.observe(at(17), 9, &BTreeSet::from([1, 2]), &BTreeSet::from([1]));
        assert!(!silences.is_dead(3, at(17), PATIENCE), "it votes no longer");
        silences.forget();
        assert!(!silences.has_listened(at(30), PATIENCE));
    }
}
