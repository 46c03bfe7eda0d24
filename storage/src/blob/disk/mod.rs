//! Blobs in a folder that all nodes share: a disk of one machine, or a file system on a network.
//!
//! ```text
//! roadstead-blobs                              marks the folder as ours, with its version
//! cluster                                      the id of the cluster that it belongs to
//! objects/3f/3f62...e1.00000000000000000000    the part of object 3f62...e1 that starts at byte 0
//! objects/3f/3f62...e1.00000000000004194304    the next: the first is 4 MiB long
//! tmp/                                         parts that are still arriving
//! ```
//!
//! A part is one immutable file. It arrives in `tmp`, is synced, and is then renamed to its place,
//! which fails when the place is taken: so of several appends at one offset exactly one wins,
//! whatever nodes they come through, and no reader ever sees half a part. An object is the chain of
//! parts from byte 0, each starting where the last ends; it is found by asking for each in turn, so
//! that no folder has to be listed.
//!
//! Deleting goes from the last part to the first: what an interrupted delete leaves is a shorter
//! object, all of whose parts the next delete finds. After a power failure the file system may
//! bring removed files back; a part whose predecessor is gone is then wasted space, but belongs to
//! no object. Such parts are found by listing the folders, as all that nobody needs any more is.

mod append;
mod arriving;
mod end;
mod error;
mod folder;
mod parts;
mod read;
mod stale;
#[cfg(test)]
mod tests;
mod writeback;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use proto::limits::UPLOAD_PARTS_MAX;
use proto::{ClusterId, ObjectKey};

use self::end::End;
use self::folder::Folder;
use super::error::failure;
use super::{Blobs, BlobsError, ByteStream, ClaimError, Position, Stale, Unclaimed};

pub use self::error::OpenError;

/// An object store in a folder. Several processes may use one folder at once.
#[derive(Clone, Debug)]
pub struct DiskBlobs {
    folder: Arc<Folder>,
    parts_max: usize,
}

impl DiskBlobs {
    /// Opens the store in `dir`. A folder that is empty, or not there, becomes one when it is first
    /// [claimed](Blobs::claim), and is empty until then. Removes what appends of long ago left when
    /// their nodes died, where it is not full or read-only. Blocks the calling thread.
    ///
    /// # Errors
    /// [`OpenError`]: the folder is not ours, or cannot be used.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, OpenError> {
        Ok(Self { folder: Arc::new(Folder::open(dir.as_ref())?), parts_max: UPLOAD_PARTS_MAX })
    }

    /// The same store, which lets an upload have at most `most` parts.
    pub fn with_parts_max(self, most: usize) -> Self {
        Self { parts_max: most, ..self }
    }
}

#[async_trait]
impl Blobs for DiskBlobs {
    async fn claim(&self, cluster: ClusterId, unclaimed: Unclaimed) -> Result<(), ClaimError> {
        let claim = move |folder: &Folder| folder.claim(cluster, unclaimed).map_err(failure);
        match self.folder.blocking(claim).await? {
            Some(owner) if owner == cluster => Ok(()),
            Some(owner) => Err(ClaimError::Taken(owner)),
            None => Err(ClaimError::Empty),
        }
    }

    async fn append(
        &self,
        upload: ObjectKey,
        at: Position,
        body: ByteStream,
    ) -> Result<Position, BlobsError> {
        append::append(&self.folder, upload, at, self.parts_max, body).await
    }

    async fn position(&self, upload: ObjectKey) -> Result<Position, BlobsError> {
        let end = move |folder: &Folder| End::durable(folder, upload).map_err(failure);
        Ok(self.folder.blocking(end).await?.position())
    }

    /// The parts of an upload are the object: there is nothing to do.
    async fn seal(&self, upload: ObjectKey, at: Position) -> Result<ObjectKey, BlobsError> {
        match self.position(upload).await? {
            now if now.extent == at.extent => Ok(upload),
            now => Err(BlobsError::Offset { extent: now.extent }),
        }
    }

    async fn settle(
        &self,
        _upload: ObjectKey,
        object: ObjectKey,
        kept: ObjectKey,
    ) -> Result<(), BlobsError> {
        if kept == object { Ok(()) } else { self.delete(object).await }
    }

    async fn abandon(&self, upload: ObjectKey) -> Result<(), BlobsError> {
        self.delete(upload).await
    }

    async fn extent(&self, object: ObjectKey) -> Result<u64, BlobsError> {
        let end = move |folder: &Folder| End::of(folder, object).map_err(failure);
        Ok(self.folder.blocking(end).await?.position().extent)
    }

    async fn read(&self, object: ObjectKey, range: Range<u64>) -> Result<ByteStream, BlobsError> {
        read::read(&self.folder, object, range).await
    }

    async fn delete(&self, object: ObjectKey) -> Result<(), BlobsError> {
        let delete = move |folder: &Folder| parts::delete(folder, object).map_err(failure);
        self.folder.blocking(delete).await
    }

    async fn trim(&self, object: ObjectKey, size: u64) -> Result<(), BlobsError> {
        let trim = move |folder: &Folder| parts::trim(folder, object, size).map_err(failure);
        self.folder.blocking(trim).await
    }

    async fn probe(&self) -> Result<(), BlobsError> {
        self.folder.blocking(|folder| folder.probe().map_err(failure)).await
    }

    fn sweep(&self, age: Duration) -> BoxStream<'_, Result<Stale, BlobsError>> {
        stale::sweep(&self.folder, age).boxed()
    }
}
