//! What clients see while something behind the API fails, over a real connection where that
//! matters.

use http::{StatusCode, header};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::world::{World, sha256};

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
    let body = broken.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    assert!(body.len() < 10, "the client must see that bytes are missing: {broken}");
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
    assert_eq!(world.get(&by_digest).await.body, manifest);
    let blob = format!("/v2/a/blobs/{}", sha256(b"layer"));
    assert_eq!(world.get(&blob).await.body, "layer");
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
