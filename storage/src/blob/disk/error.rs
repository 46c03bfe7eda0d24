//! What an error of the file system means to the caller.

use std::io;
use std::path::PathBuf;

use tokio::task::{JoinError, JoinHandle};

use crate::blob::BlobsError;

/// Why a folder cannot be used as an object store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder holds something, and nothing says that it is ours.
    #[error("the folder {0} holds other files: an object store needs an empty folder or its own")]
    Foreign(PathBuf),
    /// The folder was written by another version.
    #[error("the object store in {folder} has format {found:?}, and this version knows only 1")]
    Version {
        /// The folder.
        folder: PathBuf,
        /// What its marker file says.
        found: String,
    },
    /// The folder cannot be read or written.
    #[error("the folder {folder} cannot be used as an object store: {error}")]
    Io {
        /// The folder.
        folder: PathBuf,
        /// What the file system said.
        #[source]
        error: io::Error,
    },
}

/// What `error` means when the store was to read or write.
pub(super) fn failure(error: io::Error) -> BlobsError {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => BlobsError::Full,
        _ => BlobsError::Unavailable(error),
    }
}

/// What came of `task`, which reads or writes on a thread that may block.
pub(super) async fn joined<T>(task: JoinHandle<io::Result<T>>) -> Result<T, BlobsError> {
    task.await.map_err(not_run)?.map_err(failure)
}

/// What it means that work ended without an outcome: it panicked, or the process is shutting down.
pub(super) fn not_run(error: JoinError) -> BlobsError {
    BlobsError::Unavailable(io::Error::other(error))
}
