//! What the listeners promise: both protocols on one port, patience with an end, and an orderly
//! one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed test panics")]

use std::net::SocketAddr;

use axum::body::{Body, to_bytes};
use axum::routing::get;
use hyper_util::client::legacy::Client;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::{TcpWorld, World as _};

const DEADLINE: Duration = Duration::from_secs(10);

async fn serving(router: Router) -> (SocketAddr, CancellationToken, JoinHandle<()>) {
    let listener = TcpWorld.bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = listener.local_address().unwrap();
    let stop = CancellationToken::new();
    (address, stop.clone(), tokio::spawn(serve(listener, router, stop)))
}

fn version() -> Router {
    Router::new().route("/", get(async |v: http::Version| format!("{v:?}")))
}

#[tokio::test]
async fn both_versions_of_http_are_spoken_on_one_port() {
    let (address, _stop, _task) = serving(version()).await;
    let url = format!("http://{address}/");
    let client = reqwest::Client::builder().no_proxy();
    let answer = client.build().unwrap().get(&url).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "HTTP/1.1");
    let mut client = Client::builder(TokioExecutor::new());
    let client = client.http2_only(true).build_http::<Body>();
    let answer = client.get(url.parse().unwrap()).await.unwrap();
    let body = to_bytes(Body::new(answer.into_body()), 100).await.unwrap();
    assert_eq!(&body[..], b"HTTP/2.0");
}

#[tokio::test]
async fn a_request_under_way_is_answered_before_the_end_and_new_ones_are_not_taken() {
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = {
        let (begun, go) = (Arc::clone(&begun), Arc::clone(&go));
        get(async move || {
            begun.notify_one();
            go.notified().await;
            "answered"
        })
    };
    let (address, stop, task) = serving(Router::new().route("/", slow)).await;
    let request = tokio::spawn(reqwest::get(format!("http://{address}/")));
    timeout(DEADLINE, begun.notified()).await.unwrap();
    stop.cancel();
    let refused = async {
        while TcpWorld.connect(&address.to_string()).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, refused).await.expect("new connections are refused");
    assert!(!task.is_finished());
    go.notify_one();
    let answer = timeout(DEADLINE, request).await.unwrap().unwrap().unwrap();
    assert_eq!(answer.text().await.unwrap(), "answered");
    timeout(DEADLINE, task).await.unwrap().unwrap();
}

#[tokio::test]
async fn dropping_the_server_closes_its_connections() {
    let (address, _stop, task) = serving(version()).await;
    let mut connection = TcpWorld.connect(&address.to_string()).await.unwrap();
    connection.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert!(connection.read(&mut [0; 1]).await.unwrap() > 0);
    task.abort();
    let mut rest = Vec::new();
    // Closed, or reset.
    let _ = timeout(DEADLINE, connection.read_to_end(&mut rest)).await.expect("it is closed");
}

#[tokio::test]
async fn clients_that_say_nothing_or_half_a_head_are_hung_up_on() {
    for said in ["", "P", "PRI * HTTP/2", "GET / HTTP/1.1\r\nhost: somewhere.example\r\nx: "] {
        let (mut client, server) = duplex(1024);
        client.write_all(said.as_bytes()).await.unwrap();
        let patience = Duration::from_millis(20);
        let stop = CancellationToken::new();
        let conversation = converse(Box::new(server), version(), stop, patience);
        timeout(DEADLINE, conversation).await.unwrap_or_else(|_| panic!("never after {said:?}"));
    }
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let (address, _stop, _task) = serving(version()).await;
    let mut connection = TcpWorld.connect(&address.to_string()).await.unwrap();
    let head = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(2 * 1024 * 1024));
    let _ = connection.write_all(head.as_bytes()).await;
    let mut answer = [0; 12];
    connection.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 431");
}
