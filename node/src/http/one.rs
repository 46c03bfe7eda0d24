//! A conversation in HTTP/1. The time for a head, and the pace of what is written, end one that is
//! kept for nothing.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{HeaderValue, Request, header};
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use proto::limits::{HEAD_BYTES_MAX, HEADERS_MAX};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::conversation::Conversation;
use super::guarded::{Guarded, Refused};
use crate::Connection;

/// Most bytes of requests that are read before they are answered, and about as many of an answer
/// that wait for the network.
const BUFFER_BYTES: usize = 128 * 1024;
const _: () = assert!(HEAD_BYTES_MAX < BUFFER_BYTES, "a head fits in");

/// How long a first request that is on its way has to come when the node stops.
const ARRIVAL: Duration = Duration::from_millis(500);

/// Answers what comes over `connection`, of which `said` was read, until one end closes it, or
/// `stop` is cancelled and the request under way is answered.
///
/// # Errors
/// When it broke off.
pub(super) async fn hold(
    conversation: Conversation,
    connection: Connection,
    said: Vec<u8>,
    stop: CancellationToken,
) -> hyper::Result<()> {
    let patience = conversation.manner.patience;
    let refused = Refused::default();
    let guarded = Guarded::one(connection, said, Arc::clone(&refused), patience);
    let begun = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&begun);
    let service = service_fn(move |request: Request<Incoming>| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let fault =
            refused.get().filter(|(refused, _)| *refused == number).map(|(_, fault)| *fault);
        let conversation = conversation.clone();
        async move {
            let Some(fault) = fault else { return Ok(conversation.answer(request).await) };
            let mut response = fault.response();
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            Ok::<_, Infallible>(response)
        }
    });
    let mut serving = Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience)
        .max_headers(HEADERS_MAX)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(guarded), service);
    if let Some(ended) = stop.run_until_cancelled(&mut serving).await {
        ended?;
    } else {
        // To say so first lets a request that is on its way be answered.
        Pin::new(&mut serving).graceful_shutdown();
        match timeout(ARRIVAL, &mut serving).await {
            Ok(ended) => ended?,
            // Hyper would wait for the rest of a first request, which may never come.
            Err(_) if begun.load(Ordering::Relaxed) == 0 => {}
            Err(_) => (&mut serving).await?,
        }
    }
    serving.into_parts().io.into_inner().hang_up().await;
    Ok(())
}
