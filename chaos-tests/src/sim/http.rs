//! Requests of a client in the simulated network: a connection each, with a deadline.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use turmoil::net::TcpStream;

use super::plan::API_PORT;

/// How long a client waits for an answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// There was no answer, or only a part of one: what became of the request is not known.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Lost(String);

impl Lost {
    fn to(error: impl std::error::Error) -> Self {
        Self(error.to_string())
    }
}

/// Sends `request`, of which the URI is a path, to `node` and waits for the whole answer.
pub(crate) async fn send(node: &str, request: Request<Bytes>) -> Result<Response<Bytes>, Lost> {
    let answer = tokio::time::timeout(PATIENCE, exchange(node, request));
    answer.await.map_err(|_| Lost(format!("{node} did not answer within {PATIENCE:?}")))?
}

async fn exchange(node: &str, mut request: Request<Bytes>) -> Result<Response<Bytes>, Lost> {
    let stream = TcpStream::connect((node, API_PORT)).await.map_err(Lost::to)?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(Lost::to)?;
    let host = format!("{node}:{API_PORT}").parse().map_err(Lost::to)?;
    request.headers_mut().insert(http::header::HOST, host);
    let talking = async {
        let response = sender.send_request(request.map(Full::new)).await.map_err(Lost::to)?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(Lost::to)?.to_bytes();
        Ok(Response::from_parts(head, body))
    };
    tokio::pin!(connection, talking);
    tokio::select! {
        biased;
        answer = talking.as_mut() => answer,
        ended = connection.as_mut() => {
            ended.map_err(Lost::to)?;
            talking.await
        }
    }
}
