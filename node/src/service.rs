//! A listener that is being served.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use prometheus_client::metrics::counter::Counter;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::Listener;
use crate::http::{self, Manner};
use crate::tls::Handshake;

/// A listener that is being served, until it is stopped or dropped.
pub(crate) struct Service {
    stop: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl Service {
    /// Answers on `listener` with `router`: see [`http::serve`].
    pub(crate) fn start(
        listener: Box<dyn Listener>,
        router: Router,
        tls: Option<Arc<dyn Handshake>>,
        manner: Manner,
        refused: Counter,
    ) -> Self {
        let stop = CancellationToken::new();
        let serving = http::serve(listener, router, tls, manner, refused, stop.clone());
        Self { stop, task: AbortOnDropHandle::new(tokio::spawn(serving)) }
    }

    /// Ends it; answers whether that took no longer than `deadline`, at which the requests that
    /// are under way are cut off.
    pub(crate) async fn stop(self, deadline: Duration) -> bool {
        self.stop.cancel();
        timeout(deadline, self.task).await.is_ok()
    }
}
