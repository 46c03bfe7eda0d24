//! A node as a process, and clients that want it down: its memory stays flat, it goes on serving
//! others, and its log says what happened and no more.
#![allow(clippy::disallowed_methods, reason = "a test has no other door to the network")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed test panics")]
#![allow(clippy::print_stdout, reason = "what was measured is worth reading")]

mod s3;
#[path = "../support/mod.rs"]
mod support;
mod target;

use std::fs;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use support::{code, send};
use target::Target;

/// How much more memory than before a flood may take: the connections' own buffers.
const FLOOD_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// How much more an unread answer may take.
const TRANSFER_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// How much more a manifest may take while it arrives: the memory that gathers it is made twice as
/// large whenever it is full.
const MANIFEST_MEMORY_MAX: u64 = 8 * 1024 * 1024;
/// How long any one flood goes on at most.
const FLOOD_TIME: Duration = Duration::from_secs(4);

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The beginning of a conversation in HTTP/2.
fn preface() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, &[])].concat()
}

/// `GET path` as the headers of HTTP/2.
fn get_headers(path: &str) -> Vec<u8> {
    let length = u8::try_from(path.len()).unwrap();
    [&[0x82, 0x86, 0x01, 1, b'a', 0x04, length], path.as_bytes()].concat()
}

/// Says `burst(number)` for one number after the other over a connection, and reads what comes
/// back, until the connection is closed or time is up.
async fn flood(connection: TcpStream, first: &[u8], burst: impl Fn(u32) -> Vec<u8>) {
    let (mut read, mut write) = connection.into_split();
    let drain = tokio::spawn(async move {
        let mut buffer = vec![0; 64 * 1024];
        while matches!(read.read(&mut buffer).await, Ok(1..)) {}
    });
    let sending = async {
        let mut said = write.write_all(first).await;
        for number in 0..1_000_000 {
            if said.is_err() || drain.is_finished() {
                return;
            }
            said = write.write_all(&burst(number)).await;
        }
    };
    // That time is up is as good an end as any.
    let _ = timeout(FLOOD_TIME, sending).await;
    drain.abort();
}

/// Runs `one` on so many connections at once.
async fn all(target: &Target, count: usize, first: &[u8], burst: fn(u32) -> Vec<u8>) {
    let mut floods = JoinSet::new();
    for _ in 0..count {
        let (connection, first) = (target.connect().await, first.to_vec());
        floods.spawn(async move { flood(connection, &first, burst).await });
    }
    floods.join_all().await;
}

/// Runs `burst` on ever new connections, a few at once.
async fn again(target: &Target, first: &[u8], burst: fn(u32) -> Vec<u8>) {
    let rounds = async {
        for _ in 0..100 {
            all(target, 8, first, burst).await;
        }
    };
    let _ = timeout(FLOOD_TIME, rounds).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_stays_flat_under_floods() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::start(folder.path(), "info").await;
    let blob = target.push(&vec![7; 8 * 1024 * 1024]).await;
    let pull = format!("GET {blob} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    assert!(target.ask(pull.as_bytes()).await.len() > 8 * 1024 * 1024);

    let before = target.memory("VmRSS:");
    heads(&target).await;
    streams(&target).await;
    let sessions = async {
        let _ = begin_uploads(target.connect().await, 100, 100).await;
    };
    target.withstand("10,000 open sessions", FLOOD_BYTES_MAX, sessions).await;
    let more = target.memory("VmRSS:").saturating_sub(before);
    assert!(more < FLOOD_BYTES_MAX, "all of that together left {more} bytes");
    held_back(&target, &blob, &pull).await;
}

/// Heads that never end.
async fn heads(target: &Target) {
    let half_heads = async {
        let mut held = Vec::new();
        for _ in 0..400 {
            let mut connection = target.connect().await;
            connection.write_all(b"GET /v2/ HTTP/1.1\r\nhost: a\r\nx: ").await.unwrap();
            held.push(connection);
        }
        for connection in &mut held {
            connection.write_all(&[b'x'; 1024]).await.unwrap();
        }
    };
    target.withstand("slowloris on 400 connections", FLOOD_BYTES_MAX, half_heads).await;

    let long_heads = all(target, 32, b"GET /", |_| vec![b'x'; 64 * 1024]);
    target.withstand("addresses without end", FLOOD_BYTES_MAX, long_heads).await;
    let first = b"GET / HTTP/1.1\r\nhost: a\r\n";
    let many_headers = all(target, 32, first, |_| b"x: y\r\n".repeat(10_000));
    target.withstand("headers without end", FLOOD_BYTES_MAX, many_headers).await;
}

/// What HTTP/2 makes cheap to ask for.
async fn streams(target: &Target) {
    let begin = preface();
    // Each connection is soon closed; so there are many.
    let reset = again(target, &begin, |number| {
        let open = frame(1, 5, 2 * number + 1, &get_headers("/v2/_catalog"));
        [open, frame(3, 0, 2 * number + 1, &[0, 0, 0, 8])].concat()
    });
    target.withstand("rapid reset", FLOOD_BYTES_MAX, reset).await;
    let first = [begin.clone(), frame(1, 1, 1, &get_headers("/v2/"))].concat();
    let endless = all(target, 16, &first, |_| frame(9, 0, 1, &[0, 1, b'x', 1, b'y'].repeat(3000)));
    target.withstand("CONTINUATION flood", FLOOD_BYTES_MAX, endless).await;
    let streams = again(target, &begin, |number| frame(1, 5, 2 * number + 1, &get_headers("/v2/")));
    target.withstand("streams without end", FLOOD_BYTES_MAX, streams).await;
    let pings = all(target, 4, &begin, |_| frame(6, 0, 0, &[7; 8]).repeat(1000));
    target.withstand("pings", FLOOD_BYTES_MAX, pings).await;
}

/// Answers that are not taken.
async fn held_back(target: &Target, blob: &str, pull: &str) {
    let unread = async {
        let mut held = Vec::new();
        for _ in 0..16 {
            let mut connection = target.connect().await;
            connection.write_all(pull.as_bytes()).await.unwrap();
            let mut first = [0; 12];
            connection.read_exact(&mut first).await.unwrap();
            assert_eq!(&first, b"HTTP/1.1 200");
            held.push(connection);
        }
    };
    target.withstand("16 unread pulls", 16 * TRANSFER_BYTES_MAX, unread).await;
    let flow = async {
        // No window, so nothing of any answer may be sent.
        let settings = frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]);
        let mut bytes = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), settings].concat();
        for number in 0..16 {
            bytes.extend(frame(1, 5, 2 * number + 1, &get_headers(blob)));
        }
        let mut connection = target.connect().await;
        connection.write_all(&bytes).await.unwrap();
        let mut answered = 0;
        while answered < 16 {
            let mut head = [0; 9];
            connection.read_exact(&mut head).await.unwrap();
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            connection.read_exact(&mut vec![0; length as usize]).await.unwrap();
            answered += u32::from(head[3] == 1);
        }
    };
    target.withstand("16 pulls without a window", 16 * TRANSFER_BYTES_MAX, flow).await;
    let manifests = async {
        let mut held = Vec::new();
        for number in 0..16 {
            let mut connection = target.connect().await;
            let head = format!(
                "PUT /v2/a/manifests/{number} HTTP/1.1\r\nhost: a\r\ncontent-type: \
                 application/vnd.oci.image.manifest.v1+json\r\ncontent-length: 4000000\r\n\r\n"
            );
            connection.write_all(head.as_bytes()).await.unwrap();
            connection.write_all(&vec![b' '; 3_900_000]).await.unwrap();
            held.push(connection);
        }
    };
    target.withstand("16 manifests that do not end", 16 * MANIFEST_MEMORY_MAX, manifests).await;
}

/// Begins `at_once` uploads over `connection`, so many times, reads every answer, and tells how
/// many were refused.
async fn begin_uploads(mut connection: TcpStream, at_once: usize, times: usize) -> usize {
    let begin = "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n";
    let (mut buffer, mut refused) = (vec![0; 256 * 1024], 0);
    for _ in 0..times {
        connection.write_all(begin.repeat(at_once).as_bytes()).await.unwrap();
        let mut text = String::new();
        while !is_whole(&text, at_once) {
            let length = connection.read(&mut buffer).await.unwrap();
            assert!(length > 0, "the node hung up");
            text.push_str(str::from_utf8(&buffer[..length]).unwrap());
        }
        for answer in text.split("HTTP/1.1 ").skip(1) {
            if answer.starts_with("429 ") {
                refused += 1;
                assert!(answer.contains("\r\nretry-after: "), "{answer}");
                assert!(answer.contains("TOOMANYREQUESTS"), "{answer}");
            } else {
                assert!(answer.starts_with("202 "), "{answer}");
            }
        }
    }
    refused
}

/// Whether `text` is `count` answers, of which those that are no 202 have a body of JSON.
fn is_whole(text: &str, count: usize) -> bool {
    let ended = text.matches("HTTP/1.1 202 ").count() + text.matches("}]}").count();
    ended == count && (text.ends_with("\r\n\r\n") || text.ends_with("}]}"))
}

#[tokio::test]
async fn a_client_that_begins_ten_thousand_uploads_is_told_to_come_back_and_others_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::start(folder.path(), "info").await;
    let flood = tokio::spawn(begin_uploads(target.connect().await, 100, 100));
    let mut served = 0;
    while !flood.is_finished() {
        assert_eq!(begin_uploads(target.connect_from([127, 0, 0, 2]).await, 1, 1).await, 0);
        served += 1;
    }
    let refused = flood.await.unwrap();
    assert!((1..=5_000).contains(&refused), "{refused} of 10,000 were refused");
    assert!(served > 0);
}

#[tokio::test]
async fn the_log_holds_no_secret_and_no_line_that_a_client_made_up() {
    const SECRET: &str = "c2VjcmV0LXRva2Vu";
    let folder = tempfile::tempdir().unwrap();
    let mut target = Target::start(folder.path(), "debug").await;
    let headers = format!(
        "host: a\r\nauthorization: Basic {SECRET}\r\ncookie: s={SECRET}\r\n\
         user-agent: x\u{9b}31m\u{85}2030-01-01 forged\r\n"
    );
    let begun = "POST /v2/a/blobs/uploads/ HTTP/1.1\r\n";
    let begun = format!("{begun}{headers}connection: close\r\ncontent-length: 0\r\n\r\n");
    let begun = String::from_utf8(target.ask(begun.as_bytes()).await).unwrap();
    let location = begun.lines().find_map(|line| line.strip_prefix("location: ")).unwrap();
    let state = location.split_once("state=").unwrap().1.to_owned();
    for line in [
        format!("PATCH {location} HTTP/1.1"),
        format!(
            "GET /v2/a%0d%0a2030-01-01T00:00:00Z%20forged%1b[31m/tags/list?token={SECRET} HTTP/1.1"
        ),
        format!("GET /v2/\u{9b}31m\u{85}forged/tags/list?password={SECRET} HTTP/1.1"),
        format!("BREW /v2/a/manifests/%1b%5b31m?state={SECRET} HTTP/1.1"),
        "GET /v2/a/manifests/x\r2030-01-01 forged HTTP/1.1".to_owned(),
        "GET /v2/a\u{1b}[31m HTTP/1.1".to_owned(),
    ] {
        let request = format!("{line}\r\n{headers}connection: close\r\ncontent-length: 0\r\n\r\n");
        let answer = target.ask(request.as_bytes()).await;
        assert!(answer.starts_with(b"HTTP/1.1 "), "{line}");
        assert!(!answer.starts_with(b"HTTP/1.1 5"), "{line}");
    }
    send(&target.child, Signal::TERM);
    assert_eq!(code(&mut target.child).await, Some(0));
    let log = fs::read(&target.log).unwrap();
    let log = String::from_utf8(log).expect("the log is text");
    assert!(log.contains("/v2/a/blobs/uploads/"), "requests are logged:\n{log}");
    assert!(!log.contains(SECRET) && !log.contains(&state[..40]), "{log}");
    for line in log.lines() {
        let is_ours = line.starts_with("20") && !line.starts_with("2030");
        assert!(is_ours, "a line that nobody of us wrote: {line:?}");
        assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
    }
}

#[tokio::test]
async fn a_refused_request_reads_the_same_through_the_whole_node() {
    let folder = tempfile::tempdir().unwrap();
    let target = Target::start(folder.path(), "info").await;
    for (request, status) in [
        ("GET /v2/ HTTP/1.1\r\n\r\n", "400"),
        ("GET http://b/v2/ HTTP/1.1\r\nhost: a\r\n\r\n", "400"),
        (
            "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\
          transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            "400",
        ),
    ] {
        let answer = String::from_utf8(target.ask(request.as_bytes()).await).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {answer}");
        assert!(answer.contains("\"errors\""), "{request}: {answer}");
    }
}
