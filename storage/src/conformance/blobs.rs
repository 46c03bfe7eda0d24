//! The promises of [`Blobs`].
//!
//! All run on one store beside each other's objects, and beside those of anybody else: each makes
//! keys of its own.

mod chunks;
mod races;
mod stale;
mod trial;

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, future, stream};
use proto::{ClusterId, ObjectKey};
use std::io;
use tokio::sync::oneshot;

use self::trial::{Trial, body, content, fresh_key, is_missing, random};
use crate::blob::{Blobs, BlobsError, ClaimError, Position, Unclaimed};

pub use self::races::Races;

/// Checks all that holds of one handle to a store that belongs to nobody yet.
///
/// # Panics
/// When the engine breaks a promise.
pub async fn all(blobs: &dyn Blobs) {
    a_store_belongs_to_one_cluster(blobs).await;
    blobs.probe().await.expect("can be written to");
    an_object_is_read_as_it_was_written(blobs).await;
    a_missing_object_is_empty_and_cannot_be_read(blobs).await;
    parts_follow_each_other(blobs).await;
    an_append_elsewhere_than_at_the_end_is_refused(blobs).await;
    any_range_of_several_parts_is_read(blobs).await;
    a_range_beyond_the_end_is_missing(blobs).await;
    an_empty_part_changes_nothing(blobs).await;
    a_body_that_fails_leaves_nothing(blobs).await;
    an_append_that_is_dropped_leaves_nothing(blobs).await;
    an_upload_of_one_body_is_stored_at_once(blobs).await;
    an_upload_is_sealed_where_it_stands_and_always_alike(blobs).await;
    an_object_stays_when_its_upload_is_settled(blobs).await;
    an_abandoned_upload_is_gone(blobs).await;
    chunks::all(blobs).await;
    a_reader_may_leave_early(blobs).await;
    a_deleted_object_is_gone(blobs).await;
    objects_are_deleted_alone(blobs).await;
    what_came_behind_an_object_goes_alone(blobs).await;
    stale::all(blobs).await;
}

/// Checks what holds between two handles to the same store, such as two nodes have.
///
/// # Panics
/// When the engine breaks a promise.
pub async fn shared(one: &dyn Blobs, other: &dyn Blobs, races: Races) {
    what_one_node_wrote_another_reads(one, other).await;
    races::all(one, other, races).await;
}

/// Checks that a store which lets an upload have `most` parts, at least 10, holds to that.
///
/// # Panics
/// When the engine breaks a promise.
pub async fn bounded(blobs: &dyn Blobs, most: usize) {
    chunks::an_upload_has_a_bounded_number_of_parts(blobs, most).await;
}

/// A node that joins a cluster finds its store, and never an empty one or another's.
async fn a_store_belongs_to_one_cluster(blobs: &dyn Blobs) {
    let (own, other) = (ClusterId::from_bytes([1; 16]), ClusterId::from_bytes([2; 16]));
    assert!(matches!(blobs.claim(own, Unclaimed::Refuse).await, Err(ClaimError::Empty)));
    blobs.claim(own, Unclaimed::Bind).await.expect("a new store is taken");
    blobs.claim(own, Unclaimed::Refuse).await.expect("it stays the cluster's");
    let taken = blobs.claim(other, Unclaimed::Bind).await;
    assert!(matches!(taken, Err(ClaimError::Taken(owner)) if owner == own), "{taken:?}");
}

/// An object holds the bytes of its one part, and its extent is their number.
async fn an_object_is_read_as_it_was_written(blobs: &dyn Blobs) {
    let mut upload = Trial::new(blobs);
    assert_eq!(upload.add(&["some ", "bytes"]).await, 10);
    let object = upload.seal().await;
    assert_eq!(blobs.extent(object).await.unwrap(), 10);
    assert_eq!(content(blobs, object, 0..10).await, b"some bytes");
}

/// What was never written has no bytes, and reading any is an error.
async fn a_missing_object_is_empty_and_cannot_be_read(blobs: &dyn Blobs) {
    let object = fresh_key();
    assert_eq!(blobs.position(object).await.unwrap(), Position::START);
    assert_eq!(blobs.extent(object).await.unwrap(), 0);
    assert!(is_missing(blobs, object, 0..1).await);
    assert!(!matches!(blobs.presign(object, 1).await, Ok(Some(_))));
    blobs.delete(object).await.expect("deletes nothing");
    blobs.abandon(object).await.expect("abandons nothing");
    blobs.settle(object, object, object).await.expect("settles nothing");
}

/// A part may be of any length, and starts where the last ended.
async fn parts_follow_each_other(blobs: &dyn Blobs) {
    let mut upload = Trial::new(blobs);
    assert_eq!(upload.add(&["a"]).await, 1);
    assert_eq!(upload.add(&["bcd"]).await, 4);
    assert_eq!(upload.add(&["ef"]).await, 6);
    assert_eq!(upload.whole().await, b"abcdef");
}

/// A part that leaves a gap or would overlap is refused, and the error says where the upload ends.
async fn an_append_elsewhere_than_at_the_end_is_refused(blobs: &dyn Blobs) {
    let mut upload = Trial::new(blobs);
    let gap = Position { extent: 1, ..Position::START };
    let refused = blobs.append(upload.key, gap, body(&["x"])).await;
    assert!(matches!(refused, Err(BlobsError::Offset { extent: 0 })), "{refused:?}");
    upload.add(&["abc"]).await;
    for extent in [0, 1, 2, 4, u64::MAX] {
        let elsewhere = Position { extent, ..upload.at };
        let refused = blobs.append(upload.key, elsewhere, body(&["x"])).await;
        assert!(matches!(refused, Err(BlobsError::Offset { extent: 3 })), "{extent}: {refused:?}");
        let refused = blobs.seal(upload.key, elsewhere).await;
        assert!(matches!(refused, Err(BlobsError::Offset { extent: 3 })), "{extent}: {refused:?}");
    }
    let refused = blobs.put(upload.key, body(&["x"])).await;
    assert!(matches!(refused, Err(BlobsError::Offset { extent: 3 })), "{refused:?}");
    assert_eq!(upload.whole().await, b"abc");
}

/// A range gives exactly its bytes, wherever parts begin and end.
async fn any_range_of_several_parts_is_read(blobs: &dyn Blobs) {
    let mut upload = Trial::new(blobs);
    let whole = b"abcdefghij";
    for part in ["abc", "d", "efghij"] {
        upload.add(&[part]).await;
    }
    let object = upload.seal().await;
    for start in 0..=whole.len() {
        for end in start..=whole.len() {
            let read = content(blobs, object, start as u64..end as u64).await;
            assert_eq!(read, whole[start..end], "{start}..{end}");
        }
    }
}

/// A range that the object does not hold to its end is refused before any byte is sent.
async fn a_range_beyond_the_end_is_missing(blobs: &dyn Blobs) {
    let mut upload = Trial::new(blobs);
    upload.add(&["abc"]).await;
    let object = upload.seal().await;
    for range in [0..4, 2..4, 3..4, 100..200, 0..u64::MAX] {
        assert!(is_missing(blobs, object, range).await);
    }
}

/// An upload of no bytes needs no storing, and an empty part none either.
async fn an_empty_part_changes_nothing(blobs: &dyn Blobs) {
    let mut upload = Trial::new(blobs);
    assert_eq!(content(blobs, upload.key, 0..0).await, b"");
    for empty in [&[][..], &[""], &["", ""]] {
        assert_eq!(upload.add(empty).await, 0);
        assert_eq!(blobs.put(upload.key, body(empty)).await.unwrap().1, 0);
    }
    assert_eq!(upload.at, Position::START);
    assert_eq!(upload.whole().await, b"");
    assert_eq!(upload.add(&["", "abc", ""]).await, 3);
    assert_eq!(upload.add(&[]).await, 3);
    let refused = blobs.append(upload.key, Position::START, body(&[])).await;
    assert!(matches!(refused, Err(BlobsError::Offset { extent: 3 })), "{refused:?}");
    assert_eq!(upload.add(&["d"]).await, 4);
    let object = upload.seal().await;
    assert_eq!(content(blobs, object, 0..4).await, b"abcd");
    assert_eq!(content(blobs, object, 4..4).await, b"");
}

/// A body that breaks off, early or late, leaves the upload as it was; the append can be repeated.
async fn a_body_that_fails_leaves_nothing(blobs: &dyn Blobs) {
    let mut upload = Trial::new(blobs);
    for frames in [0, 1, 40, 200] {
        let broken = || {
            stream::iter(0..frames)
                .map(|_| Ok(Bytes::from(vec![7; 100_000])))
                .chain(stream::once(future::ready(Err(io::Error::other("broke off")))))
                .boxed()
        };
        let failed = blobs.append(upload.key, Position::START, broken()).await;
        assert!(matches!(failed, Err(BlobsError::Body(_))), "{failed:?}");
        let failed = blobs.put(upload.key, broken()).await;
        assert!(matches!(failed, Err(BlobsError::Body(_))), "{failed:?}");
        assert_eq!(blobs.position(upload.key).await.unwrap(), Position::START);
    }
    assert_eq!(upload.add(&["whole"]).await, 5);
}

/// An append whose caller goes away while the body arrives leaves the upload as it was.
async fn an_append_that_is_dropped_leaves_nothing(blobs: &dyn Blobs) {
    let mut upload = Trial::new(blobs);
    upload.add(&["abc"]).await;
    for frames in [0, 1, 40, 200] {
        let (stalled, has_stalled) = oneshot::channel();
        let stalling = stream::iter(0..frames).map(|_| Ok(Bytes::from(vec![7; 100_000]))).chain(
            stream::once(async move {
                stalled.send(()).expect("is waited for");
                future::pending().await
            }),
        );
        let append = blobs.append(upload.key, upload.at, stalling.boxed());
        let outcome = future::select(append, has_stalled.boxed()).await;
        assert!(matches!(outcome, future::Either::Right(_)), "the body has not ended");
        drop(outcome);
        assert_eq!(blobs.position(upload.key).await.unwrap(), upload.at);
    }
    assert_eq!(upload.add(&["def"]).await, 6);
    assert_eq!(upload.whole().await, b"abcdef");
}

/// What comes in one body needs no sealing.
async fn an_upload_of_one_body_is_stored_at_once(blobs: &dyn Blobs) {
    let (object, length) = blobs.put(fresh_key(), body(&["some ", "bytes"])).await.unwrap();
    assert_eq!(length, 10);
    assert_eq!(blobs.extent(object).await.unwrap(), 10);
    assert_eq!(content(blobs, object, 0..10).await, b"some bytes");
}

/// Sealing can be repeated, and answers the same.
async fn an_upload_is_sealed_where_it_stands_and_always_alike(blobs: &dyn Blobs) {
    let mut upload = Trial::new(blobs);
    for part in ["abc", "def"] {
        upload.add(&[part]).await;
        let object = upload.seal().await;
        assert_eq!(upload.seal().await, object);
        assert_eq!(blobs.position(upload.key).await.unwrap(), upload.at);
        upload.add(&["later"]).await;
        let sealed = content(blobs, object, 0..upload.at.extent - 5).await;
        assert!(sealed.ends_with(part.as_bytes()), "what comes later changes no object");
    }
    assert_eq!(upload.whole().await, b"abclaterdeflater");
}

/// What is kept of an upload beside its object goes, also when the upload went on or was sealed
/// twice; the object stays.
async fn an_object_stays_when_its_upload_is_settled(blobs: &dyn Blobs) {
    for length in [3, 6 * 1024 * 1024] {
        for goes_on in [false, true] {
            let mut upload = Trial::new(blobs);
            let part = "x".repeat(length);
            upload.add(&[&part]).await;
            upload.add(&["def"]).await;
            let (kept, end) = (upload.seal().await, upload.at.extent);
            if goes_on {
                upload.add(&["more"]).await;
            }
            let other = upload.seal().await;
            for _ in 0..2 {
                blobs.settle(upload.key, other, kept).await.unwrap();
                assert!(content(blobs, kept, 0..end).await.ends_with(b"xdef"));
            }
            if other != kept {
                assert_eq!(blobs.extent(other).await.unwrap(), 0);
            }
            blobs.delete(kept).await.unwrap();
        }
    }
    let mut upload = Trial::new(blobs);
    upload.add(&["abc"]).await;
    let (object, first) = (upload.seal().await, blobs.put(fresh_key(), body(&["abc"])).await);
    let (first, _) = first.unwrap();
    blobs.settle(upload.key, object, first).await.unwrap();
    assert!(is_missing(blobs, object, 0..1).await);
    assert_eq!(content(blobs, first, 0..3).await, b"abc");
}

/// Nothing of an abandoned upload is left, sealed or not; abandoning again does no harm.
async fn an_abandoned_upload_is_gone(blobs: &dyn Blobs) {
    for is_sealed in [false, true] {
        let mut upload = Trial::new(blobs);
        upload.add(&["abc"]).await;
        upload.add(&["def"]).await;
        let object = if is_sealed { upload.seal().await } else { upload.key };
        for _ in 0..2 {
            blobs.abandon(upload.key).await.expect("abandons");
            assert_eq!(blobs.position(upload.key).await.unwrap(), Position::START);
            assert!(is_missing(blobs, object, 0..1).await);
        }
    }
}

/// A reader that drops the stream half way disturbs nobody.
async fn a_reader_may_leave_early(blobs: &dyn Blobs) {
    let frames = stream::iter(0..30).map(|_| Ok(Bytes::from(vec![7; 100_000])));
    let (object, length) = blobs.put(fresh_key(), frames.boxed()).await.unwrap();
    let mut stream = blobs.read(object, 0..length).await.unwrap();
    assert!(!stream.next().await.unwrap().unwrap().is_empty());
    drop(stream);
    assert_eq!(content(blobs, object, 0..length).await.len() as u64, length);
}

/// After a delete there is no object; deleting again does no harm.
async fn a_deleted_object_is_gone(blobs: &dyn Blobs) {
    let mut upload = Trial::new(blobs);
    upload.add(&["abc"]).await;
    upload.add(&["def"]).await;
    let object = upload.seal().await;
    for _ in 0..2 {
        blobs.delete(object).await.expect("deletes");
        assert_eq!(blobs.extent(object).await.unwrap(), 0);
        assert!(is_missing(blobs, object, 0..1).await);
    }
}

/// A delete takes one object only, however alike the keys are.
async fn objects_are_deleted_alone(blobs: &dyn Blobs) {
    let random = random();
    let mut objects = Vec::new();
    for key in [random, random ^ 1].map(ObjectKey::from_random) {
        objects.push(blobs.put(key, body(&["abc"])).await.unwrap().0);
    }
    blobs.delete(objects[0]).await.unwrap();
    assert_eq!(content(blobs, objects[1], 0..3).await, b"abc");
}

/// What was added to an upload after it was sealed goes, in how many parts it ever came, and the
/// object stays; where nothing was added, nothing goes.
async fn what_came_behind_an_object_goes_alone(blobs: &dyn Blobs) {
    let mut upload = Trial::new(blobs);
    upload.add(&["abc"]).await;
    upload.add(&["def"]).await;
    let object = upload.seal().await;
    for late in [&["ghi", "jkl"][..], &[]] {
        for part in late {
            upload.add(&[*part]).await;
        }
        blobs.trim(object, 6).await.expect("trims");
        assert_eq!(blobs.extent(object).await.unwrap(), 6);
        assert_eq!(content(blobs, object, 0..6).await, b"abcdef");
        assert!(is_missing(blobs, object, 6..7).await);
    }
    blobs.abandon(upload.key).await.unwrap();
    blobs.delete(object).await.unwrap();
}

/// One store shows the same through every handle, at once.
async fn what_one_node_wrote_another_reads(one: &dyn Blobs, other: &dyn Blobs) {
    let mut upload = Trial::new(one);
    upload.add(&["abc"]).await;
    let at = other.position(upload.key).await.unwrap();
    assert_eq!(at, upload.at);
    upload.at = other.append(upload.key, at, body(&["def"])).await.unwrap();
    let object = upload.seal().await;
    assert_eq!(other.seal(upload.key, upload.at).await.unwrap(), object);
    assert_eq!(content(other, object, 0..6).await, b"abcdef");
    other.delete(object).await.unwrap();
    assert!(is_missing(one, object, 0..1).await);
}
