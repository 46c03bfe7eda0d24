//! The way of the nodes' S3 clients to the store: HTTP over the simulated network.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::ErrorKind;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::time::timeout;
use tower::Service;
use turmoil::net::TcpStream;

/// How long making a connection may take, and the time to the first byte of an answer.
type Limits = (Option<Duration>, Option<Duration>);

/// HTTP over the simulated network, for one node: its connections die with it.
#[derive(Debug, Default)]
pub(super) struct Transport {
    /// Each has connections of its own, as those of Amazon's own client have.
    connectors: Mutex<BTreeMap<Limits, SharedHttpConnector>>,
}

impl HttpClient for Transport {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let limits = (settings.connect_timeout(), settings.read_timeout());
        let mut connectors = self.connectors.lock().unwrap_or_else(PoisonError::into_inner);
        let connector = connectors.entry(limits);
        connector.or_insert_with(|| SharedHttpConnector::new(Connector::new(limits))).clone()
    }
}

/// Sends requests within limits of time.
#[derive(Debug)]
struct Connector {
    client: Client<Dial, SdkBody>,
    answers_within: Option<Duration>,
}

impl Connector {
    fn new((connects_within, answers_within): Limits) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .build(Dial { within: connects_within });
        Self { client, answers_within }
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (client, within) = (self.client.clone(), self.answers_within);
        HttpConnectorFuture::new(async move {
            let request =
                request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let answer = limited(within, client.request(request)).await;
            let answer = answer.map_err(|late| ConnectorError::timeout(late.into()))?;
            let answer = answer.map_err(|error| classify(Box::new(error)))?;
            HttpResponse::try_from(answer.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// What an error says on whether to try again: the same as with Amazon's own connector.
fn classify(error: Box<dyn Error + Send + Sync>) -> ConnectorError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error.as_ref());
    while let Some(found) = cause {
        if let Some(found) = found.downcast_ref::<io::Error>() {
            return match found.kind() {
                io::ErrorKind::TimedOut => ConnectorError::timeout(error),
                _ => ConnectorError::io(error),
            };
        }
        if let Some(found) = found.downcast_ref::<hyper::Error>() {
            if found.is_incomplete_message() {
                return ConnectorError::other(error, Some(ErrorKind::TransientError));
            }
            if found.is_closed() || found.is_canceled() {
                return ConnectorError::io(error);
            }
        }
        cause = found.source();
    }
    ConnectorError::other(error, None)
}

async fn limited<T>(
    within: Option<Duration>,
    work: impl Future<Output = T>,
) -> Result<T, tokio::time::error::Elapsed> {
    match within {
        Some(within) => timeout(within, work).await,
        None => Ok(work.await),
    }
}

/// Makes connections.
#[derive(Clone, Debug)]
struct Dial {
    within: Option<Duration>,
}

impl Service<Uri> for Dial {
    type Response = Wire;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Wire>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let within = self.within;
        Box::pin(async move {
            let host = uri.host().unwrap_or_default().to_owned();
            let port = uri.port_u16().unwrap_or(80);
            let stream = limited(within, TcpStream::connect((host, port))).await;
            let stream = stream.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            Ok(Wire(TokioIo::new(stream)))
        })
    }
}

/// A connection.
struct Wire(TokioIo<TcpStream>);

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl Write for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_mean_the_same_as_with_amazons_own_connector() {
        let refused = classify(Box::new(io::Error::from(io::ErrorKind::ConnectionRefused)));
        assert!(refused.is_io());
        let late = classify(Box::new(io::Error::from(io::ErrorKind::TimedOut)));
        assert!(late.is_timeout());
        let strange = classify("something else".into());
        assert!(strange.is_other() && strange.as_other().is_none());
    }
}
