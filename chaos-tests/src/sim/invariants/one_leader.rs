//! I11: at most one leader in each term; each leader has all that was committed before; a term does
//! not go back, not even when the node is killed, and what is applied does not while it runs
//! (Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm", figure 3).

use std::collections::BTreeMap;

use proto::NodeId;
use raft::{Role, Status};

use crate::sim::chronicle::Chronicle;
use crate::sim::invariant::Invariant;

/// Watches terms, leaders and what is applied.
pub(crate) struct OneLeader {
    leaders: BTreeMap<u64, NodeId>,
    /// Of each machine: its node and the term that it said last. A node tells its term only once it
    /// is durable; on an empty disk a machine becomes another node.
    terms: BTreeMap<String, (NodeId, u64)>,
    /// Of each machine: how many nodes ran on it before, and how far this one has applied the log.
    applied: BTreeMap<String, (u64, u64)>,
    /// The furthest that any node ever had applied the log, and which machine it was.
    furthest: (u64, String),
    chronicle: Chronicle,
}

impl OneLeader {
    pub(crate) fn new(chronicle: Chronicle) -> Self {
        Self {
            leaders: BTreeMap::new(),
            terms: BTreeMap::new(),
            applied: BTreeMap::new(),
            furthest: (0, String::new()),
            chronicle,
        }
    }

    /// Looks at what the node on `machine` says of itself, before which so many ran there.
    pub(crate) fn observe(&mut self, machine: &str, life: u64, status: &Status) {
        let before = self.terms.insert(machine.to_owned(), (status.node, status.term));
        let term = before.filter(|(node, _)| *node == status.node).map_or(0, |(_, term)| term);
        if status.term < term {
            let evidence = format!("{machine} went from term {term} back to {}", status.term);
            self.chronicle.violated(Invariant::Raft, evidence);
        }
        let applied = status.applied.unwrap_or(0);
        let before = self.applied.insert(machine.to_owned(), (life, applied));
        let was_applied = before.filter(|(same, _)| *same == life).map_or(0, |(_, was)| was);
        if applied < was_applied {
            let evidence = format!("{machine} went from entry {was_applied} back to {applied}");
            self.chronicle.violated(Invariant::Raft, evidence);
        }
        if status.role == Role::Leader {
            self.observe_leader(machine, status);
        }
        if applied > self.furthest.0 {
            self.furthest = (applied, machine.to_owned());
        }
    }

    fn observe_leader(&mut self, machine: &str, status: &Status) {
        match self.leaders.get(&status.term) {
            None => {
                self.chronicle.note(format_args!("{machine} leads in term {}", status.term));
                self.chronicle.count("leaders");
                if !self.leaders.is_empty() {
                    self.chronicle.count("elections");
                }
                let is_newest = self.leaders.keys().all(|term| *term < status.term);
                self.leaders.insert(status.term, status.node);
                let last = status.last_log.unwrap_or(0);
                if is_newest && last < self.furthest.0 {
                    let (applied, by) = &self.furthest;
                    let evidence = format!(
                        "{machine} leads in term {} with a log up to entry {last}, but {by} has \
                         applied entry {applied} before",
                        status.term
                    );
                    self.chronicle.violated(Invariant::Raft, evidence);
                }
            }
            Some(leader) if *leader == status.node => {}
            Some(leader) => {
                let evidence =
                    format!("nodes {leader} and {} both led in term {}", status.node, status.term);
                self.chronicle.violated(Invariant::Raft, evidence);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proto::ClusterId;

    use super::*;

    fn status(node: NodeId, role: Role, term: u64, log: u64) -> Status {
        Status {
            cluster: ClusterId::from_bytes([1; 16]),
            node,
            role,
            term,
            leader: None,
            last_log: Some(log),
            applied: Some(log),
            ready: true,
            members: Vec::new(),
        }
    }

    /// What is wrong after these were seen, one after the other, on machines of these names, before
    /// which so many nodes ran there.
    fn seen(observed: &[(&str, u64, Status)]) -> Option<String> {
        let chronicle = Chronicle::default();
        let mut watch = OneLeader::new(chronicle.clone());
        for (machine, life, status) in observed {
            watch.observe(machine, *life, status);
        }
        chronicle.violation().map(|violation| violation.evidence)
    }

    #[test]
    fn a_life_with_crashes_and_elections_is_well() {
        let history = [
            ("a", 0, status(1, Role::Leader, 1, 5)),
            ("b", 0, status(2, Role::Follower, 1, 4)),
            ("b", 0, status(2, Role::Leader, 2, 5)),
            // What was applied was not synced, and is applied again.
            ("a", 1, status(1, Role::Follower, 1, 3)),
            ("a", 1, status(1, Role::Follower, 2, 6)),
        ];
        assert_eq!(seen(&history), None);
    }

    #[test]
    fn a_vote_that_a_crash_has_lost_is_found() {
        let history =
            [("a", 0, status(1, Role::Follower, 3, 5)), ("a", 1, status(1, Role::Follower, 2, 5))];
        assert!(seen(&history).is_some_and(|found| found.contains("back to 2")));
    }

    #[test]
    fn two_leaders_in_a_term_are_found() {
        let history =
            [("a", 0, status(1, Role::Leader, 3, 5)), ("b", 0, status(2, Role::Leader, 3, 5))];
        assert!(seen(&history).is_some_and(|found| found.contains("both led")));
    }

    #[test]
    fn a_leader_that_lacks_what_was_applied_is_found() {
        let history =
            [("a", 0, status(1, Role::Leader, 3, 5)), ("b", 0, status(2, Role::Leader, 4, 4))];
        assert!(seen(&history).is_some_and(|found| found.contains("has applied entry 5")));
    }

    #[test]
    fn what_is_applied_does_not_go_back_while_a_node_runs() {
        let history =
            [("a", 0, status(1, Role::Follower, 3, 5)), ("a", 0, status(1, Role::Follower, 3, 4))];
        assert!(seen(&history).is_some_and(|found| found.contains("entry 5 back to 4")));
    }
}
