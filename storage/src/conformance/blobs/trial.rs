//! An upload that is tried out.

use std::ops::Range;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use proto::ObjectKey;

use crate::blob::{Blobs, BlobsError, ByteStream, Position};

/// An upload of its own, and where it stands.
pub(super) struct Trial<'a> {
    pub(super) blobs: &'a dyn Blobs,
    pub(super) key: ObjectKey,
    pub(super) at: Position,
}

impl<'a> Trial<'a> {
    pub(super) fn new(blobs: &'a dyn Blobs) -> Self {
        Self { blobs, key: fresh_key(), at: Position::START }
    }

    /// Appends these frames where the upload stands, and answers its new extent.
    pub(super) async fn add(&mut self, frames: &[&str]) -> u64 {
        self.add_body(body(frames)).await
    }

    /// Appends `body` where the upload stands, and answers its new extent.
    pub(super) async fn add_body(&mut self, body: ByteStream) -> u64 {
        self.at = self.blobs.append(self.key, self.at, body).await.expect("appends at the end");
        assert_eq!(self.blobs.position(self.key).await.unwrap(), self.at);
        self.at.extent
    }

    pub(super) async fn seal(&self) -> ObjectKey {
        self.blobs.seal(self.key, self.at).await.expect("seals where it stands")
    }

    /// All bytes that the upload has.
    pub(super) async fn whole(&self) -> Vec<u8> {
        content(self.blobs, self.seal().await, 0..self.at.extent).await
    }
}

#[expect(clippy::disallowed_methods, reason = "the one function that draws chance here")]
pub(super) fn random() -> u128 {
    let mut random = [0; 16];
    getrandom::fill(&mut random).expect("the system gives randomness");
    u128::from_ne_bytes(random)
}

pub(super) fn fresh_key() -> ObjectKey {
    ObjectKey::from_random(random())
}

/// A body that arrives in these frames.
pub(super) fn body(frames: &[&str]) -> ByteStream {
    let frames: Vec<_> = frames.iter().map(|frame| Ok(Bytes::from(frame.to_string()))).collect();
    stream::iter(frames).boxed()
}

pub(super) async fn content(blobs: &dyn Blobs, object: ObjectKey, range: Range<u64>) -> Vec<u8> {
    let stream = blobs.read(object, range).await.expect("is there");
    stream.try_collect::<Vec<Bytes>>().await.expect("reads to its end").concat()
}

pub(super) async fn is_missing(blobs: &dyn Blobs, object: ObjectKey, range: Range<u64>) -> bool {
    match blobs.read(object, range).await {
        Err(BlobsError::Missing(missing)) => missing == object,
        _ => false,
    }
}
