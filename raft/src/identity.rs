//! Who this node is: the cluster it belongs to, and its id there. Written once, before it takes
//! part in anything.

use std::sync::Arc;

use proto::{ClusterId, DecodeError, NodeId};
use storage::{Batch, Kv, KvError, Space};

use crate::StartError;
use crate::log::keys;

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

    /// Makes it durable.
    pub(crate) async fn save(self, kv: &Arc<dyn Kv>) -> Result<(), StartError> {
        let value = [self.cluster.as_bytes().as_slice(), &self.node.to_be_bytes()].concat();
        Ok(put(kv, keys::IDENTITY, value).await?)
    }
}

/// Whether `kv` is that of a node which was removed from its cluster.
pub(crate) fn was_removed(kv: &dyn Kv) -> Result<bool, StartError> {
    Ok(kv.get(Space::Log, keys::REMOVED)?.is_some())
}

/// Notes that this node was removed from its cluster. Durable when it returns.
pub(crate) async fn remember_removal(kv: &Arc<dyn Kv>) -> Result<(), KvError> {
    put(kv, keys::REMOVED, Vec::new()).await
}

/// Writes a key, and waits until that is durable.
async fn put(kv: &Arc<dyn Kv>, key: &'static [u8], value: Vec<u8>) -> Result<(), KvError> {
    let mut batch = Batch::new();
    batch.put(key, value);
    kv.write(Space::Log, batch)?;
    let (synced, wait) = tokio::sync::oneshot::channel();
    kv.sync(Box::new(move |result| {
        // A receiver that is gone means that nobody waits any more.
        let _ = synced.send(result);
    }));
    wait.await.map_err(|_| KvError::Failed("the store was closed".to_owned()))?
}
