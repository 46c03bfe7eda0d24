//! Uploads that are ended more than once, at once or too late.

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use http::{StatusCode, header};
use proto::limits::READINGS_PER_CLIENT_MAX;

use crate::abuse::begin;
use crate::world::{World, eventually, sha256, sha512};

/// Begins an upload of `content`, and answers where it goes on.
async fn send(world: &World, content: &[u8]) -> String {
    let begun = world.begin("a").await;
    let sent = world.request("PATCH", &begun).body(content).send().await;
    sent.is(StatusCode::ACCEPTED).location()
}

#[tokio::test]
async fn an_end_that_comes_too_late_takes_no_byte_of_what_the_upload_became() {
    let world = World::start().await;
    world.blobs.share();
    let some = send(&world, b"some ").await;
    // In an algorithm that was not announced, so that all is read back.
    world.blobs.hold_reads(true);
    let late = world.request("PUT", &format!("{some}&digest={}", sha512(b"some ")));
    let late = tokio::spawn(late.send());
    eventually(async || world.blobs.reads() == 1).await;

    let all = world.request("PATCH", &some).body(b"bytes").send().await.location();
    let digest = sha256(b"some bytes");
    let end = world.request("PUT", &format!("{all}&digest={digest}"));
    end.send().await.is(StatusCode::CREATED);
    world.blobs.hold_reads(false);
    late.await.unwrap().fails(404, "BLOB_UPLOAD_UNKNOWN");
    let pulled = world.get(&format!("/v2/a/blobs/{digest}")).await;
    assert_eq!(pulled.is(StatusCode::OK).body, "some bytes");
    world.stop().await;
}

#[tokio::test]
async fn an_upload_that_has_become_a_blob_takes_nothing_more_and_is_not_read_to_end_it_again() {
    let world = World::start().await;
    let sent = send(&world, b"0123456789").await;
    let end = format!("{sent}&digest={}", sha256(b"0123456789"));
    world.request("PUT", &end).send().await.is(StatusCode::CREATED);

    let longer = format!("{sent}&digest={}", sha256(b"0123456789 and"));
    let late = || world.request("PUT", &longer);
    for call in [late(), late().header(header::CONTENT_RANGE, "10-13")] {
        call.body(b" and").send().await.fails(404, "BLOB_UPLOAD_UNKNOWN");
        assert_eq!(world.extent(&sent).await, 10);
    }
    let other = format!("{sent}&digest={}", sha512(b"0123456789"));
    world.request("PUT", &other).send().await.fails(404, "BLOB_UPLOAD_UNKNOWN");
    for body in [&b""[..], b" and"] {
        world.request("PUT", &end).body(body).send().await.is(StatusCode::CREATED);
    }
    assert_eq!((world.extent(&sent).await, world.blobs.reads()), (10, 0));
    world.stop().await;
}

#[tokio::test]
async fn an_end_that_comes_twice_at_once_is_told_twice_that_it_is_done() {
    let world = World::start().await;
    let end = format!("{}&digest={}", world.begin("a").await, sha256(b"content"));
    // Without a length, so that its body tells nothing of where the upload should end.
    let (rest, late) = begin(world.request("PUT", &end), "content").await;
    world.request("PUT", &end).body(b"content").send().await.is(StatusCode::CREATED);
    rest.send(()).unwrap();
    assert_eq!(late.await.unwrap(), 201);
    world.stop().await;
}

#[tokio::test]
async fn bytes_that_are_not_those_of_the_digest_are_refused_without_a_quorum_too() {
    let world = World::start().await;
    let sent = send(&world, b"content").await;
    world.cease().await;
    let end = format!("{sent}&digest={}", sha256(b"other"));
    world.request("PUT", &end).send().await.fails(400, "DIGEST_INVALID");
}

#[tokio::test]
async fn one_client_has_only_so_much_read_back_at_once() {
    let world = World::start().await;
    let sent = send(&world, b"content").await;
    world.blobs.hold_reads(true);
    let end = |from| {
        let end = world.request("PUT", &format!("{sent}&digest={}", sha512(b"content")));
        tokio::spawn(end.from(from).send())
    };
    let mut ends: FuturesUnordered<_> = (0..100).map(|_| end("10.0.0.1")).collect();
    // As many wait as may; all others are told so.
    let refused = ends.next().await.unwrap().unwrap();
    refused.fails(429, "TOOMANYREQUESTS");
    assert_eq!(refused.header("retry-after"), "2");
    assert_eq!(world.blobs.reads(), READINGS_PER_CLIENT_MAX);
    let other = end("10.0.0.2");
    eventually(async || world.blobs.reads() > READINGS_PER_CLIENT_MAX).await;
    world.blobs.hold_reads(false);
    other.await.unwrap().is(StatusCode::CREATED);
    while let Some(ended) = ends.next().await {
        let status = ended.unwrap().status;
        assert!([201, 429].contains(&status.as_u16()), "{status}");
    }
    world.stop().await;
}
