//! A store that takes no more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use proto::ObjectKey;
use storage::blob::{Position, S3Blobs, Stale};
use storage::{Blobs as _, BlobsError, ByteStream};

use crate::fake_s3::{EMPTY_LIST, FakeS3};
use crate::no_such_key;
use crate::shelf::Shelf;

const UPLOAD: ObjectKey = ObjectKey::from_random(9);
/// An hour after what a [`Shelf`] holds was written, and a second.
const LATER: &str = "Thu, 01 Jan 2026 01:00:01 GMT";

fn body() -> ByteStream {
    stream::iter([Ok("some bytes".into())]).boxed()
}

/// Such a store still gives what it has.
#[tokio::test]
async fn a_store_that_has_all_that_it_may_have_is_full_and_not_away() {
    let quota = "quota is reached, maximum";
    for (status, code, message, is_full) in [
        ("507 Insufficient Storage", "", "", true),
        ("507 Insufficient Storage", "XMinioStorageFull", "Storage backend is full", true),
        ("400 Bad Request", "XMinioAdminBucketQuotaExceeded", "Bucket quota exceeded", true),
        ("403 Forbidden", "QuotaExceeded", "", true),
        ("403 Forbidden", "AccessDenied", &format!("Forbidden: Bucket size {quota}: 9"), true),
        ("403 Forbidden", "AccessDenied", &format!("Forbidden: Object {quota}: 9"), true),
        ("403 Forbidden", "AccessDenied", "Operation is not allowed for this key.", false),
    ] {
        let error = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
        let length = error.len();
        let said = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{error}");
        let refusal = said.clone();
        let server = FakeS3::start(move |request, _| match &*request.method {
            "PUT" => refusal.clone().into(),
            "DELETE" => "HTTP/1.1 204 No Content\r\n\r\n".into(),
            _ if request.is_list() => EMPTY_LIST.into(),
            _ => no_such_key(),
        })
        .await;
        let blobs = S3Blobs::open(&server.settings()).await.unwrap();
        let appended = blobs.append(UPLOAD, Position::START, body()).await;
        for refused in [blobs.probe().await, appended.map(drop)] {
            match refused {
                Err(BlobsError::Full) if is_full => {}
                Err(BlobsError::Unavailable(_)) if !is_full => {}
                outcome => panic!("{said}: {outcome:?}"),
            }
        }
    }
}

/// What makes room needs to know how old something is, and can write nothing to find out.
#[tokio::test]
async fn a_full_store_is_swept_by_the_time_of_its_answers() {
    let (shelf, fills) = (Shelf::default(), Arc::new(AtomicBool::new(false)));
    let is_full = Arc::clone(&fills);
    let server = FakeS3::start(move |request, _| {
        if request.method == "PUT" && is_full.load(Ordering::SeqCst) {
            return "HTTP/1.1 507 Insufficient Storage\r\ncontent-length: 0\r\n\r\n".into();
        }
        let answer = String::from_utf8(shelf.answer(request)).unwrap();
        answer.replacen("\r\n", &format!("\r\ndate: {LATER}\r\n"), 1).into()
    })
    .await;
    let blobs = S3Blobs::open(&server.settings()).await.unwrap();
    blobs.append(UPLOAD, Position::START, body()).await.unwrap();
    fills.store(true, Ordering::SeqCst);
    let stale = |age| blobs.sweep(Duration::from_secs(age)).try_collect::<Vec<_>>();
    assert_eq!(stale(1).await.unwrap(), [Stale::Upload(UPLOAD)]);
    assert_eq!(stale(2).await.unwrap(), [], "the time may be wrong by an hour");
}

#[tokio::test]
async fn a_full_store_that_tells_no_time_is_not_swept() {
    let shelf = Shelf::default();
    shelf.put(&format!("objects/00/{UPLOAD}"), b"some bytes");
    let server = FakeS3::start(move |request, _| match &*request.method {
        "PUT" => "HTTP/1.1 507 Insufficient Storage\r\ncontent-length: 0\r\n\r\n".into(),
        _ => shelf.answer(request),
    })
    .await;
    let blobs = S3Blobs::open(&server.settings()).await.unwrap();
    let found = blobs.sweep(Duration::ZERO).try_collect::<Vec<_>>().await;
    assert!(matches!(found, Err(BlobsError::Full)), "{found:?}");
}
