//! Reading objects, of one piece or of several, and removing them.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use proto::ObjectKey;

use super::Store;
use super::cursor::{Segment, decode_index, length};
use super::piece::Piece;
use crate::blob::{BlobsError, ByteStream};

/// Segments that are asked after or removed at once.
const AT_ONCE: usize = 8;
/// Segments that are asked after to tell whether an object is there: of ten thousand all would take
/// longer than a client waits.
const PROBES: usize = 64;

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
        // The first piece is opened before the answer: the client can still be told.
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

    /// See [`crate::Blobs::extent`]. An object with an index ends where the first segment begins
    /// that is found missing, of those that are asked after.
    pub(super) async fn extent(&self, object: ObjectKey) -> Result<u64, BlobsError> {
        if let Some(length) = self.bucket.head(&self.bucket.keys.object(object)).await? {
            return Ok(length);
        }
        let Some(segments) = self.index(object).await? else { return Ok(0) };
        self.found(&segments).await
    }

    /// How many bytes of `segments` are there, before the first that is found missing of those that
    /// are asked after.
    pub(super) async fn found(&self, segments: &[Segment]) -> Result<u64, BlobsError> {
        let asked: Vec<_> = probes(segments.len()).map(|at| (at, segments[at])).collect();
        let lost = stream::iter(asked)
            .map(|(at, segment)| async move {
                let found = self.bucket.head(&self.bucket.keys.object(segment.key)).await?;
                Ok::<_, BlobsError>((found != Some(segment.length)).then_some(at))
            })
            .buffered(AT_ONCE);
        let lost: Vec<Option<usize>> = lost.try_collect().await?;
        let whole = lost.into_iter().flatten().next().unwrap_or(segments.len());
        Ok(length(&segments[..whole]))
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

/// Which of `count` segments are asked after: the first, the last, and some evenly between.
fn probes(count: usize) -> impl Iterator<Item = usize> {
    let most = count.min(PROBES);
    (0..most).map(move |nth| nth * (count - 1) / (most - 1).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_segments_some_are_asked_after_and_of_few_all() {
        for count in [0, 1, 2, 3, PROBES] {
            assert!(probes(count).eq(0..count), "{count}");
        }
        for count in [PROBES + 1, 1000, 10_000] {
            let asked: Vec<_> = probes(count).collect();
            assert_eq!((asked.len(), asked[0], asked[PROBES - 1]), (PROBES, 0, count - 1));
            let most = count.div_ceil(PROBES - 1);
            assert!(asked.windows(2).all(|pair| (1..=most).contains(&(pair[1] - pair[0]))));
        }
    }
}
