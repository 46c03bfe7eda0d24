//! Reading a range of one object of the bucket: it goes on where the store broke it off.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::primitives::ByteStream as Body;
use bytes::Bytes;
use proto::ObjectKey;
use tokio::time::{sleep, timeout};

use super::READ_IDLE_MAX;
use super::bucket::Bucket;
use super::error::{failure, is_absent, lacking, status};
use crate::blob::BlobsError;

/// How often in a row a read goes on that was broken off, without a byte in between.
const BREAKS_MAX: u32 = 8;
/// The pause after the second break in a row; after each further one it is longer by twice as much.
const PAUSE: Duration = Duration::from_millis(250);
/// The longest pause, in times of [`PAUSE`].
const PAUSE_FACTOR_MAX: u32 = 16;

/// A range of one object of the bucket that is being read.
pub(super) struct Piece {
    bucket: Arc<Bucket>,
    key: ObjectKey,
    left: Range<u64>,
    /// The store's name for exactly this content, if it came with one. Without it goes on, too: no
    /// other bytes are ever written under the key.
    etag: Option<String>,
    body: Body,
    /// How often it was broken off since the last byte.
    breaks: u32,
}

impl Piece {
    /// Opens `range` of the object under `key`.
    ///
    /// # Errors
    /// [`BlobsError::Missing`] when it does not hold the whole range.
    pub(super) async fn open(
        bucket: &Arc<Bucket>,
        key: ObjectKey,
        range: Range<u64>,
    ) -> Result<Self, BlobsError> {
        let (body, etag) = get(bucket, key, &range, None).await?;
        let bucket = Arc::clone(bucket);
        Ok(Self { bucket, key, left: range, etag, body, breaks: 0 })
    }

    /// The next bytes; none at the end of the range.
    pub(super) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        while !self.left.is_empty() {
            let broken = match timeout(READ_IDLE_MAX, self.body.next()).await {
                Ok(Some(Ok(frame))) if frame.is_empty() => continue,
                Ok(Some(Ok(frame))) if frame.len() as u64 <= self.left.end - self.left.start => {
                    self.left.start += frame.len() as u64;
                    self.breaks = 0;
                    return Ok(Some(frame));
                }
                Ok(Some(Ok(_))) => "it sent more than it was asked for".to_owned(),
                Ok(Some(Err(error))) => error.to_string(),
                Ok(None) => "it ended early".to_owned(),
                Err(_) => "nothing came for too long".to_owned(),
            };
            self.resume(broken).await?;
        }
        Ok(None)
    }

    /// Asks for what is left, after a break or another. That may fail as well: a store that is away
    /// is given a moment.
    async fn resume(&mut self, mut broken: String) -> io::Result<()> {
        let object = self.key;
        loop {
            self.breaks += 1;
            if self.breaks > BREAKS_MAX {
                let reason = format!("reading {object} kept breaking off: {broken}");
                return Err(io::Error::other(reason));
            }
            tracing::debug!(%object, at = self.left.start, broken, "a read goes on");
            sleep(pause(self.breaks)).await;
            match get(&self.bucket, object, &self.left, self.etag.as_deref()).await {
                Ok((body, etag)) => {
                    (self.body, self.etag) = (body, etag);
                    return Ok(());
                }
                // It is gone, or another.
                Err(error @ BlobsError::Missing(_)) => return Err(io::Error::other(error)),
                Err(error) => broken = error.to_string(),
            }
        }
    }
}

/// How long to wait after the `nth` break in a row: the first may have been the connection's only.
fn pause(nth: u32) -> Duration {
    PAUSE * (2_u32.pow(nth - 1) - 1).min(PAUSE_FACTOR_MAX)
}

/// Asks for `range`, of the object as `etag` names it, where that is given.
async fn get(
    bucket: &Bucket,
    key: ObjectKey,
    range: &Range<u64>,
    etag: Option<&str>,
) -> Result<(Body, Option<String>), BlobsError> {
    let answer = bucket
        .client
        .get_object()
        .bucket(&bucket.name)
        .key(bucket.keys.object(key))
        .range(format!("bytes={}-{}", range.start, range.end - 1))
        .set_if_match(etag.map(str::to_owned))
        .send()
        .await;
    let answer = match answer {
        Ok(answer) => answer,
        // Out of range, or another object than it was.
        Err(error) if is_absent(&error) || matches!(status(&error), Some(412 | 416)) => {
            tracing::debug!(object = %key, code = error.code(), "not there");
            return Err(BlobsError::Missing(key));
        }
        Err(error) => return Err(failure(&error)),
    };
    let wanted = range.end - range.start;
    match answer.content_length.and_then(|length| u64::try_from(length).ok()) {
        Some(length) if length == wanted => Ok((answer.body, answer.e_tag)),
        // The store answers with less when the object is shorter.
        Some(length) if length < wanted => Err(BlobsError::Missing(key)),
        // A store that answers with more has not heeded the range.
        _ => Err(lacking("GET", "Content-Length")),
    }
}
