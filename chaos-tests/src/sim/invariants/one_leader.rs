//! I11: at most one leader in each term, and a node's term and applied index do not go back while
//! it runs (Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm", figure 3).

use std::collections::BTreeMap;

use proto::NodeId;
use raft::{Role, Status};

use crate::sim::chronicle::Chronicle;

const NAME: &str = "I11 Raft";

/// Watches terms and leaders.
pub(crate) struct OneLeader {
    leaders: BTreeMap<u64, NodeId>,
    /// Of each machine that runs: its term and applied index when it was last looked at.
    last: BTreeMap<String, (u64, u64)>,
    chronicle: Chronicle,
}

impl OneLeader {
    pub(crate) fn new(chronicle: Chronicle) -> Self {
        Self { leaders: BTreeMap::new(), last: BTreeMap::new(), chronicle }
    }

    /// Looks at what the node on `machine` says of itself; `None` when none runs.
    pub(crate) fn observe(&mut self, machine: &str, status: Option<&Status>) {
        let Some(status) = status else {
            self.last.remove(machine);
            return;
        };
        let applied = status.applied.unwrap_or(0);
        let last = self.last.insert(machine.to_owned(), (status.term, applied));
        if let Some((term, was_applied)) = last
            && (status.term < term || applied < was_applied)
        {
            let evidence = format!(
                "{machine} went from term {term} and entry {was_applied} back to term {} and \
                 entry {applied}",
                status.term
            );
            self.chronicle.violated(NAME, evidence);
        }
        if status.role != Role::Leader {
            return;
        }
        match self.leaders.get(&status.term) {
            None => {
                self.chronicle.note(format_args!("{machine} leads in term {}", status.term));
                self.chronicle.count("leaders");
                self.leaders.insert(status.term, status.node);
            }
            Some(leader) if *leader == status.node => {}
            Some(leader) => {
                let evidence =
                    format!("nodes {leader} and {} both led in term {}", status.node, status.term);
                self.chronicle.violated(NAME, evidence);
            }
        }
    }
}
