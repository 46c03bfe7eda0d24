//! Reading: a stream that goes on where the store broke it off.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::primitives::ByteStream as Body;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use proto::ObjectKey;
use tokio::time::timeout;

use super::bucket::Bucket;
use super::cursor::{Segment, decode_index, length};
use super::error::{failure, is_absent, status};
use super::{READ_IDLE_MAX, Store};
use crate::blob::{BlobsError, ByteStream};

/// How often a read goes on after it was broken off.
const RESUMPTIONS: u32 = 8;
/// Segments that are asked after or removed at once.
const AT_ONCE: usize = 8;

impl Store {
    /// See [`crate::Blobs::read`].
    pub(super) async fn read(
        &self,
        object: ObjectKey,
        range: Range<u64>,
    ) -> Result<ByteStream, BlobsError> {
        if range.is_empty() {
            return Ok(stream::empty().boxed());
        }
        let mut pieces = match Piece::open(&self.bucket, object, range.clone()).await {
            Ok(piece) => VecDeque::from([Next::Open(piece)]),
            Err(BlobsError::Missing(_)) => match self.index(object).await? {
                Some(segments) if length(&segments) >= range.end => within(&segments, range),
                _ => return Err(BlobsError::Missing(object)),
            },
            Err(error) => return Err(error),
        };
        // The first piece is opened before the answer: whoever asked can still be told.
        if let Some(Next::Later(key, range)) = pieces.front() {
            let first = Piece::open(&self.bucket, *key, range.clone()).await;
            let first = first.map_err(|error| match error {
                BlobsError::Missing(_) => BlobsError::Missing(object),
                error => error,
            })?;
            pieces[0] = Next::Open(first);
        }
        let bucket = Arc::clone(&self.bucket);
        let frames = stream::try_unfold(pieces, move |mut pieces| {
            let bucket = Arc::clone(&bucket);
            async move {
                loop {
                    let piece = match pieces.front_mut() {
                        None => return Ok(None),
                        Some(Next::Open(piece)) => piece,
                        Some(Next::Later(key, range)) => {
                            let piece = Piece::open(&bucket, *key, range.clone()).await;
                            pieces[0] = Next::Open(piece.map_err(io::Error::other)?);
                            continue;
                        }
                    };
                    match piece.next().await? {
                        Some(frame) => return Ok(Some((frame, pieces))),
                        None => drop(pieces.pop_front()),
                    }
                }
            }
        });
        Ok(frames.boxed())
    }

    /// See [`crate::Blobs::extent`]. An object with an index ends where its first missing segment
    /// would begin.
    pub(super) async fn extent(&self, object: ObjectKey) -> Result<u64, BlobsError> {
        if let Some(length) = self.bucket.head(&self.bucket.keys.object(object)).await? {
            return Ok(length);
        }
        let Some(segments) = self.index(object).await? else { return Ok(0) };
        let found =
            stream::iter(segments.clone())
                .map(|segment| async move {
                    self.bucket.head(&self.bucket.keys.object(segment.key)).await
                })
                .buffered(AT_ONCE);
        let found: Vec<Option<u64>> = found.try_collect().await?;
        let whole = segments.iter().zip(found).take_while(|(s, found)| *found == Some(s.length));
        Ok(whole.map(|(segment, _)| segment.length).sum())
    }

    /// See [`crate::Blobs::delete`]. The pieces of an object with an index stay: an upload that was
    /// sealed twice has two objects that share some, and the first of them may be an object itself.
    /// See [`super::stale`] for how they go.
    pub(super) async fn delete(&self, object: ObjectKey) -> Result<(), BlobsError> {
        let keys = &self.bucket.keys;
        self.bucket.delete(&keys.index(object)).await?;
        self.bucket.delete(&keys.object(object)).await
    }

    /// Removes the bytes under `keys`.
    pub(super) async fn delete_objects(
        &self,
        keys: impl IntoIterator<Item = ObjectKey>,
    ) -> Result<(), BlobsError> {
        let keys: Vec<_> = keys.into_iter().collect();
        stream::iter(keys)
            .map(Ok)
            .try_for_each_concurrent(AT_ONCE, |key| async move {
                self.bucket.delete(&self.bucket.keys.object(key)).await
            })
            .await
    }

    pub(super) async fn index(
        &self,
        object: ObjectKey,
    ) -> Result<Option<Vec<Segment>>, BlobsError> {
        match self.bucket.get(&self.bucket.keys.index(object)).await? {
            Some(found) => decode_index(&found.bytes).map(Some),
            None => Ok(None),
        }
    }
}

/// What of an object is still to be read.
enum Next {
    Open(Piece),
    Later(ObjectKey, Range<u64>),
}

/// What of `segments` lies in `range`.
fn within(segments: &[Segment], range: Range<u64>) -> VecDeque<Next> {
    let mut start = 0;
    let mut pieces = VecDeque::new();
    for segment in segments {
        let end = start + segment.length;
        let (from, to) = (range.start.max(start), range.end.min(end));
        if from < to {
            pieces.push_back(Next::Later(segment.key, from - start..to - start));
        }
        start = end;
    }
    pieces
}

/// A range of one object of the bucket that is being read.
struct Piece {
    bucket: Arc<Bucket>,
    key: ObjectKey,
    left: Range<u64>,
    etag: String,
    body: Body,
    resumptions: u32,
}

impl Piece {
    async fn open(
        bucket: &Arc<Bucket>,
        key: ObjectKey,
        range: Range<u64>,
    ) -> Result<Self, BlobsError> {
        let (body, etag) = get(bucket, key, &range, None).await?;
        let bucket = Arc::clone(bucket);
        Ok(Self { bucket, key, left: range, etag, body, resumptions: 0 })
    }

    /// The next bytes; none at the end of the range.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        while !self.left.is_empty() {
            let broken = match timeout(READ_IDLE_MAX, self.body.next()).await {
                Ok(Some(Ok(frame))) if frame.is_empty() => continue,
                Ok(Some(Ok(frame))) if frame.len() as u64 <= self.left.end - self.left.start => {
                    self.left.start += frame.len() as u64;
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

    async fn resume(&mut self, broken: String) -> io::Result<()> {
        self.resumptions += 1;
        let object = self.key;
        if self.resumptions > RESUMPTIONS {
            return Err(io::Error::other(format!("reading {object} kept breaking off: {broken}")));
        }
        tracing::debug!(%object, at = self.left.start, broken, "a read goes on");
        let got = get(&self.bucket, object, &self.left, Some(&self.etag)).await;
        (self.body, self.etag) = got.map_err(io::Error::other)?;
        Ok(())
    }
}

/// Asks for `range`, of the object as `etag` names it.
async fn get(
    bucket: &Bucket,
    key: ObjectKey,
    range: &Range<u64>,
    etag: Option<&str>,
) -> Result<(Body, String), BlobsError> {
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
    // The store answers with less when the object is shorter.
    if answer.content_length.map(i64::cast_unsigned) != Some(range.end - range.start) {
        return Err(BlobsError::Missing(key));
    }
    Ok((answer.body, answer.e_tag.unwrap_or_default()))
}
