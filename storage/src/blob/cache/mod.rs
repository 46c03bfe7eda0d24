//! A cache on the local disk, in front of a store that is far away.
//!
//! ```text
//! read --> shelf: is it here, or on its way? --> file --> reader
//!            | no, and it starts at byte 0         ^
//!            v                                     |
//!          one read of the far store --------------+
//! ```
//!
//! An object never changes, so what is here is good until it makes room for something else. However
//! many ask for an object at once, it is read from the far store once, and all follow its file as
//! that grows; unless all the room is taken by others that are still read.
//!
//! An error of the cache fails no read: the reader goes on from the far store. Reads go there, too,
//! when no more of the disk is free than its reserve.
//!
//! Files are neither synced nor kept: a node starts with an empty cache.

mod object;
mod reader;
mod shelf;

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use proto::{ClusterId, ObjectKey};

use self::object::CachedObject;
use self::reader::Reader;
use self::shelf::{Found, Shelf};
use super::threads::Threads;
use super::{Blobs, BlobsError, ByteStream, ClaimError, Position, Stale, Unclaimed};

/// What the names of files in the cache end with: all others in its folder are left alone.
const SUFFIX: &str = ".cached";

/// What a cache has done since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// Reads that found the object here, or on its way.
    pub hits: u64,
    /// Reads that went to the far store.
    pub misses: u64,
    /// Bytes of the disk that the objects here take, at least 4 KiB for each; those that were put
    /// out and are still read among them.
    pub bytes: u64,
}

/// A store whose objects are kept on the local disk when they are read. Clones share the cache.
#[derive(Clone)]
pub struct CachedBlobs {
    far: Arc<dyn Blobs>,
    shelf: Arc<Shelf>,
    folder: Arc<Path>,
    threads: Threads,
}

impl CachedBlobs {
    /// `far` with a cache of at most `bytes_max` in `folder`, which is made where it is missing,
    /// and which no other process may use. Files of a cache that was there before are removed.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub fn open(far: Arc<dyn Blobs>, folder: PathBuf, bytes_max: u64) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_name().as_encoded_bytes().ends_with(SUFFIX.as_bytes()) {
                fs::remove_file(entry.path())?;
            }
        }
        // Whether it can be written to is found out now.
        object::file_in(&folder)?;
        let (shelf, folder) = (Arc::new(Shelf::new(bytes_max)), Arc::from(folder));
        Ok(Self { far, shelf, folder, threads: Threads::new(Threads::MOST) })
    }

    /// A reader of `range` of the object under `key`, if that is here, or worth while to fetch and
    /// there is room for it.
    fn reader(&self, key: ObjectKey, range: Range<u64>) -> Option<Reader> {
        let fresh = |room| CachedObject::new(key, range.end, room, self.threads.clone());
        match self.shelf.find(key, &range, fresh) {
            Found::Nothing => None,
            Found::Here(object) => Some(Reader::of(object, range, Arc::clone(&self.far))),
            Found::Fresh(object) => {
                // Before it is fetched, so that somebody waits for it.
                let reader = Reader::of(Arc::clone(&object), range, Arc::clone(&self.far));
                let cache = self.clone();
                tokio::spawn(async move {
                    if !object.fill(&*cache.far, &cache.folder).await {
                        cache.shelf.remove(key, Some(&object));
                    }
                });
                Some(reader)
            }
        }
    }
}

#[async_trait]
impl Blobs for CachedBlobs {
    async fn claim(&self, cluster: ClusterId, unclaimed: Unclaimed) -> Result<(), ClaimError> {
        self.far.claim(cluster, unclaimed).await
    }

    async fn append(
        &self,
        upload: ObjectKey,
        at: Position,
        body: ByteStream,
    ) -> Result<Position, BlobsError> {
        self.far.append(upload, at, body).await
    }

    async fn put(
        &self,
        upload: ObjectKey,
        body: ByteStream,
    ) -> Result<(ObjectKey, u64), BlobsError> {
        self.far.put(upload, body).await
    }

    async fn position(&self, upload: ObjectKey) -> Result<Position, BlobsError> {
        self.far.position(upload).await
    }

    async fn seal(&self, upload: ObjectKey, at: Position) -> Result<ObjectKey, BlobsError> {
        self.far.seal(upload, at).await
    }

    async fn settle(
        &self,
        upload: ObjectKey,
        object: ObjectKey,
        kept: ObjectKey,
    ) -> Result<(), BlobsError> {
        self.far.settle(upload, object, kept).await
    }

    async fn abandon(&self, upload: ObjectKey) -> Result<(), BlobsError> {
        self.far.abandon(upload).await
    }

    /// What the far store says: bytes that are only here are as good as gone for all other nodes.
    async fn extent(&self, object: ObjectKey) -> Result<u64, BlobsError> {
        self.far.extent(object).await
    }

    async fn read(&self, object: ObjectKey, range: Range<u64>) -> Result<ByteStream, BlobsError> {
        match self.reader(object, range.clone()) {
            Some(reader) => reader.begin().await,
            None => self.far.read(object, range).await,
        }
    }

    async fn forget(&self, object: ObjectKey) {
        self.shelf.forget(object);
        self.far.forget(object).await;
    }

    async fn presign(&self, object: ObjectKey, size: u64) -> Result<Option<String>, BlobsError> {
        self.far.presign(object, size).await
    }

    async fn delete(&self, object: ObjectKey) -> Result<(), BlobsError> {
        self.shelf.remove(object, None);
        self.far.delete(object).await
    }

    async fn trim(&self, object: ObjectKey, size: u64) -> Result<(), BlobsError> {
        self.far.trim(object, size).await
    }

    fn sweep(&self, age: Duration) -> BoxStream<'_, Result<Stale, BlobsError>> {
        self.far.sweep(age)
    }

    fn cached(&self) -> Option<CacheCounts> {
        Some(self.shelf.counts())
    }

    async fn probe(&self) -> Result<(), BlobsError> {
        self.far.probe().await
    }
}

#[cfg(test)]
mod tests;
