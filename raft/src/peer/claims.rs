//! In whose name a node speaks: in its own only; and in which term: in one that there can be.

use proto::NodeId;
use proto::limits::TERMS_AHEAD_MAX;
use tonic::{Request, Status};

use crate::PeerName;
use crate::types::Vote;

/// The sender of `request`, as its certificate names it. `None` only where nodes have no
/// certificates: elsewhere the listener lets no request without a name through to here.
pub(crate) fn proved<T>(request: &Request<T>) -> Option<PeerName> {
    request.extensions().get().copied()
}

/// What a node that was removed is told.
pub(crate) fn removed(node: NodeId) -> Status {
    Status::permission_denied(format!("node {node} was removed from the cluster"))
}

/// Refuses what the node that `proved` names sends in the name of `claimed`.
pub(crate) fn check_claim(proved: Option<PeerName>, claimed: NodeId) -> Result<(), Status> {
    match proved {
        Some(name) if name.node != claimed => {
            let node = name.node;
            let reason = format!("this is by node {node}, in the name of node {claimed}");
            Err(Status::permission_denied(reason))
        }
        _ => Ok(()),
    }
}

/// Whether the term of `claimed` is so far ahead of `known` that no node can have missed so many
/// terms, and so high that there would soon be none left. In the first half of all terms no leap is
/// too far: other nodes may have taken it, and a node that refused it could not follow them again.
pub(super) const fn is_far_ahead(claimed: &Vote, known: &Vote) -> bool {
    let (claimed, known) = (claimed.leader_id.term, known.leader_id.term);
    claimed > u64::MAX / 2 && claimed > known.saturating_add(TERMS_AHEAD_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_leaps_towards_the_last_term_are_too_far() {
        let is_far = |claimed, known| is_far_ahead(&Vote::new(claimed, 1), &Vote::new(known, 2));
        let half = u64::MAX / 2;
        assert!(!is_far(half, 0), "who comes new follows whatever leader there is");
        assert!(is_far(half + 1, 0) && is_far(u64::MAX - 1, half));
        assert!(!is_far(half + TERMS_AHEAD_MAX, half));
        assert!(is_far(half + TERMS_AHEAD_MAX + 1, half));
    }
}
