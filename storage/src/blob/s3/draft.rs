//! Bytes on their way into the bucket, under keys that nothing names yet.

use std::mem;
use std::sync::Arc;

use aws_sdk_s3::types::CompletedPart;
use bytes::Bytes;
use futures::StreamExt as _;
use proto::ObjectKey;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::bucket::{Bucket, Condition, Multipart};
use super::client::Patience;
use super::cursor::Segment;
use super::fresh;
use super::sizes::part_bytes;
use crate::blob::{BlobsError, ByteStream};

/// Parts that are on their way at once; one more is being filled meanwhile.
const PARTS_IN_FLIGHT: usize = 2;

/// What is set aside for the first part of a body, in bytes.
const FIRST_BYTES: usize = 64 * 1024;

/// A body that was received whole, and is in the bucket but for its last piece. What it has written
/// is removed when it is dropped.
pub(super) struct Draft {
    bucket: Arc<Bucket>,
    /// Objects that are whole.
    segments: Vec<Segment>,
    /// The object that is being written, unless it has no part yet.
    open: Option<Open>,
    /// What comes after that.
    rest: Vec<u8>,
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
    /// Receives `head` and then `body`, to its end. An object has at most `parts_max` parts.
    pub(super) async fn receive(
        bucket: Arc<Bucket>,
        parts_max: u16,
        head: Bytes,
        body: ByteStream,
    ) -> Result<Self, BlobsError> {
        let mut draft = Self { bucket, segments: Vec::new(), open: None, rest: Vec::new() };
        let mut body = Frames { body, next: head };
        loop {
            let size = part_bytes(draft.open.as_ref().map_or(0, |open| open.length));
            // Most bodies are short; one that has filled a part will probably fill the next.
            let start = if draft.open.is_some() { size } else { FIRST_BYTES };
            let (part, is_last) = body.fill(Vec::with_capacity(start), size).await?;
            if is_last {
                draft.rest = part;
                return Ok(draft);
            }
            draft.add(part).await?;
            if draft.open.as_ref().is_some_and(|open| open.count >= parts_max) {
                draft.complete().await?;
            }
        }
    }

    /// Writes the last piece: what is answered then holds the whole body.
    pub(super) async fn finish(&mut self) -> Result<&[Segment], BlobsError> {
        let rest = mem::take(&mut self.rest);
        if self.open.is_some() {
            self.add(rest).await?;
            self.complete().await?;
        } else if !rest.is_empty() {
            let key = fresh()?;
            // Noted before it is written: an attempt that seems to fail may have an effect.
            self.segments.push(Segment { key, length: rest.len() as u64 });
            let name = self.bucket.keys.object(key);
            self.bucket.put(&name, rest, Condition::Always, Patience::Part).await?;
        }
        Ok(&self.segments)
    }

    /// Leaves what was written to whoever names it now.
    pub(super) fn keep(&mut self) -> Vec<Segment> {
        mem::take(&mut self.segments)
    }

    /// Sends a part on its way.
    async fn add(&mut self, part: Vec<u8>) -> Result<(), BlobsError> {
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
        open.length += part.len() as u64;
        open.count += 1;
        let (bucket, multipart, number) =
            (Arc::clone(&self.bucket), open.multipart.clone(), i32::from(open.count));
        let part = Bytes::from(part);
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
        let (open, segments) = (self.open.take(), mem::take(&mut self.segments));
        if open.is_none() && segments.is_empty() {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            let bucket = Arc::clone(&self.bucket);
            runtime.spawn(async move { remove(&bucket, open, &segments).await });
        }
    }
}

/// Removes what nothing names. What cannot be removed now only takes space until it is swept.
async fn remove(bucket: &Bucket, open: Option<Open>, segments: &[Segment]) {
    if let Some(mut open) = open {
        open.in_flight.shutdown().await;
        if let Err(error) = bucket.abort(&open.multipart).await {
            tracing::warn!(object = %open.multipart.key, %error, "parts could not be removed");
        }
        remove_object(bucket, open.multipart.key).await;
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
struct Frames {
    body: ByteStream,
    /// What of the last frame was not taken yet.
    next: Bytes,
}

impl Frames {
    /// The next `size` bytes, in `part`, and whether the body ends with them: only then there may
    /// be fewer.
    async fn fill(
        &mut self,
        mut part: Vec<u8>,
        size: usize,
    ) -> Result<(Vec<u8>, bool), BlobsError> {
        loop {
            while self.next.is_empty() {
                match self.body.next().await.transpose().map_err(BlobsError::Body)? {
                    Some(frame) => self.next = frame,
                    None => return Ok((part, true)),
                }
            }
            let wanted = size - part.len();
            if wanted == 0 {
                return Ok((part, false));
            }
            let frame = self.next.split_to(self.next.len().min(wanted));
            if part.capacity() - part.len() < frame.len() {
                // Twice as much each time, but never more than a part.
                part.reserve_exact(wanted.min(part.len().max(frame.len())));
            }
            part.extend_from_slice(&frame);
        }
    }
}
