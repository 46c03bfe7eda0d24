//! Blobs in a bucket of S3, or of a store that speaks its protocol.
//!
//! ```text
//! cluster               the id of the cluster that the store belongs to
//! objects/3f/3f62...e1  bytes: an object, or a segment of one
//! indexes/77/77ab...03  the segments that together are object 77ab...03
//! uploads/9c04...5d     where an upload stands: its segments, and its tip
//! probes/...            come and go all the time: they show what the store can do, and its clock
//! ```
//!
//! Whatever holds bytes is written once, by one writer, under a key that was just drawn at random.
//! So no late, paused or repeated request can change bytes that anybody relies on, and nothing
//! depends on conditional writes, which not all stores have. What an append wrote becomes part of
//! the upload by moving the upload's cursor: that is where one of several wins.
//!
//! One append makes one segment, of any size up to what a multipart upload can hold; a last segment
//! that is small is taken into the next one. So what is pushed in one request is one object of the
//! bucket, and an upload in many small chunks few.
//!
//! What nobody needs is found by listing: `stale` says why nothing else is.

mod bucket;
mod budget;
mod client;
mod cursor;
mod draft;
mod error;
mod keys;
mod list;
mod open;
mod part;
mod piece;
mod publish;
mod read;
mod settings;
mod sizes;
mod stale;
mod upload;

use std::io;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::presigning::PresigningConfig;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use proto::{ClusterId, ObjectKey};
use tokio::sync::OnceCell;

use self::bucket::Bucket;
use self::budget::Budget;
use self::client::Patience;
use self::error::failure;
use self::publish::Publisher;
use super::{Blobs, BlobsError, ByteStream, ClaimError, Position, Stale, Tip, Unclaimed};

pub use self::error::S3OpenError;
pub use self::settings::{Encryption, S3Credentials, S3Settings};

/// How long the store may take to send the next bytes of what it sends.
const READ_IDLE_MAX: Duration = Duration::from_secs(15);

/// An object store in a bucket. Clones are the same store.
#[derive(Clone, Debug)]
pub struct S3Blobs {
    store: Arc<Store>,
}

/// What clones share.
#[derive(Debug)]
struct Store {
    bucket: Arc<Bucket>,
    publisher: Publisher,
    parts_max: u16,
    budget: Budget,
    upload_parts_max: usize,
    presigned_for: Duration,
    /// The cluster that the store must be found to belong to before it is used, when it could not
    /// be reached as that was asked.
    to_claim: OnceLock<ClusterId>,
    claimed: OnceCell<()>,
}

impl S3Blobs {
    /// The store, once it may be used.
    async fn ready(&self) -> Result<&Arc<Store>, BlobsError> {
        let Some(cluster) = self.store.to_claim.get() else { return Ok(&self.store) };
        let claim = || self.store.claim(*cluster, Unclaimed::Refuse);
        match self.store.claimed.get_or_try_init(claim).await {
            Ok(()) => Ok(&self.store),
            Err(ClaimError::Store(error)) => Err(error),
            Err(refused) => {
                tracing::error!(error = %refused, "the object store cannot be used");
                Err(BlobsError::Unavailable(io::Error::other(refused)))
            }
        }
    }
}

#[async_trait]
impl Blobs for S3Blobs {
    /// When the store cannot be reached now, it is claimed before its first use: a node that
    /// returns to its cluster serves all else meanwhile. A new store must be reached.
    async fn claim(&self, cluster: ClusterId, unclaimed: Unclaimed) -> Result<(), ClaimError> {
        match self.store.claim(cluster, unclaimed).await {
            Err(ClaimError::Store(BlobsError::Unavailable(error)))
                if unclaimed == Unclaimed::Refuse =>
            {
                tracing::warn!(%error, "the object store is not available; going on without it");
                let _ = self.store.to_claim.set(cluster);
                Ok(())
            }
            outcome => outcome,
        }
    }

    async fn append(
        &self,
        upload: ObjectKey,
        at: Position,
        body: ByteStream,
    ) -> Result<Position, BlobsError> {
        self.ready().await?.append(upload, at, body).await
    }

    async fn put(
        &self,
        upload: ObjectKey,
        body: ByteStream,
    ) -> Result<(ObjectKey, u64), BlobsError> {
        self.ready().await?.put(upload, body).await
    }

    async fn position(&self, upload: ObjectKey) -> Result<Position, BlobsError> {
        self.ready().await?.position(upload).await
    }

    async fn seal(&self, upload: ObjectKey, at: Position) -> Result<ObjectKey, BlobsError> {
        self.ready().await?.seal(upload, at).await
    }

    async fn settle(
        &self,
        upload: ObjectKey,
        object: ObjectKey,
        kept: ObjectKey,
    ) -> Result<(), BlobsError> {
        self.ready().await?.settle(upload, object, kept).await
    }

    async fn abandon(&self, upload: ObjectKey) -> Result<(), BlobsError> {
        self.ready().await?.abandon(upload).await
    }

    async fn extent(&self, object: ObjectKey) -> Result<u64, BlobsError> {
        self.ready().await?.extent(object).await
    }

    async fn read(&self, object: ObjectKey, range: Range<u64>) -> Result<ByteStream, BlobsError> {
        self.ready().await?.read(object, range).await
    }

    /// An object of several segments has no URL of its own.
    async fn presign(&self, object: ObjectKey, size: u64) -> Result<Option<String>, BlobsError> {
        let store = self.ready().await?;
        let bucket = &store.bucket;
        let key = bucket.keys.object(object);
        match bucket.head(&key).await? {
            Some(found) if found == size => {}
            Some(_) => return Err(BlobsError::Missing(object)),
            None if store.extent(object).await? >= size => return Ok(None),
            None => return Err(BlobsError::Missing(object)),
        }
        let lifetime = PresigningConfig::expires_in(store.presigned_for)
            .map_err(|error| BlobsError::Unavailable(io::Error::other(error)))?;
        let request = bucket.client.get_object().bucket(&bucket.name).key(key);
        let request = request.response_content_type("application/octet-stream");
        let presigned = request.presigned(lifetime).await.map_err(|error| failure(&error))?;
        Ok(Some(presigned.uri().to_owned()))
    }

    async fn delete(&self, object: ObjectKey) -> Result<(), BlobsError> {
        self.ready().await?.delete(object).await
    }

    fn sweep(&self, age: Duration) -> BoxStream<'_, Result<Stale, BlobsError>> {
        let ready = async move { Ok(self.ready().await?.sweep(age)) };
        stream::once(ready).try_flatten().boxed()
    }

    async fn probe(&self) -> Result<(), BlobsError> {
        let bucket = &self.ready().await?.bucket;
        let key = bucket.keys.probe(fresh()?);
        bucket.put(&key, "probe", bucket::Condition::Always, Patience::Question).await?;
        bucket.delete(&key).await
    }
}

/// A key that was never used.
fn fresh() -> Result<ObjectKey, BlobsError> {
    Ok(ObjectKey::from_random(u128::from_ne_bytes(random()?)))
}

/// A tip that no other cursor has.
fn fresh_tip() -> Result<Tip, BlobsError> {
    Ok(Tip::from_bytes(random()?))
}

#[expect(clippy::disallowed_methods, reason = "the one function that draws chance here")]
fn random() -> Result<[u8; 16], BlobsError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)
        .map_err(|error| BlobsError::Unavailable(io::Error::other(error)))?;
    Ok(random)
}
