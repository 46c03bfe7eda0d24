//! The rules for nodes: who is admitted, and who is removed for good.

use proto::{Answer, ClusterId, Event, NodeId, PeerAddress, Refusal};

use super::View;
use super::applied::Applied;
use super::decide::{Decision, NotDecided};
use crate::ReadError;

/// The index of the entry becomes the node's id: it was never used before and never will be again.
pub(super) fn admit(cluster: ClusterId, index: u64, peer_address: &PeerAddress) -> Decision {
    Decision {
        events: vec![Event::NodeAdmitted { node: index, peer_address: peer_address.clone() }],
        answer: Answer::Admitted { node: index, cluster },
    }
}

/// Removes a node for good. The leader takes it out of the membership afterwards, whichever node
/// leads then. Another one that votes must stay: whether those that stay are alive is not known
/// here, and is for the leader to see before it proposes this.
pub(super) fn remove(view: &View, node: NodeId) -> Result<Decision, NotDecided> {
    let done = |events| Decision { events, answer: Answer::Done };
    if view.is_removed(node)? {
        return Ok(done(vec![]));
    }
    let membership = Applied::read(view)?.membership;
    let membership = membership.membership();
    if membership.get_node(&node).is_none() && !view.has_node(node)? {
        return Err(Refusal::NodeUnknown(node).into());
    }
    let mut stays = false;
    for voter in membership.voter_ids() {
        stays |= voter != node && !view.is_removed(voter)?;
    }
    if !stays {
        return Err(Refusal::LastVoter(node).into());
    }
    Ok(done(vec![Event::NodeRemoved { node }]))
}

/// Whether `node` was removed and, as far as `view` has applied, has no vote any more.
pub(crate) fn has_left(view: &View, node: NodeId) -> Result<bool, ReadError> {
    if !view.is_removed(node)? {
        return Ok(false);
    }
    let membership = Applied::read(view)?.membership;
    Ok(membership.membership().voter_ids().all(|voter| voter != node))
}
