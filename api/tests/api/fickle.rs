//! An object store that fails when it is told to.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use proto::{ClusterId, ObjectKey};
use storage::blob::{ClaimError, MemoryBlobs};
use storage::{Blobs, BlobsError, ByteStream};

/// A store in memory, with faults. Clones are the same store.
#[derive(Clone, Default)]
pub(crate) struct FickleBlobs {
    store: MemoryBlobs,
    full: Arc<AtomicBool>,
    breaking: Arc<AtomicBool>,
}

impl FickleBlobs {
    /// Whether there is no room for another part.
    pub(crate) fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    /// Whether reads break off after their first byte.
    pub(crate) fn set_breaking(&self, breaking: bool) {
        self.breaking.store(breaking, Ordering::Relaxed);
    }
}

#[async_trait]
impl Blobs for FickleBlobs {
    async fn claim(&self, cluster: ClusterId, may_bind: bool) -> Result<(), ClaimError> {
        self.store.claim(cluster, may_bind).await
    }

    async fn append(
        &self,
        object: ObjectKey,
        offset: u64,
        body: ByteStream,
    ) -> Result<u64, BlobsError> {
        if self.full.load(Ordering::Relaxed) {
            return Err(BlobsError::Full);
        }
        self.store.append(object, offset, body).await
    }

    async fn extent(&self, object: ObjectKey) -> Result<u64, BlobsError> {
        self.store.extent(object).await
    }

    async fn read(&self, object: ObjectKey, range: Range<u64>) -> Result<ByteStream, BlobsError> {
        if self.breaking.load(Ordering::Relaxed) {
            let first = self.store.read(object, range.start..range.start + 1).await?;
            let broken = stream::once(async { Err(io::Error::other("a bad sector")) });
            return Ok(first.chain(broken).boxed());
        }
        self.store.read(object, range).await
    }

    async fn delete(&self, object: ObjectKey) -> Result<(), BlobsError> {
        self.store.delete(object).await
    }

    async fn probe(&self) -> Result<(), BlobsError> {
        self.store.probe().await
    }
}
