//! Asking every node of the cluster for its status.

use std::time::Duration;

use futures::future::join_all;

use crate::participant::Participant;
use crate::{Member, PeerStatus};

/// How long a node may take to answer.
const DEADLINE: Duration = Duration::from_secs(1);

impl Participant {
    /// What each node says of itself, by id.
    pub(crate) async fn survey(&self) -> Vec<PeerStatus> {
        let members = self.status().members;
        let mut all = join_all(members.into_iter().map(|member| self.ask(member))).await;
        let most = all.iter().filter_map(|peer| peer.applied).max();
        for peer in &mut all {
            peer.lag = most.zip(peer.applied).map(|(most, applied)| most - applied);
        }
        all
    }

    async fn ask(&self, member: Member) -> PeerStatus {
        let mut peer = PeerStatus {
            node: member.node,
            peer_address: member.peer_address.to_string(),
            voter: member.voter,
            reachable: false,
            role: None,
            term: None,
            applied: None,
            lag: None,
        };
        if peer.node == self.identity.node {
            let own = self.status();
            peer.reachable = true;
            peer.role = Some(own.role);
            peer.term = Some(own.term);
            peer.applied = own.applied;
            return peer;
        }
        match self.neighbours.status(&member.peer_address, DEADLINE).await {
            Ok(answer) if answer.node_id == peer.node => {
                peer.reachable = true;
                peer.role = answer.role.parse().ok();
                peer.term = Some(answer.term);
                peer.applied = answer.applied_index;
            }
            Ok(other) => {
                tracing::warn!(peer.node, other.node_id, "another node answers at this address")
            }
            Err(status) => tracing::debug!(peer.node, %status, "a node gave no status"),
        }
        peer
    }
}
