//! An object store that fails when it is told to.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::ready;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use proto::{ClusterId, ObjectKey};
use storage::blob::{ClaimError, MemoryBlobs, Position, Stale};
use storage::{Blobs, BlobsError, ByteStream};

/// A store in memory, with faults. Clones are the same store.
#[derive(Clone, Default)]
pub(crate) struct FickleBlobs {
    store: MemoryBlobs,
    full: Arc<AtomicBool>,
    breaking: Arc<AtomicBool>,
    presigning: Arc<AtomicBool>,
    glitching: Arc<AtomicBool>,
    rotten: Arc<Mutex<BTreeSet<ObjectKey>>>,
}

impl FickleBlobs {
    /// Whether there is no room for another part.
    pub(crate) fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    /// Whether objects can be had from the store itself.
    pub(crate) fn set_presigning(&self, presigning: bool) {
        self.presigning.store(presigning, Ordering::Relaxed);
    }

    /// Has the next read, and no other, give other bytes.
    pub(crate) fn glitch(&self) {
        self.glitching.store(true, Ordering::Relaxed);
    }

    /// Has all objects that there are give other bytes, of which there are as many as before.
    pub(crate) async fn rot(&self) {
        let all = self.store.stale(Duration::ZERO).filter_map(|found| ready(found.ok()));
        let keys: Vec<_> = all.map(|(Stale::Upload(key) | Stale::Object(key))| key).collect().await;
        self.rotten.lock().unwrap().extend(keys);
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
        upload: ObjectKey,
        at: Position,
        body: ByteStream,
    ) -> Result<Position, BlobsError> {
        if self.full.load(Ordering::Relaxed) {
            return Err(BlobsError::Full);
        }
        self.store.append(upload, at, body).await
    }

    async fn position(&self, upload: ObjectKey) -> Result<Position, BlobsError> {
        self.store.position(upload).await
    }

    async fn seal(&self, upload: ObjectKey, at: Position) -> Result<ObjectKey, BlobsError> {
        self.store.seal(upload, at).await
    }

    async fn settle(
        &self,
        upload: ObjectKey,
        object: ObjectKey,
        kept: ObjectKey,
    ) -> Result<(), BlobsError> {
        self.store.settle(upload, object, kept).await
    }

    async fn abandon(&self, upload: ObjectKey) -> Result<(), BlobsError> {
        self.store.abandon(upload).await
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
        let is_rotten = self.rotten.lock().unwrap().contains(&object);
        let bytes = self.store.read(object, range).await?;
        if self.glitching.swap(false, Ordering::Relaxed) || is_rotten {
            let other = |piece: Bytes| piece.iter().map(|byte| byte ^ 1).collect();
            return Ok(bytes.map_ok(other).boxed());
        }
        Ok(bytes)
    }

    async fn presign(&self, object: ObjectKey, size: u64) -> Result<Option<String>, BlobsError> {
        if self.store.extent(object).await? < size {
            return Err(BlobsError::Missing(object));
        }
        let presigning = self.presigning.load(Ordering::Relaxed);
        Ok(presigning.then(|| format!("https://store.example/{object}")))
    }

    async fn delete(&self, object: ObjectKey) -> Result<(), BlobsError> {
        self.store.delete(object).await
    }

    fn stale(&self, age: Duration) -> BoxStream<'_, Result<Stale, BlobsError>> {
        self.store.stale(age)
    }

    async fn probe(&self) -> Result<(), BlobsError> {
        self.store.probe().await
    }
}
