//! Who is admitted, and what such a node is told.

use proto::NodeId;
use proto::pb::cluster as pb;
use tonic::Status;

use crate::cluster::Inner;
use crate::founding::FOUNDER;
use crate::{PeerName, certificates};

impl Inner {
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
