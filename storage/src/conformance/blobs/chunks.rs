//! Uploads in chunks of every size beside which an engine may do something else.

use std::ops::Range;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use proto::ObjectKey;

use super::trial::{Trial, body, content, fresh_key, is_missing};
use crate::blob::{Blobs, BlobsError, ByteStream, Position};

const MIB: u64 = 1024 * 1024;
/// Lengths beside the buffers and minima of engines, in bytes.
const LENGTHS: [u64; 5] = [1, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 20 * MIB];
/// After so many bytes what chunks are made of repeats: no buffer is a multiple of it.
const PERIOD: u64 = 65_521;

pub(super) async fn all(blobs: &dyn Blobs) {
    an_upload_of_a_hundred_parts_is_whole(blobs).await;
    chunks_of_any_size_in_any_order_make_one_object(blobs).await;
    a_large_body_arrives_whole_at_once(blobs).await;
}

/// The number of parts makes no difference to the content.
async fn an_upload_of_a_hundred_parts_is_whole(blobs: &dyn Blobs) {
    let mut upload = Trial::new(blobs);
    let mut whole = String::new();
    for number in 0..100 {
        let part = format!("part {number}, ");
        whole.push_str(&part);
        assert_eq!(upload.add(&[&part]).await, whole.len() as u64);
    }
    let object = upload.seal().await;
    assert_eq!(content(blobs, object, 0..whole.len() as u64).await, whole.as_bytes());
    blobs.delete(object).await.unwrap();
    assert_eq!(blobs.extent(object).await.unwrap(), 0);
}

/// After its last part an upload takes no other; what it has can still become an object, and other
/// uploads are as they were. Parts count whatever their size, also where small ones are put
/// together.
pub(super) async fn an_upload_has_a_bounded_number_of_parts(blobs: &dyn Blobs, most: usize) {
    let mut upload = Trial::new(blobs);
    let mut lengths = vec![1; most - 3];
    lengths.extend([5 * MIB, 1, 1]);
    for length in lengths {
        let end = upload.at.extent + length;
        assert_eq!(upload.add_body(pattern(upload.at.extent..end)).await, end);
    }
    for frames in [&["x"][..], &["", "x", "y"]] {
        let refused = blobs.append(upload.key, upload.at, body(frames)).await;
        assert!(matches!(refused, Err(BlobsError::TooManyParts)), "{refused:?}");
        assert_eq!(blobs.position(upload.key).await.unwrap(), upload.at);
    }
    assert_eq!(upload.add(&[]).await, upload.at.extent, "an empty body is no part");
    let elsewhere = blobs.append(upload.key, Position::START, body(&["x"])).await;
    assert!(matches!(elsewhere, Err(BlobsError::Offset { .. })), "{elsewhere:?}");
    let object = upload.seal().await;
    blobs.settle(upload.key, object, object).await.unwrap();
    check(blobs, object, 0..upload.at.extent).await;
    blobs.delete(object).await.unwrap();
    assert_eq!(Trial::new(blobs).add(&["x"]).await, 1);
}

/// Small and large chunks after one another are read as one, and all of them go when it is deleted.
async fn chunks_of_any_size_in_any_order_make_one_object(blobs: &dyn Blobs) {
    let pairs = LENGTHS.iter().flat_map(|first| LENGTHS.map(|second| vec![*first, second]));
    let longer = [vec![1, 1, 5 * MIB, 1, 20 * MIB, 5 * MIB - 1, 1, 5 * MIB + 1], vec![MIB; 12]];
    for lengths in pairs.chain(longer) {
        let mut upload = Trial::new(blobs);
        for length in &lengths {
            let end = upload.at.extent + length;
            assert_eq!(upload.add_body(pattern(upload.at.extent..end)).await, end);
        }
        let object = upload.seal().await;
        let end = upload.at.extent;
        blobs.settle(upload.key, object, object).await.unwrap();
        assert_eq!(blobs.extent(object).await.unwrap(), end, "{lengths:?}");
        check(blobs, object, 0..end).await;
        check(blobs, object, end / 3..end - end / 3).await;
        for boundary in [lengths[0], end - 1] {
            check(blobs, object, boundary - 1..boundary + 1).await;
        }
        assert!(is_missing(blobs, object, 0..end + 1).await);
        blobs.delete(object).await.unwrap();
        assert!(is_missing(blobs, object, 0..1).await);
        assert_eq!(blobs.extent(object).await.unwrap(), 0);
    }
}

/// One body may be of any length.
async fn a_large_body_arrives_whole_at_once(blobs: &dyn Blobs) {
    for length in [5_000_001, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 60 * MIB] {
        let mut upload = Trial::new(blobs);
        let (object, stored) = blobs.put(fresh_key(), pattern(0..length)).await.unwrap();
        assert_eq!(stored, length);
        check(blobs, object, 0..length).await;
        check(blobs, object, 262_143..524_290).await;
        assert_eq!(upload.add_body(pattern(0..length)).await, length);
        let sealed = upload.seal().await;
        check(blobs, sealed, 0..length).await;
        let refused = blobs.append(upload.key, upload.at, broken()).await;
        assert!(matches!(refused, Err(BlobsError::Body(_))), "{refused:?}");
        blobs.abandon(upload.key).await.unwrap();
        blobs.delete(object).await.unwrap();
    }
}

fn broken() -> ByteStream {
    body(&["x"]).chain(stream::iter([Err(std::io::Error::other("broke off"))])).boxed()
}

/// The bytes of the pattern in `range`, in frames that fit no buffer.
fn pattern(range: Range<u64>) -> ByteStream {
    let block = block();
    let frames = stream::unfold(range, move |range| {
        let length = (range.end - range.start).min(PERIOD - 1);
        let frame = (length > 0).then(|| {
            let start = index(range.start % PERIOD);
            let frame = block.slice(start..start + index(length));
            (Ok(frame), range.start + length..range.end)
        });
        std::future::ready(frame)
    });
    frames.fuse().boxed()
}

/// Checks that `object` holds the pattern in `range`.
async fn check(blobs: &dyn Blobs, object: ObjectKey, range: Range<u64>) {
    let block = block();
    let mut stream = blobs.read(object, range.clone()).await.expect("is there");
    let mut at = range.start;
    while let Some(frame) = stream.next().await {
        let mut frame = frame.expect("reads to its end");
        while !frame.is_empty() {
            let start = index(at % PERIOD);
            let piece = frame.split_to(frame.len().min(index(PERIOD)));
            assert!(piece == block.slice(start..start + piece.len()), "near byte {at}");
            at += piece.len() as u64;
        }
    }
    assert_eq!(at, range.end, "no byte is missing");
}

/// Twice the pattern.
fn block() -> Bytes {
    let mut state = 1_u64;
    let once: Vec<u8> = (0..PERIOD)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_be_bytes()[0]
        })
        .collect();
    Bytes::from([once.as_slice(), &once].concat())
}

/// An offset within the block.
fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("fits memory")
}
