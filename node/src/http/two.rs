//! A conversation in HTTP/2, in which many requests are under way at a time.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use http::{Request, header};
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio_util::sync::CancellationToken;

use super::Manner;
use super::conversation::Conversation;
use super::fault::Fault;
use super::guarded::Guarded;
use super::head;
use super::paced::{Activity, End};
use crate::Connection;

/// Most bytes of the headers of a request.
const HEADER_BYTES_MAX: u32 = 64 * 1024;
/// Most requests at a time on one connection.
const STREAMS_MAX: u32 = 128;
/// Most bytes of a request's body that a client may send before a handler takes them.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// Most such bytes of all requests of one connection.
const CONNECTION_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
/// Most bytes of an answer that wait for the network.
const SEND_BUFFER_BYTES: usize = 256 * 1024;
/// After how long without traffic a client is asked for a sign of life.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// How long that sign may take until the connection is given up.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Answers what comes over `connection`, of which `said` was read, until one end closes it, the
/// client keeps it for nothing, or `stop` is cancelled and the requests under way are answered.
///
/// # Errors
/// When it broke off.
pub(super) async fn hold(
    conversation: Conversation,
    connection: Connection,
    said: Vec<u8>,
    stop: CancellationToken,
) -> hyper::Result<()> {
    let manner = conversation.manner;
    let activity = Activity::new();
    let service = {
        let activity = activity.clone();
        service_fn(move |request| {
            let answer = answer(conversation.clone(), activity.clone(), request);
            async move { Ok::<_, Infallible>(answer.await) }
        })
    };
    let guarded = Guarded::two(connection, said, manner.patience);
    let serving = builder(manner).serve_connection(TokioIo::new(guarded), service);
    tokio::pin!(serving);
    let mut is_ending = false;
    loop {
        let end = async {
            if manner.is_public { activity.end(manner.patience).await } else { pending().await }
        };
        tokio::select! {
            ended = serving.as_mut() => return ended,
            () = stop.cancelled(), if !is_ending => {}
            end = end => if is_ending || end == End::Stuck {
                return Ok(());
            },
        }
        // To say so first lets requests that are on their way be answered.
        is_ending = true;
        serving.as_mut().graceful_shutdown();
    }
}

fn builder(manner: Manner) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX);
    if manner.is_public {
        builder
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(SEND_BUFFER_BYTES);
    } else {
        builder.adaptive_window(true);
    }
    builder
}

async fn answer(
    conversation: Conversation,
    activity: Activity,
    request: Request<Incoming>,
) -> axum::response::Response {
    if let Err(fault) = check_authority(&request) {
        return fault.response();
    }
    let manner = conversation.manner;
    if !manner.is_public {
        return conversation.answer(request).await;
    }
    let underway = activity.begin();
    let response = conversation.answer(request).await;
    response.map(|body| underway.answer(body, manner.patience))
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
