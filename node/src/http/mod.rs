//! Serving HTTP/1.1 and HTTP/2, and gRPC in it, on a listener: the one seam for the API, for peers
//! and for operators.
//!
//! Every wait for a client has a deadline and every buffer for one a bound, except for bodies, on
//! which handlers put theirs.

mod opening;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::opening::Opening;
use crate::{Connection, Listener};

/// Most connections of one listener at a time; further clients wait in the kernel's queue. Leaves
/// descriptors for files within the usual limit of 16384 and more that services run with.
const CONNECTIONS_MAX: usize = 8192;
/// How long a client may take over the head of a request, and be idle between two.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Most bytes of headers in HTTP/2; in HTTP/1.1 hyper's own bound of some 400 KiB holds for a whole
/// head.
const HEADER_BYTES_MAX: u32 = 64 * 1024;
/// Most requests at a time on one HTTP/2 connection.
const STREAMS_MAX: u32 = 256;
/// After how long without traffic an HTTP/2 client is asked for a sign of life.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// How long that sign may take until the connection is given up.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after a failed accept: out of file descriptors, trying again at once would only burn the
/// processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Answers requests on `listener` with `router`, until `stop` is cancelled; then takes no more, and
/// returns when those under way are answered. Dropping the future closes all connections.
pub(crate) async fn serve(
    mut listener: Box<dyn Listener>,
    router: Router,
    stop: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let connections = TaskTracker::new();
    // Of the connections' tasks; they end with this future, however it ends.
    let abandon = CancellationToken::new();
    let _abandon_on_drop = abandon.clone().drop_guard();
    loop {
        let next = async {
            // The semaphore is never closed.
            let slot = Arc::clone(&slots).acquire_owned().await.ok();
            (slot, listener.accept().await)
        };
        let (slot, accepted) = tokio::select! {
            () = stop.cancelled() => break,
            next = next => next,
        };
        match accepted {
            Ok(connection) => {
                let (router, stop, abandon) = (router.clone(), stop.clone(), abandon.clone());
                connections.spawn(async move {
                    let _slot = slot;
                    let conversation = converse(connection, router, stop, HEAD_TIMEOUT);
                    abandon.run_until_cancelled(conversation).await;
                });
            }
            // It is the client's end that failed: no reason to keep the next one waiting.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// Answers the requests of one connection until it ends, or until `stop` is cancelled and the
/// request under way is answered. Waits for the head of a request no longer than `patience`.
async fn converse(
    connection: Connection,
    router: Router,
    stop: CancellationToken,
    patience: Duration,
) {
    let io = TokioIo::new(Opening::new(connection, patience));
    let builder = builder(patience);
    let conversation = builder.serve_connection_with_upgrades(io, TowerToHyperService::new(router));
    tokio::pin!(conversation);
    let ended = tokio::select! {
        ended = conversation.as_mut() => ended,
        () = stop.cancelled() => {
            conversation.as_mut().graceful_shutdown();
            conversation.await
        }
    };
    if let Err(error) = ended {
        // Clients go away as they please: not worth more than this.
        tracing::debug!(error = &*error, "a connection ended early");
    }
}

fn builder(patience: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(patience);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .adaptive_window(true);
    builder
}

#[cfg(test)]
mod tests;
