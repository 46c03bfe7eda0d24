//! Requests of a client in the simulated network, with a deadline.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use turmoil::net::TcpStream;

use super::plan::API_PORT;

/// How long a client waits for an answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How often somebody looks whether they are let in.
const GLANCE: Duration = Duration::from_millis(50);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    /// Nobody took the connection: the request was not sent, and never happens.
    #[error("{0}")]
    Unsent(String),
    /// There was no answer, only a part of one, or one that does not say it: what became of the
    /// request is not known.
    #[error("{0}")]
    Unheard(String),
}

impl Lost {
    fn unsent(error: impl std::error::Error) -> Self {
        Self::Unsent(error.to_string())
    }

    fn to(error: impl std::error::Error) -> Self {
        Self::Unheard(error.to_string())
    }
}

/// What clients show with each request to be let in. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pass(Arc<Mutex<Option<HeaderValue>>>);

impl Pass {
    /// From now on they show that they are `account`, by its `key` or password.
    pub(crate) fn give(&self, account: &str, key: &str) {
        *self.held() = basic(account, key);
    }

    /// Waits until they have something to show.
    pub(crate) async fn given(&self) {
        while !self.is_given() {
            sleep(GLANCE).await;
        }
    }

    /// Whether they have something to show.
    pub(crate) fn is_given(&self) -> bool {
        self.held().is_some()
    }

    /// The same request, with what they have to show.
    pub(crate) fn shown(&self, mut request: Request<Bytes>) -> Request<Bytes> {
        if let Some(held) = &*self.held() {
            request.headers_mut().insert(header::AUTHORIZATION, held.clone());
        }
        request
    }

    fn held(&self) -> MutexGuard<'_, Option<HeaderValue>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What shows that somebody is `account` (RFC 7617).
fn basic(account: &str, key: &str) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("Basic {}", STANDARD.encode(format!("{account}:{key}")))).ok()
}

/// What shows `token` (RFC 6750, section 2.1).
pub(crate) fn bearer(token: &str) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("Bearer {token}")).ok()
}

/// Sends `request`, of which the URI is a path, to `node` and waits for the whole answer.
pub(crate) async fn send(node: &str, request: Request<Bytes>) -> Result<Response<Bytes>, Lost> {
    Talk::with(node).ask(request).await
}

/// Sends `request` to `node`, but of its body only the first `length` bytes, and leaves without
/// waiting for an answer. Answers whether any of it may have come.
pub(crate) async fn leave(node: &str, request: &Request<Bytes>, length: usize) -> bool {
    let Ok(Ok(mut stream)) = timeout(PATIENCE, TcpStream::connect((node, API_PORT))).await else {
        return false;
    };
    let sending = async {
        let body = &request.body()[..length.min(request.body().len())];
        stream.write_all(&[head(node, request).as_bytes(), body].concat()).await?;
        stream.flush().await
    };
    // A client that leaves does not care.
    let _ = timeout(PATIENCE, sending).await;
    true
}

/// The head of a request as it is sent.
fn head(node: &str, request: &Request<Bytes>) -> String {
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri());
    head.push_str(&format!("host: {node}:{API_PORT}\r\n"));
    head.push_str(&format!("content-length: {}\r\n", request.body().len()));
    for (name, value) in request.headers() {
        head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap_or_default()));
    }
    head + "\r\n"
}

/// A connection to a node, made when it is needed and kept while it works.
pub(crate) struct Talk {
    node: String,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Talk {
    pub(crate) fn with(node: &str) -> Self {
        Self { node: node.to_owned(), sender: None }
    }

    /// Sends `request`, of which the URI is a path, and waits for the whole answer.
    pub(crate) async fn ask(&mut self, request: Request<Bytes>) -> Result<Response<Bytes>, Lost> {
        let until = Instant::now() + PATIENCE;
        let late = || format!("{} did not answer within {PATIENCE:?}", self.node);
        // A connection on which a request failed is not used again.
        let mut sender = match self.sender.take() {
            Some(sender) if !sender.is_closed() => sender,
            _ => {
                timeout_at(until, connect(&self.node)).await.map_err(|_| Lost::Unsent(late()))??
            }
        };
        let answer = timeout_at(until, exchange(&self.node, &mut sender, request))
            .await
            .map_err(|_| Lost::Unheard(late()))??;
        let closes = answer.headers().get(header::CONNECTION).is_some_and(|value| value == "close");
        self.sender = (!closes).then_some(sender);
        Ok(answer)
    }
}

async fn exchange(
    node: &str,
    sender: &mut SendRequest<Full<Bytes>>,
    mut request: Request<Bytes>,
) -> Result<Response<Bytes>, Lost> {
    let host = HeaderValue::try_from(format!("{node}:{API_PORT}")).map_err(Lost::to)?;
    request.headers_mut().insert(header::HOST, host);
    let response = sender.send_request(request.map(Full::new)).await.map_err(Lost::to)?;
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(Lost::to)?.to_bytes();
    Ok(Response::from_parts(head, body))
}

async fn connect(node: &str) -> Result<SendRequest<Full<Bytes>>, Lost> {
    let stream = TcpStream::connect((node, API_PORT)).await.map_err(Lost::unsent)?;
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(Lost::unsent)?;
    // It ends with its sender; what it fails with, the request fails with too.
    tokio::spawn(connection);
    Ok(sender)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use tokio::io::AsyncReadExt as _;
    use turmoil::net::TcpListener;

    use super::*;
    use crate::sim::client;

    #[test]
    fn what_nobody_takes_a_connection_for_was_never_sent_and_what_is_not_answered_may_happen() {
        let mut sim = turmoil::Builder::new().build();
        sim.host("silent", || async {
            let listener = TcpListener::bind(("0.0.0.0", API_PORT)).await?;
            // The client that connects is heard, and the connection ends.
            loop {
                let mut stream = listener.accept().await?.0;
                let _ = stream.read(&mut [0; 16]).await?;
            }
        });
        sim.host("deaf", std::future::pending);
        sim.client("client", async {
            let get = || client::request(http::Method::GET, "/v2/");
            assert!(matches!(send("deaf", get()).await, Err(Lost::Unsent(_))));
            assert!(matches!(send("silent", get()).await, Err(Lost::Unheard(_))));
            assert!(!leave("deaf", &get(), 0).await);
            assert!(leave("silent", &get(), 0).await);
            Ok(())
        });
        sim.run().unwrap();
    }
}
