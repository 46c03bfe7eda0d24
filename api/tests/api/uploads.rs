//! Pushing blobs in every way, and every way to get it wrong.

use std::sync::Arc;
use std::time::Duration;

use http::{StatusCode, header};
use proto::Digest;
use proto::limits::UPLOAD_LIFETIME;
use tokio::sync::Barrier;

use crate::world::{Reply, World, sha256, sha512};

const EMPTY: &[u8] = b"";

/// PATCHes a chunk that starts at `start` to `location`.
async fn patch_at(world: &World, location: &str, start: usize, content: &[u8]) -> Reply {
    let range = format!("{start}-{}", start + content.len() - 1);
    let call = world.request("PATCH", location).header(header::CONTENT_RANGE, range);
    call.body(content).send().await
}

/// PATCHes a stream to `location`.
async fn stream_to(world: &World, location: &str, frames: &[&[u8]]) -> Reply {
    world.request("PATCH", location).stream(frames).send().await
}

/// Ends the upload at `location` as `digest`.
async fn put(world: &World, location: &str, digest: &Digest) -> Reply {
    world.request("PUT", &format!("{location}&digest={digest}")).send().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_begins_while_its_cluster_is_being_founded_waits_for_that() {
    // A node answers before it has founded its cluster. In fifty times, a request comes between.
    for _ in 0..50 {
        let world = World::start().await;
        world.begin("a").await;
        world.stop().await;
    }
}

#[tokio::test]
async fn a_blob_is_pushed_in_one_request() {
    let world = World::start().await;
    for content in [b"content".as_slice(), EMPTY] {
        for digest in [sha256(content), sha512(content)] {
            let path = format!("/v2/a/blobs/uploads/?digest={digest}");
            let pushed = world.request("POST", &path).body(content).send().await;
            pushed.is(StatusCode::CREATED);
            assert_eq!(pushed.header("docker-content-digest"), digest.as_str());
            let pulled = world.get(&pushed.location()).await;
            pulled.is(StatusCode::OK);
            assert_eq!(pulled.body, content);
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn a_blob_is_pushed_with_its_end_in_one_chunk() {
    let world = World::start().await;
    for content in [b"content".as_slice(), EMPTY] {
        for digest in [sha256(content), sha512(content)] {
            let location = world.begin("a").await;
            let path = format!("{location}&digest={digest}");
            let pushed = world.request("PUT", &path).body(content).send().await;
            pushed.is(StatusCode::CREATED);
            assert_eq!(world.get(&pushed.location()).await.body, content);
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn a_blob_is_streamed_as_docker_does() {
    let world = World::start().await;
    for frames in [&[b"some".as_slice(), b" ", b"content"][..], &[]] {
        let content = frames.concat();
        for digest in [sha256(&content), sha512(&content)] {
            let location = world.begin("team/app").await;
            let sent = stream_to(&world, &location, frames).await;
            sent.is(StatusCode::ACCEPTED);
            let last = content.len().saturating_sub(1);
            assert_eq!(sent.header("range"), format!("0-{last}"));
            assert!(!sent.header("docker-upload-uuid").is_empty());
            let pushed = put(&world, &sent.location(), &digest).await;
            pushed.is(StatusCode::CREATED);
            assert_eq!(world.get(&pushed.location()).await.body, content);
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn a_blob_is_pushed_in_chunks_and_the_last_may_ride_on_the_end() {
    let world = World::start().await;
    for digest in [sha256(b"one two three"), sha512(b"one two three")] {
        let first = patch_at(&world, &world.begin("a").await, 0, b"one ").await;
        first.is(StatusCode::ACCEPTED);
        assert_eq!(first.header("range"), "0-3");
        let second = patch_at(&world, &first.location(), 4, b"two ").await;
        assert_eq!(second.header("range"), "0-7");
        let call = world.request("PUT", &format!("{}&digest={digest}", second.location()));
        let pushed = call.header(header::CONTENT_RANGE, "8-12").body(b"three").send().await;
        pushed.is(StatusCode::CREATED);
        assert_eq!(world.get(&pushed.location()).await.body, "one two three");
    }
    world.stop().await;
}

#[tokio::test]
async fn an_upload_can_say_beforehand_what_its_digest_will_be() {
    let world = World::start().await;
    let path = "/v2/a/blobs/uploads/?digest-algorithm=sha512";
    let begun = world.request("POST", path).send().await;
    let sent = stream_to(&world, &begun.location(), &[b"content"]).await;
    put(&world, &sent.location(), &sha512(b"content")).await.is(StatusCode::CREATED);
    let unknown = "/v2/a/blobs/uploads/?digest-algorithm=md5";
    world.request("POST", unknown).send().await.fails(400, "DIGEST_INVALID");
    world.stop().await;
}

#[tokio::test]
async fn an_upload_is_asked_for_chunks_of_a_least_length_and_takes_smaller_ones() {
    let world = World::start().await;
    let begun = world.request("POST", "/v2/a/blobs/uploads/").send().await;
    let least: u64 = begun.header("oci-chunk-min-length").parse().unwrap();
    assert_eq!(least, proto::limits::UPLOAD_CHUNK_BYTES_MIN);
    let sent = patch_at(&world, &begun.location(), 0, b"small").await;
    sent.is(StatusCode::ACCEPTED);
    put(&world, &sent.location(), &sha256(b"small")).await.is(StatusCode::CREATED);
    world.stop().await;
}

#[tokio::test]
async fn a_chunk_out_of_order_is_told_where_to_go_on() {
    let world = World::start().await;
    let location = world.begin("a").await;
    patch_at(&world, &location, 5, b"late").await.fails(416, "BLOB_UPLOAD_INVALID");
    let first = patch_at(&world, &location, 0, b"first").await.location();
    for (start, content) in [(0, b"first".as_slice()), (3, b"st second"), (9, b"late")] {
        let refused = patch_at(&world, &first, start, content).await;
        refused.fails(416, "BLOB_UPLOAD_INVALID");
        assert_eq!(refused.header("range"), "0-4");
        let status = world.get(&refused.location()).await;
        status.is(StatusCode::NO_CONTENT);
        assert_eq!(status.header("range"), "0-4");
    }
    let sent = patch_at(&world, &first, 5, b" last").await;
    let pushed = put(&world, &sent.location(), &sha256(b"first last")).await;
    assert_eq!(world.get(&pushed.location()).await.body, "first last");
    world.stop().await;
}

#[tokio::test]
async fn a_chunk_that_is_not_as_long_as_its_range_leaves_nothing() {
    let world = World::start().await;
    let location = world.begin("a").await;
    for range in ["0-3", "0-9"] {
        let call = || world.request("PATCH", &location).header(header::CONTENT_RANGE, range);
        call().body(b"content").send().await.fails(416, "BLOB_UPLOAD_INVALID");
        call().stream(&[b"con", b"tent"]).send().await.fails(416, "BLOB_UPLOAD_INVALID");
    }
    assert_eq!(world.extent(&location).await, 0);
    world.stop().await;
}

#[tokio::test]
async fn a_malformed_content_range_is_refused() {
    let world = World::start().await;
    let location = world.begin("a").await;
    for range in ["", "x", "5-1", "0-", "-7", "0-18446744073709551616"] {
        let call = world.request("PATCH", &location).header(header::CONTENT_RANGE, range);
        call.body(b"content").send().await.fails(400, "BLOB_UPLOAD_INVALID");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_body_cut_short_leaves_what_was_durable() {
    let world = World::start().await;
    let first = patch_at(&world, &world.begin("a").await, 0, b"first").await.location();
    world.request("PATCH", &first).broken(b" and").send().await.fails(400, "SIZE_INVALID");
    let lying = world.request("PATCH", &first).header(header::CONTENT_LENGTH, "100");
    lying.stream(&[b" and"]).send().await.fails(400, "SIZE_INVALID");
    assert_eq!(world.get(&first).await.header("range"), "0-4");
    let sent = stream_to(&world, &first, &[b" last"]).await;
    put(&world, &sent.location(), &sha256(b"first last")).await.is(StatusCode::CREATED);
    world.stop().await;
}

#[tokio::test]
async fn a_wrong_digest_links_nothing_and_removes_the_bytes() {
    let world = World::start().await;
    let sent = stream_to(&world, &world.begin("a").await, &[b"content"]).await.location();
    for digest in ["md5:d41d8cd98f00b204e9800998ecf8427e", "sha256:00", ""] {
        let reply = world.request("PUT", &format!("{sent}&digest={digest}")).send().await;
        reply.fails(400, "DIGEST_INVALID");
    }
    world.request("PUT", &sent).send().await.fails(400, "DIGEST_INVALID");
    assert_eq!(world.extent(&sent).await, 7, "nothing was said yet of the content");
    put(&world, &sent, &sha256(b"other")).await.fails(400, "DIGEST_INVALID");
    assert_eq!(world.extent(&sent).await, 0);
    for content in [b"other".as_slice(), b"content"] {
        let path = format!("/v2/a/blobs/{}", sha256(content));
        world.get(&path).await.fails(404, "BLOB_UNKNOWN");
    }
    put(&world, &sent, &sha256(b"content")).await.fails(404, "BLOB_UPLOAD_UNKNOWN");
    world.stop().await;
}

#[tokio::test]
async fn a_digest_without_its_bytes_links_nothing() {
    let world = World::start().await;
    let digest = world.push_blob("a", b"secret").await;
    let path = format!("/v2/b/blobs/uploads/?digest={digest}");
    world.request("POST", &path).send().await.fails(400, "DIGEST_INVALID");
    put(&world, &world.begin("b").await, &digest).await.fails(400, "DIGEST_INVALID");
    world.get(&format!("/v2/b/blobs/{digest}")).await.fails(404, "BLOB_UNKNOWN");
    assert_eq!(world.get(&format!("/v2/a/blobs/{digest}")).await.body, "secret");
    world.stop().await;
}

#[tokio::test]
async fn a_session_is_only_good_for_its_own_upload() {
    let world = World::start().await;
    let location = world.begin("a").await;
    let other = world.begin("a").await;
    let (path, state) = location.split_once('?').unwrap();
    let (other_path, _) = other.split_once('?').unwrap();
    let mut forged = state.to_owned();
    forged.replace_range(10..11, if &state[10..11] == "A" { "B" } else { "A" });
    for wrong in [
        path.to_owned(),
        format!("{path}?{forged}"),
        format!("{path}?state="),
        format!("{other_path}?{state}"),
        location.replace("/v2/a/", "/v2/b/"),
    ] {
        for method in ["GET", "PATCH", "PUT", "DELETE"] {
            let reply = world.request(method, &wrong).send().await;
            reply.fails(404, "BLOB_UPLOAD_UNKNOWN");
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn a_session_expires_a_lifetime_after_its_last_chunk() {
    let world = World::start().await;
    let location = world.begin("a").await;
    world.pass(UPLOAD_LIFETIME - Duration::from_secs(1));
    let sent = stream_to(&world, &location, &[b"content"]).await.location();
    world.pass(Duration::from_secs(2));
    world.get(&location).await.fails(404, "BLOB_UPLOAD_UNKNOWN");
    world.get(&sent).await.is(StatusCode::NO_CONTENT);
    world.stop().await;
}

#[tokio::test]
async fn of_two_chunks_at_one_place_one_is_taken_whole() {
    let world = World::start().await;
    let location = world.begin("a").await;
    // Both are half way before either ends.
    let halfway = Arc::new(Barrier::new(2));
    let send = |content| world.request("PATCH", &location).halting(content, &halfway).send();
    let (left, right) = tokio::join!(send(b"left".as_slice()), send(b"right".as_slice()));
    let (winner, taken, loser) = match left.status {
        StatusCode::ACCEPTED => (left, b"left".as_slice(), right),
        _ => (right, b"right".as_slice(), left),
    };
    winner.is(StatusCode::ACCEPTED);
    loser.fails(416, "BLOB_UPLOAD_INVALID");
    let pushed = put(&world, &winner.location(), &sha256(taken)).await;
    assert_eq!(world.get(&pushed.location()).await.body, taken);
    world.stop().await;
}

#[tokio::test]
async fn a_client_that_lost_an_answer_goes_on_from_what_is_durable() {
    let world = World::start().await;
    let location = world.begin("a").await;
    let _lost = stream_to(&world, &location, &[b"first"]).await;
    let status = world.get(&location).await;
    status.is(StatusCode::NO_CONTENT);
    assert_eq!(status.header("range"), "0-4");
    let sent = patch_at(&world, &status.location(), 5, b" last").await;
    sent.is(StatusCode::ACCEPTED);
    let pushed = put(&world, &sent.location(), &sha256(b"first last")).await;
    assert_eq!(world.get(&pushed.location()).await.body, "first last");
    world.stop().await;
}

#[tokio::test]
async fn an_end_that_is_repeated_gets_the_first_answer() {
    let world = World::start().await;
    // The bytes came before the end, or with it; and they are the first of their digest, or another
    // upload was faster.
    for content in [b"new".as_slice(), b"known"] {
        world.push_blob("b", b"known").await;
        let digest = sha256(content);
        let sent = stream_to(&world, &world.begin("a").await, &[content]).await.location();
        let begun = format!("{}&digest={digest}", world.begin("a").await);
        for _ in 0..2 {
            put(&world, &sent, &digest).await.is(StatusCode::CREATED);
            world.request("PUT", &begun).body(content).send().await.is(StatusCode::CREATED);
        }
        let path = format!("/v2/a/blobs/{digest}");
        assert_eq!(world.get(&path).await.body, content);
    }
    world.stop().await;
}

#[tokio::test]
async fn an_end_whose_blob_was_deleted_meanwhile_makes_it_a_blob_again() {
    let world = World::start().await;
    for other_was_first in [false, true] {
        let content = format!("content {other_was_first}").into_bytes();
        if other_was_first {
            world.push_blob("b", &content).await;
        }
        let digest = sha256(&content);
        let end = format!("{}&digest={digest}", world.begin("a").await);
        let blob = format!("/v2/a/blobs/{digest}");
        world.request("PUT", &end).body(&content).send().await.is(StatusCode::CREATED);
        world.delete(&blob).await.is(StatusCode::ACCEPTED);
        // The client has not heard the answer, and asks again.
        world.request("PUT", &end).body(&content).send().await.is(StatusCode::CREATED);
        assert_eq!(world.get(&blob).await.body, content);
    }
    world.stop().await;
}

#[tokio::test]
async fn an_end_that_cannot_have_come_before_reads_nothing() {
    let world = World::start().await;
    let begun = world.begin("a").await;
    stream_to(&world, &begun, &[b"content"]).await.is(StatusCode::ACCEPTED);
    // A read would fail, and say so.
    world.blobs.set_breaking(true);
    let end = |digest| world.request("PUT", &format!("{begun}&digest={digest}"));
    let refused = end(sha256(b"x")).body(b"x").send().await;
    refused.fails(416, "BLOB_UPLOAD_INVALID");
    assert_eq!(refused.header("range"), "0-6");
    end(sha256(b"endless")).stream(&[b"endless"]).send().await.fails(416, "BLOB_UPLOAD_INVALID");
    end(sha256(b"content")).body(b"content").send().await.fails(503, "UNAVAILABLE");
    world.blobs.set_breaking(false);
    end(sha256(b"content")).body(b"content").send().await.is(StatusCode::CREATED);
    world.stop().await;
}

#[tokio::test]
async fn bytes_that_come_for_a_cancelled_upload_are_not_kept() {
    let world = World::start().await;
    let begun = world.begin("a").await;
    world.delete(&begun).await.is(StatusCode::NO_CONTENT);
    let end = format!("{begun}&digest={}", sha256(b"content"));
    let late = world.request("PUT", &end).body(b"content").send().await;
    late.fails(404, "BLOB_UPLOAD_UNKNOWN");
    assert_eq!(world.extent(&begun).await, 0);
    world.stop().await;
}

#[tokio::test]
async fn a_cancelled_upload_is_gone() {
    let world = World::start().await;
    let begun = world.begin("a").await;
    world.delete(&begun).await.is(StatusCode::NO_CONTENT);
    let sent = stream_to(&world, &world.begin("a").await, &[b"content"]).await.location();
    world.delete(&sent).await.is(StatusCode::NO_CONTENT);
    assert_eq!(world.extent(&sent).await, 0);
    world.get(&sent).await.fails(404, "BLOB_UPLOAD_UNKNOWN");
    stream_to(&world, &sent, &[b"more"]).await.fails(404, "BLOB_UPLOAD_UNKNOWN");
    put(&world, &sent, &sha256(b"content")).await.fails(404, "BLOB_UPLOAD_UNKNOWN");
    world.delete(&sent).await.fails(404, "BLOB_UPLOAD_UNKNOWN");
    world.stop().await;
}

#[tokio::test]
async fn an_upload_that_became_a_blob_cannot_be_cancelled() {
    let world = World::start().await;
    let begun = world.begin("a").await;
    let sent = stream_to(&world, &begun, &[b"content"]).await.location();
    let pushed = put(&world, &sent, &sha256(b"content")).await.location();
    for location in [&begun, &sent] {
        world.delete(location).await.fails(404, "BLOB_UPLOAD_UNKNOWN");
        put(&world, location, &sha256(b"wrong")).await.fails(404, "BLOB_UPLOAD_UNKNOWN");
    }
    assert_eq!(world.get(&pushed).await.body, "content");
    world.stop().await;
}

#[tokio::test]
async fn an_upload_has_a_bounded_size() {
    let world = World::start().await;
    let location = world.begin("a").await;
    let huge = proto::limits::BLOB_BYTES_MAX + 1;
    for method in ["PATCH", "PUT"] {
        let path = format!("{location}&digest={}", sha256(b"x"));
        let call = world.request(method, &path).header(header::CONTENT_LENGTH, huge);
        call.stream(&[b"x"]).send().await.fails(413, "SIZE_INVALID");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_compressed_body_is_stored_as_it_is() {
    let world = World::start().await;
    let content = b"\x1f\x8b not really gzip";
    let path = format!("/v2/a/blobs/uploads/?digest={}", sha256(content));
    let call = world.request("POST", &path).header(header::CONTENT_ENCODING, "gzip");
    let pushed = call.body(content).send().await;
    pushed.is(StatusCode::CREATED);
    let pulled = world.request("GET", &pushed.location()).header(header::ACCEPT_ENCODING, "gzip");
    let pulled = pulled.send().await;
    assert_eq!(pulled.header("content-encoding"), "");
    assert_eq!(pulled.body, content.as_slice());
    world.stop().await;
}
