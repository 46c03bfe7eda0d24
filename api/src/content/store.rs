//! The object store as handlers use it: every question has a deadline, and nobody has it read for
//! nothing.

use std::io;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use futures::future::ready;
use futures::{StreamExt as _, stream};
use proto::{Algorithm, Hasher, Mutant, ObjectKey};
use storage::blob::Position;
use storage::{BlobsError, ByteStream};
use tokio::time::timeout;

use crate::allowances::Share;
use crate::client::Client;
use crate::error::Error;
use crate::registry::{Registry, random};

/// How long the store may take to answer a question, and to give each next piece of an object.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a client waits for its turn to have something read back.
const TURN_PATIENCE: Duration = Duration::from_secs(5);

impl Registry {
    /// Where `upload` stands.
    pub(crate) async fn position(&self, upload: ObjectKey) -> Result<Position, Error> {
        in_time(self.blobs.position(upload)).await
    }

    /// The object that `upload` is, which stands at `at`.
    pub(crate) async fn seal(&self, upload: ObjectKey, at: Position) -> Result<ObjectKey, Error> {
        in_time(self.blobs.seal(upload, at)).await
    }

    /// How many bytes of `object` are there.
    pub(crate) async fn extent(&self, object: ObjectKey) -> Result<u64, Error> {
        if Mutant::ShortObjectAccepted.is_active() {
            return Ok(u64::MAX);
        }
        in_time(self.blobs.extent(object)).await
    }

    /// Where `object`, of `size` bytes, can be had from the store itself, if it can.
    pub(crate) async fn presign(
        &self,
        object: ObjectKey,
        size: u64,
    ) -> Result<Option<String>, Error> {
        in_time(self.blobs.presign(object, size)).await
    }

    /// The bytes of `object` in `range`. The stream fails when the store stalls.
    pub(crate) async fn read(
        &self,
        object: ObjectKey,
        range: Range<u64>,
    ) -> Result<ByteStream, Error> {
        let bytes = in_time(self.blobs.read(object, range)).await?;
        let bytes = stream::try_unfold(bytes, |mut bytes| async move {
            match timeout(PATIENCE, bytes.next()).await {
                Ok(Some(frame)) => Ok(Some((frame?, bytes))),
                Ok(None) => Ok(None),
                Err(stalled) => Err(io::Error::from(stalled)),
            }
        });
        Ok(Box::pin(bytes))
    }

    /// A share of what is read back at once only to answer `client`, who need send nothing for it.
    /// Waits for its turn.
    ///
    /// # Errors
    /// [`Error::TooManyReadings`] when that does not come.
    pub(crate) async fn reading(&self, client: Client) -> Result<Share, Error> {
        let share = self.readings.wait(client, TURN_PATIENCE).await;
        share.ok_or(Error::TooManyReadings)
    }

    /// A hasher that has taken the first `size` bytes of `object`, read from the store.
    pub(crate) async fn hash(
        &self,
        object: ObjectKey,
        size: u64,
        algorithm: Algorithm,
    ) -> Result<Hasher, Error> {
        let mut hasher = Hasher::new(algorithm);
        if size > 0 {
            let mut bytes = self.read(object, 0..size).await?;
            while let Some(frame) = bytes.next().await {
                hasher.update(&frame.map_err(BlobsError::Unavailable)?);
            }
        }
        Ok(hasher)
    }

    /// Removes an object that no fact names. One that cannot be removed now only takes space until
    /// it is swept.
    pub(crate) async fn remove(&self, object: ObjectKey) {
        if let Err(error) = in_time(self.blobs.delete(object)).await {
            tracing::warn!(%object, %error, "an unneeded object could not be removed");
        }
    }

    /// Removes an upload that was given up, with its bytes.
    pub(crate) async fn abandon(&self, upload: ObjectKey) {
        if let Err(error) = in_time(self.blobs.abandon(upload)).await {
            tracing::warn!(%upload, %error, "an abandoned upload could not be removed");
        }
    }

    /// Removes what lies in the store behind the `size` bytes of `object`.
    pub(crate) async fn trim(&self, object: ObjectKey, size: u64) {
        if let Err(error) = in_time(self.blobs.trim(object, size)).await {
            tracing::warn!(%object, %error, "what lies behind a blob could not be removed");
        }
    }

    /// Has the store give back what is written to it now, and removed after.
    ///
    /// # Errors
    /// When it does not: then nothing is known of what else it does not give.
    pub(crate) async fn try_out(&self) -> Result<(), Error> {
        let key = ObjectKey::from_random(u128::from_be_bytes(random()?));
        let body = stream::once(ready(Ok(Bytes::from_static(b"is it read?")))).boxed();
        let (object, size) = in_time(self.blobs.put(key, body)).await?;
        let read = self.hash(object, size, Algorithm::Sha256).await;
        self.remove(object).await;
        read.map(drop)
    }

    /// Removes what is kept of an upload beside the object that its blob has.
    pub(crate) async fn settle(&self, upload: ObjectKey, object: ObjectKey, kept: ObjectKey) {
        if let Err(error) = in_time(self.blobs.settle(upload, object, kept)).await {
            tracing::warn!(%upload, %error, "what is left of an upload could not be removed");
        }
    }
}

/// What the store answers, unless it takes too long.
async fn in_time<T>(answer: impl Future<Output = Result<T, BlobsError>>) -> Result<T, Error> {
    match timeout(PATIENCE, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Error::BlobsTimeout),
    }
}
