//! Pulling, mounting and deleting blobs.

use api::{Options, Redirect};
use http::{StatusCode, header};
use proto::ObjectKey;
use storage::Blobs as _;

use crate::world::{World, sha256, sha512};

#[tokio::test]
async fn a_blob_is_pulled_as_it_was_pushed() {
    let world = World::start().await;
    let digest = world.push_blob("team/app", b"0123456789").await;
    let path = format!("/v2/team/app/blobs/{digest}");
    let get = world.get(&path).await;
    get.is(StatusCode::OK);
    assert_eq!(get.body, "0123456789");
    let head = world.head(&path).await;
    head.is(StatusCode::OK);
    assert!(head.body.is_empty());
    for reply in [&get, &head] {
        assert_eq!(reply.header("content-length"), "10");
        assert_eq!(reply.header("content-type"), "application/octet-stream");
        assert_eq!(reply.header("docker-content-digest"), digest.as_str());
        assert_eq!(reply.header("etag"), format!("\"{digest}\""));
        assert_eq!(reply.header("accept-ranges"), "bytes");
    }
    let escaped = world.get(&path.replace(':', "%3A")).await;
    assert_eq!(escaped.body, "0123456789");
    world.stop().await;
}

#[tokio::test]
async fn a_blob_that_the_client_has_is_not_sent_again() {
    let world = World::start().await;
    let digest = world.push_blob("a", b"0123456789").await;
    for method in ["GET", "HEAD"] {
        let call = world.request(method, &format!("/v2/a/blobs/{digest}"));
        let reply = call.header(header::IF_NONE_MATCH, format!("\"{digest}\"")).send().await;
        reply.is(StatusCode::NOT_MODIFIED);
        assert!(reply.body.is_empty());
    }
    world.stop().await;
}

#[tokio::test]
async fn a_range_of_a_blob_is_sent_alone() {
    let world = World::start().await;
    let digest = world.push_blob("a", b"0123456789").await;
    let path = format!("/v2/a/blobs/{digest}");
    for (range, body, content_range) in [
        ("bytes=0-0", "0", "bytes 0-0/10"),
        ("bytes=3-5", "345", "bytes 3-5/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-2", "89", "bytes 8-9/10"),
        ("bytes=8-1000", "89", "bytes 8-9/10"),
    ] {
        let reply = world.request("GET", &path).header(header::RANGE, range).send().await;
        reply.is(StatusCode::PARTIAL_CONTENT);
        assert_eq!(reply.body, body, "{range}");
        assert_eq!(reply.header("content-range"), content_range);
        assert_eq!(reply.header("content-length"), body.len().to_string());
    }
    world.stop().await;
}

#[tokio::test]
async fn a_range_outside_the_blob_is_not_satisfiable() {
    let world = World::start().await;
    let digest = world.push_blob("a", b"0123456789").await;
    let path = format!("/v2/a/blobs/{digest}");
    for range in ["bytes=500-0", "bytes=10-", "bytes=10-20", "bytes=-0"] {
        let reply = world.request("GET", &path).header(header::RANGE, range).send().await;
        reply.fails(416, "RANGE_INVALID");
        assert_eq!(reply.header("content-range"), "bytes */10", "{range}");
        assert_eq!(reply.header("content-length"), reply.body.len().to_string());
    }
    world.stop().await;
}

#[tokio::test]
async fn many_ranges_get_the_whole_blob_once() {
    let world = World::start().await;
    let digest = world.push_blob("a", b"0123456789").await;
    let many = format!("bytes={}", vec!["0-9"; 2000].join(","));
    for (range, condition) in [(many.as_str(), None), ("bytes=0-1", Some("\"other\""))] {
        let mut call = world.request("GET", &format!("/v2/a/blobs/{digest}"));
        call = call.header(header::RANGE, range);
        if let Some(condition) = condition {
            call = call.header(header::IF_RANGE, condition);
        }
        let reply = call.send().await;
        reply.is(StatusCode::OK);
        assert_eq!(reply.body, "0123456789");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_blob_is_only_seen_in_repositories_that_link_it() {
    let world = World::start().await;
    let digest = world.push_blob("a", b"secret").await;
    world.push_blob("b", b"other").await;
    world.get(&format!("/v2/b/blobs/{digest}")).await.fails(404, "BLOB_UNKNOWN");
    world.head(&format!("/v2/b/blobs/{digest}")).await.is(StatusCode::NOT_FOUND);
    world.get(&format!("/v2/c/blobs/{digest}")).await.fails(404, "BLOB_UNKNOWN");
    world.stop().await;
}

#[tokio::test]
async fn a_mounted_blob_is_in_both_repositories() {
    let world = World::start().await;
    let digest = world.push_blob("a", b"shared").await;
    let path = format!("/v2/b/blobs/uploads/?mount={digest}&from=a");
    let mounted = world.request("POST", &path).send().await;
    mounted.is(StatusCode::CREATED);
    assert_eq!(mounted.header("docker-content-digest"), digest.as_str());
    assert_eq!(world.get(&mounted.location()).await.body, "shared");
    world.stop().await;
}

#[tokio::test]
async fn a_blob_is_mounted_from_wherever_it_is_when_no_repository_is_named() {
    let world = World::start().await;
    for digest in [world.push_blob("a", b"shared").await, world.push_sha512("b", b"shared").await] {
        let path = format!("/v2/c/blobs/uploads/?mount={digest}");
        let mounted = world.request("POST", &path).send().await;
        mounted.is(StatusCode::CREATED);
        assert_eq!(mounted.header("docker-content-digest"), digest.as_str());
        assert_eq!(world.get(&mounted.location()).await.body, "shared");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_blob_that_no_repository_has_is_uploaded_instead_of_mounted() {
    let world = World::start().await;
    let gone = world.push_blob("a", b"gone").await;
    world.delete(&format!("/v2/a/blobs/{gone}")).await.is(StatusCode::ACCEPTED);
    for digest in [gone, sha256(b"never pushed"), sha512(b"never pushed")] {
        let path = format!("/v2/c/blobs/uploads/?mount={digest}");
        let begun = world.request("POST", &path).send().await;
        begun.is(StatusCode::ACCEPTED);
        world.head(&format!("/v2/c/blobs/{digest}")).await.is(StatusCode::NOT_FOUND);
        let put = format!("{}&digest={digest}", begun.location());
        let content = if digest == sha256(b"gone") { "gone" } else { "never pushed" };
        let pushed = world.request("PUT", &put).body(content.as_bytes()).send().await;
        pushed.is(StatusCode::CREATED);
    }
    world.stop().await;
}

#[tokio::test]
async fn a_mount_that_cannot_be_is_an_upload_whatever_the_reason() {
    let world = World::start().await;
    let digest = world.push_blob("a", b"shared").await;
    world.push_blob("b", b"other").await;
    for from in ["&from=b", "&from=nothing", "&from=Not%20A%20Name", "&from="] {
        let path = format!("/v2/c/blobs/uploads/?mount={digest}{from}");
        let reply = world.request("POST", &path).send().await;
        reply.is(StatusCode::ACCEPTED);
        assert_eq!(reply.header("range"), "0-0", "{from}");
        assert!(reply.location().starts_with("/v2/c/blobs/uploads/"), "{from}");
    }
    world.get(&format!("/v2/c/blobs/{digest}")).await.fails(404, "BLOB_UNKNOWN");
    world.stop().await;
}

#[tokio::test]
async fn a_deleted_blob_is_gone_at_once_from_its_repository_alone() {
    let world = World::start().await;
    let digest = world.push_blob("a", b"twice").await;
    world.push_blob("b", b"twice").await;
    let path = format!("/v2/a/blobs/{digest}");
    world.delete(&path).await.is(StatusCode::ACCEPTED);
    world.head(&path).await.is(StatusCode::NOT_FOUND);
    world.delete(&path).await.fails(404, "BLOB_UNKNOWN");
    assert_eq!(world.get(&format!("/v2/b/blobs/{digest}")).await.body, "twice");
    world.stop().await;
}

#[tokio::test]
async fn a_blob_that_a_manifest_needs_is_not_deleted() {
    let world = World::start().await;
    world.push_image("a", "v1", b"layer").await;
    let path = format!("/v2/a/blobs/{}", sha256(b"layer"));
    world.delete(&path).await.fails(409, "DENIED");
    world.get(&path).await.is(StatusCode::OK);
    world.stop().await;
}

#[tokio::test]
async fn nothing_is_deleted_where_deletion_is_off() {
    let world = World::start_with(Options { deletion: false, ..Options::default() }).await;
    let manifest = world.push_image("a", "v1", b"layer").await;
    for (path, allow) in [
        ("/v2/a/manifests/v1".to_owned(), "GET, HEAD, PUT"),
        (format!("/v2/a/manifests/{}", sha256(&manifest)), "GET, HEAD, PUT"),
        (format!("/v2/a/blobs/{}", sha256(b"layer")), "GET, HEAD"),
    ] {
        let refused = world.delete(&path).await;
        refused.fails(405, "UNSUPPORTED");
        assert_eq!(refused.header("allow"), allow);
        world.get(&path).await.is(StatusCode::OK);
    }
    world.stop().await;
}

#[tokio::test]
async fn a_store_that_can_serves_blobs_itself() {
    let options = Options { redirect: Redirect::Always, ..Options::default() };
    let world = World::start_with(options).await;
    world.blobs.set_presigning(true);
    let digest = world.push_blob("a", b"content").await;
    let path = format!("/v2/a/blobs/{digest}");
    let sent = world.request("GET", &path).header(header::RANGE, "bytes=1-2").send().await;
    sent.is(StatusCode::TEMPORARY_REDIRECT);
    assert!(sent.location().starts_with("https://store.example/"), "{sent:?}");
    assert_eq!(sent.header("cache-control"), "no-store");
    assert_eq!(world.head(&path).await.is(StatusCode::OK).header("content-length"), "7");
    // Only to those who may have the blob, and only when it is there.
    world.get(&format!("/v2/b/blobs/{digest}")).await.fails(404, "BLOB_UNKNOWN");
    let wrong = world.request("GET", &path).header(header::RANGE, "bytes=7-").send().await;
    wrong.fails(416, "RANGE_INVALID");
    let empty = world.push_blob("a", b"").await;
    world.get(&format!("/v2/a/blobs/{empty}")).await.is(StatusCode::OK);
    // A blob that the store cannot serve by itself is handed on.
    world.blobs.set_presigning(false);
    assert_eq!(world.get(&path).await.body, "content");
    world.stop().await;
}

#[tokio::test]
async fn a_blob_whose_bytes_are_gone_is_absent_and_heals_on_the_next_push() {
    let world = World::start().await;
    let location = world.begin("a").await;
    let object: ObjectKey = location.split(['/', '?']).nth(5).unwrap().parse().unwrap();
    let digest = sha256(b"fragile");
    let put = world.request("PUT", &format!("{location}&digest={digest}")).body(b"fragile");
    let path = put.send().await.is(StatusCode::CREATED).location();
    world.blobs.delete(object).await.unwrap();
    world.get(&path).await.fails(404, "BLOB_UNKNOWN");
    world.head(&path).await.is(StatusCode::NOT_FOUND);
    let etag = format!("\"{digest}\"");
    for (name, value) in [(header::IF_NONE_MATCH, etag.as_str()), (header::RANGE, "bytes=7-")] {
        let get = world.request("GET", &path).header(name, value).send().await;
        get.fails(404, "BLOB_UNKNOWN");
    }
    let mount = format!("/v2/b/blobs/uploads/?mount={digest}&from=a");
    world.request("POST", &mount).send().await.is(StatusCode::ACCEPTED);
    world.push_blob("b", b"fragile").await;
    assert_eq!(world.get(&path).await.body, "fragile");
    world.stop().await;
}
