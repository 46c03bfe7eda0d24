//! The entries that other nodes have confirmed to this one while it leads: they must still have all
//! of them.
//!
//! Openraft relies on that. A node whose disk was put back to an older copy answers that entries
//! conflict which it had confirmed; openraft then asks again, and so on without pause.
//!
//! Only the leader ignores such a node: the node may vote until it is removed. And confirmations
//! are remembered for one term, and by this process: nobody notices when another node leads by the
//! time the older copy comes back, or the leader was started again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse};
use proto::NodeId;
use tokio::time::Instant;

use crate::hearing::REMINDER_INTERVAL;
use crate::types::{LogId, TypeConfig};

/// A node has lost entries that it had confirmed. Nothing that it says can be built upon: it may
/// have lost votes, too, and give them again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it has lost entries of the log that it had confirmed")]
pub(super) struct EntriesLost;

/// How far each node has confirmed the log. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Confirmed {
    nodes: Arc<Mutex<BTreeMap<NodeId, Confirmation>>>,
}

/// What one node has confirmed to the leader of one term.
#[derive(Default)]
struct Confirmation {
    term: u64,
    last: Option<LogId>,
    /// When the log has said that it has lost some of that.
    said: Option<Instant>,
}

impl Confirmed {
    /// Takes note of what `node` has answered to `request`.
    ///
    /// # Errors
    /// [`EntriesLost`] when it says that it does not have what it had.
    pub(super) fn note(
        &self,
        node: NodeId,
        request: &AppendEntriesRequest<TypeConfig>,
        answer: &AppendEntriesResponse<TypeConfig>,
    ) -> Result<(), EntriesLost> {
        let term = request.vote.leader_id.term;
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let known = nodes.entry(node).or_default();
        if known.term < term {
            // What it had from an earlier leader, a later one may have taken back.
            *known = Confirmation { term, ..Confirmation::default() };
        }
        let confirmed = match answer {
            _ if known.term > term => return Ok(()),
            AppendEntriesResponse::HigherVote(_) => return Ok(()),
            AppendEntriesResponse::Conflict if request.prev_log_id > known.last => return Ok(()),
            AppendEntriesResponse::Conflict => {
                if known.said.is_none_or(|said| said.elapsed() >= REMINDER_INTERVAL) {
                    tracing::error!(
                        "node {node} has lost entries of the log that it had confirmed in this \
                         term: its disk seems to be an older copy; this leader ignores it, but it \
                         may vote until it is removed; make a new node of it: remove it from its \
                         cluster (roadstead cluster remove {node}), and start it with an empty \
                         folder (node.data_dir) and the address of that cluster (cluster.join)"
                    );
                    known.said = Some(Instant::now());
                }
                return Err(EntriesLost);
            }
            AppendEntriesResponse::PartialSuccess(matching) => *matching,
            AppendEntriesResponse::Success => {
                request.entries.last().map(|entry| entry.log_id).or(request.prev_log_id)
            }
        };
        known.last = known.last.max(confirmed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use openraft::EntryPayload;

    use super::*;
    use crate::types::{Entry, Vote, log_id};

    /// What the leader of `term` sends: an entry that follows the one at `prev`.
    fn append(term: u64, prev: u64) -> AppendEntriesRequest<TypeConfig> {
        let entry = Entry { log_id: log_id(term, prev + 1), payload: EntryPayload::Blank };
        AppendEntriesRequest {
            vote: Vote::new_committed(term, 1),
            prev_log_id: Some(log_id(term, prev)),
            entries: vec![entry],
            leader_commit: None,
        }
    }

    #[test]
    fn a_node_that_no_longer_has_what_it_had_confirmed_is_found_out() {
        use AppendEntriesResponse::{Conflict, PartialSuccess, Success};
        let confirmed = Confirmed::default();
        let lost = Err(EntriesLost);
        for (term, prev, answer, expected) in [
            // A new leader does not know yet how far the node is.
            (3, 20, Conflict, Ok(())),
            (3, 10, Success, Ok(())),
            (3, 15, Conflict, Ok(())),
            (3, 11, PartialSuccess(Some(log_id(3, 12))), Ok(())),
            (3, 13, Conflict, Ok(())),
            (3, 12, Conflict, lost),
            (3, 12, Conflict, lost),
            // The next leader may have other entries there.
            (4, 12, Conflict, Ok(())),
            (3, 12, Conflict, Ok(())),
            (4, 9, Success, Ok(())),
            (4, 10, Conflict, lost),
        ] {
            let noted = confirmed.note(2, &append(term, prev), &answer);
            assert_eq!(noted, expected, "{answer:?} to what follows {prev} of term {term}");
        }
        let other = confirmed.note(3, &append(4, 9), &Conflict);
        assert_eq!(other, Ok(()), "another node");
    }
}
