//! An object store: where blob bytes rest, under keys that say nothing of them.
//!
//! An object is written once, as a sequence of parts of which each starts where the last ended, and
//! never changes after; which bytes of it mean what, the catalog says. Its key is made at random
//! before the first byte and never used again: nothing is ever copied, moved or replaced.

mod disk;
mod memory;

use std::io;
use std::ops::Range;
use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;
use proto::{ClusterId, ObjectKey};

pub use disk::{DiskBlobs, OpenError};
pub use memory::MemoryBlobs;

/// Bytes as they arrive from a client or from a store.
pub type ByteStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// An object store, shared by all nodes of a cluster.
#[async_trait]
pub trait Blobs: Send + Sync + 'static {
    /// Binds the store to `cluster` for good, or finds that it is. A store that belongs to nobody
    /// is only bound when `may_bind`: a node that joins a cluster, or returns to one, must find
    /// that cluster's bytes, and an empty store in their place is a folder that was not mounted.
    ///
    /// # Errors
    /// See [`ClaimError`]; then the node must not use the store.
    async fn claim(&self, cluster: ClusterId, may_bind: bool) -> Result<(), ClaimError>;

    /// Adds the next part to `object`: all of `body`, or nothing of it. The first part, at offset
    /// 0, makes the object. Answers the object's new extent, in bytes.
    ///
    /// Of several appends at the same offset, through any nodes, exactly one succeeds; bytes are
    /// never mixed. An empty `body` is no part and changes nothing: an object of no bytes is the
    /// same as none, and needs no storing.
    ///
    /// # Durability
    /// The part is durable when this returns.
    ///
    /// # Cancellation
    /// Dropping the future before `body` has ended, or an error in `body`, leaves the object as it
    /// was. Dropping it later leaves the object with all of the part or without it.
    ///
    /// # Errors
    /// [`BlobsError::Offset`] when the object does not end at `offset`; [`BlobsError::Body`] when
    /// `body` failed.
    async fn append(
        &self,
        object: ObjectKey,
        offset: u64,
        body: ByteStream,
    ) -> Result<u64, BlobsError>;

    /// How many bytes of `object` are durable; 0 when there is no such object.
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

    /// Removes `object` and all its parts, if it is there.
    ///
    /// # Errors
    /// When the store fails; then some parts may be gone, and the call can be repeated.
    async fn delete(&self, object: ObjectKey) -> Result<(), BlobsError>;

    /// Whether the store can be written to now; its error says why not.
    ///
    /// # Errors
    /// What an append would fail with.
    async fn probe(&self) -> Result<(), BlobsError>;
}

/// Why a store is not this cluster's.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// It belongs to nobody, and the cluster has a store already.
    #[error(
        "the object store is empty, but this cluster keeps its blobs in another: is the right \
         folder mounted?"
    )]
    Empty,
    /// It belongs to another cluster.
    #[error("the object store belongs to another cluster, {0}")]
    Taken(ClusterId),
    /// It cannot be read or written.
    #[error(transparent)]
    Store(#[from] BlobsError),
}

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum BlobsError {
    /// The object does not end where the part was to begin: another part was faster, or one is
    /// missing.
    #[error("the object ends at byte {extent}")]
    Offset {
        /// Where it ends, in bytes.
        extent: u64,
    },
    /// The object is not there, or shorter than what was asked for.
    #[error("object {0} is missing or incomplete")]
    Missing(ObjectKey),
    /// The body to be stored failed before its end.
    #[error("the body ended early: {0}")]
    Body(#[source] io::Error),
    /// The store is full: what was being written is not kept.
    #[error("the object store is full; the operator must make room in it")]
    Full,
    /// The store cannot be reached or written to now.
    #[error("the object store is not available: {0}")]
    Unavailable(#[source] io::Error),
}
