//! The removal of a node, asked for under one request id until the cluster has said what comes of
//! it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proto::{Command, NodeId};
use raft::{RemoveError, Removed};

use crate::audit;
use crate::error::Error;
use crate::registry::{Registry, detached, fresh_request, until_led};

/// How long it may take: an election, the decision, and that it is carried out.
const PATIENCE: Duration = Duration::from_secs(20);

impl Registry {
    /// Removes `node` from the cluster. Waits out an election, under one request id, and goes on to
    /// its end when the caller is dropped.
    ///
    /// # Errors
    /// [`Error::Refused`] and [`Error::WouldLoseQuorum`] when the node stays;
    /// [`Error::Unavailable`] when that is not known.
    pub(crate) async fn remove_node(&self, node: NodeId) -> Result<Removed, Error> {
        let (cluster, request) = (self.cluster.clone(), fresh_request()?);
        let (actor, origin) = (self.caller.actor(), self.origin);
        detached(async move {
            let may_be_repeated =
                |error: &_| matches!(error, RemoveError::Unavailable { .. } | RemoveError::Unknown);
            let doubt = Doubt::default();
            let attempt = || async { doubt.judge(cluster.remove(request, &actor, node).await) };
            let outcome = until_led(PATIENCE, may_be_repeated, attempt).await;
            audit::decided(origin, &actor, &Command::RemoveNode { node }, &outcome);
            outcome
        })
        .await
    }
}

/// Whether an attempt may have had the removal decided. A leader that finds at a later one that too
/// few nodes would stay has not taken that back: what it has appended may be committed yet.
#[derive(Default)]
struct Doubt(AtomicBool);

impl Doubt {
    /// What `outcome`, that of the latest attempt, says of all of them.
    fn judge(&self, outcome: Result<Removed, RemoveError>) -> Result<Removed, RemoveError> {
        match outcome {
            Err(RemoveError::WouldLoseQuorum(_)) if self.0.load(Ordering::Relaxed) => {
                Err(RemoveError::Unknown)
            }
            Err(RemoveError::Unknown) => {
                self.0.store(true, Ordering::Relaxed);
                outcome
            }
            // What the cluster has decided of the request, it has decided for good.
            outcome => outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removal_that_may_be_decided_is_not_refused_by_who_asks_again() {
        let refused = || Err(RemoveError::WouldLoseQuorum("node 2 does not answer".to_owned()));
        let doubt = Doubt::default();
        assert_eq!(doubt.judge(refused()), refused(), "nothing has happened");
        let unavailable = || Err(RemoveError::Unavailable { retry_after: Duration::ZERO });
        assert_eq!(doubt.judge(unavailable()), unavailable());
        assert_eq!(doubt.judge(refused()), refused(), "still nothing has");

        assert_eq!(doubt.judge(Err(RemoveError::Unknown)), Err(RemoveError::Unknown));
        assert_eq!(doubt.judge(refused()), Err(RemoveError::Unknown));
        assert_eq!(doubt.judge(Ok(Removed::Decided)), Ok(Removed::Decided));
        let unknown_node = || Err(RemoveError::Refused(proto::Refusal::NodeUnknown(7)));
        assert_eq!(doubt.judge(unknown_node()), unknown_node(), "the cluster has decided it");
    }
}
