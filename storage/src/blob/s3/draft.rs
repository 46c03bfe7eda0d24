//! Bytes on their way into the bucket, under keys that nothing names yet.

use std::mem;
use std::sync::Arc;

use aws_sdk_s3::types::CompletedPart;
use bytes::Bytes;
use futures::StreamExt as _;
use proto::{Checksum, ObjectKey};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::bucket::{Bucket, Condition, Multipart};
use super::budget::Budget;
use super::client::Patience;
use super::cursor::Segment;
use super::fresh;
use super::part::Part;
use super::sizes::{PARTS_IN_FLIGHT, SEGMENT_MIN};
use crate::blob::{BlobsError, ByteStream};

/// A body that was received whole, and is in the bucket but for its last piece. What it has written
/// is removed when it is dropped.
pub(super) struct Draft {
    bucket: Arc<Bucket>,
    /// Objects that are whole.
    segments: Vec<Segment>,
    /// The object that is being written, unless it has no part yet.
    open: Option<Open>,
    /// What comes after that.
    rest: Part,
    /// The checksum of the last segment, when that is small.
    tail: Option<Checksum>,
    /// The object whose index names the segments.
    index: Option<ObjectKey>,
}

/// An object that is being written in parts.
struct Open {
    multipart: Multipart,
    length: u64,
    /// How many parts it has, with those on their way.
    count: u16,
    in_flight: JoinSet<Result<CompletedPart, BlobsError>>,
    parts: Vec<CompletedPart>,
}

impl Draft {
    /// Receives `body` to its end, after `head`, and begins a new object after every `parts_max`
    /// parts. When this returns, the last part and those on their way are still in memory, with
    /// their room in `budget`, until [`Draft::finish`] has written them.
    pub(super) async fn receive(
        bucket: Arc<Bucket>,
        budget: &Budget,
        parts_max: u16,
        head: Part,
        body: &mut ByteStream,
    ) -> Result<Self, BlobsError> {
        let mut draft =
            Self { bucket, segments: Vec::new(), open: None, rest: head, tail: None, index: None };
        let mut body = Frames { body, next: Bytes::new() };
        while !body.fill(&mut draft.rest, budget).await? {
            draft.add().await?;
            if draft.open.as_ref().is_some_and(|open| open.count >= parts_max) {
                draft.complete().await?;
            }
        }
        Ok(draft)
    }

    /// Writes the last piece: what is answered then holds the whole body.
    pub(super) async fn finish(&mut self) -> Result<&[Segment], BlobsError> {
        if self.open.is_some() {
            self.add().await?;
            self.complete().await?;
        } else if self.rest.len() > 0 {
            let (key, rest) = (fresh()?, mem::take(&mut self.rest));
            // Noted before it is written: an attempt that seems to fail may have an effect.
            let length = rest.len() as u64;
            self.segments.push(Segment { key, length });
            let name = self.bucket.keys.object(key);
            let rest = rest.into_bytes();
            self.tail = (length < SEGMENT_MIN).then(|| Checksum::of(&rest));
            self.bucket.put(&name, rest, Condition::Always, Patience::Part).await?;
        }
        Ok(&self.segments)
    }

    /// The checksum of the last piece, if that may be read back.
    pub(super) fn tail(&self) -> Option<Checksum> {
        self.tail
    }

    /// Notes that an index of `object` will name what was written.
    pub(super) fn note_index(&mut self, object: ObjectKey) {
        self.index = Some(object);
    }

    /// Leaves what was written to the cursor or blob that names it now.
    pub(super) fn keep(&mut self) {
        self.index = None;
        self.segments.clear();
    }

    /// Sends what was received on its way, as a part.
    async fn add(&mut self) -> Result<(), BlobsError> {
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                let multipart = self.bucket.begin(fresh()?).await?;
                self.open.insert(Open {
                    multipart,
                    length: 0,
                    count: 0,
                    in_flight: JoinSet::new(),
                    parts: Vec::new(),
                })
            }
        };
        while open.in_flight.len() >= PARTS_IN_FLIGHT {
            open.arrive().await?;
        }
        let part = mem::take(&mut self.rest);
        open.length += part.len() as u64;
        open.count += 1;
        let (bucket, multipart, number) =
            (Arc::clone(&self.bucket), open.multipart.clone(), i32::from(open.count));
        let part = part.into_bytes();
        open.in_flight.spawn(async move { bucket.add(&multipart, number, part).await });
        Ok(())
    }

    /// Makes the parts of the open object an object.
    async fn complete(&mut self) -> Result<(), BlobsError> {
        let Some(open) = &mut self.open else { return Ok(()) };
        while !open.in_flight.is_empty() {
            open.arrive().await?;
        }
        open.parts.sort_by_key(|part| part.part_number);
        let parts = mem::take(&mut open.parts);
        self.bucket.complete(&open.multipart, parts, open.length).await?;
        self.segments.push(Segment { key: open.multipart.key, length: open.length });
        self.open = None;
        Ok(())
    }
}

impl Open {
    /// Waits until a part that is on its way is there.
    async fn arrive(&mut self) -> Result<(), BlobsError> {
        if let Some(part) = self.in_flight.join_next().await {
            let part = part.map_err(|error| BlobsError::Unavailable(error.into()))?;
            self.parts.push(part?);
        }
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let (open, index) = (self.open.take(), self.index.take());
        let segments = mem::take(&mut self.segments);
        if open.is_none() && segments.is_empty() {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            let bucket = Arc::clone(&self.bucket);
            runtime.spawn(async move { remove(&bucket, open, index, &segments).await });
        }
    }
}

/// Removes what nobody needs. What cannot be removed now only takes space until it is swept.
async fn remove(
    bucket: &Bucket,
    open: Option<Open>,
    index: Option<ObjectKey>,
    segments: &[Segment],
) {
    if let Some(mut open) = open {
        open.in_flight.shutdown().await;
        if let Err(error) = bucket.abort(&open.multipart).await {
            tracing::warn!(object = %open.multipart.key, %error, "parts could not be removed");
        }
        remove_object(bucket, open.multipart.key).await;
    }
    if let Some(object) = index
        && let Err(error) = bucket.delete(&bucket.keys.index(object)).await
    {
        tracing::warn!(%object, %error, "an unneeded index could not be removed");
        return;
    }
    for segment in segments {
        remove_object(bucket, segment.key).await;
    }
}

async fn remove_object(bucket: &Bucket, key: ObjectKey) {
    if let Err(error) = bucket.delete(&bucket.keys.object(key)).await {
        tracing::warn!(object = %key, %error, "an unneeded object could not be removed");
    }
}

/// The frames of a body, cut anew.
struct Frames<'a> {
    body: &'a mut ByteStream,
    /// What of the last frame was not taken yet.
    next: Bytes,
}

impl Frames<'_> {
    /// Fills `part`. Answers whether the body ends with it: only then it may have bytes left.
    async fn fill(&mut self, part: &mut Part, budget: &Budget) -> Result<bool, BlobsError> {
        loop {
            while self.next.is_empty() {
                match self.body.next().await.transpose().map_err(BlobsError::Body)? {
                    Some(frame) => self.next = frame,
                    None => return Ok(true),
                }
            }
            if part.left() == 0 {
                return Ok(false);
            }
            let frame = self.next.split_to(self.next.len().min(part.left()));
            part.extend(&frame, budget).await?;
        }
    }
}
