//! What the listeners promise: both protocols on one port, patience with an end, and an orderly
//! one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed test panics")]

mod agreement;
mod one;
mod tls;
mod two;

use std::net::SocketAddr;

use async_trait::async_trait;
use axum::body::{Body, Bytes, to_bytes};
use axum::routing::{any, get};
use futures::{StreamExt as _, stream};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::{Connection, TcpWorld, World};

const DEADLINE: Duration = Duration::from_secs(10);

/// A patience that tests can wait for.
const SHORT: Duration = Duration::from_millis(200);

/// A server that stops when it is dropped.
struct Server {
    address: SocketAddr,
    refused: Counter,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serving(router: Router) -> Server {
    serving_in(router, Manner::public(1000, 1000)).await
}

/// A server that has little patience.
async fn hasty(router: Router) -> Server {
    serving_in(router, Manner { patience: SHORT, ..Manner::public(1000, 1000) }).await
}

/// A listener at any port, which takes connections from now on, and its address.
async fn listening() -> (Box<dyn Listener>, SocketAddr) {
    let mut listener = TcpWorld.bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    listener.listen().unwrap();
    let address = listener.local_address().unwrap();
    (listener, address)
}

async fn serving_in(router: Router, manner: Manner) -> Server {
    crate::install_cryptography();
    let (listener, address) = listening().await;
    let stop = CancellationToken::new();
    let refused = Counter::default();
    let task = tokio::spawn(serve(listener, router, None, manner, refused.clone(), stop.clone()));
    Server { address, refused, stop, task }
}

impl Server {
    async fn connect(&self) -> Connection {
        TcpWorld.connect(&self.address.to_string()).await.unwrap()
    }

    /// All that is said to a client that says `bytes`, until the connection is closed.
    async fn answer(&self, bytes: &[u8]) -> String {
        let (mut read, mut write) = tokio::io::split(self.connect().await);
        let mut answer = Vec::new();
        let conversation = async {
            // The other end may close before it has everything.
            let _ = tokio::join!(write.write_all(bytes), read.read_to_end(&mut answer));
        };
        timeout(DEADLINE, conversation).await.expect("the connection is closed");
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// A listener whose connections are made in memory, which buffer as little as they shall.
struct Pipes(mpsc::Receiver<DuplexStream>);

#[async_trait]
impl Listener for Pipes {
    async fn accept(&mut self) -> io::Result<(Connection, SocketAddr)> {
        match self.0.recv().await {
            Some(pipe) => Ok((Box::new(pipe), SocketAddr::from(([127, 0, 0, 1], 1)))),
            None => std::future::pending().await,
        }
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

fn version() -> Router {
    Router::new().route("/", get(async |v: http::Version| format!("{v:?}")))
}

/// Answers what it is sent.
fn echo() -> Router {
    Router::new().fallback(any(async |body: Bytes| body))
}

/// Answers without end; what it answers with is dropped when `gone` resolves.
fn endless() -> (Router, oneshot::Receiver<()>) {
    let (held, gone) = oneshot::channel::<()>();
    let held = Arc::new(std::sync::Mutex::new(Some(held)));
    let route = get(async move || {
        let held = held.lock().unwrap().take();
        let frame = Bytes::from(vec![7; 256 * 1024]);
        let frames = stream::repeat(frame).map(move |frame| {
            let _held = &held;
            io::Result::Ok(frame)
        });
        Body::from_stream(frames)
    });
    (Router::new().route("/", route), gone)
}

#[tokio::test]
async fn both_versions_of_http_are_spoken_on_one_port() {
    let server = serving(version()).await;
    let url = format!("http://{}/", server.address);
    let client = reqwest::Client::builder().no_proxy();
    let answer = client.build().unwrap().get(&url).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "HTTP/1.1");
    let mut client = HttpClient::builder(TokioExecutor::new());
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
    let mut server = serving(Router::new().route("/", slow)).await;
    let request = tokio::spawn(reqwest::get(format!("http://{}/", server.address)));
    timeout(DEADLINE, begun.notified()).await.unwrap();
    server.stop.cancel();
    let refused = async {
        while TcpWorld.connect(&server.address.to_string()).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, refused).await.expect("new connections are refused");
    assert!(!server.task.is_finished());
    go.notify_one();
    let answer = timeout(DEADLINE, request).await.unwrap().unwrap().unwrap();
    assert_eq!(answer.text().await.unwrap(), "answered");
    timeout(DEADLINE, &mut server.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn dropping_the_server_closes_its_connections() {
    let server = serving(version()).await;
    let mut connection = server.connect().await;
    connection.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert!(connection.read(&mut [0; 1]).await.unwrap() > 0);
    server.task.abort();
    let mut rest = Vec::new();
    // Closed, or reset.
    let _ = timeout(DEADLINE, connection.read_to_end(&mut rest)).await.expect("it is closed");
}

#[tokio::test]
async fn a_client_has_a_bounded_number_of_connections() {
    let server = serving_in(version(), Manner::public(10, 2)).await;
    let ask = async |connection: &mut Connection| {
        let _ = connection.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut answer = [0; 15];
        connection.read_exact(&mut answer).await.is_ok_and(|_| answer.starts_with(b"HTTP/1.1 200"))
    };
    let mut first = server.connect().await;
    let mut second = server.connect().await;
    assert!(ask(&mut first).await && ask(&mut second).await);
    let mut third = server.connect().await;
    assert!(!ask(&mut third).await, "it is closed");
    assert_eq!(server.refused.get(), 1, "it is counted");
    drop(first);
    let again = async { while !ask(&mut server.connect().await).await {} };
    timeout(DEADLINE, again).await.expect("there is room for another");
}

#[tokio::test]
async fn clients_beyond_the_last_connection_wait_for_it() {
    let server = serving_in(version(), Manner::public(1, 1)).await;
    let first = server.connect().await;
    let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let second = server.answer(request);
    tokio::pin!(second);
    assert!(timeout(SHORT, &mut second).await.is_err(), "it waits");
    drop(first);
    assert!(second.await.ends_with("HTTP/1.1"));
}
