//! The promises of [`Blobs`].
//!
//! All run on one store beside each other's objects, and beside those of anybody else: each makes
//! keys of its own.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _, future, stream};
use proto::{ClusterId, ObjectKey};
use tokio::sync::oneshot;

use crate::blob::{Blobs, BlobsError, ByteStream, ClaimError};

/// Checks all that holds of one handle to a store.
///
/// # Panics
/// When the engine breaks a promise.
pub async fn all(blobs: &dyn Blobs) {
    blobs.probe().await.expect("can be written to");
    a_store_belongs_to_one_cluster(blobs).await;
    an_object_is_read_as_it_was_written(blobs).await;
    a_missing_object_is_empty_and_cannot_be_read(blobs).await;
    parts_follow_each_other(blobs).await;
    an_append_elsewhere_than_at_the_end_is_refused(blobs).await;
    any_range_of_several_parts_is_read(blobs).await;
    a_range_beyond_the_end_is_missing(blobs).await;
    an_empty_part_changes_nothing(blobs).await;
    a_body_that_fails_leaves_nothing(blobs).await;
    an_append_that_is_dropped_leaves_nothing(blobs).await;
    a_large_part_arrives_whole(blobs).await;
    an_object_of_a_hundred_parts_is_whole(blobs).await;
    a_reader_may_leave_early(blobs).await;
    a_deleted_object_is_gone(blobs).await;
    objects_are_deleted_alone(blobs).await;
}

/// Whoever joins a cluster finds its store, and never an empty one or another's.
async fn a_store_belongs_to_one_cluster(blobs: &dyn Blobs) {
    let (own, other) = (ClusterId::from_bytes([1; 16]), ClusterId::from_bytes([2; 16]));
    assert!(matches!(blobs.claim(own, false).await, Err(ClaimError::Empty)));
    blobs.claim(own, true).await.expect("a new store is taken");
    blobs.claim(own, false).await.expect("it stays the cluster's");
    let taken = blobs.claim(other, true).await;
    assert!(matches!(taken, Err(ClaimError::Taken(owner)) if owner == own), "{taken:?}");
}

/// Checks what holds between two handles to the same store, such as two nodes have.
///
/// # Panics
/// When the engine breaks a promise.
pub async fn shared(one: &dyn Blobs, other: &dyn Blobs) {
    what_one_node_wrote_another_reads(one, other).await;
    of_racing_appends_exactly_one_wins(one, other).await;
    appends_racing_with_a_delete_leave_nothing(one, other).await;
}

/// An object holds the bytes of its one part, and its extent is their number.
pub async fn an_object_is_read_as_it_was_written(blobs: &dyn Blobs) {
    let object = fresh_key();
    assert_eq!(blobs.append(object, 0, body(&["some ", "bytes"])).await.unwrap(), 10);
    assert_eq!(blobs.extent(object).await.unwrap(), 10);
    assert_eq!(content(blobs, object, 0..10).await, b"some bytes");
}

/// What was never written has no bytes, and reading any is an error.
pub async fn a_missing_object_is_empty_and_cannot_be_read(blobs: &dyn Blobs) {
    let object = fresh_key();
    assert_eq!(blobs.extent(object).await.unwrap(), 0);
    assert!(is_missing(blobs, object, 0..1).await);
    blobs.delete(object).await.expect("deletes nothing");
}

/// A part may be of any length, and starts where the last ended.
pub async fn parts_follow_each_other(blobs: &dyn Blobs) {
    let object = fresh_key();
    assert_eq!(blobs.append(object, 0, body(&["a"])).await.unwrap(), 1);
    assert_eq!(blobs.append(object, 1, body(&["bcd"])).await.unwrap(), 4);
    assert_eq!(blobs.append(object, 4, body(&["ef"])).await.unwrap(), 6);
    assert_eq!(content(blobs, object, 0..6).await, b"abcdef");
}

/// A part that leaves a gap or would overlap is refused, and the error says where the object ends.
pub async fn an_append_elsewhere_than_at_the_end_is_refused(blobs: &dyn Blobs) {
    let object = fresh_key();
    let refused = blobs.append(object, 1, body(&["x"])).await;
    assert!(matches!(refused, Err(BlobsError::Offset { extent: 0 })), "{refused:?}");
    blobs.append(object, 0, body(&["abc"])).await.unwrap();
    for offset in [0, 1, 2, 4, u64::MAX] {
        let refused = blobs.append(object, offset, body(&["x"])).await;
        assert!(matches!(refused, Err(BlobsError::Offset { extent: 3 })), "{offset}: {refused:?}");
    }
    assert_eq!(content(blobs, object, 0..3).await, b"abc");
}

/// A range gives exactly its bytes, wherever parts begin and end.
pub async fn any_range_of_several_parts_is_read(blobs: &dyn Blobs) {
    let object = fresh_key();
    let whole = b"abcdefghij";
    for (offset, part) in [(0, "abc"), (3, "d"), (4, "efghij")] {
        blobs.append(object, offset, body(&[part])).await.unwrap();
    }
    for start in 0..=whole.len() {
        for end in start..=whole.len() {
            let read = content(blobs, object, start as u64..end as u64).await;
            assert_eq!(read, whole[start..end], "{start}..{end}");
        }
    }
}

/// A range that the object does not hold to its end is refused before any byte is sent.
pub async fn a_range_beyond_the_end_is_missing(blobs: &dyn Blobs) {
    let object = fresh_key();
    blobs.append(object, 0, body(&["abc"])).await.unwrap();
    for range in [0..4, 2..4, 3..4, 100..200, 0..u64::MAX] {
        assert!(is_missing(blobs, object, range).await);
    }
}

/// An object of no bytes needs no storing, and an empty part none either.
pub async fn an_empty_part_changes_nothing(blobs: &dyn Blobs) {
    let object = fresh_key();
    assert_eq!(content(blobs, object, 0..0).await, b"");
    for empty in [&[][..], &[""], &["", ""]] {
        assert_eq!(blobs.append(object, 0, body(empty)).await.unwrap(), 0);
    }
    assert_eq!(blobs.extent(object).await.unwrap(), 0);
    assert_eq!(content(blobs, object, 0..0).await, b"");
    assert_eq!(blobs.append(object, 0, body(&["", "abc", ""])).await.unwrap(), 3);
    assert_eq!(blobs.append(object, 3, body(&[])).await.unwrap(), 3);
    let refused = blobs.append(object, 0, body(&[])).await;
    assert!(matches!(refused, Err(BlobsError::Offset { extent: 3 })), "{refused:?}");
    assert_eq!(blobs.append(object, 3, body(&["d"])).await.unwrap(), 4);
    assert_eq!(content(blobs, object, 0..4).await, b"abcd");
    assert_eq!(content(blobs, object, 4..4).await, b"");
}

/// A body that breaks off, early or late, leaves the object as it was; the append can be repeated.
pub async fn a_body_that_fails_leaves_nothing(blobs: &dyn Blobs) {
    let object = fresh_key();
    for frames in [0, 1, 40] {
        let broken = stream::iter(0..frames)
            .map(|_| Ok(Bytes::from(vec![7; 100_000])))
            .chain(stream::once(future::ready(Err(io::Error::other("broke off")))));
        let failed = blobs.append(object, 0, broken.boxed()).await;
        assert!(matches!(failed, Err(BlobsError::Body(_))), "{failed:?}");
        assert_eq!(blobs.extent(object).await.unwrap(), 0);
    }
    assert_eq!(blobs.append(object, 0, body(&["whole"])).await.unwrap(), 5);
}

/// An append whose caller goes away while the body arrives leaves the object as it was.
pub async fn an_append_that_is_dropped_leaves_nothing(blobs: &dyn Blobs) {
    let object = fresh_key();
    blobs.append(object, 0, body(&["abc"])).await.unwrap();
    for frames in [0, 1, 40] {
        let (stalled, has_stalled) = oneshot::channel();
        let stalling = stream::iter(0..frames).map(|_| Ok(Bytes::from(vec![7; 100_000]))).chain(
            stream::once(async move {
                stalled.send(()).expect("is waited for");
                future::pending().await
            }),
        );
        let append = blobs.append(object, 3, stalling.boxed());
        let outcome = future::select(append, has_stalled.boxed()).await;
        assert!(matches!(outcome, future::Either::Right(_)), "the body has not ended");
        drop(outcome);
        assert_eq!(blobs.extent(object).await.unwrap(), 3);
    }
    assert_eq!(blobs.append(object, 3, body(&["def"])).await.unwrap(), 6);
    assert_eq!(content(blobs, object, 0..6).await, b"abcdef");
}

/// Sizes beside the engines' own buffers make no difference.
pub async fn a_large_part_arrives_whole(blobs: &dyn Blobs) {
    let object = fresh_key();
    let whole: Vec<u8> = (0..5_000_001_u32).map(|i| (i % 251) as u8).collect();
    let frames: Vec<Bytes> = whole.chunks(70_001).map(Bytes::copy_from_slice).collect();
    let length = whole.len() as u64;
    let arriving = stream::iter(frames).map(Ok).boxed();
    assert_eq!(blobs.append(object, 0, arriving).await.unwrap(), length);
    assert!(content(blobs, object, 0..length).await == whole);
    assert!(content(blobs, object, 262_143..524_290).await == whole[262_143..524_290]);
}

/// The number of parts makes no difference to the content.
pub async fn an_object_of_a_hundred_parts_is_whole(blobs: &dyn Blobs) {
    let object = fresh_key();
    let mut whole = String::new();
    for number in 0..100 {
        let part = format!("part {number}, ");
        let extent = blobs.append(object, whole.len() as u64, body(&[&part])).await.unwrap();
        whole.push_str(&part);
        assert_eq!(extent, whole.len() as u64);
    }
    assert_eq!(content(blobs, object, 0..whole.len() as u64).await, whole.as_bytes());
    blobs.delete(object).await.unwrap();
    assert_eq!(blobs.extent(object).await.unwrap(), 0);
}

/// A reader that drops the stream half way disturbs nobody.
pub async fn a_reader_may_leave_early(blobs: &dyn Blobs) {
    let object = fresh_key();
    let frames = stream::iter(0..30).map(|_| Ok(Bytes::from(vec![7; 100_000])));
    let length = blobs.append(object, 0, frames.boxed()).await.unwrap();
    let mut stream = blobs.read(object, 0..length).await.unwrap();
    assert!(!stream.next().await.unwrap().unwrap().is_empty());
    drop(stream);
    assert_eq!(content(blobs, object, 0..length).await.len() as u64, length);
}

/// After a delete there is no object; deleting again does no harm.
pub async fn a_deleted_object_is_gone(blobs: &dyn Blobs) {
    let object = fresh_key();
    blobs.append(object, 0, body(&["abc"])).await.unwrap();
    blobs.append(object, 3, body(&["def"])).await.unwrap();
    for _ in 0..2 {
        blobs.delete(object).await.expect("deletes");
        assert_eq!(blobs.extent(object).await.unwrap(), 0);
        assert!(is_missing(blobs, object, 0..1).await);
    }
}

/// A delete takes one object only, however alike the keys are.
pub async fn objects_are_deleted_alone(blobs: &dyn Blobs) {
    let random = random();
    let [object, neighbour] = [random, random ^ 1].map(ObjectKey::from_random);
    for each in [object, neighbour] {
        blobs.append(each, 0, body(&["abc"])).await.unwrap();
    }
    blobs.delete(object).await.unwrap();
    assert_eq!(content(blobs, neighbour, 0..3).await, b"abc");
}

/// One store shows the same through every handle, at once.
pub async fn what_one_node_wrote_another_reads(one: &dyn Blobs, other: &dyn Blobs) {
    let object = fresh_key();
    one.append(object, 0, body(&["abc"])).await.unwrap();
    assert_eq!(other.extent(object).await.unwrap(), 3);
    other.append(object, 3, body(&["def"])).await.unwrap();
    assert_eq!(content(one, object, 0..6).await, b"abcdef");
    other.delete(object).await.unwrap();
    assert!(is_missing(one, object, 0..1).await);
}

/// Of several appends at one offset one wins, its bytes alone are there, and the others learn where
/// the object ends.
pub async fn of_racing_appends_exactly_one_wins(one: &dyn Blobs, other: &dyn Blobs) {
    let object = fresh_key();
    let mut extent = 0;
    for _ in 0..20 {
        // Each racer's body ends only when all have begun, so that none is refused for coming late.
        let begun = tokio::sync::Barrier::new(8);
        let begun = std::sync::Arc::new(begun);
        let racers = (1..=8_u8).map(|racer| {
            let begun = std::sync::Arc::clone(&begun);
            let frames = stream::iter(0..racer)
                .map(move |_| Ok(Bytes::from(vec![racer; 1000])))
                .chain(stream::once(async move {
                    begun.wait().await;
                    Ok(Bytes::new())
                }));
            let through = if racer % 2 == 0 { one } else { other };
            through.append(object, extent, frames.boxed()).map(move |outcome| (racer, outcome))
        });
        let outcomes = future::join_all(racers).await;
        let won =
            outcomes.iter().filter_map(|(racer, outcome)| Some((racer, outcome.as_ref().ok()?)));
        let [(&winner, &end)] = won.collect::<Vec<_>>()[..] else { panic!("{outcomes:?}") };
        assert_eq!(end, extent + u64::from(winner) * 1000);
        for (racer, outcome) in &outcomes {
            let has_lost = matches!(outcome, Err(BlobsError::Offset { extent }) if *extent == end);
            assert!(has_lost || *racer == winner, "{outcome:?}");
        }
        assert!(content(one, object, extent..end).await.iter().all(|byte| *byte == winner));
        extent = end;
    }
}

/// When an object is deleted while parts are added, a second delete finds all that is left of it:
/// the object either starts with its first byte or is not there.
pub async fn appends_racing_with_a_delete_leave_nothing(one: &dyn Blobs, other: &dyn Blobs) {
    for _ in 0..50 {
        let object = fresh_key();
        one.append(object, 0, body(&["abc"])).await.unwrap();
        let appending = async {
            let mut extent = 3;
            while let Ok(end) = one.append(object, extent, body(&["def"])).await {
                extent = end;
                // Engines that need not wait would never let the delete begin.
                tokio::task::yield_now().await;
            }
            extent
        };
        let deleting = async {
            tokio::task::yield_now().await;
            other.delete(object).await.unwrap();
        };
        let (reached, ()) = future::join(appending, deleting).await;
        other.delete(object).await.unwrap();
        assert_eq!(one.extent(object).await.unwrap(), 0);
        // Were a part left behind, it would show once there is a way to it.
        one.append(object, 0, body(&["xyz"])).await.unwrap();
        assert_eq!(other.extent(object).await.unwrap(), 3, "after {reached} bytes");
    }
}

#[expect(clippy::disallowed_methods, reason = "the one function that draws chance here")]
fn random() -> u128 {
    let mut random = [0; 16];
    getrandom::fill(&mut random).expect("the system gives randomness");
    u128::from_ne_bytes(random)
}

fn fresh_key() -> ObjectKey {
    ObjectKey::from_random(random())
}

/// A body that arrives in these frames.
fn body(frames: &[&str]) -> ByteStream {
    let frames: Vec<_> = frames.iter().map(|frame| Ok(Bytes::from(frame.to_string()))).collect();
    stream::iter(frames).boxed()
}

async fn content(blobs: &dyn Blobs, object: ObjectKey, range: Range<u64>) -> Vec<u8> {
    let stream = blobs.read(object, range).await.expect("is there");
    stream.try_collect::<Vec<Bytes>>().await.expect("reads to its end").concat()
}

async fn is_missing(blobs: &dyn Blobs, object: ObjectKey, range: Range<u64>) -> bool {
    match blobs.read(object, range).await {
        Err(BlobsError::Missing(missing)) => missing == object,
        _ => false,
    }
}
