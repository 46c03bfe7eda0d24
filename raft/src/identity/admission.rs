//! Who is admitted, and what such a node is told.

use proto::pb::cluster as pb;
use proto::{NodeId, RequestId, Thumbprint};
use tonic::Status;

use super::founding::FOUNDER;
use crate::PeerName;
use crate::credentials::certificates;
use crate::participant::Participant;

/// The id under which it is decided whether the node that sends `request`, has the secret of
/// `token` and wants a certificate for `public_key` is admitted. The answer is worth a certificate,
/// and `request` is no secret, since logs name it. So token and key are part of the id: nobody
/// without the secret gets the answer, and nobody gets it for another key.
pub(crate) fn decided_as(request: &RequestId, token: &Thumbprint, public_key: &[u8]) -> RequestId {
    let all = [request.as_bytes().as_slice(), token.as_bytes(), public_key].concat();
    let hash = *Thumbprint::of(&all).as_bytes();
    RequestId::from_bytes(std::array::from_fn(|position| hash[position]))
}

impl Participant {
    /// Whether the cluster has admitted `node`, as far as this one knows.
    pub(crate) fn is_admitted(&self, node: NodeId) -> bool {
        let admitted = || self.view().and_then(|view| view.has_node(node));
        node == FOUNDER || admitted().is_ok_and(|admitted| admitted)
    }

    /// What `node`, which was just admitted, takes home: who it is, and where nodes have
    /// certificates, one for its `public_key`.
    pub(crate) fn admission(
        &self,
        node: NodeId,
        public_key: &[u8],
    ) -> Result<pb::Admission, Status> {
        let cluster = self.identity.cluster;
        let admission = pb::Admission {
            cluster_id: cluster.as_bytes().to_vec().into(),
            node_id: node,
            ..pb::Admission::default()
        };
        if self.authority.is_none() {
            return Ok(admission);
        }
        let key = public_key.try_into();
        let key = key.map_err(|_| Status::invalid_argument("a public key has 32 bytes"))?;
        let authority = self.view().and_then(|view| view.authority());
        let authority = authority.map_err(|error| Status::internal(error.to_string()))?;
        let authority =
            authority.ok_or_else(|| Status::unavailable("the cluster is still being founded"))?;
        let name = PeerName { cluster, node };
        let certificate = certificates::sign(&authority, name, key, self.clock.now());
        let certificate = certificate.map_err(|error| Status::internal(error.to_string()))?;
        Ok(pb::Admission { authority: authority.certificate, certificate, ..admission })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_secret_and_key_get_the_answer_to_a_request_to_join() {
        let decided_as = |request, secret, key: u8| {
            let token = Thumbprint::of(&[secret; 16]);
            decided_as(&RequestId::from_bytes([request; 16]), &token, &[key; 32])
        };
        let first = decided_as(1, 2, 3);
        assert_eq!(decided_as(1, 2, 3), first);
        for other in [decided_as(9, 2, 3), decided_as(1, 9, 3), decided_as(1, 2, 9)] {
            assert_ne!(other, first);
        }
        assert_ne!(first, RequestId::from_bytes([1; 16]));
    }
}
