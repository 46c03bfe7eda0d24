//! The object store as handlers use it: every question has a deadline.

use std::io;
use std::ops::Range;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use proto::{Algorithm, Digest, Hasher, ObjectKey};
use storage::{BlobsError, ByteStream};
use tokio::time::timeout;

use crate::error::Error;
use crate::registry::Registry;

/// How long the store may take to answer a question, and to give each next piece of an object.
const PATIENCE: Duration = Duration::from_secs(30);

impl Registry {
    /// How many bytes of `object` are durable.
    pub(crate) async fn extent(&self, object: ObjectKey) -> Result<u64, Error> {
        match timeout(PATIENCE, self.blobs.extent(object)).await {
            Ok(extent) => Ok(extent?),
            Err(_) => Err(Error::BlobsTimeout),
        }
    }

    /// The bytes of `object` in `range`. The stream fails when the store stalls.
    pub(crate) async fn read(
        &self,
        object: ObjectKey,
        range: Range<u64>,
    ) -> Result<ByteStream, Error> {
        let bytes = match timeout(PATIENCE, self.blobs.read(object, range)).await {
            Ok(bytes) => bytes?,
            Err(_) => return Err(Error::BlobsTimeout),
        };
        let bytes = stream::try_unfold(bytes, |mut bytes| async move {
            match timeout(PATIENCE, bytes.next()).await {
                Ok(Some(frame)) => Ok(Some((frame?, bytes))),
                Ok(None) => Ok(None),
                Err(stalled) => Err(io::Error::from(stalled)),
            }
        });
        Ok(Box::pin(bytes))
    }

    /// The digest of the first `size` bytes of `object`, read from the store.
    pub(crate) async fn digest_of(
        &self,
        object: ObjectKey,
        size: u64,
        algorithm: Algorithm,
    ) -> Result<Digest, Error> {
        let mut hasher = Hasher::new(algorithm);
        if size > 0 {
            let mut bytes = self.read(object, 0..size).await?;
            while let Some(frame) = bytes.next().await {
                hasher.update(&frame.map_err(BlobsError::Unavailable)?);
            }
        }
        Ok(hasher.finish())
    }

    /// Removes an object that no fact names. One that cannot be removed now only takes space until
    /// it is swept.
    pub(crate) async fn remove(&self, object: ObjectKey) {
        match timeout(PATIENCE, self.blobs.delete(object)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%object, %error, "an abandoned object could not be removed");
            }
            Err(_) => tracing::warn!(%object, "an abandoned object could not be removed in time"),
        }
    }
}
