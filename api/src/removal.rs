//! The removal of a node, asked for under one request id until the cluster has said what comes of
//! it.

use std::time::Duration;

use proto::{Command, NodeId};
use raft::{RemoveError, Removed};

use crate::audit;
use crate::doubt::Doubt;
use crate::error::Error;
use crate::registry::{detached, fresh_request, until_led};
use crate::visit::Visit;

/// How long it may take: an election, the decision, and that it is carried out.
const PATIENCE: Duration = Duration::from_secs(20);

impl Visit {
    /// Removes `node` from the cluster. Waits out an election, under one request id, and goes on to
    /// its end when the caller is dropped.
    ///
    /// # Errors
    /// [`Error::Refused`] and [`Error::WouldLoseQuorum`] when the node stays;
    /// [`Error::OutcomeUnknown`] when that is not known, and [`Error::Unavailable`] when nothing
    /// happened.
    pub(crate) async fn remove_node(&self, node: NodeId) -> Result<Removed, Error> {
        let (cluster, request) = (self.cluster.clone(), fresh_request()?);
        let (actor, origin) = (self.caller.actor(), self.origin);
        detached(async move {
            let may_be_repeated =
                |error: &_| matches!(error, RemoveError::Unavailable { .. } | RemoveError::Unknown);
            let doubt = Doubt::default();
            let attempt = || async {
                judge(&doubt, doubt.attempt(cluster.remove(request, &actor, node)).await)
            };
            let outcome = doubt.explain(until_led(PATIENCE, may_be_repeated, attempt).await);
            audit::decided(origin, &actor, &Command::RemoveNode { node }, &outcome);
            outcome
        })
        .await
    }
}

/// What `outcome`, that of the latest attempt, says of all of them. A leader that finds that too
/// few nodes would stay has not taken back what another one may decide yet.
fn judge(doubt: &Doubt, outcome: Result<Removed, RemoveError>) -> Result<Removed, RemoveError> {
    match outcome {
        Err(RemoveError::WouldLoseQuorum(_)) if doubt.exists() => Err(RemoveError::Unknown),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn attempt(
        doubt: &Doubt,
        outcome: Result<Removed, RemoveError>,
    ) -> Result<Removed, RemoveError> {
        judge(doubt, doubt.attempt(async { outcome }).await)
    }

    #[tokio::test]
    async fn a_removal_that_may_be_decided_is_not_refused_by_who_asks_again() {
        let refused = || Err(RemoveError::WouldLoseQuorum("node 2 does not answer".to_owned()));
        let doubt = Doubt::default();
        assert_eq!(attempt(&doubt, refused()).await, refused(), "nothing has happened");
        let unavailable = || Err(RemoveError::Unavailable { retry_after: Duration::ZERO });
        assert_eq!(attempt(&doubt, unavailable()).await, unavailable());
        assert_eq!(attempt(&doubt, refused()).await, refused(), "still nothing has");

        let unknown = || Err(RemoveError::Unknown);
        assert_eq!(attempt(&doubt, unknown()).await, unknown());
        assert_eq!(attempt(&doubt, refused()).await, unknown());
        assert_eq!(attempt(&doubt, Ok(Removed::Decided)).await, Ok(Removed::Decided));
        let unknown_node = || Err(RemoveError::Refused(proto::Refusal::NodeUnknown(7)));
        let answer = attempt(&doubt, unknown_node()).await;
        assert_eq!(answer, unknown_node(), "the cluster has decided it");
    }
}
