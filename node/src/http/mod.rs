//! Serving HTTP/1.1 and HTTP/2, and gRPC in it, on a listener: the one seam for the API, for peers
//! and for operators.
//!
//! Every wait for a client has a deadline and every buffer for one a bound.
//!
//! ```text
//! Listener -> serve: how many connections, of whom
//!          -> conversation: TLS (tls::Acceptor), HTTP/1 or 2 (opening)
//!          -> one: what of it hyper gets to see (guarded -> heads -> head, framing -> fault)
//!             two: how long an answer may be held back (paced)
//!          -> hyper -> router
//! ```

mod conversation;
mod fault;
mod framing;
mod guarded;
mod head;
mod heads;
mod one;
mod opening;
mod pace;
mod paced;
mod two;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use api::{Client, Quota};
use axum::Router;
use prometheus_client::metrics::counter::Counter;
use proto::limits::{CONNECTIONS_DEFAULT, PACE_PATIENCE};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::conversation::converse;
use crate::Listener;
use crate::tls::Handshake;

/// Pause after a failed accept: out of file descriptors, trying again at once would only burn the
/// processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How a listener treats those who connect to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// Most connections at a time; further clients wait in the kernel's queue.
    connections: usize,
    /// Most of them from one client; further ones are closed.
    connections_per_client: usize,
    /// How long a client may take over the head of a request, be idle between two, and keep bodies
    /// waiting.
    patience: Duration,
    /// Whether it may be anybody who connects; otherwise bodies may be slow for ever, as streams
    /// between nodes are.
    is_public: bool,
}

impl Manner {
    /// For clients, of which anybody may be one.
    pub(crate) const fn public(connections: usize, connections_per_client: usize) -> Self {
        let patience = PACE_PATIENCE;
        Self { connections, connections_per_client, patience, is_public: true }
    }

    /// For the other nodes of the cluster. Several may have one address; but a client that is
    /// perhaps no node shall not take all connections there are.
    pub(crate) const fn nodes() -> Self {
        let connections = CONNECTIONS_DEFAULT;
        Self {
            connections,
            connections_per_client: connections / 8,
            patience: PACE_PATIENCE,
            is_public: false,
        }
    }
}

/// Answers requests on `listener` with `router`, until `stop` is cancelled; then takes no more, and
/// returns when those under way are answered. Dropping the future closes all connections. Those of
/// clients that have too many are counted in `refused`.
pub(crate) async fn serve(
    mut listener: Box<dyn Listener>,
    router: Router,
    tls: Option<Arc<dyn Handshake>>,
    manner: Manner,
    refused: Counter,
    stop: CancellationToken,
) {
    let slots = Arc::new(Semaphore::new(manner.connections.min(Semaphore::MAX_PERMITS)));
    let clients = Quota::new(usize::MAX, manner.connections_per_client);
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
            Ok((connection, address)) => {
                let Some(share) = clients.take(Client::from(address.ip())) else {
                    // Nothing was read yet, so there is nothing to answer.
                    refused.inc();
                    tracing::debug!(%address, "a client has too many connections");
                    continue;
                };
                let (router, tls) = (router.clone(), tls.clone());
                let (stop, abandon) = (stop.clone(), abandon.clone());
                connections.spawn(async move {
                    let _held = (slot, share);
                    let conversation = converse(connection, address, router, tls, manner, stop);
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

#[cfg(test)]
mod tests;
