//! What the store says that is not so, or leaves out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, future, stream};
use proto::ObjectKey;
use storage::blob::{Position, S3Blobs, Stale};
use storage::{Blobs as _, BlobsError, ByteStream};
use tokio::sync::oneshot;

use crate::fake_s3::FakeS3;
use crate::no_such_key;
use crate::shelf::Shelf;

const UPLOAD: ObjectKey = ObjectKey::from_random(8);
/// A chunk that stays a piece of its own.
const LARGE: usize = 5 * 1024 * 1024;

fn body(bytes: impl Into<Bytes>) -> ByteStream {
    stream::iter([Ok(bytes.into())]).boxed()
}

/// Appends a chunk, and answers where the upload stands then.
async fn add(blobs: &S3Blobs, at: Position, bytes: impl Into<Bytes>) -> Position {
    blobs.append(UPLOAD, at, body(bytes)).await.unwrap()
}

/// Checks that an object has a large piece and a small one.
async fn check_whole(blobs: &S3Blobs, object: ObjectKey) {
    let read = blobs.read(object, 0..LARGE as u64 + 4).await.expect("it is there");
    let read = read.try_collect::<Vec<Bytes>>().await.expect("all of it").concat();
    assert!(read[..LARGE].iter().all(|byte| *byte == 7) && &read[LARGE..] == b"rest");
}

async fn resting(blobs: &S3Blobs) -> Result<Vec<Stale>, BlobsError> {
    blobs.sweep(Duration::ZERO).try_collect().await
}

/// A store on which reads of indexes come to nothing while that is set.
async fn denying() -> (FakeS3, Shelf, Arc<AtomicBool>) {
    let (shelf, denies) = (Shelf::default(), Arc::new(AtomicBool::new(false)));
    let (kept, is_denied) = (shelf.clone(), Arc::clone(&denies));
    let server = FakeS3::start(move |request, _| {
        let is_read = request.method == "GET" && request.name().starts_with("indexes/");
        match is_read && is_denied.load(Ordering::SeqCst) {
            true => no_such_key(),
            false => kept.answer(request),
        }
    })
    .await;
    (server, shelf, denies)
}

#[tokio::test]
async fn what_an_upload_has_become_stays_while_the_store_denies_its_index() {
    let (server, _, denies) = denying().await;
    let blobs = S3Blobs::open(&server.settings()).await.unwrap();
    for goes_on in [false, true] {
        let at = add(&blobs, Position::START, vec![7; LARGE]).await;
        let mut at = add(&blobs, at, "rest").await;
        let object = blobs.seal(UPLOAD, at).await.unwrap();
        if goes_on {
            at = add(&blobs, at, vec![8; LARGE]).await;
            blobs.seal(UPLOAD, at).await.unwrap();
        }
        denies.store(true, Ordering::SeqCst);
        let settled = blobs.settle(UPLOAD, object, object).await;
        denies.store(false, Ordering::SeqCst);
        check_whole(&blobs, object).await;
        if goes_on {
            assert!(matches!(settled, Err(BlobsError::Missing(_))), "{settled:?}");
            blobs.settle(UPLOAD, object, object).await.unwrap();
            check_whole(&blobs, object).await;
        } else {
            settled.unwrap();
        }
        assert_eq!(blobs.position(UPLOAD).await.unwrap(), Position::START);
    }
}

#[tokio::test]
async fn nothing_is_found_stale_while_the_store_lists_an_index_that_it_denies() {
    let (server, _, denies) = denying().await;
    let blobs = S3Blobs::open(&server.settings()).await.unwrap();
    let at = add(&blobs, Position::START, vec![7; LARGE]).await;
    let at = add(&blobs, at, "rest").await;
    let object = blobs.seal(UPLOAD, at).await.unwrap();
    blobs.settle(UPLOAD, object, object).await.unwrap();
    denies.store(true, Ordering::SeqCst);
    let found = resting(&blobs).await;
    let Err(BlobsError::Unavailable(reason)) = found else { panic!("{found:?}") };
    assert!(reason.to_string().contains(&format!("{object} but does not find it")), "{reason}");
    denies.store(false, Ordering::SeqCst);
    assert_eq!(resting(&blobs).await.unwrap(), [Stale::Object(object)]);
    check_whole(&blobs, object).await;
}

/// It is gone when it is to be read, as another node may just have deleted it.
#[tokio::test]
async fn an_index_that_goes_after_it_was_listed_names_nothing() {
    let (shelf, goes) = (Shelf::default(), Arc::new(AtomicBool::new(false)));
    let (kept, is_going) = (shelf.clone(), Arc::clone(&goes));
    let server = FakeS3::start(move |request, _| {
        if request.name().starts_with("indexes/") && is_going.load(Ordering::SeqCst) {
            kept.remove(request.name());
        }
        kept.answer(request)
    })
    .await;
    let blobs = S3Blobs::open(&server.settings()).await.unwrap();
    let at = add(&blobs, Position::START, vec![7; LARGE]).await;
    let at = add(&blobs, at, "rest").await;
    let object = blobs.seal(UPLOAD, at).await.unwrap();
    blobs.settle(UPLOAD, object, object).await.unwrap();
    goes.store(true, Ordering::SeqCst);
    let found = resting(&blobs).await.unwrap();
    assert!(found.len() == 2 && !found.contains(&Stale::Object(object)), "{found:?}");
}

/// Consoles make an empty object to show a folder.
#[tokio::test]
async fn what_no_node_wrote_hinders_no_sweep() {
    let shelf = Shelf::default();
    for name in ["uploads/", "uploads/notes.txt", "indexes/", "objects/", "objects/3f/"] {
        shelf.put(name, b"");
    }
    let kept = shelf.clone();
    let server = FakeS3::start(move |request, _| kept.answer(request)).await;
    let blobs = S3Blobs::open(&server.settings()).await.unwrap();
    let (object, _) = blobs.put(UPLOAD, body("some bytes")).await.unwrap();
    assert_eq!(resting(&blobs).await.unwrap(), [Stale::Object(object)]);
    shelf.put(&format!("uploads/{UPLOAD}"), b"damaged");
    let found = resting(&blobs).await;
    assert!(matches!(found, Err(BlobsError::Unavailable(_))), "{found:?}");
}

/// What is read back becomes part of the next piece, under a new checksum.
#[tokio::test]
async fn a_small_chunk_that_comes_back_changed_is_not_taken_for_what_was_sent() {
    let (shelf, flips) = (Shelf::default(), Arc::new(AtomicBool::new(false)));
    let (kept, is_flipped) = (shelf.clone(), Arc::clone(&flips));
    let server = FakeS3::start(move |request, _| {
        let mut answer = kept.answer(request);
        let is_read = request.method == "GET" && request.name().starts_with("objects/");
        if is_read && is_flipped.swap(false, Ordering::SeqCst) {
            *answer.last_mut().unwrap() ^= 1;
        }
        answer
    })
    .await;
    let blobs = S3Blobs::open(&server.settings()).await.unwrap();
    let at = add(&blobs, Position::START, "some ").await;
    flips.store(true, Ordering::SeqCst);
    let refused = blobs.append(UPLOAD, at, body("bytes")).await;
    assert!(matches!(refused, Err(BlobsError::Unavailable(_))), "{refused:?}");
    assert!(!flips.load(Ordering::SeqCst), "it was read back");
    assert_eq!(blobs.position(UPLOAD).await.unwrap(), at);
    let at = add(&blobs, at, "bytes").await;
    let object = blobs.seal(UPLOAD, at).await.unwrap();
    let read = blobs.read(object, 0..10).await.unwrap();
    assert_eq!(read.try_collect::<Vec<Bytes>>().await.unwrap().concat(), b"some bytes");
}

/// A store whose answers come without an ETag, and which heeds conditions or does not.
async fn nameless(heeds_conditions: bool) -> FakeS3 {
    let shelf = Shelf::default();
    FakeS3::start(move |request, _| {
        let mut request = request.clone();
        let is_heeded = |name: &str| heeds_conditions || !name.starts_with("if-");
        request.headers.retain(|(name, _)| is_heeded(name));
        let answer = String::from_utf8(shelf.answer(&request)).unwrap();
        answer.replace("etag: ", "x-etag: ").into()
    })
    .await
}

/// A proxy may drop it. Then the name that the store has for a cursor says nothing.
#[tokio::test]
async fn an_answer_without_an_etag_lets_no_append_replace_a_newer_one() {
    let server = nameless(false).await;
    let one = S3Blobs::open(&server.settings()).await.unwrap();
    let other = S3Blobs::open(&server.settings()).await.unwrap();
    let at = add(&one, Position::START, "some ").await;
    let (begun, has_begun) = oneshot::channel();
    let (moves, has_moved) = oneshot::channel();
    let late = stream::once(async move {
        begun.send(()).unwrap();
        has_moved.await.unwrap();
        Ok(Bytes::from_static(b"late"))
    });
    let newer = async {
        has_begun.await.unwrap();
        let end = add(&other, at, "newer").await;
        moves.send(()).unwrap();
        end
    };
    let (late, end) = future::join(one.append(UPLOAD, at, late.boxed()), newer).await;
    assert!(matches!(late, Err(BlobsError::Offset { extent: 10 })), "{late:?}");
    assert_eq!(one.position(UPLOAD).await.unwrap(), end);
}

/// No other bytes are ever written under its name: it needs no condition.
#[tokio::test]
async fn a_read_goes_on_also_where_answers_come_without_an_etag() {
    let shelf = Shelf::default();
    let breaks = AtomicBool::new(true);
    let server = FakeS3::start(move |request, _| {
        if request.header("if-match").is_some() {
            return "HTTP/1.1 412 Precondition Failed\r\ncontent-length: 0\r\n\r\n".into();
        }
        let answer = String::from_utf8(shelf.answer(request)).unwrap();
        let mut answer = answer.replace("etag: ", "x-etag: ").into_bytes();
        let is_read = request.method == "GET" && request.name().starts_with("objects/");
        if is_read && breaks.swap(false, Ordering::SeqCst) {
            answer.truncate(answer.len() - 5);
        }
        answer
    })
    .await;
    let blobs = S3Blobs::open(&server.settings()).await.unwrap();
    let (object, _) = blobs.put(UPLOAD, body("some bytes")).await.unwrap();
    let read = blobs.read(object, 0..10).await.unwrap();
    let read = read.try_collect::<Vec<Bytes>>().await.expect("it goes on").concat();
    assert_eq!(read, b"some bytes");
    let ranges = server
        .requests()
        .into_iter()
        .filter_map(|request| request.header("range").map(str::to_owned));
    assert_eq!(ranges.collect::<Vec<_>>(), ["bytes=0-9", "bytes=5-9"]);
}

/// No condition can be made of no name.
#[tokio::test]
async fn an_answer_without_an_etag_is_an_outage_where_conditions_are_heeded() {
    let server = nameless(true).await;
    let blobs = S3Blobs::open(&server.settings()).await.unwrap();
    let at = add(&blobs, Position::START, "some ").await;
    let refused = blobs.append(UPLOAD, at, body("bytes")).await;
    let Err(BlobsError::Unavailable(reason)) = refused else { panic!("{refused:?}") };
    assert!(reason.to_string().ends_with("GET has no usable ETag"), "{reason}");
    assert_eq!(blobs.position(UPLOAD).await.unwrap(), at);
}
