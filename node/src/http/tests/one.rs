//! HTTP/1: what is refused, how, and what goes on.

use proto::limits::{HEADERS_MAX, PACE_BYTES};

use super::*;

/// Checks that `answer` refuses a request with `status`, as registries do, and that nothing was
/// done.
fn assert_refused(answer: &str, status: u16, what: &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{what}: {answer}"));
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{what}: {answer}");
    assert!(head.contains("connection: close"), "{what}: {answer}");
    assert!(head.contains("x-content-type-options: nosniff"), "{what}: {answer}");
    let errors: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!(errors["errors"][0]["code"], "UNSUPPORTED", "{what}");
    assert!(errors["errors"][0]["message"].as_str().is_some_and(|said| said.len() > 10), "{what}");
}

#[tokio::test]
async fn a_request_that_two_readers_read_differently_is_400_and_closed() {
    let server = serving(echo()).await;
    for request in [
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n\
         0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n\
         0\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxy",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\nx",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: y\r\n z\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx : y\r\n\r\n",
        "GET / HTTP/1.1\nhost: a\n\n",
        "GET http://evil.example/ HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: \r\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: \u{c}\r\n\r\n",
        "GET /\u{7f} HTTP/1.1\r\nhost: a\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n",
        "GET / HTTP/3.0\r\nhost: a\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\u{7f}",
        "nonsense\r\n\r\n",
    ] {
        let answer = server.answer(request.as_bytes()).await;
        assert_refused(&answer, 400, request);
    }
}

#[tokio::test]
async fn nothing_after_a_refused_request_is_served() {
    let server = serving(echo()).await;
    let request = "POST /1 HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nfirst\
                   POST /2 HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\ncontent-length: 38\r\n\r\n\
                   GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    let answer = server.answer(request.as_bytes()).await;
    let (first, rest) = answer.split_once("first").unwrap();
    assert!(first.starts_with("HTTP/1.1 200"), "{answer}");
    assert_refused(rest, 400, "the second");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 2, "{answer}");
}

#[tokio::test]
async fn an_address_of_a_mebibyte_is_414_and_two_of_headers_are_431() {
    let server = serving(echo()).await;
    let mebibyte = "x".repeat(1024 * 1024);
    let request = format!("GET /{mebibyte} HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_refused(&server.answer(request.as_bytes()).await, 414, "the address");
    let request = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {mebibyte}{mebibyte}\r\n\r\n");
    assert_refused(&server.answer(request.as_bytes()).await, 431, "a long header");
    let many = "x: y\r\n".repeat(2 * 1024 * 1024 / 6);
    let request = format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n");
    assert_refused(&server.answer(request.as_bytes()).await, 431, "many headers");
    let many = "x: y\r\n".repeat(HEADERS_MAX);
    let request = format!("GET / HTTP/1.1\r\nhost: a\r\n{many}\r\n");
    assert_refused(&server.answer(request.as_bytes()).await, 431, "one header too many");
}

#[tokio::test]
async fn requests_sent_ahead_are_answered_in_order() {
    let server = serving(echo()).await;
    let request = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\none\
                   POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n\
                   2\r\ntw\r\n1\r\no\r\n0\r\n\r\n\r\n\
                   GET http://a/ HTTP/1.1\r\nhost: a\r\n\r\n\
                   POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\
                   connection: close\r\n\r\nthree";
    let answer = server.answer(request.as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 4, "{answer}");
    let at = |text: &str| answer.find(text).unwrap_or_else(|| panic!("{text}: {answer}"));
    assert!(at("one") < at("two") && at("two") < at("three"), "{answer}");
}

#[tokio::test]
async fn bodies_of_any_size_and_cut_come_through() {
    let server = serving(echo().layer(axum::extract::DefaultBodyLimit::disable())).await;
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
    let mut request = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for chunk in content.chunks(70_001) {
        request.extend(format!("{:X}\r\n", chunk.len()).bytes());
        request.extend(chunk);
        request.extend(b"\r\n");
    }
    request.extend(b"0\r\n\r\n");
    request.extend(
        b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 3000000\r\n\r\n",
    );
    request.extend(&content);
    let (mut read, mut write) = tokio::io::split(server.connect().await);
    let mut answer = Vec::new();
    let conversation = async {
        tokio::join!(write.write_all(&request), read.read_to_end(&mut answer)).1.unwrap();
    };
    timeout(DEADLINE, conversation).await.unwrap();
    let found = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    assert!(answer[found..].starts_with(&content), "the first");
    assert!(answer.ends_with(&content), "the second");
}

#[tokio::test]
async fn a_client_that_waits_to_be_asked_for_its_body_is_asked() {
    let server = serving(echo()).await;
    let mut connection = server.connect().await;
    let head = b"PUT / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";
    connection.write_all(head).await.unwrap();
    let mut answer = [0; 25];
    timeout(DEADLINE, connection.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    connection.write_all(b"body").await.unwrap();
    let mut answer = [0; 12];
    timeout(DEADLINE, connection.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

#[tokio::test]
async fn chunks_that_break_the_rules_end_the_connection() {
    let server = serving(echo()).await;
    for body in ["x\r\n", "1\r\nab\r\n0\r\n\r\n", "-1\r\n\r\n", "1\na\n0\n\n"] {
        let request =
            format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{body}");
        let answer = server.answer(request.as_bytes()).await;
        assert!(!answer.contains(" 200 "), "{body:?}: {answer}");
    }
}

#[tokio::test]
async fn clients_that_say_nothing_or_half_a_head_are_hung_up_on() {
    let server = hasty(version()).await;
    for said in ["", "P", "PRI * HTTP/2", "GET / HTTP/1.1\r\nhost: somewhere.example\r\nx: "] {
        server.answer(said.as_bytes()).await;
    }
}

#[tokio::test]
async fn half_a_head_holds_nobody_up_who_stops() {
    let (dial, pipes) = mpsc::channel(1);
    let (manner, stop) = (Manner::public(1, 1), CancellationToken::new());
    let refused = Counter::default();
    let serving = serve(Box::new(Pipes(pipes)), version(), None, manner, refused, stop.clone());
    let serving = tokio::spawn(serving);
    // It holds less than is said: all but that was read, the first of it to tell the version.
    let (mut here, there) = tokio::io::duplex(8);
    dial.send(there).await.unwrap();
    here.write_all(b"GET / HTTP/1.1\r\nhost: a").await.unwrap();
    stop.cancel();
    timeout(DEADLINE, serving).await.expect("it stops").unwrap();
}

/// Says `first`, then `drop` again and again, until the connection is closed.
async fn drip(server: &Server, first: &[u8], drop: &[u8]) {
    let mut connection = server.connect().await;
    connection.write_all(first).await.unwrap();
    let dripping = async {
        while connection.write_all(drop).await.is_ok() {
            sleep(SHORT / 20).await;
        }
    };
    timeout(DEADLINE, dripping).await.expect("it is hung up on");
}

#[tokio::test]
async fn a_head_or_body_that_comes_drop_by_drop_ends_the_connection() {
    let server = hasty(echo()).await;
    drip(&server, b"GET / HTTP/1.1\r\nhost: a\r\nx: ", b"y").await;
    drip(&server, b"GET / HTTP/1.1\r\n", b"x: y\r\n").await;
    drip(&server, b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n", b"x").await;
    let chunked = b"PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    drip(&server, chunked, b"1\r\nx\r\n").await;
}

#[tokio::test]
async fn a_body_at_a_good_pace_may_take_longer_than_patience_lasts() {
    let server = hasty(echo().layer(axum::extract::DefaultBodyLimit::disable())).await;
    let mut connection = server.connect().await;
    let pieces = 8;
    let head =
        format!("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", pieces * PACE_BYTES);
    connection.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..pieces {
        sleep(SHORT / 3).await;
        connection.write_all(&vec![b'x'; PACE_BYTES]).await.unwrap();
    }
    let mut answer = [0; 12];
    timeout(DEADLINE, connection.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

#[tokio::test]
async fn an_answer_that_is_not_taken_is_given_up() {
    let (router, gone) = endless();
    let server = hasty(router).await;
    let mut connection = server.connect().await;
    connection.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert!(timeout(DEADLINE, gone).await.expect("it is given up").is_err());
}

#[tokio::test]
async fn an_answer_that_is_taken_drop_by_drop_is_given_up() {
    let (router, mut gone) = endless();
    let server = hasty(router).await;
    let mut connection = server.connect().await;
    connection.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let sipping = async {
        while gone.try_recv() == Err(oneshot::error::TryRecvError::Empty) {
            let _ = connection.read(&mut [0; 1]).await;
            sleep(SHORT / 20).await;
        }
    };
    timeout(DEADLINE, sipping).await.expect("it is given up");
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_offers_another_protocol() {
    let refusing = Router::new().fallback(any(async || http::StatusCode::FORBIDDEN));
    let server = serving(refusing).await;
    for more in ["", "connection: upgrade\r\nupgrade: h2c\r\n"] {
        let mut request =
            format!("PUT / HTTP/1.1\r\nhost: a\r\n{more}content-length: 8000000\r\n\r\n")
                .into_bytes();
        request.extend(vec![7; 8_000_000]);
        let mut connection = server.connect().await;
        timeout(DEADLINE, connection.write_all(&request))
            .await
            .unwrap()
            .unwrap_or_else(|error| panic!("{more:?}: {error}"));
        let mut answer = [0; 12];
        timeout(DEADLINE, connection.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(&answer, b"HTTP/1.1 403", "{more:?}");
    }
}
