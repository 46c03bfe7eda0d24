//! HTTP/2, spoken frame by frame, as no client would.

use tokio::io::{ReadHalf, WriteHalf};

use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// `GET /`, in HPACK's static table.
const GET: &[u8] = &[0x82, 0x86, 0x84];
/// `PUT /`
const PUT: &[u8] = &[0x02, 3, b'P', b'U', b'T', 0x86, 0x84];
/// `:authority: a`
const AUTHORITY: &[u8] = &[0x01, 1, b'a'];
/// Statuses as the first byte of an answer's headers.
const OK: u8 = 0x88;
const BAD_REQUEST: u8 = 0x8c;

fn raw(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A connection that begins with `settings`.
struct Peer {
    read: ReadHalf<Connection>,
    write: WriteHalf<Connection>,
}

/// A frame that came.
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Peer {
    async fn begin(server: &Server, settings: &[u8]) -> Self {
        let (read, write) = tokio::io::split(server.connect().await);
        let mut peer = Self { read, write };
        peer.say(&[PREFACE, &raw(SETTINGS, 0, 0, settings)].concat()).await;
        peer
    }

    /// Says `bytes`, unless the connection is closed.
    async fn say(&mut self, bytes: &[u8]) -> bool {
        self.write.write_all(bytes).await.is_ok()
    }

    async fn get(&mut self, stream: u32) -> bool {
        let head = [GET, AUTHORITY].concat();
        self.say(&raw(HEADERS, END_STREAM | END_HEADERS, stream, &head)).await
    }

    /// The next frame; `None` when the connection is closed.
    async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.read.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; length as usize];
        self.read.read_exact(&mut payload).await.ok()?;
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// Answers pings and settings until the connection is closed.
    async fn until_closed(&mut self) {
        let polite = async {
            while let Some(frame) = self.next().await {
                if matches!(frame.kind, PING | SETTINGS) && frame.flags & ACK == 0 {
                    let payload = if frame.kind == PING { &frame.payload[..] } else { &[] };
                    self.say(&raw(frame.kind, ACK, 0, payload)).await;
                }
            }
        };
        timeout(DEADLINE, polite).await.expect("the connection is closed");
    }

    /// The first byte of the headers that answer `stream`.
    async fn status(&mut self, stream: u32) -> u8 {
        let answer = async {
            loop {
                let frame = self.next().await.expect("an answer");
                if frame.kind == HEADERS && frame.stream == stream {
                    return frame.payload[0];
                }
            }
        };
        timeout(DEADLINE, answer).await.expect("an answer")
    }
}

#[tokio::test]
async fn a_request_of_http_2_says_for_whom_it_is_and_says_it_once() {
    let server = serving(version()).await;
    let mut peer = Peer::begin(&server, &[]).await;
    let host = |name: &[u8]| {
        [&[0x00, 4, b'h', b'o', b's', b't', u8::try_from(name.len()).unwrap()], name].concat()
    };
    for (stream, head, status) in [
        (1, [GET, AUTHORITY].concat(), OK),
        (3, [GET, AUTHORITY, &host(b"A:80")].concat(), OK),
        (5, [GET, &host(b"a")].concat(), OK),
        (7, GET.to_vec(), BAD_REQUEST),
        (9, [GET, AUTHORITY, &host(b"evil.example")].concat(), BAD_REQUEST),
        (11, [GET, &host(b"a"), &host(b"a")].concat(), BAD_REQUEST),
    ] {
        peer.say(&raw(HEADERS, END_STREAM | END_HEADERS, stream, &head)).await;
        assert_eq!(peer.status(stream).await, status, "stream {stream}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_ended_however_many_pings_it_answers() {
    let server = hasty(version()).await;
    let mut peer = Peer::begin(&server, &[]).await;
    assert!(peer.get(1).await);
    assert_eq!(peer.status(1).await, OK);
    peer.until_closed().await;
    // One that sends pings, and answers none.
    let mut peer = Peer::begin(&server, &[]).await;
    let pinging = async {
        while peer.say(&raw(PING, 0, 0, &[0; 8])).await {
            sleep(SHORT / 20).await;
        }
    };
    timeout(DEADLINE, pinging).await.expect("it is hung up on");
}

#[tokio::test]
async fn an_answer_that_is_held_back_by_flow_control_is_given_up() {
    let (router, gone) = endless();
    let server = hasty(router).await;
    // SETTINGS_INITIAL_WINDOW_SIZE is 0: nothing of a body may be sent.
    let mut peer = Peer::begin(&server, &[0, 4, 0, 0, 0, 0]).await;
    assert!(peer.get(1).await);
    peer.until_closed().await;
    assert!(timeout(DEADLINE, gone).await.expect("it is given up").is_err());
}

#[tokio::test]
async fn a_body_that_comes_drop_by_drop_is_given_up() {
    let server = hasty(echo()).await;
    let mut peer = Peer::begin(&server, &[]).await;
    peer.say(&raw(HEADERS, END_HEADERS, 1, &[PUT, AUTHORITY].concat())).await;
    let mut given_up = false;
    let dripping = async {
        while !given_up {
            peer.say(&raw(DATA, 0, 1, b"x")).await;
            let next = timeout(SHORT / 20, peer.next()).await;
            given_up = match next {
                Ok(Some(frame)) => frame.kind == RST_STREAM || frame.kind == HEADERS,
                Ok(None) => true,
                Err(_) => false,
            };
        }
    };
    timeout(DEADLINE, dripping).await.expect("it is given up");
}

#[tokio::test]
async fn streams_that_are_reset_at_once_end_the_connection() {
    let server = serving(version()).await;
    let mut peer = Peer::begin(&server, &[]).await;
    let mut flood = Vec::new();
    for number in 0..50_000 {
        let head = [GET, AUTHORITY].concat();
        flood.extend(raw(HEADERS, END_STREAM | END_HEADERS, 2 * number + 1, &head));
        flood.extend(raw(RST_STREAM, 0, 2 * number + 1, &[0, 0, 0, 8]));
    }
    peer.say(&flood).await;
    peer.until_closed().await;
}

#[tokio::test]
async fn headers_that_never_end_end_the_connection() {
    let server = serving(version()).await;
    let mut peer = Peer::begin(&server, &[]).await;
    peer.say(&raw(HEADERS, END_STREAM, 1, GET)).await;
    let filler = raw(CONTINUATION, 0, 1, &[0x00, 1, b'x', 1, b'y'].repeat(3000));
    let flooding = async { while peer.say(&filler).await {} };
    timeout(DEADLINE, flooding).await.expect("it is hung up on");
}

#[tokio::test]
async fn only_so_many_requests_are_under_way_on_one_connection() {
    let server = serving(Router::new().fallback(async || std::future::pending::<()>().await)).await;
    let mut peer = Peer::begin(&server, &[]).await;
    for number in 0..400 {
        peer.get(2 * number + 1).await;
    }
    let refused = async {
        let mut refused = 0;
        while refused < 400 - 128 {
            let frame = peer.next().await.expect("the connection stays");
            refused += u32::from(frame.kind == RST_STREAM && frame.payload == [0, 0, 0, 7]);
        }
    };
    timeout(DEADLINE, refused).await.expect("the rest is refused");
}
