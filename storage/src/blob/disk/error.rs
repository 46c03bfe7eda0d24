//! What an error of the file system means to the caller.

use std::io;
use std::path::PathBuf;

use tokio::task::JoinHandle;

use crate::blob::BlobsError;
use crate::blob::error::failure;
use crate::blob::threads::not_run;

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

/// What came of `task`, which reads or writes on a thread that may block.
pub(super) async fn joined<T>(task: JoinHandle<io::Result<T>>) -> Result<T, BlobsError> {
    task.await.map_err(not_run)?.map_err(failure)
}
