//! One kept-alive HTTP/1.1 connection.
//!
//! The task that waits for an answer drives the connection itself: handing each request to another
//! task would cost the generator more than the request does.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use http::{Request, response};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use proto::{Algorithm, Digest, Hasher};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::content::Payload;
use crate::endpoint::Endpoint;
use crate::fault::Fault;

/// Most bytes of an answer that are kept: a page of the longest names there are.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// What becomes of the body of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taking {
    /// It is counted.
    Count,
    /// It is kept.
    Keep,
    /// It is hashed.
    Hash,
}

/// An answer, its body read to the end.
pub(crate) struct Reply {
    pub(crate) head: response::Parts,
    /// The body, when it was to be kept or says why the request failed.
    pub(crate) body: Bytes,
    /// The body's digest, when it was to be hashed.
    pub(crate) digest: Option<Digest>,
    /// The body's length.
    pub(crate) length: u64,
}

/// A connection to a server.
pub(crate) struct Connection {
    sender: SendRequest<Payload>,
    driver: Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>,
    is_over: bool,
}

impl Connection {
    /// Connects to `endpoint`.
    ///
    /// # Errors
    /// [`Fault::Connect`], and [`Fault::Broken`] when what answers does not speak HTTP.
    pub(crate) async fn open(endpoint: &Endpoint, tls: &TlsConnector) -> Result<Self, Fault> {
        let stream = connect(endpoint).await.map_err(Fault::Connect)?;
        if !endpoint.is_tls() {
            return Self::over(stream).await;
        }
        let name = ServerName::try_from(endpoint.host().to_owned());
        let name = name.map_err(|error| Fault::Connect(std::io::Error::other(error)))?;
        Self::over(tls.connect(name, stream).await.map_err(Fault::Connect)?).await
    }

    async fn over<S>(stream: S) -> Result<Self, Fault>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, driver: Box::pin(driver), is_over: false })
    }

    /// Whether another request can be sent.
    pub(crate) fn is_open(&self) -> bool {
        !self.is_over && !self.sender.is_closed()
    }

    /// Sends `request`, and reads its answer to the end.
    ///
    /// # Cancellation
    /// What was under way is lost: the connection is of no use any more.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<Payload>,
        taking: Taking,
    ) -> Result<Reply, Fault> {
        let Self { sender, driver, is_over } = self;
        let mut exchange = pin!(answer(sender, request, taking));
        let outcome = poll_fn(|cx| {
            if let Poll::Ready(outcome) = exchange.as_mut().poll(cx) {
                return Poll::Ready(outcome);
            }
            *is_over = *is_over || driver.as_mut().poll(cx).is_ready();
            // Most answers are there as soon as the connection has read.
            exchange.as_mut().poll(cx)
        });
        Ok(outcome.await?)
    }
}

async fn answer(
    sender: &mut SendRequest<Payload>,
    request: Request<Payload>,
    taking: Taking,
) -> hyper::Result<Reply> {
    sender.ready().await?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let taking = if head.status.is_success() { taking } else { Taking::Keep };
    take(head, body, taking).await
}

async fn take(head: response::Parts, mut body: Incoming, taking: Taking) -> hyper::Result<Reply> {
    let mut kept = BytesMut::new();
    let mut hasher = (taking == Taking::Hash).then(|| Hasher::new(Algorithm::Sha256));
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame?.into_data() else { continue };
        length += piece.len() as u64;
        if let Some(hasher) = &mut hasher {
            hasher.update(&piece);
        }
        if taking == Taking::Keep && kept.len() + piece.len() <= KEPT_BYTES_MAX {
            kept.extend_from_slice(&piece);
        }
    }
    let digest = hasher.map(Hasher::finish);
    Ok(Reply { head, body: kept.freeze(), digest, length })
}

#[expect(clippy::disallowed_methods, reason = "the load comes from outside of any node's world")]
async fn connect(endpoint: &Endpoint) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect((endpoint.host(), endpoint.port())).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
