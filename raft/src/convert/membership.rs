//! Memberships: alone, with the entry that set them, and with the entry up to which a snapshot
//! reaches.

use std::collections::BTreeMap;

use proto::pb::raft as pb;
use proto::{DecodeError, NodeId};

use super::{Wire, optional, required};
use crate::types::{Membership, PeerNode, StoredMembership};

impl Wire for Membership {
    type Message = pb::Membership;

    fn to_message(&self) -> pb::Membership {
        let configs = self.get_joint_config().iter();
        let node = |node: &PeerNode| pb::Node { peer_address: node.peer_address.to_string() };
        pb::Membership {
            configs: configs
                .map(|ids| pb::NodeSet { ids: ids.iter().copied().collect() })
                .collect(),
            nodes: self.nodes().map(|(id, peer)| (*id, node(peer))).collect(),
        }
    }

    fn from_message(message: pb::Membership) -> Result<Self, DecodeError> {
        let configs =
            message.configs.into_iter().map(|set| set.ids.into_iter().collect()).collect();
        let node = |(id, node): (NodeId, pb::Node)| {
            let address = node.peer_address.parse();
            let peer_address = address.map_err(|e| DecodeError::new("peer address", e))?;
            Ok((id, PeerNode { peer_address }))
        };
        let nodes: Result<BTreeMap<_, _>, _> = message.nodes.into_iter().map(node).collect();
        Self::new(configs, nodes?).map_err(|e| DecodeError::new("membership", e))
    }
}

impl Wire for StoredMembership {
    type Message = pb::StoredMembership;

    fn to_message(&self) -> pb::StoredMembership {
        pb::StoredMembership {
            log_id: self.log_id().as_ref().map(Wire::to_message),
            membership: Some(self.membership().to_message()),
        }
    }

    fn from_message(message: pb::StoredMembership) -> Result<Self, DecodeError> {
        let membership = required("membership", message.membership)?;
        Ok(Self::new(optional(message.log_id)?, membership))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_voter_that_is_no_node_is_refused() {
        let configs = vec![pb::NodeSet { ids: vec![1] }];
        assert!(
            Membership::from_message(pb::Membership { configs, nodes: BTreeMap::new() }).is_err()
        );
    }

    #[test]
    fn a_node_that_cannot_be_dialled_is_refused() {
        let node = |address: &str| (1, pb::Node { peer_address: address.to_owned() });
        let configs = vec![pb::NodeSet { ids: vec![1] }];
        for (address, is_one) in [("node-1:5001", true), ("node-1", false), ("", false)] {
            let (configs, nodes) = (configs.clone(), [node(address)].into());
            let read = Membership::from_message(pb::Membership { configs, nodes });
            assert_eq!(read.is_ok(), is_one, "{address}: {read:?}");
        }
    }

    #[test]
    fn an_empty_set_of_voters_is_refused() {
        let configs = vec![pb::NodeSet { ids: vec![] }];
        assert!(
            Membership::from_message(pb::Membership { configs, nodes: BTreeMap::new() }).is_err()
        );
    }
}
