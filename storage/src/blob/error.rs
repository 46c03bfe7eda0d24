//! Why a store did not do what was asked.

use std::io;

use proto::limits::UPLOAD_PARTS_MAX;
use proto::{ClusterId, ObjectKey};

/// Why a store is not this cluster's.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// It belongs to nobody, and the cluster has a store already.
    #[error(
        "the object store is empty, but this cluster keeps its blobs in another: is the right \
         folder mounted, or the right bucket and prefix named? (In a cluster that is just being \
         founded, the first node may have yet to take it: start this one again)"
    )]
    Empty,
    /// It belongs to another cluster.
    #[error("the object store belongs to another cluster, {0}")]
    Taken(ClusterId),
    /// It holds something that no object store of ours wrote.
    #[error("the object store holds what is not ours: name an empty bucket or a prefix in it")]
    Foreign,
    /// It cannot be read or written.
    #[error(transparent)]
    Store(#[from] BlobsError),
}

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum BlobsError {
    /// The upload does not stand where the part was to begin: another part was faster, or one is
    /// missing.
    #[error("the upload ends at byte {extent}")]
    Offset {
        /// Where it ends, in bytes.
        extent: u64,
    },
    /// The upload has [`UPLOAD_PARTS_MAX`] parts.
    #[error("an upload has at most {UPLOAD_PARTS_MAX} chunks: send larger ones")]
    TooManyParts,
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

/// What `error` of a file system means when it was to read or write.
pub(super) fn failure(error: io::Error) -> BlobsError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => BlobsError::Full,
        _ => BlobsError::Unavailable(error),
    }
}
