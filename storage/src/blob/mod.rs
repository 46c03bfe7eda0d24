//! An object store: where blob bytes rest, under keys that say nothing of them.
//!
//! Bytes arrive as an *upload*: a sequence of parts of which each starts where the last ended.
//! Sealed, it is an *object*, which never changes; which bytes of it mean what, the catalog says.
//! Keys are made at random before the first byte and never used again, and bytes that anybody may
//! rely on are never changed in place. (On S3 a short last part is written anew, together with the
//! next one.)

mod body;
mod cache;
mod disk;
mod error;
mod files;
mod memory;
mod position;
mod reserve;
mod s3;
mod stale;
mod threads;
mod unclaimed;

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;
use futures::stream::BoxStream;
use proto::{ClusterId, ObjectKey};

pub use cache::{CacheCounts, CachedBlobs};
pub use disk::{DiskBlobs, OpenError};
pub use error::{BlobsError, ClaimError};
pub use memory::MemoryBlobs;
pub use position::{Position, Tip};
pub use s3::{Encryption, S3Blobs, S3Credentials, S3OpenError, S3Settings};
pub use stale::Stale;
pub use unclaimed::Unclaimed;

/// Bytes as they arrive from a client or from a store.
pub type ByteStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// An object store, shared by all nodes of a cluster.
#[async_trait]
pub trait Blobs: Send + Sync + 'static {
    /// Finds that the store belongs to `cluster`. One that belongs to nobody is bound to it for
    /// good, or refused, as `unclaimed` says.
    ///
    /// # Errors
    /// See [`ClaimError`]; then the node must not use the store.
    async fn claim(&self, cluster: ClusterId, unclaimed: Unclaimed) -> Result<(), ClaimError>;

    /// Adds the next part to `upload`, which stands at `at`: all of `body`, or nothing of it. The
    /// first part, at [`Position::START`], begins the upload. Answers where it stands then.
    ///
    /// Bytes are never mixed: a position names one history of bytes, and an append at any other
    /// than the upload's own is refused. Of several appends at the same position, through any
    /// nodes, exactly one succeeds, where the store can promise that at all; where it cannot, the
    /// last one that succeeded counts, whole, and the others' positions are the upload's no longer.
    /// An empty `body` is no part and changes nothing: an upload of no bytes is the same as none.
    ///
    /// # Durability
    /// The part is durable when this returns.
    ///
    /// # Cancellation
    /// Dropping the future before `body` has ended, or an error in `body`, leaves the upload as it
    /// was. Dropping it later leaves the upload with all of the part or without it.
    /// `body` is dropped only when at most one frame of it is left in memory, so that the caller
    /// can tie an allowance of memory to it.
    ///
    /// # Errors
    /// [`BlobsError::Offset`] when the upload does not stand at `at`; [`BlobsError::TooManyParts`]
    /// when it has as many parts as it may have; [`BlobsError::Body`] when `body` failed.
    async fn append(
        &self,
        upload: ObjectKey,
        at: Position,
        body: ByteStream,
    ) -> Result<Position, BlobsError>;

    /// Does what [`Blobs::append`] at the start and [`Blobs::seal`] do, with less work where the
    /// store can: `body` is all that `upload` will ever have. Answers the object and its length, in
    /// bytes. Done twice it may make two objects.
    ///
    /// # Errors
    /// As [`Blobs::append`].
    async fn put(
        &self,
        upload: ObjectKey,
        body: ByteStream,
    ) -> Result<(ObjectKey, u64), BlobsError> {
        let end = self.append(upload, Position::START, body).await?;
        Ok((self.seal(upload, end).await?, end.extent))
    }

    /// Where `upload` stands; at the start when nothing is known of it.
    ///
    /// # Errors
    /// When the store fails.
    async fn position(&self, upload: ObjectKey) -> Result<Position, BlobsError>;

    /// Makes the bytes of `upload`, which stands at `at`, an object, and answers its key. The same
    /// position gives the same object, however often and through whatever nodes it is sealed. Takes
    /// hardly longer for more bytes.
    ///
    /// # Errors
    /// [`BlobsError::Offset`] when the upload does not stand at `at`; [`BlobsError::Missing`] when
    /// some of its bytes are found to be gone.
    async fn seal(&self, upload: ObjectKey, at: Position) -> Result<ObjectKey, BlobsError>;

    /// Removes all that is kept of `upload`, which was sealed or put as `object`, but what the
    /// object `kept` needs: that is `object`, or the one that was there before with the same bytes.
    ///
    /// # Errors
    /// When the store fails, or does not find `kept`; then something may be left that only takes
    /// space.
    async fn settle(
        &self,
        upload: ObjectKey,
        object: ObjectKey,
        kept: ObjectKey,
    ) -> Result<(), BlobsError>;

    /// Removes `upload` with all its bytes, sealed or not, if it is there. Nothing that it was
    /// sealed as may be needed.
    ///
    /// # Errors
    /// When the store fails; then some of it may be left.
    async fn abandon(&self, upload: ObjectKey) -> Result<(), BlobsError>;

    /// How many bytes of `object` are there; 0 when there is no such object. Of an object of very
    /// many pieces a store may look at some only: one that lost others of them is then found to be
    /// whole, until it is read.
    ///
    /// # Errors
    /// When the store fails.
    async fn extent(&self, object: ObjectKey) -> Result<u64, BlobsError>;

    /// The bytes of `object` in `range`. The stream ends with an error, never early, when it cannot
    /// give them all. An empty range is in every object.
    ///
    /// # Errors
    /// [`BlobsError::Missing`] when the object does not hold the whole range.
    async fn read(&self, object: ObjectKey, range: Range<u64>) -> Result<ByteStream, BlobsError>;

    /// Forgets what may be kept nearby of `object`, which did not come back as it was written: the
    /// next read is of the store itself.
    async fn forget(&self, object: ObjectKey) {
        let _ = object;
    }

    /// A URL under which anybody who has it can GET `object`, which holds `size` bytes, for some
    /// minutes, ranges included. `None` when the store has no such URLs, or not for this object.
    ///
    /// # Errors
    /// [`BlobsError::Missing`] when the object does not hold `size` bytes.
    async fn presign(&self, object: ObjectKey, size: u64) -> Result<Option<String>, BlobsError> {
        let _ = (object, size);
        Ok(None)
    }

    /// Removes `object`, if it is there. Bytes that it may share with another object of its upload
    /// stay for as long as that one needs them; then they are [stale](Blobs::sweep).
    ///
    /// # Errors
    /// When the store fails; then a part of it may be gone, and the call can be repeated.
    async fn delete(&self, object: ObjectKey) -> Result<(), BlobsError>;

    /// Removes what lies behind the `size` bytes of `object`, where an upload is its object: bytes
    /// that came for it after it had been linked. Of others, nothing is removed.
    ///
    /// # Errors
    /// When the store fails; then some of it may be left, and the call can be repeated.
    async fn trim(&self, object: ObjectKey, size: u64) -> Result<(), BlobsError> {
        let _ = (object, size);
        Ok(())
    }

    /// Removes what no fact could ever name, and answers all uploads and objects to which nothing
    /// was written for `age`, by the clock of the store, in no particular order; those that someone
    /// needs, and those that nobody does.
    ///
    /// A caller who wants something gone has it given up in the log first, so that it can never be
    /// linked, and then calls [`Blobs::abandon`] for an upload and [`Blobs::delete`] for an object.
    /// Of an upload that was linked, [`Blobs::settle`] removes what is left.
    ///
    /// `age` must be longer than any upload goes on after what it was last given, and than any body
    /// takes to arrive and to be sealed and linked: bytes that are still arriving show nowhere as
    /// their upload's, and are stale themselves when they are that old.
    ///
    /// # Errors
    /// When the store fails; then the stream ends, and the rest is found by asking again.
    fn sweep(&self, age: Duration) -> BoxStream<'_, Result<Stale, BlobsError>>;

    /// What its cache has done, if it has one.
    fn cached(&self) -> Option<CacheCounts> {
        None
    }

    /// Whether the store can be written to now; its error says why not.
    ///
    /// # Errors
    /// What an append would fail with.
    async fn probe(&self) -> Result<(), BlobsError>;
}
