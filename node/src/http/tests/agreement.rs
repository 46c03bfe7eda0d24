//! That the parser behind the door finds the ends of requests where the door found them: else what
//! is the body of one request here is another request there.

use std::pin::pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::rt::ReadBufCursor;
use proptest::arbitrary::any;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::super::guarded::Refused;
use super::super::heads::Heads;
use super::*;

/// A request that no other is like.
const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nhost: next\r\n\r\n";

/// A request as hyper reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    method: Method,
    target: Uri,
    headers: HeaderMap,
    /// `None` when it broke off, or broke the rules of chunks.
    body: Option<Bytes>,
}

/// What hyper makes of what a client says.
#[derive(Debug, Default)]
struct Served {
    requests: Vec<Seen>,
    /// Whether it takes no more.
    is_over: bool,
}

/// Has hyper serve a client that says `bytes`, which arrive in pieces of `size`, and then waits.
fn served(bytes: &[u8], size: usize) -> Served {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let service = {
        let seen = Arc::clone(&seen);
        hyper::service::service_fn(move |request: Request<Incoming>| {
            let (head, body) = request.into_parts();
            let mut requests = seen.lock().unwrap();
            let number = requests.len();
            let (method, target, headers) = (head.method, head.uri, head.headers);
            requests.push(Seen { method, target, headers, body: None });
            let seen = Arc::clone(&seen);
            async move {
                let body = body.collect().await.ok().map(http_body_util::Collected::to_bytes);
                seen.lock().unwrap()[number].body = body;
                io::Result::Ok(Response::new(Empty::<Bytes>::new()))
            }
        })
    };
    let wire = Wire { rest: Bytes::copy_from_slice(bytes), size };
    let mut serving =
        pin!(hyper::server::conn::http1::Builder::new().serve_connection(wire, service));
    let is_awake = Arc::new(Awake(AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&is_awake));
    let mut is_over = false;
    while !is_over && is_awake.0.swap(false, Ordering::Relaxed) {
        is_over = serving.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
    }
    let requests = seen.lock().unwrap().clone();
    Served { requests, is_over }
}

struct Awake(AtomicBool);

impl Wake for Awake {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A client that says what it has to say, and takes all answers.
struct Wire {
    rest: Bytes,
    size: usize,
}

impl hyper::rt::Read for Wire {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.rest.is_empty() {
            return Poll::Pending;
        }
        let length = self.size.min(self.rest.len()).min(buffer.remaining());
        buffer.put_slice(&self.rest.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Wire {
    fn poll_write(
        self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What the door makes of what a client says.
#[derive(Debug, Default)]
struct Passed {
    /// All that goes on.
    bytes: Vec<u8>,
    /// The requests in it that are whole.
    requests: Vec<Vec<u8>>,
    /// How much of it those are.
    whole: usize,
    is_refused: bool,
}

fn passed(bytes: &[u8]) -> Passed {
    let refused = Refused::default();
    let mut heads = Heads::new(Refused::clone(&refused));
    let mut passed = Passed::default();
    for byte in bytes.chunks(1) {
        if heads.pass(byte) == 1 {
            passed.bytes.extend(byte);
        } else if !heads.is_broken() {
            heads.gather(byte, &mut passed.bytes);
        }
        if heads.is_refused() || heads.is_broken() {
            break;
        }
        if !heads.is_midway() && passed.bytes.len() > passed.whole {
            passed.requests.push(passed.bytes[passed.whole..].to_vec());
            passed.whole = passed.bytes.len();
        }
    }
    passed.is_refused = heads.is_refused();
    passed
}

/// Checks that hyper reads what the door passes of `bytes` as the door did.
fn check(bytes: &[u8], size: usize) -> Result<(), TestCaseError> {
    let passed = passed(bytes);
    let mut expected = Vec::new();
    for request in &passed.requests {
        let said = request.escape_ascii().to_string();
        let alone = served(request, size);
        prop_assert_eq!(alone.requests.len(), 1, "hyper refuses it: {}", said);
        if !alone.is_over {
            prop_assert!(alone.requests[0].body.is_some(), "hyper waits for more: {}", said);
            let followed = served(&[request, NEXT].concat(), size);
            prop_assert_eq!(&followed.requests[..1], &alone.requests[..]);
            let next: Vec<_> = followed.requests.iter().map(|seen| seen.target.path()).collect();
            prop_assert_eq!(&next[1..], &["/next"], "after {}", said);
        }
        expected.extend(alone.requests);
        if alone.is_over {
            break;
        }
    }
    let whole = served(&passed.bytes, size);
    let count = expected.len().min(whole.requests.len());
    prop_assert_eq!(&whole.requests[..count], &expected[..count]);
    let more = &whole.requests[count..];
    if count < passed.requests.len() {
        prop_assert!(whole.is_over && more.is_empty(), "{:?}", whole);
    } else if passed.is_refused && !(whole.is_over && more.is_empty()) {
        prop_assert_eq!(more.len(), 1, "what is said of a refusal: {:?}", whole);
        prop_assert_eq!(&more[0].headers["host"], "refused");
    } else if passed.bytes.len() == passed.whole {
        prop_assert!(more.is_empty(), "{:?}", whole);
    } else {
        prop_assert!(more.iter().all(|seen| seen.body.is_none()) && more.len() <= 1, "{:?}", whole);
    }
    Ok(())
}

/// Mostly the first of `from`, which is as it should be.
fn mostly(from: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop_oneof![12 => Just(from[0]), 1 => select(from)]
}

fn line_end() -> impl Strategy<Value = &'static str> {
    let wrong = select(&["\n", "\r", "\r\r\n", "\0\r\n", " \r\n", "\r\n "][..]);
    prop_oneof![60 => Just("\r\n"), 1 => wrong]
}

fn field() -> impl Strategy<Value = String> {
    let lengths = &[
        "3",
        "0",
        "5",
        "03",
        "3 ",
        "\t3",
        "+3",
        "-0",
        "3,3",
        "3, 3",
        "3;",
        "0x3",
        "",
        "3\u{b}",
        "3\u{c}",
        "3\u{a0}",
        "18446744073709551613",
        "18446744073709551614",
        "18446744073709551616",
    ];
    let codings = &[
        "chunked",
        "CHUNKED",
        "chunked ",
        "chunked,",
        ",chunked",
        "chunked, chunked",
        "identity",
        "gzip, chunked",
        "chunked, gzip",
        "chunked;q=1",
        "\"chunked\"",
        "chunked\u{c}",
        "x\tchunked",
        "",
    ];
    let length = &["content-length", "Content-Length", "content-length ", "content_length", "\tc"];
    let coding = &["transfer-encoding", "TRANSFER-encoding", "transfer-encoding ", "te"];
    let other = &["x", "X-Y", "!", "x y", "", "\u{e9}", "trailer", "content-encoding", "\0"];
    let others = &["y", "", "\t", "\u{7f}", "\r", "\n", "\r\n y", "\u{e9}", "\0", "a: b", "\u{c}"];
    let connections = &["keep-alive", "close", "upgrade", "te, close", "transfer-encoding"];
    let (name, value) = (mostly, mostly);
    let said = prop_oneof![
        4 => (name(length), value(lengths)),
        4 => (name(coding), value(codings)),
        2 => (name(other), value(others)),
        1 => (Just("connection"), value(connections)),
        1 => (Just("upgrade"), value(&["h2c", "websocket"])),
        1 => (Just("expect"), value(&["100-continue", "100-Continue", "200-ok"])),
        1 => (Just("host"), value(&["a", "b", "", "a:80"])),
    ];
    let colon = mostly(&[": ", ":", " : ", ":\t ", ":\r\n "]);
    (said, colon).prop_map(|((name, value), colon)| format!("{name}{colon}{value}"))
}

fn head() -> impl Strategy<Value = String> {
    let method =
        mostly(&["PUT", "GET", "POST", "HEAD", "CONNECT", "OPTIONS", "x", "!", "PRI", "P\0T"]);
    let target = mostly(&[
        "/",
        "/a?b=c",
        "/#",
        "*",
        "a",
        "a:1",
        "http://a/",
        "http://a",
        "HTTP://A:80/x",
        "//a/b",
        "/%00",
        "/\u{7f}",
        "/\u{e9}",
        "/{}",
        "/\\",
        "",
        "/ ",
        "http://",
        "?",
    ]);
    let version =
        mostly(&["HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "http/1.1", "HTTP/1.1 "]);
    let host = mostly(&["host: a", "Host:a", "host: ", "host : a", "hos: a", "host: a:1"]);
    let line = (method, target, version, line_end());
    let lines = vec((field(), line_end()), 0..4);
    (line, (host, line_end()), lines, line_end()).prop_map(|(line, host, lines, last_end)| {
        let (method, target, version, end) = line;
        let (host, host_end) = host;
        let lines: String = lines.iter().map(|(field, end)| format!("{field}{end}")).collect();
        format!("{method} {target} {version}{end}{host}{host_end}{lines}{last_end}")
    })
}

fn body() -> impl Strategy<Value = String> {
    let size = mostly(&[
        "3",
        "03",
        "000000000000000000003",
        "3;x",
        "3;x=\"\n\"",
        "3;\r",
        "3 ",
        " 3",
        "+3",
        "0x3",
        "3\n",
        "ffffffffffffffff",
        "10000000000000000",
        "",
    ]);
    let content = mostly(&["abc", "ab", "abcd", "0\r\n", "\r\n\r\n"]);
    let chunk = (size, line_end(), content, line_end())
        .prop_map(|(size, end, content, last_end)| format!("{size}{end}{content}{last_end}"));
    let last = (mostly(&["0", "00", "0;x", "-0"]), line_end());
    let trailers = vec((field(), line_end()), 0..2);
    let chunks = (vec(chunk, 0..3), last, trailers, line_end()).prop_map(
        |(chunks, (last, end), trailers, last_end)| {
            let chunks = chunks.concat();
            let lines = trailers.iter().map(|(field, end)| format!("{field}{end}"));
            let trailers: String = lines.collect();
            format!("{chunks}{last}{end}{trailers}{last_end}")
        },
    );
    prop_oneof![
        2 => Just(String::new()),
        2 => Just("abc".to_owned()),
        1 => "[a-z\r\n]{0,6}",
        4 => chunks,
    ]
}

/// What a client says.
struct Said(Vec<u8>);

impl std::fmt::Debug for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// Requests that are almost as they should be.
fn stream() -> impl Strategy<Value = Said> {
    let wrong = prop_oneof![any::<u8>(), select(&b"\r\n\0\t ,:;0123+-\x0b\x0c\x7f\xa0"[..]),];
    let requests = vec((head(), body()), 1..4);
    (requests, vec((any::<Index>(), wrong, any::<bool>()), 0..2)).prop_map(|(requests, wrongs)| {
        let mut bytes: Vec<u8> = requests
            .into_iter()
            .flat_map(|(head, body)| [head, body].concat().into_bytes())
            .collect();
        for (at, byte, is_more) in wrongs {
            let at = at.index(bytes.len());
            if is_more {
                bytes.insert(at, byte);
            } else {
                bytes[at] = byte;
            }
        }
        Said(bytes)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn hyper_finds_the_ends_of_requests_where_the_door_found_them(
        said in stream(),
        size in 1usize..200,
    ) {
        check(&said.0, size)?;
    }
}
