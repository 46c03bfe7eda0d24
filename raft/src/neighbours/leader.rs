//! Asking the leader, for as long as it may be the one to answer.

use std::error::Error as _;
use std::future::pending;
use std::time::Duration;

use openraft::async_runtime::WatchReceiver as _;
use proto::PeerAddress;
use proto::pb::cluster::cluster_client::ClusterClient;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::DialError;
use crate::participant::Participant;

impl Participant {
    /// Does what [`Neighbours::ask`] does with the leader at `address`, but gives up when this node
    /// takes part in a later term that the leader does not lead: a leader that vanished without a
    /// word gives no other sign of that for seconds. It may have done by then what it was asked
    /// for.
    ///
    /// # Errors
    /// As [`Neighbours::ask`], and when there is a later term.
    ///
    /// [`Neighbours::ask`]: crate::neighbours::Neighbours::ask
    pub(crate) async fn ask_leader<M, A, C, F>(
        &self,
        address: &PeerAddress,
        deadline: Duration,
        message: M,
        call: C,
    ) -> Result<A, Status>
    where
        C: FnOnce(ClusterClient<Channel>, Request<M>) -> F,
        F: Future<Output = Result<Response<A>, Status>>,
    {
        tokio::select! {
            biased;
            answer = self.neighbours.ask(address, deadline, message, call) => answer,
            () = self.deposes(address) => Err(Status::aborted("it leads no longer")),
        }
    }

    /// Resolves when this node takes part in a term after the present one, which the node at
    /// `address` does not lead.
    async fn deposes(&self, address: &PeerAddress) {
        let mut changes = self.raft.server_metrics();
        let term = changes.borrow_watched().vote.leader_id.term;
        while changes.changed().await.is_ok() {
            let now = changes.borrow_watched();
            let members = now.membership_config.membership();
            let leader = now.current_leader.and_then(|leader| members.get_node(&leader));
            let leads = leader.is_some_and(|leader| leader.peer_address == *address);
            if now.vote.leader_id.term > term && !leads {
                return;
            }
        }
        // Consensus has ended, and says nothing more.
        pending().await
    }
}

/// Whether what came to this may have been sent to the other node.
pub(crate) fn was_sent(status: &Status) -> bool {
    !status.source().is_some_and(|source| source.is::<DialError>())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use std::sync::Arc;

    use tonic::transport::Endpoint;

    use super::*;
    use crate::Dial;
    use crate::neighbours::{Lanes, Neighbours};

    /// Dials one address alone, at which nobody listens.
    struct OneDial;

    impl Dial for OneDial {
        fn dial(&self, address: &PeerAddress) -> Result<Channel, DialError> {
            match address.as_str() {
                "127.0.0.1:1" => Ok(Endpoint::from_static("http://127.0.0.1:1").connect_lazy()),
                _ => Err(DialError(address.clone())),
            }
        }
    }

    #[tokio::test]
    async fn nothing_is_sent_to_an_address_that_cannot_be_dialled() {
        let neighbours = Neighbours::new(Lanes::new(Arc::new(OneDial)));
        for (address, expected) in [("127.0.0.1:1", true), ("127.0.0.1:2", false)] {
            let asked = neighbours.status(&address.parse().unwrap(), Duration::from_secs(9)).await;
            let status = asked.unwrap_err();
            assert_eq!(was_sent(&status), expected, "{status}");
        }
    }
}
