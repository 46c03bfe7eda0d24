//! An object store that fails when it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::ready;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use proto::{ClusterId, ObjectKey};
use storage::blob::{ClaimError, MemoryBlobs, Position, Stale, Unclaimed};
use storage::{Blobs, BlobsError, ByteStream};
use tokio::sync::watch;

/// A store in memory, with faults. Clones are the same store.
#[derive(Clone, Default)]
pub(crate) struct FickleBlobs {
    store: MemoryBlobs,
    full: Arc<AtomicBool>,
    breaking: Arc<AtomicBool>,
    presigning: Arc<AtomicBool>,
    glitching: Arc<AtomicBool>,
    trickling: Arc<AtomicBool>,
    rotten: Arc<Mutex<BTreeSet<ObjectKey>>>,
    unreadable: Arc<Mutex<BTreeSet<ObjectKey>>>,
    unspeakable: Arc<Mutex<BTreeSet<ObjectKey>>>,
    slow: Arc<AtomicBool>,
    /// How many reads have begun.
    reads: Arc<AtomicUsize>,
    /// Whether reads wait.
    holding: Arc<watch::Sender<bool>>,
    /// Whether what was received whole waits to be added.
    adding: Arc<watch::Sender<bool>>,
    sharing: Arc<AtomicBool>,
    /// While objects share the bytes of their uploads: the upload of each, and how far it goes.
    sealed: Arc<Mutex<BTreeMap<ObjectKey, (ObjectKey, u64)>>>,
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

    /// Whether reads give a byte in a second.
    pub(crate) fn set_trickling(&self, trickling: bool) {
        self.trickling.store(trickling, Ordering::Relaxed);
    }

    /// Has all objects that there are give other bytes, of which there are as many as before.
    pub(crate) async fn rot(&self) {
        let keys = self.keys().await;
        self.rotten.lock().unwrap().extend(keys);
    }

    /// Has reads of all objects that there are break off after their first byte, from now on.
    pub(crate) async fn spoil(&self) {
        let keys = self.keys().await;
        self.unreadable.lock().unwrap().extend(keys);
    }

    /// Has all objects that there are not be asked after, from now on.
    pub(crate) async fn hush(&self) {
        let keys = self.keys().await;
        self.unspeakable.lock().unwrap().extend(keys);
    }

    /// Has all objects be as they were pushed again.
    pub(crate) fn mend(&self) {
        for ailing in [&self.rotten, &self.unreadable, &self.unspeakable] {
            ailing.lock().unwrap().clear();
        }
    }

    /// Whether it takes a tenth of a second to remove something.
    pub(crate) fn set_slow(&self, slow: bool) {
        self.slow.store(slow, Ordering::Relaxed);
    }

    /// All that there is.
    pub(crate) async fn keys(&self) -> Vec<ObjectKey> {
        let all = self.store.sweep(Duration::ZERO).filter_map(|found| ready(found.ok()));
        all.map(|(Stale::Upload(key) | Stale::Object(key))| key).collect().await
    }

    /// How many reads have begun.
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }

    /// Whether reads wait, those that have begun and others.
    pub(crate) fn hold_reads(&self, hold: bool) {
        self.holding.send_replace(hold);
    }

    /// Whether what was received whole waits to be added, also when its sender is gone.
    pub(crate) fn hold_writes(&self, hold: bool) {
        self.adding.send_replace(hold);
    }

    /// How many of these wait.
    pub(crate) fn writes_held(&self) -> usize {
        self.adding.receiver_count()
    }

    /// From now on, what an upload is sealed as has a key of its own and bytes in common with all
    /// else that the upload is sealed as, as where an upload of one piece is that piece.
    pub(crate) fn share(&self) {
        self.sharing.store(true, Ordering::Relaxed);
    }

    /// Where the bytes of `object` are, and how many of them.
    fn source(&self, object: ObjectKey) -> (ObjectKey, u64) {
        let sealed = self.sealed.lock().unwrap().get(&object).copied();
        sealed.unwrap_or((object, u64::MAX))
    }

    /// Whether reads break off after their first byte.
    pub(crate) fn set_breaking(&self, breaking: bool) {
        self.breaking.store(breaking, Ordering::Relaxed);
    }
}

#[async_trait]
impl Blobs for FickleBlobs {
    async fn claim(&self, cluster: ClusterId, unclaimed: Unclaimed) -> Result<(), ClaimError> {
        self.store.claim(cluster, unclaimed).await
    }

    async fn append(
        &self,
        upload: ObjectKey,
        at: Position,
        mut body: ByteStream,
    ) -> Result<Position, BlobsError> {
        if self.full.load(Ordering::Relaxed) {
            return Err(BlobsError::Full);
        }
        if !*self.adding.borrow() {
            return self.store.append(upload, at, body).await;
        }
        let whole: Vec<_> = body.by_ref().collect().await;
        let blobs = self.clone();
        let adding = async move {
            let _ = blobs.adding.subscribe().wait_for(|hold| !hold).await;
            let position = blobs.store.append(upload, at, stream::iter(whole).boxed()).await;
            drop(body);
            position
        };
        tokio::spawn(adding).await.unwrap()
    }

    async fn position(&self, upload: ObjectKey) -> Result<Position, BlobsError> {
        self.store.position(upload).await
    }

    async fn seal(&self, upload: ObjectKey, at: Position) -> Result<ObjectKey, BlobsError> {
        let object = self.store.seal(upload, at).await?;
        if !self.sharing.load(Ordering::Relaxed) {
            return Ok(object);
        }
        let mut sealed = self.sealed.lock().unwrap();
        let source = (upload, at.extent);
        let known = sealed.iter().find(|(_, known)| **known == source).map(|(key, _)| *key);
        let fresh = ObjectKey::from_random(sealed.len() as u128);
        let object = known.unwrap_or(fresh);
        sealed.insert(object, source);
        Ok(object)
    }

    async fn settle(
        &self,
        upload: ObjectKey,
        object: ObjectKey,
        kept: ObjectKey,
    ) -> Result<(), BlobsError> {
        match self.sharing.load(Ordering::Relaxed) {
            // What is kept may have all of the bytes.
            true => Ok(()),
            false => self.store.settle(upload, object, kept).await,
        }
    }

    async fn abandon(&self, upload: ObjectKey) -> Result<(), BlobsError> {
        self.store.abandon(upload).await
    }

    async fn extent(&self, object: ObjectKey) -> Result<u64, BlobsError> {
        let (object, end) = self.source(object);
        if self.unspeakable.lock().unwrap().contains(&object) {
            return Err(BlobsError::Unavailable(io::Error::other("a bad index")));
        }
        Ok(self.store.extent(object).await?.min(end))
    }

    async fn read(&self, object: ObjectKey, range: Range<u64>) -> Result<ByteStream, BlobsError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let _ = self.holding.subscribe().wait_for(|hold| !hold).await;
        let (object, _) = self.source(object);
        let is_unreadable = self.unreadable.lock().unwrap().contains(&object);
        if self.breaking.load(Ordering::Relaxed) || is_unreadable {
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
        if self.trickling.load(Ordering::Relaxed) {
            let single = |piece: Bytes| stream::iter(piece.into_iter().map(|byte| Ok([byte])));
            let slow = bytes.map_ok(single).try_flatten().then(async |byte| {
                tokio::time::sleep(Duration::from_secs(1)).await;
                byte.map(Bytes::from_owner)
            });
            return Ok(Box::pin(slow));
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
        if self.slow.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.store.delete(self.source(object).0).await
    }

    async fn trim(&self, object: ObjectKey, size: u64) -> Result<(), BlobsError> {
        self.store.trim(object, size).await
    }

    fn sweep(&self, age: Duration) -> BoxStream<'_, Result<Stale, BlobsError>> {
        self.store.sweep(age)
    }

    async fn probe(&self) -> Result<(), BlobsError> {
        self.store.probe().await
    }
}
