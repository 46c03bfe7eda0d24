//! A store that takes no more.

use futures::{StreamExt as _, stream};
use proto::ObjectKey;
use storage::blob::{Position, S3Blobs};
use storage::{Blobs as _, BlobsError, ByteStream};

use crate::fake_s3::{EMPTY_LIST, FakeS3};
use crate::no_such_key;

const UPLOAD: ObjectKey = ObjectKey::from_random(9);

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
