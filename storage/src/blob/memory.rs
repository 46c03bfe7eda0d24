//! Objects in memory, for tests and for the simulated node.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, stream};
use proto::limits::UPLOAD_PARTS_MAX;
use proto::{ClusterId, Mutant, ObjectKey};
use tokio::time::Instant;

use super::{Blobs, BlobsError, ByteStream, ClaimError, Position, Stale, Unclaimed};

/// An object store in memory. A clone is the same store, as another node sees it.
#[derive(Clone, Debug, Default)]
pub struct MemoryBlobs {
    objects: Arc<Mutex<BTreeMap<ObjectKey, Object>>>,
    owner: Arc<Mutex<Option<ClusterId>>>,
}

/// The bytes of an object.
#[derive(Clone, Debug)]
struct Object {
    frames: Vec<Bytes>,
    /// How many appends they came in.
    parts: usize,
    /// When the last of them did.
    written: Instant,
}

impl Object {
    fn new() -> Self {
        Self { frames: Vec::new(), parts: 0, written: Instant::now() }
    }
}

impl MemoryBlobs {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, Object>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Blobs for MemoryBlobs {
    async fn claim(&self, cluster: ClusterId, unclaimed: Unclaimed) -> Result<(), ClaimError> {
        let mut owner = self.owner.lock().unwrap_or_else(PoisonError::into_inner);
        match *owner {
            Some(owner) if owner == cluster => Ok(()),
            Some(owner) => Err(ClaimError::Taken(owner)),
            None if unclaimed == Unclaimed::Bind => {
                *owner = Some(cluster);
                Ok(())
            }
            None => Err(ClaimError::Empty),
        }
    }

    async fn append(
        &self,
        upload: ObjectKey,
        at: Position,
        body: ByteStream,
    ) -> Result<Position, BlobsError> {
        ends_at(self.objects().get(&upload), at)?;
        let frames = whole(body).await?;
        let mut objects = self.objects();
        ends_at(objects.get(&upload), at)?;
        let length = length(&frames);
        if length > 0 {
            let object = objects.entry(upload).or_insert_with(Object::new);
            if object.parts >= UPLOAD_PARTS_MAX {
                return Err(BlobsError::TooManyParts);
            }
            object.parts += 1;
            object.frames.extend(frames);
            object.written = Instant::now();
        }
        Ok(Position::at(at.extent + length))
    }

    async fn position(&self, upload: ObjectKey) -> Result<Position, BlobsError> {
        self.extent(upload).await.map(Position::at)
    }

    async fn seal(&self, upload: ObjectKey, at: Position) -> Result<ObjectKey, BlobsError> {
        ends_at(self.objects().get(&upload), at)?;
        Ok(upload)
    }

    async fn settle(
        &self,
        _upload: ObjectKey,
        object: ObjectKey,
        kept: ObjectKey,
    ) -> Result<(), BlobsError> {
        if kept == object { Ok(()) } else { self.delete(object).await }
    }

    async fn abandon(&self, upload: ObjectKey) -> Result<(), BlobsError> {
        self.delete(upload).await
    }

    async fn extent(&self, object: ObjectKey) -> Result<u64, BlobsError> {
        Ok(extent(self.objects().get(&object)))
    }

    async fn read(&self, object: ObjectKey, range: Range<u64>) -> Result<ByteStream, BlobsError> {
        let frames = self.objects().get(&object).map(|found| found.frames.clone());
        let frames = frames.unwrap_or_default();
        if !range.is_empty() && length(&frames) < range.end {
            return Err(BlobsError::Missing(object));
        }
        Ok(stream::iter(within(&frames, range)).map(io::Result::Ok).boxed())
    }

    async fn delete(&self, object: ObjectKey) -> Result<(), BlobsError> {
        self.objects().remove(&object);
        Ok(())
    }

    async fn trim(&self, object: ObjectKey, size: u64) -> Result<(), BlobsError> {
        if let Some(object) = self.objects().get_mut(&object) {
            object.frames = within(&object.frames, 0..size);
        }
        Ok(())
    }

    fn sweep(&self, age: Duration) -> BoxStream<'_, Result<Stale, BlobsError>> {
        let objects = self.objects();
        let stale = objects.iter().filter(|(_, object)| object.written.elapsed() >= age);
        let stale: Vec<_> = stale.map(|(key, _)| Ok(Stale::Object(*key))).collect();
        stream::iter(stale).boxed()
    }

    async fn probe(&self) -> Result<(), BlobsError> {
        Ok(())
    }
}

/// All that `body` brings, once it has ended as it should.
async fn whole(mut body: ByteStream) -> Result<Vec<Bytes>, BlobsError> {
    let mut frames = Vec::new();
    while let Some(frame) = body.next().await {
        match frame {
            Ok(frame) => frames.push(frame),
            Err(_) if Mutant::TruncatedBodyTaken.is_active() => break,
            Err(error) => return Err(BlobsError::Body(error)),
        }
    }
    Ok(frames)
}

/// How many bytes an object has, 0 when there is none.
fn extent(object: Option<&Object>) -> u64 {
    object.map_or(0, |object| length(&object.frames))
}

fn length(frames: &[Bytes]) -> u64 {
    frames.iter().map(|frame| frame.len() as u64).sum()
}

fn ends_at(object: Option<&Object>, at: Position) -> Result<(), BlobsError> {
    match extent(object) {
        _ if Mutant::ChunkAnywhere.is_active() => Ok(()),
        extent if extent == at.extent => Ok(()),
        extent => Err(BlobsError::Offset { extent }),
    }
}

/// What of `frames` lies in `range`, uncopied.
fn within(frames: &[Bytes], range: Range<u64>) -> Vec<Bytes> {
    let mut start = 0;
    let mut pieces = Vec::new();
    for frame in frames {
        let end = start + frame.len() as u64;
        let (from, to) = (range.start.max(start), range.end.min(end));
        if from < to {
            pieces.push(frame.slice(index(from - start)..index(to - start)));
        }
        start = end;
    }
    pieces
}

/// An offset within a frame, which fits memory since the frame does.
fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use futures::{FutureExt as _, TryStreamExt as _, future};
    use proto::limits::{SWEEP_AGE, UPLOAD_LIFETIME};
    use tokio::time::sleep;

    use super::*;
    use crate::conformance::{self, blobs::Races};

    #[tokio::test]
    async fn memory_does_all_that_an_object_store_must() {
        let blobs = MemoryBlobs::new();
        conformance::blobs::all(&blobs).await;
        conformance::blobs::shared(&blobs, &blobs.clone(), Races::OneWins).await;
        conformance::blobs::bounded(&blobs, UPLOAD_PARTS_MAX).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_sweep_comes_later_than_an_upload_can_go_on() {
        let (blobs, upload) = (MemoryBlobs::new(), ObjectKey::from_random(1));
        let chunk = || Ok(Bytes::from_static(b"chunk"));
        let first = stream::iter([chunk()]).boxed();
        let at = blobs.append(upload, Position::START, first).await.unwrap();
        // As late as its session lets the next one begin, and as slowly as it may come.
        sleep(UPLOAD_LIFETIME).await;
        let slow = sleep(UPLOAD_LIFETIME).map(move |()| chunk());
        let found = async {
            sleep(UPLOAD_LIFETIME - Duration::from_secs(1)).await;
            blobs.sweep(SWEEP_AGE).try_collect::<Vec<_>>().await.unwrap()
        };
        let append = blobs.append(upload, at, stream::once(slow).boxed());
        let (found, at) = future::join(found, append).await;
        assert_eq!(found, []);
        assert_eq!(at.unwrap().extent, 10);
        sleep(SWEEP_AGE).await;
        let found: Vec<_> = blobs.sweep(SWEEP_AGE).try_collect().await.unwrap();
        assert_eq!(found, [Stale::Object(upload)]);
    }
}
