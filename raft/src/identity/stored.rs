//! Who this node is: the cluster it belongs to, and its id there. Written once, before it takes
//! part in anything.

use std::sync::Arc;

use proto::{ClusterId, DecodeError, NodeId};
use storage::{Batch, Kv, KvError, Space};

use crate::log::keys;
use crate::store::write;
use crate::{PeerName, StartError};

/// A node's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The cluster it belongs to.
    pub(crate) cluster: ClusterId,
    /// Its id there.
    pub(crate) node: NodeId,
}

impl Identity {
    /// What `kv` remembers. `None` in a new folder.
    pub(crate) fn load(kv: &dyn Kv) -> Result<Option<Self>, StartError> {
        let Some(value) = kv.get(Space::Log, keys::IDENTITY)? else { return Ok(None) };
        let (cluster, node) = value
            .split_at_checked(16)
            .ok_or_else(|| DecodeError::new("node identity", "it is too short"))?;
        let cluster =
            ClusterId::try_from(cluster).map_err(|e| DecodeError::new("cluster id", e))?;
        let node = node.try_into().map_err(|e| DecodeError::new("node id", e))?;
        Ok(Some(Self { cluster, node: NodeId::from_be_bytes(node) }))
    }

    /// Adds it to what is to be made durable.
    pub(crate) fn add_to(self, batch: &mut Batch) {
        let value = [self.cluster.as_bytes().as_slice(), &self.node.to_be_bytes()].concat();
        batch.put(keys::IDENTITY, value);
    }
}

impl From<Identity> for PeerName {
    fn from(identity: Identity) -> Self {
        Self { cluster: identity.cluster, node: identity.node }
    }
}

/// Whether `kv` is that of a node which has a place in a cluster, or had one.
///
/// # Errors
/// [`StartError::Store`] and [`StartError::Damaged`].
pub fn is_settled(kv: &dyn Kv) -> Result<bool, StartError> {
    Ok(Identity::load(kv)?.is_some())
}

/// Whether `kv` is that of a node which was removed from its cluster.
pub(crate) fn was_removed(kv: &dyn Kv) -> Result<bool, StartError> {
    Ok(kv.get(Space::Log, keys::REMOVED)?.is_some())
}

/// Notes that this node was removed from its cluster. Durable when it returns.
pub(crate) async fn remember_removal(kv: &Arc<dyn Kv>) -> Result<(), KvError> {
    let mut batch = Batch::new();
    batch.put(keys::REMOVED, []);
    write(kv, batch).await
}

/// Whether `kv` is that of a founder which has its cluster's object store.
pub(crate) fn has_store(kv: &dyn Kv) -> Result<bool, KvError> {
    Ok(kv.get(Space::Log, keys::STORE)?.is_some())
}

/// Notes that this founder has its cluster's object store. Durable when it returns.
pub(crate) async fn remember_store(kv: &Arc<dyn Kv>) -> Result<(), KvError> {
    let mut batch = Batch::new();
    batch.put(keys::STORE, []);
    write(kv, batch).await
}
