//! I18: a node at rest has the tasks that it needs for itself and its peers, and keeps no frozen
//! view of the catalog: the store could forget no row while it does.
//!
//! Tasks stand for much else. Each connection has one, and what a request takes (a share of the
//! transfers, a place among those who wait) its task gives back when it ends.

use std::collections::BTreeMap;
use std::time::Duration;

use proto::limits::PACE_PATIENCE;

use crate::sim::chronicle::Chronicle;
use crate::sim::invariant::Invariant;

/// How long nobody asks for anything before nodes are at rest. Connections whose clients have
/// vanished without a word last longest: as long as a client may be slow. Those to S3 that nobody
/// uses last half a minute, and those from a node that has vanished 20 seconds.
const QUIET: Duration = PACE_PATIENCE.saturating_add(Duration::from_secs(10));
/// How long nodes are looked at then: what is under way for a moment is none of what they keep.
const LOOK: Duration = Duration::from_secs(1);

/// Tasks of a node for itself: three listeners, the sweeper, the watch over the object store, the
/// read barrier and the membership; and openraft's core, state machine, ticks, deadlines of reads,
/// ends of writes, and watch over a leader that is removed.
const OWN: usize = 7 + 6;
/// Tasks for S3: the one that empties the pool of connections, and two connections.
const STORE: usize = 1 + 2;
/// Connections to a peer, apart by purpose, and as many from it.
const LANES: usize = 5;
/// Tasks for a connection to a peer (requests wait, are sent, and the connection itself), and for
/// one from it.
const LANE: usize = 3 + 1;
/// Tasks of a leader for each peer: it sends entries and heartbeats.
const LEADER: usize = 2;

/// The most tasks of a node at rest that has so many peers.
const fn tasks_max(peers: usize) -> usize {
    OWN + STORE + peers * (LEADER + LANES * LANE)
}

/// What a node holds at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// Tasks that have not ended.
    pub(crate) tasks: usize,
    /// Frozen catalogs that somebody may still read.
    pub(crate) views: usize,
}

/// Watches nodes come to rest.
pub(crate) struct AtRest {
    /// Since when nobody asks for anything.
    since: Duration,
    peers: usize,
    /// The least that each node has held since it was at rest.
    least: BTreeMap<String, Held>,
}

impl AtRest {
    /// From `now` on nobody asks any of so many `nodes` for anything.
    pub(crate) fn begin(now: Duration, nodes: usize) -> Self {
        Self { since: now, peers: nodes.saturating_sub(1), least: BTreeMap::new() }
    }

    /// Whether enough has been seen.
    pub(crate) fn is_over(&self, now: Duration) -> bool {
        now.saturating_sub(self.since) >= QUIET + LOOK
    }

    /// Looks at what a node holds.
    pub(crate) fn observe(&mut self, node: &str, now: Duration, held: Held) {
        if now.saturating_sub(self.since) < QUIET {
            return;
        }
        let least = self.least.entry(node.to_owned()).or_insert(held);
        least.tasks = least.tasks.min(held.tasks);
        least.views = least.views.min(held.views);
    }

    /// Checks that all nodes run, and none has kept more than it can need.
    pub(crate) fn check(&self, chronicle: &Chronicle) {
        let most = tasks_max(self.peers);
        let (seen, nodes) = (self.least.len(), self.peers + 1);
        if seen < nodes {
            let evidence = format!("{seen} of {nodes} nodes run");
            chronicle.violated(Invariant::AtRest, evidence);
        }
        for (node, Held { tasks, views }) in &self.least {
            chronicle.count("nodes at rest");
            let kept = format!("{node} has {tasks} tasks, of at most {most}, and {views} views");
            if *tasks > most || *views > 0 {
                chronicle.violated(Invariant::AtRest, kept);
            } else {
                chronicle.note(format_args!("at rest {kept}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong when one of three nodes held so many tasks and views after these seconds, and
    /// the others nothing.
    fn seen(observed: &[(u64, usize, usize)]) -> Option<String> {
        let chronicle = Chronicle::default();
        let begun = Duration::from_secs(100);
        let mut at_rest = AtRest::begin(begun, 3);
        for node in ["node-2", "node-3"] {
            at_rest.observe(node, begun + QUIET, Held { tasks: 0, views: 0 });
        }
        for (seconds, tasks, views) in observed {
            let now = begun + Duration::from_secs(*seconds);
            at_rest.observe("node-1", now, Held { tasks: *tasks, views: *views });
        }
        at_rest.check(&chronicle);
        chronicle.violation().map(|violation| violation.evidence)
    }

    #[test]
    fn a_node_that_keeps_a_task_or_a_view_is_found() {
        let most = tasks_max(2);
        let task = seen(&[(70, most + 1, 0), (71, most + 2, 0)]);
        let evidence = format!("node-1 has {} tasks, of at most {most}, and 0 views", most + 1);
        assert_eq!(task, Some(evidence));
        assert!(seen(&[(70, 20, 1), (71, 20, 1)]).is_some_and(|kept| kept.contains("1 views")));
    }

    #[test]
    fn a_node_that_does_not_run_is_found() {
        assert_eq!(seen(&[]).as_deref(), Some("2 of 3 nodes run"));
    }

    #[test]
    fn a_node_that_comes_to_rest_or_does_something_for_a_moment_is_well() {
        let most = tasks_max(2);
        assert_eq!(seen(&[(0, 500, 9), (69, 500, 9), (70, most, 0)]), None);
        assert_eq!(seen(&[(70, most + 3, 1), (71, most, 0)]), None);
    }

    #[test]
    fn nodes_are_looked_at_until_all_patience_with_clients_is_over() {
        let at_rest = AtRest::begin(Duration::from_secs(100), 3);
        assert!(!at_rest.is_over(Duration::from_secs(100) + PACE_PATIENCE));
        assert!(at_rest.is_over(Duration::from_secs(100) + QUIET + LOOK));
    }
}
