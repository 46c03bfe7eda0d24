//! One connection, from its first byte to its last: what its client may do, and for how long.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use api::Client;
use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, Request, header};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio_util::sync::CancellationToken;
use tower::{ServiceExt as _, service_fn};

use super::fault::Fault;
use super::guarded::{Guarded, Refused};
use super::opening::{self, Version};
use super::paced::{Activity, End, Inbound};
use super::{Manner, head};
use crate::Connection;

/// Most bytes of headers in HTTP/2.
const HEADER_BYTES_MAX: u32 = 64 * 1024;
/// Most requests at a time on one HTTP/2 connection.
const STREAMS_MAX: u32 = 128;
/// Most bytes of a request's body that a client of HTTP/2 may send before a handler takes them.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// Most such bytes of all requests of one connection.
const CONNECTION_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
/// Most bytes of an answer in HTTP/2 that wait for the network.
const SEND_BUFFER_BYTES: usize = 256 * 1024;
/// After how long without traffic an HTTP/2 client is asked for a sign of life.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// How long that sign may take until the connection is given up.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that is being served.
#[derive(Clone)]
pub(super) struct Conversation {
    router: Router,
    client: Client,
    manner: Manner,
    version: Version,
    refused: Refused,
    activity: Activity,
    /// How many requests came.
    count: Arc<AtomicU64>,
}

/// Answers the requests of one connection until it ends, or until `stop` is cancelled and the
/// requests under way are answered.
pub(super) async fn converse(
    mut connection: Connection,
    client: Client,
    router: Router,
    manner: Manner,
    stop: CancellationToken,
) {
    let opening = opening::read(&mut connection, manner.patience);
    let (version, said) = tokio::select! {
        opening = opening => match opening {
            Ok(opening) => opening,
            // It has not asked for anything.
            Err(_) => return,
        },
        () = stop.cancelled() => return,
    };
    let conversation = Conversation {
        router,
        client,
        manner,
        version,
        refused: Refused::default(),
        activity: Activity::new(),
        count: Arc::default(),
    };
    conversation.hold(connection, said, stop).await;
}

impl Conversation {
    async fn hold(self, connection: Connection, said: Vec<u8>, stop: CancellationToken) {
        let patience = self.manner.patience;
        let guarded = match self.version {
            Version::One => Guarded::one(connection, said, Arc::clone(&self.refused), patience),
            Version::Two => Guarded::two(connection, said, patience),
        };
        let builder = self.builder();
        let service = {
            let conversation = self.clone();
            service_fn(move |request| conversation.clone().answer(request))
        };
        let serving =
            builder.serve_connection(TokioIo::new(guarded), TowerToHyperService::new(service));
        tokio::pin!(serving);
        let mut is_ending = false;
        let ended = loop {
            tokio::select! {
                ended = serving.as_mut() => break ended,
                () = stop.cancelled(), if !is_ending => {}
                end = self.end() => if is_ending || end == End::Stuck {
                    return;
                },
            }
            // To say so first lets a request that is on its way be answered.
            is_ending = true;
            serving.as_mut().graceful_shutdown();
        };
        if let Err(error) = ended {
            // Clients go away as they please: not worth more than this.
            tracing::debug!(error = &*error, "a connection ended early");
        }
    }

    fn builder(&self) -> Builder<TokioExecutor> {
        let mut builder = Builder::new(TokioExecutor::new());
        match self.version {
            Version::One => builder = builder.http1_only(),
            Version::Two => builder = builder.http2_only(),
        }
        builder.http1().timer(TokioTimer::new()).header_read_timeout(self.manner.patience);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(HEADER_BYTES_MAX);
        if self.manner.is_public {
            builder
                .http2()
                .initial_stream_window_size(STREAM_WINDOW_BYTES)
                .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
                .max_send_buf_size(SEND_BUFFER_BYTES);
        } else {
            builder.http2().adaptive_window(true);
        }
        builder
    }

    /// Resolves when the client has kept the connection for nothing. In HTTP/1 the time for a head
    /// and the pace of what is written say so.
    async fn end(&self) -> End {
        if self.version == Version::Two && self.manner.is_public {
            self.activity.end(self.manner.patience).await
        } else {
            pending().await
        }
    }

    async fn answer(self, mut request: Request<Incoming>) -> Result<Response, Infallible> {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        if let Some((refused, fault)) = self.refused.get()
            && *refused == number
        {
            let mut response = fault.response();
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            return Ok(response);
        }
        if self.version == Version::Two
            && let Err(fault) = check_authority(&request)
        {
            return Ok(fault.response());
        }
        request.extensions_mut().insert(self.client);
        if !self.manner.is_public {
            return self.router.oneshot(request).await;
        }
        let patience = self.manner.patience;
        let request = request.map(|body| Body::new(Inbound::new(body, patience)));
        if self.version == Version::One {
            return self.router.oneshot(request).await;
        }
        let underway = self.activity.begin();
        let response = self.router.oneshot(request).await.into_response();
        Ok(response.map(|body| underway.answer(body, patience)))
    }
}

/// Checks that a request of HTTP/2 says for whom it is, and says it once (RFC 9113, section 8.3.1).
fn check_authority<B>(request: &Request<B>) -> Result<(), Fault> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    match (request.uri().authority(), hosts.next(), hosts.next()) {
        (Some(_), None, None) => Ok(()),
        (Some(authority), Some(host), None) => {
            head::check_same(authority, host.to_str().unwrap_or_default())
        }
        (None, Some(_), None) => Ok(()),
        (None, None, _) => Err(Fault::Malformed(head::HOST_MISSING)),
        (_, _, Some(_)) => Err(Fault::Malformed("a request has one Host header, not several")),
    }
}
