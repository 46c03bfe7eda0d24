//! Freeing what was left: uploads that nobody ended, and bytes whose facts never came.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use proto::{Command, Mutant, ObjectKey, Refusal};
use storage::blob::Stale;

use crate::error::Error;
use crate::registry::Registry;

/// Uploads and objects that are freed at once. A client may begin a hundred uploads in a second,
/// and some stores take a third of it to remove one: such a client does not outrun the sweep.
const FREED_AT_ONCE: usize = 32;

impl Registry {
    /// Frees what has been in the object store for `age` without a fact that needs it, and answers
    /// how many uploads and objects that were. `age` must be longer than any upload goes on after
    /// its last acknowledged byte.
    ///
    /// Safe beside pushes and beside other sweeps, of other nodes too: before anything is removed,
    /// the cluster decides that it never becomes a blob, and a client that ends the upload after
    /// that is refused. A sweep that fails half way is logged; what it left, the next one finds.
    pub async fn sweep(&self, age: Duration) -> u64 {
        let mut swept = 0;
        let stale = self.blobs.sweep(age).map_err(Error::from);
        let freeing = stale.map_ok(|found| self.free(found));
        let mut freed = freeing.try_buffer_unordered(FREED_AT_ONCE);
        while let Some(outcome) = freed.next().await {
            match outcome {
                Ok(is_freed) => swept += u64::from(is_freed),
                Err(error) => {
                    tracing::warn!(%error, "a sweep ends early");
                    break;
                }
            }
        }
        if swept > 0 {
            tracing::info!(swept, "removed uploads and objects that nobody needs");
        }
        self.metrics.swept(swept);
        swept
    }

    /// Frees what was found, unless it is needed. Answers whether it was freed.
    async fn free(&self, found: Stale) -> Result<bool, Error> {
        let (Stale::Upload(key) | Stale::Object(key)) = found;
        // What this node has applied is enough: a stale object that is linked was linked long ago.
        if let Some(blob) = self.cluster.local()?.blob_in(key)? {
            match found {
                // It became a blob, but what only the upload needed was not removed then.
                Stale::Upload(_) => self.settle(key, blob.object, blob.object).await,
                // Bytes that were on their way when the upload ended may have come after it.
                Stale::Object(_) if key == blob.object => self.trim(key, blob.size).await,
                Stale::Object(_) => {}
            }
            return Ok(false);
        }
        if !self.give_up(key).await? {
            return Ok(false);
        }
        match found {
            Stale::Upload(upload) => self.abandon(upload).await,
            Stale::Object(object) => self.remove(object).await,
        }
        Ok(true)
    }

    /// Has the cluster decide that `object` never becomes a blob. Answers whether that is so: it
    /// may be one by now.
    async fn give_up(&self, object: ObjectKey) -> Result<bool, Error> {
        if Mutant::SweptUndecided.is_active() {
            return Ok(true);
        }
        match self.propose_by_itself(Command::DiscardObject { object }).await {
            Ok(_) => Ok(true),
            Err(Error::Refused(Refusal::UploadEnded(_))) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
