//! Uploads: bytes are written under fresh keys, and then the upload's cursor is moved to them.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use proto::{Checksum, ObjectKey};

use super::bucket::{Condition, Found};
use super::client::Patience;
use super::cursor::{Cursor, Segment, encode_index, keys, length};
use super::draft::Draft;
use super::part::Part;
use super::sizes::{REPLACED_MAX, SEGMENT_MIN};
use super::{Store, fresh_tip};
use crate::blob::body::begun;
use crate::blob::{BlobsError, ByteStream, Position};

impl Store {
    /// Where `upload` stands.
    pub(super) async fn position(&self, upload: ObjectKey) -> Result<Position, BlobsError> {
        Ok(position(self.cursor(upload).await?.as_ref()))
    }

    /// See [`crate::Blobs::append`].
    pub(super) async fn append(
        self: &Arc<Self>,
        upload: ObjectKey,
        at: Position,
        body: ByteStream,
    ) -> Result<Position, BlobsError> {
        let before = self.cursor(upload).await?;
        let now = position(before.as_ref());
        if now != at {
            return Err(BlobsError::Offset { extent: now.extent });
        }
        let Some(mut body) = begun(body).await? else { return Ok(at) };
        let (before, mut segments, mut replaced, checksum) = match before {
            Some((found, cursor)) => (Some(found), cursor.segments, cursor.replaced, cursor.tail),
            None => (None, Vec::new(), Vec::new(), None),
        };
        // Each append has left a segment, which may be replaced by now.
        if segments.len() + replaced.len() >= self.upload_parts_max {
            return Err(BlobsError::TooManyParts);
        }
        let may_replace = length(&replaced) < REPLACED_MAX;
        let tail = segments.pop_if(|last| may_replace && last.length < SEGMENT_MIN);
        replaced.extend(tail);
        let head = match tail {
            Some(tail) => match self.read_back(tail, checksum).await? {
                Some(head) => head,
                // The upload has ended meanwhile.
                None => return self.refuse(upload, at).await,
            },
            None => Part::default(),
        };
        let draft = self.receive(head, &mut body).await?;
        let store = Arc::clone(self);
        let cursor = Cursor { tip: fresh_tip()?, tail: None, segments, replaced };
        // The body is whole: from here on it is added, whether or not the caller waits for it.
        let adding = async move {
            let _held = body;
            store.add(upload, before, cursor, draft).await
        };
        match tokio::spawn(adding).await {
            Ok(Ok(Some(position))) => Ok(position),
            Ok(Ok(None)) => self.refuse(upload, at).await,
            Ok(Err(error)) => Err(error),
            Err(error) => Err(BlobsError::Unavailable(error.into())),
        }
    }

    /// The bytes of `tail`, which is small; `None` when they are gone. Nobody compares what they
    /// become a part of with what the client has sent, so they must have the `checksum` that they
    /// had then: not all stores send one of their own.
    async fn read_back(
        &self,
        tail: Segment,
        checksum: Option<Checksum>,
    ) -> Result<Option<Part>, BlobsError> {
        let head = Part::with_room_for(tail.length, &self.budget).await?;
        let found = self.bucket.get(&self.bucket.keys.object(tail.key)).await?;
        let Some(found) = found.filter(|found| found.bytes.len() as u64 == tail.length) else {
            return Ok(None);
        };
        if checksum.is_some_and(|checksum| checksum != Checksum::of(&found.bytes)) {
            let reason = format!("{} came with other bytes than it was written with", tail.key);
            let reason = io::Error::new(io::ErrorKind::InvalidData, reason);
            return Err(BlobsError::Unavailable(reason));
        }
        Ok(Some(head.filled(found.bytes.into())))
    }

    async fn receive(&self, head: Part, body: &mut ByteStream) -> Result<Draft, BlobsError> {
        let bucket = Arc::clone(&self.bucket);
        Draft::receive(bucket, &self.budget, self.parts_max, head, body).await
    }

    /// Adds what `draft` holds to `cursor`, and makes that the upload's, if `before` still is.
    /// `None` when another append was faster.
    async fn add(
        &self,
        upload: ObjectKey,
        before: Option<Found>,
        mut cursor: Cursor,
        mut draft: Draft,
    ) -> Result<Option<Position>, BlobsError> {
        cursor.segments.extend_from_slice(draft.finish().await?);
        cursor.tail = draft.tail();
        // The store may move the cursor even if it does not say so, and by the time that it is
        // found to be another, or gone, the upload may have become a blob: then these bytes are
        // needed. Only the cluster knows; if they are not, they are swept.
        draft.keep();
        let published = self.publisher.publish(&self.bucket, upload, &cursor, before.as_ref());
        Ok(published.await?.then(|| cursor.position()))
    }

    /// The error for an append at `at` that came too late. When even so the upload is as long as
    /// it was, its bytes are others.
    async fn refuse<T>(&self, upload: ObjectKey, at: Position) -> Result<T, BlobsError> {
        let now = self.position(upload).await?;
        tracing::debug!(%upload, ?at, ?now, "an append was too late");
        Err(BlobsError::Offset { extent: now.extent })
    }

    /// See [`crate::Blobs::put`]: a body of one piece leaves nothing beside its object.
    pub(super) async fn put(
        self: &Arc<Self>,
        upload: ObjectKey,
        mut body: ByteStream,
    ) -> Result<(ObjectKey, u64), BlobsError> {
        let now = self.position(upload).await?;
        if now != Position::START {
            return Err(BlobsError::Offset { extent: now.extent });
        }
        let mut draft = self.receive(Part::default(), &mut body).await?;
        let store = Arc::clone(self);
        let sealing = async move {
            let _held = body;
            let segments = draft.finish().await?.to_vec();
            if segments.is_empty() {
                return Ok((draft, upload, 0));
            }
            let extent = length(&segments);
            let cursor = Cursor { tip: fresh_tip()?, tail: None, segments, replaced: Vec::new() };
            if cursor.segments.len() > 1 {
                draft.note_index(cursor.object());
            }
            let object = store.seal_cursor(&cursor).await?;
            Ok((draft, object, extent))
        };
        let sealed: Result<_, BlobsError> =
            tokio::spawn(sealing).await.map_err(|error| BlobsError::Unavailable(error.into()))?;
        // The caller who takes the object takes the draft. When the caller is gone, the draft is
        // dropped, and removes all that it has written.
        let (mut draft, object, extent) = sealed?;
        draft.keep();
        Ok((object, extent))
    }

    /// See [`crate::Blobs::seal`].
    pub(super) async fn seal(
        &self,
        upload: ObjectKey,
        at: Position,
    ) -> Result<ObjectKey, BlobsError> {
        let found = self.cursor(upload).await?;
        let now = position(found.as_ref());
        if now != at {
            return Err(BlobsError::Offset { extent: now.extent });
        }
        let Some((_, cursor)) = found else { return Ok(upload) };
        let object = self.seal_cursor(&cursor).await?;
        // Nobody has read the only piece since it was written, and its client still has the bytes.
        if cursor.segments.len() == 1 && self.found(&cursor.segments).await? < now.extent {
            return Err(BlobsError::Missing(object));
        }
        Ok(object)
    }

    /// The object with the bytes of `cursor`. Several that do this at once write the same.
    async fn seal_cursor(&self, cursor: &Cursor) -> Result<ObjectKey, BlobsError> {
        let object = cursor.object();
        if cursor.segments.len() > 1 {
            let key = self.bucket.keys.index(object);
            let index = encode_index(&cursor.segments);
            self.bucket.put(&key, index, Condition::Always, Patience::Question).await?;
            // No sweep that begins now gives up what the index names. Until then nothing may have
            // named the pieces, and for a node that stood still that can have been too long.
            if self.found(&cursor.segments).await? < length(&cursor.segments) {
                return Err(BlobsError::Missing(object));
            }
        }
        Ok(object)
    }

    /// See [`crate::Blobs::settle`]. Objects that were sealed of one upload may share segments:
    /// what `kept` needs is known before anything is removed.
    pub(super) async fn settle(
        &self,
        upload: ObjectKey,
        object: ObjectKey,
        kept: ObjectKey,
    ) -> Result<(), BlobsError> {
        let cursor = self.cursor(upload).await?.map(|(_, cursor)| cursor);
        let mut unneeded = BTreeSet::new();
        if let Some(cursor) = &cursor {
            unneeded.extend(keys(&cursor.segments).chain(keys(&cursor.replaced)));
        }
        // An upload that was sealed without a byte is its own object. Its blob needs nothing.
        let is_empty = object == upload;
        if object != kept && !is_empty {
            unneeded.extend(self.keys_of(object).await?);
        }
        unneeded.remove(&kept);
        if !unneeded.is_empty() && !is_empty {
            let needed = match &cursor {
                Some(cursor) if cursor.object() == kept => keys(&cursor.segments).collect(),
                _ => self.needed_by(kept).await?,
            };
            for key in needed {
                unneeded.remove(&key);
            }
        }
        let indexes = cursor.as_ref().map(Cursor::object).into_iter().chain([object]);
        for index in indexes.filter(|index| *index != kept) {
            self.bucket.delete(&self.bucket.keys.index(index)).await?;
        }
        if cursor.is_some() {
            self.forget(upload).await?;
        }
        self.delete_objects(unneeded).await
    }

    /// The keys of the bytes of `object`.
    async fn keys_of(&self, object: ObjectKey) -> Result<Vec<ObjectKey>, BlobsError> {
        let segments = self.index(object).await?;
        Ok(segments.map_or(vec![object], |all| keys(&all).collect()))
    }

    /// The keys of the bytes of `kept`, which is there: a store that knows neither an index of it
    /// nor an object is mistaken, and without an index all its pieces would be taken for unneeded.
    async fn needed_by(&self, kept: ObjectKey) -> Result<Vec<ObjectKey>, BlobsError> {
        match self.index(kept).await? {
            Some(segments) => Ok(keys(&segments).collect()),
            None => match self.bucket.head(&self.bucket.keys.object(kept)).await? {
                Some(_) => Ok(vec![kept]),
                None => Err(BlobsError::Missing(kept)),
            },
        }
    }

    async fn forget(&self, upload: ObjectKey) -> Result<(), BlobsError> {
        self.bucket.delete(&self.bucket.keys.upload(upload)).await
    }

    /// See [`crate::Blobs::abandon`]. The cursor goes first, so that appends that are under way
    /// lose; what they wrote is swept.
    pub(super) async fn abandon(&self, upload: ObjectKey) -> Result<(), BlobsError> {
        let Some((_, cursor)) = self.cursor(upload).await? else { return Ok(()) };
        self.forget(upload).await?;
        if cursor.segments.len() > 1 {
            self.bucket.delete(&self.bucket.keys.index(cursor.object())).await?;
        }
        self.delete_objects(keys(&cursor.segments).chain(keys(&cursor.replaced))).await
    }

    async fn cursor(&self, upload: ObjectKey) -> Result<Option<(Found, Cursor)>, BlobsError> {
        match self.bucket.get(&self.bucket.keys.upload(upload)).await? {
            Some(found) => {
                let cursor = Cursor::decode(&found.bytes)?;
                Ok(Some((found, cursor)))
            }
            None => Ok(None),
        }
    }
}

fn position(found: Option<&(Found, Cursor)>) -> Position {
    found.map_or(Position::START, |(_, cursor)| cursor.position())
}
