//! What clients see while something behind the API fails, over a real connection where that
//! matters.

use std::time::Duration;

use axum::body::Bytes;
use http::{StatusCode, header};
use http_body_util::BodyExt as _;
use storage::Blobs as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tracing_subscriber::filter::LevelFilter;

use crate::log::Log;
use crate::world::{World, eventually, in_time, sha256};

/// Serves `world` on a port of its own and answers what it says to `request`, to the end of the
/// connection.
async fn converse(world: &World, request: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(axum::serve(listener, world.router()).into_future());
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A connection that is cut ends in an error, after what came before.
    let _cut = stream.read_to_end(&mut answer).await;
    server.abort();
    String::from_utf8(answer).unwrap()
}

/// Pulls what is at `path`, or a part of it, as far as it comes.
async fn pull(world: &World, path: &str, range: Option<&str>) -> Result<Bytes, axum::Error> {
    let mut call = world.request("GET", path);
    if let Some(range) = range {
        call = call.header(header::RANGE, range);
    }
    Ok(call.open().await.into_body().collect().await?.to_bytes())
}

/// What came after the head, if that came.
fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

fn request(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: registry\r\nconnection: close\r\n\r\n")
}

#[tokio::test]
async fn a_head_tells_the_length_and_sends_no_byte() {
    let world = World::start().await;
    let manifest = world.push_image("a", "v1", b"layer").await;
    let blob = format!("/v2/a/blobs/{}", sha256(b"layer"));
    for (path, length) in [("/v2/a/manifests/v1", manifest.len()), (&blob, 5)] {
        let answer = converse(&world, &request("HEAD", path)).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(head.contains(&format!("content-length: {length}\r\n")), "{answer}");
        assert_eq!(body, "");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_blob_that_breaks_off_breaks_the_connection() {
    let world = World::start().await;
    let digest = world.push_blob("a", b"0123456789").await;
    let get = request("GET", &format!("/v2/a/blobs/{digest}"));
    let whole = converse(&world, &get).await;
    assert!(whole.ends_with("\r\n\r\n0123456789"), "{whole}");
    world.blobs.set_breaking(true);
    let broken = converse(&world, &get).await;
    assert!(body(&broken).len() < 10, "the client must see that bytes are missing: {broken}");
    world.stop().await;
}

#[tokio::test]
async fn other_bytes_than_were_pushed_are_never_served_whole_and_a_push_heals_them() {
    let world = World::start().await;
    let content = b"0123456789";
    let digest = world.push_blob("a", content).await;
    world.push_blob("b", content).await;
    let path = format!("/v2/a/blobs/{digest}");
    let get = request("GET", &path);

    world.blobs.glitch();
    assert_eq!(body(&converse(&world, &get).await), "", "the connection broke");
    let whole = converse(&world, &get).await;
    assert!(whole.ends_with("\r\n\r\n0123456789"), "it came damaged once: {whole}");

    world.blobs.rot().await;
    assert_eq!(body(&converse(&world, &get).await), "", "the connection broke");
    for path in [&path, &format!("/v2/b/blobs/{digest}")] {
        eventually(async || world.head(path).await.status == StatusCode::NOT_FOUND).await;
        world.get(path).await.fails(404, "BLOB_UNKNOWN");
        let part = world.request("GET", path).header(header::RANGE, "bytes=2-3").send().await;
        part.fails(404, "BLOB_UNKNOWN");
    }
    let mount = format!("/v2/c/blobs/uploads/?from=a&mount={digest}");
    world.request("POST", &mount).send().await.is(StatusCode::ACCEPTED);

    world.push_blob("a", content).await;
    for path in [&path, &format!("/v2/b/blobs/{digest}")] {
        world.head(path).await.is(StatusCode::OK);
        assert_eq!(world.get(path).await.is(StatusCode::OK).body, content.as_slice());
    }
    world.request("POST", &mount).send().await.is(StatusCode::CREATED);
    world.stop().await;
}

#[tokio::test]
async fn one_byte_that_is_changed_on_the_way_while_a_blob_is_examined_condemns_nothing() {
    let world = World::start().await;
    let digest = world.push_blob("a", b"0123456789").await;
    let path = format!("/v2/a/blobs/{digest}");
    // A pull breaks off, so that the blob is read again, and that changes a byte.
    world.blobs.set_breaking(true);
    let pull = world.request("GET", &path).open().await;
    world.blobs.hold_reads(true);
    assert!(pull.into_body().collect().await.is_err());
    world.blobs.set_breaking(false);
    world.blobs.glitch();
    world.blobs.hold_reads(false);
    eventually(async || world.blobs.reads() == 3).await;
    world.head(&path).await.is(StatusCode::OK);
    assert_eq!(world.get(&path).await.is(StatusCode::OK).body, "0123456789");
    world.stop().await;
}

#[tokio::test]
async fn an_upload_that_is_read_back_with_another_byte_once_is_not_refused() {
    let world = World::start().await;
    let begun = world.begin("a").await;
    world.request("PATCH", &begun).body(b"some ").send().await.is(StatusCode::ACCEPTED);
    // The answer was lost: the session that the client has is older than the upload.
    let shown = world.request("GET", &begun).send().await;
    let location = shown.is(StatusCode::NO_CONTENT).location();
    world.blobs.glitch();
    let digest = sha256(b"some bytes");
    let end = format!("{location}&digest={digest}");
    world.request("PUT", &end).body(b"bytes").send().await.is(StatusCode::CREATED);
    let pulled = world.get(&format!("/v2/a/blobs/{digest}")).await;
    assert_eq!(pulled.is(StatusCode::OK).body, "some bytes");

    // That the last chunk was taken was lost, too.
    let begun = world.begin("a").await;
    let first = world.request("PATCH", &begun).body(b"more ").send().await.location();
    world.request("PATCH", &first).body(b"bytes").send().await.is(StatusCode::ACCEPTED);
    world.blobs.glitch();
    let digest = sha256(b"more bytes");
    let end = format!("{first}&digest={digest}");
    world.request("PUT", &end).body(b"bytes").send().await.is(StatusCode::CREATED);
    let pulled = world.get(&format!("/v2/a/blobs/{digest}")).await;
    assert_eq!(pulled.is(StatusCode::OK).body, "more bytes");
    world.stop().await;
}

/// A balancer sends each request of one push elsewhere.
#[tokio::test]
async fn a_push_that_ends_at_a_node_which_has_not_seen_the_damage_heals_it_all_the_same() {
    let world = World::start().await;
    let other = world.beside();
    let digest = world.push_blob("a", b"0123456789").await;
    let path = format!("/v2/a/blobs/{digest}");
    world.blobs.rot().await;
    assert!(pull(&world, &path, None).await.is_err(), "the connection broke");
    eventually(async || world.head(&path).await.status == StatusCode::NOT_FOUND).await;
    other.head(&path).await.is(StatusCode::OK);

    other.push_blob("a", b"0123456789").await;
    for node in [&world, &other] {
        node.head(&path).await.is(StatusCode::OK);
        assert_eq!(node.get(&path).await.is(StatusCode::OK).body, "0123456789");
    }
    world.stop().await;
}

#[tokio::test]
async fn bytes_that_come_since_a_mount_was_refused_heal_at_a_node_that_has_not_seen_the_damage() {
    let world = World::start().await;
    let other = world.beside();
    let digest = world.push_blob("a", b"0123456789").await;
    let path = format!("/v2/a/blobs/{digest}");
    world.blobs.rot().await;
    assert!(pull(&world, &path, None).await.is_err(), "the connection broke");
    eventually(async || world.head(&path).await.status == StatusCode::NOT_FOUND).await;

    let mount = format!("/v2/b/blobs/uploads/?from=a&mount={digest}");
    let begun = world.request("POST", &mount).send().await.is(StatusCode::ACCEPTED).location();
    let sent = other.request("PATCH", &begun).body(b"0123456789").send().await.location();
    let end = other.request("PUT", &format!("{sent}&digest={digest}")).send().await;
    end.is(StatusCode::CREATED);
    for path in [&path, &format!("/v2/b/blobs/{digest}")] {
        assert_eq!(other.get(path).await.is(StatusCode::OK).body, "0123456789");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_blob_that_is_pushed_again_stays_where_it_is_if_it_is_whole() {
    let world = World::start().await;
    let digest = world.push_blob("a", b"0123456789").await;
    let before = world.blobs.keys().await;
    for glitches in [false, true] {
        if glitches {
            world.blobs.glitch();
        }
        world.push_blob("a", b"0123456789").await;
        assert_eq!(world.blobs.keys().await, before);
    }
    // What cannot be read now may be whole.
    world.blobs.set_breaking(true);
    let path = format!("/v2/a/blobs/uploads/?digest={digest}");
    let pushed = world.request("POST", &path).body(b"0123456789").send().await;
    pushed.fails(503, "UNAVAILABLE");
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_pushes_again_what_comes_slowly_does_not_wait_and_nothing_is_called_damaged() {
    const CONTENT: &[u8] = &[7; 600];
    let (log, _recording) = Log::record("api", LevelFilter::WARN);
    let is_told = || log.take().iter().any(|it| it["message"].to_string().contains("damaged once"));
    let world = World::start().await;
    let digest = world.push_blob("a", CONTENT).await;
    let before = world.blobs.keys().await;
    world.blobs.set_trickling(true);
    let begun = Instant::now();
    world.push_blob("a", CONTENT).await;
    assert!(begun.elapsed() < Duration::from_secs(120), "{:?}", begun.elapsed());
    assert_eq!(world.blobs.keys().await, before);
    // Longer than the node takes to read all of it beside that; the clock is paused.
    tokio::time::sleep(Duration::from_secs(1200)).await;
    assert!(!is_told(), "nothing came damaged");

    world.blobs.set_trickling(false);
    world.blobs.glitch();
    assert!(pull(&world, &format!("/v2/a/blobs/{digest}"), None).await.is_err());
    in_time(async || is_told()).await;
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_blob_that_cannot_be_read_is_absent_until_a_push_heals_it() {
    let world = World::start().await;
    let digest = world.push_blob("a", b"0123456789").await;
    let path = format!("/v2/a/blobs/{digest}");
    // While the store gives nothing, that says nothing of what it holds.
    world.blobs.set_breaking(true);
    assert!(pull(&world, &path, None).await.is_err());
    // Twice as long as the node tries to read it; the clock is paused.
    tokio::time::sleep(Duration::from_secs(120)).await;
    world.head(&path).await.is(StatusCode::OK);
    world.blobs.set_breaking(false);
    world.blobs.spoil().await;

    // A part is enough; and what fails once may come the next time.
    assert!(pull(&world, &path, Some("bytes=2-5")).await.is_err());
    world.head(&path).await.is(StatusCode::OK);
    in_time(async || world.head(&path).await.status == StatusCode::NOT_FOUND).await;
    assert!(pull(&world, &path, None).await.is_err(), "who pulls it gets what there is");
    let mount = format!("/v2/b/blobs/uploads/?from=a&mount={digest}");
    world.request("POST", &mount).send().await.is(StatusCode::ACCEPTED);

    world.push_blob("a", b"0123456789").await;
    assert_eq!(world.get(&path).await.is(StatusCode::OK).body, "0123456789");
    world.head(&path).await.is(StatusCode::OK);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_blob_that_can_be_read_again_is_pulled_at_once_and_described_a_minute_later() {
    let world = World::start().await;
    let digest = world.push_blob("a", b"0123456789").await;
    let path = format!("/v2/a/blobs/{digest}");
    world.blobs.spoil().await;
    assert!(pull(&world, &path, None).await.is_err());
    in_time(async || world.head(&path).await.status == StatusCode::NOT_FOUND).await;

    world.blobs.mend();
    let mended = Instant::now();
    assert_eq!(pull(&world, &path, None).await.unwrap(), "0123456789");
    let unchanged = world.request("GET", &path).header(header::IF_NONE_MATCH, "*").send().await;
    unchanged.is(StatusCode::NOT_MODIFIED);
    world.head(&path).await.is(StatusCode::NOT_FOUND);
    in_time(async || world.head(&path).await.status == StatusCode::OK).await;
    assert!(mended.elapsed() < Duration::from_secs(65), "{:?}", mended.elapsed());
    world.stop().await;
}

/// A damaged index, or a disk that does not tell how long a file is.
#[tokio::test(start_paused = true)]
async fn a_blob_that_cannot_be_asked_after_is_absent_until_a_push_heals_it() {
    let world = World::start().await;
    let whole = format!("/v2/a/blobs/uploads/?digest={}", sha256(b"0123456789"));
    let path = format!("/v2/a/blobs/{}", world.push_blob("a", b"0123456789").await);
    for is_readable in [false, true] {
        world.blobs.hush().await;
        if !is_readable {
            world.blobs.spoil().await;
        }
        world.head(&path).await.is(StatusCode::SERVICE_UNAVAILABLE);
        let pushed = world.request("POST", &whole).body(b"0123456789").send().await;
        pushed.fails(503, "UNAVAILABLE");
        in_time(async || world.head(&path).await.status == StatusCode::NOT_FOUND).await;
        world.push_blob("a", b"0123456789").await;
        world.head(&path).await.is(StatusCode::OK);
        assert_eq!(world.get(&path).await.is(StatusCode::OK).body, "0123456789");
    }
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_damaged_blob_that_nobody_had_a_turn_to_read_again_is_read_when_there_is_one() {
    let world = World::start().await;
    let digest = world.push_blob("a", b"0123456789").await;
    let path = format!("/v2/a/blobs/{digest}");
    world.blobs.rot().await;
    assert!(pull(&world, &path, None).await.is_err());
    in_time(async || world.head(&path).await.status == StatusCode::NOT_FOUND).await;
    for _ in 0..2 {
        let reads = world.blobs.reads();
        tokio::time::sleep(Duration::from_secs(600)).await;
        world.head(&path).await.is(StatusCode::NOT_FOUND);
        in_time(async || world.blobs.reads() == reads + 2).await;
    }
    let mut metrics = String::new();
    prometheus_client::encoding::text::encode(&mut metrics, &world.metrics).unwrap();
    assert!(metrics.contains("roadstead_damaged_total 1\n"), "it is counted once: {metrics}");

    tokio::time::sleep(Duration::from_secs(600)).await;
    world.blobs.mend();
    world.blobs.set_breaking(true);
    let mut pulls = Vec::new();
    for n in 0..16 {
        let other = world.push_blob("a", &[n]).await;
        pulls.push(world.request("GET", &format!("/v2/a/blobs/{other}")).open().await);
    }
    // That they break off takes all turns, for as long as these are held.
    world.blobs.hold_reads(true);
    for pull in pulls {
        assert!(pull.into_body().collect().await.is_err());
    }
    world.blobs.set_breaking(false);
    world.head(&path).await.is(StatusCode::NOT_FOUND);
    world.blobs.hold_reads(false);
    let freed = Instant::now();
    in_time(async || world.head(&path).await.status == StatusCode::OK).await;
    assert!(freed.elapsed() < Duration::from_secs(60), "{:?}", freed.elapsed());
    world.stop().await;
}

#[tokio::test]
async fn an_upload_that_loses_its_bytes_while_it_is_read_back_was_cancelled_or_is_not_there_now() {
    let world = World::start().await;
    for is_cancelled in [true, false] {
        let begun = world.begin("a").await;
        world.request("PATCH", &begun).body(b"some bytes").send().await.is(StatusCode::ACCEPTED);
        // The answer was lost: the session that the client has is older than the upload.
        let location = world.request("GET", &begun).send().await.location();
        world.blobs.hold_reads(true);
        let reads = world.blobs.reads();
        let end = format!("{location}&digest={}", sha256(b"some bytes"));
        let lose = async {
            eventually(async || world.blobs.reads() > reads).await;
            if is_cancelled {
                world.delete(&location).await.is(StatusCode::NO_CONTENT);
            } else {
                for object in world.blobs.keys().await {
                    world.blobs.delete(object).await.unwrap();
                }
            }
            world.blobs.hold_reads(false);
        };
        let (ended, ()) = tokio::join!(world.request("PUT", &end).send(), lose);
        let (status, code) =
            if is_cancelled { (404, "BLOB_UPLOAD_UNKNOWN") } else { (503, "UNAVAILABLE") };
        ended.fails(status, code);
    }
    world.stop().await;
}

/// The checksum goes along from chunk to chunk, and is made anew when the bytes are read again.
#[tokio::test]
async fn bytes_that_came_in_chunks_have_a_checksum_too() {
    let world = World::start().await;
    for (content, forgets) in [(&b"some bytes"[..], false), (b"other bytes", true)] {
        let (first, second) = content.split_at(4);
        let begun = world.begin("a").await;
        let appended = world.request("PATCH", &begun).body(first).send().await;
        let mut location = appended.is(StatusCode::ACCEPTED).location();
        if forgets {
            // The answer was lost: the session that the client has is older than the upload.
            let other = world.request("GET", &begun).send().await;
            location = other.is(StatusCode::NO_CONTENT).location();
        }
        let digest = sha256(content);
        let end = format!("{location}&digest={digest}");
        world.request("PUT", &end).body(second).send().await.is(StatusCode::CREATED);
        let path = format!("/v2/a/blobs/{digest}");
        assert_eq!(world.get(&path).await.is(StatusCode::OK).body, content);
        world.blobs.rot().await;
        let get = request("GET", &path);
        assert_eq!(body(&converse(&world, &get).await), "", "of {digest}");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_manifest_without_end_is_cut_off_at_the_limit() {
    let world = World::start().await;
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 20, " ".repeat(1 << 20));
    let mut endless = "PUT /v2/a/manifests/v1 HTTP/1.1\r\nhost: registry\r\nconnection: close\r\n\
                       content-type: application/vnd.oci.image.manifest.v1+json\r\n\
                       transfer-encoding: chunked\r\n\r\n"
        .to_owned();
    endless.push_str(&chunk.repeat(4));
    endless.push_str("1\r\n");
    endless.push_str(" \r\n");
    let answer = converse(&world, &endless).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    world.stop().await;
}

#[tokio::test]
async fn a_client_that_sends_all_before_it_reads_learns_why_it_is_refused() {
    let world = World::start().await;
    let chunk = "x".repeat(usize::try_from(proto::limits::UPLOAD_CHUNK_BYTES_MIN).unwrap());
    let length = chunk.len();
    let patch = |path: &str, content_range: &str| {
        format!(
            "PATCH {path} HTTP/1.1\r\nhost: registry\r\nconnection: close\r\n\
             content-length: {length}\r\n{content_range}\r\n{chunk}"
        )
    };
    let location = world.begin("a").await;
    let out_of_order = format!("content-range: {length}-{}\r\n", 2 * length - 1);
    let answer = converse(&world, &patch(&location, &out_of_order)).await;
    assert!(answer.starts_with("HTTP/1.1 416"), "{answer}");
    let forged = location.replace("state=", "state=A");
    let answer = converse(&world, &patch(&forged, "")).await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    world.stop().await;
}

#[tokio::test]
async fn a_client_that_ends_an_upload_again_with_all_its_bytes_learns_that_it_has_ended() {
    let world = World::start().await;
    let chunk = "x".repeat(usize::try_from(proto::limits::UPLOAD_CHUNK_BYTES_MIN).unwrap());
    let end = format!("{}&digest={}", world.begin("a").await, sha256(chunk.as_bytes()));
    let put = world.request("PUT", &end).body(chunk.as_bytes()).send().await;
    put.is(StatusCode::CREATED);
    let length = chunk.len();
    let again = format!(
        "PUT {end} HTTP/1.1\r\nhost: registry\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n{chunk}"
    );
    let answer = converse(&world, &again).await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    world.stop().await;
}

#[tokio::test]
async fn a_full_store_asks_to_come_back_and_loses_nothing() {
    let world = World::start().await;
    let digest = world.push_blob("a", b"before").await;
    let path = format!("{}&digest={}", world.begin("a").await, sha256(b"while full"));
    world.blobs.set_full(true);
    let refused = world.request("PUT", &path).body(b"while full").send().await;
    refused.fails(503, "UNAVAILABLE");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(world.get(&format!("/v2/a/blobs/{digest}")).await.body, "before");
    world.blobs.set_full(false);
    let pushed = world.request("PUT", &path).body(b"while full").send().await;
    pushed.is(StatusCode::CREATED);
    world.stop().await;
}

#[tokio::test]
async fn without_a_quorum_content_is_pulled_by_digest_and_tags_are_unavailable() {
    let world = World::start().await;
    let manifest = world.push_image("a", "v1", b"layer").await;
    world.cease().await;
    let by_digest = format!("/v2/a/manifests/{}", sha256(&manifest));
    let blob = format!("/v2/a/blobs/{}", sha256(b"layer"));
    for (path, content) in [(by_digest, manifest.as_slice()), (blob, b"layer".as_slice())] {
        let pulled = world.get(&path).await;
        assert_eq!(pulled.body, content);
        let warning = pulled.header("warning");
        assert!(warning.contains("may have been deleted meanwhile"), "{warning}");
    }
    let absent = format!("/v2/a/blobs/{}", sha256(b"perhaps elsewhere"));
    let (tag, absent, push) = tokio::join!(
        world.get("/v2/a/manifests/v1"),
        world.get(&absent),
        world.put_manifest("a", "v2", crate::world::IMAGE, &manifest),
    );
    for reply in [tag, absent, push] {
        reply.fails(503, "UNAVAILABLE");
        assert!(!reply.headers[header::RETRY_AFTER].is_empty());
    }
}
