//! What operators and their tools ask a node: is it alive, is it ready, what does it count.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::FutureExt as _;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry as Metrics;
use raft::{Cluster, Role, Status};
use tokio_util::sync::CancellationToken;

/// What [`encode`] writes.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the answers are drawn from. Clones share it.
#[derive(Clone)]
pub(crate) struct Health {
    cluster: Cluster,
    stopping: CancellationToken,
    metrics: Arc<Metrics>,
}

impl Health {
    /// The health of a node with this part in a cluster, which stops once `stopping` is cancelled.
    pub(crate) fn new(cluster: Cluster, stopping: CancellationToken, metrics: Metrics) -> Self {
        Self { cluster, stopping, metrics: Arc::new(metrics) }
    }
}

/// The admin listener's endpoints.
pub(crate) fn router(health: Health) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(health)
}

/// Whether the process is worth keeping: else restart it.
async fn healthz(State(health): State<Health>) -> Response {
    match health.cluster.failed().now_or_never() {
        None => "ok\n".into_response(),
        Some(reason) => unavailable(format_args!("consensus has failed: {reason}")),
    }
}

/// Whether to send requests here.
async fn readyz(State(health): State<Health>) -> Response {
    match readiness(&health.cluster.status(), health.stopping.is_cancelled()) {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => unavailable(format_args!("{reason}")),
    }
}

fn readiness(status: &Status, is_stopping: bool) -> Result<(), &'static str> {
    if is_stopping || status.role == Role::Stopped {
        Err("the node is stopping")
    } else if !status.ready {
        Err("the node has not caught up with its cluster yet")
    } else if status.leader.is_none() {
        Err("the cluster has no leader that this node knows of")
    } else {
        Ok(())
    }
}

async fn metrics(State(health): State<Health>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &health.metrics) {
        Ok(()) => ([(CONTENT_TYPE, METRICS_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn unavailable(reason: fmt::Arguments<'_>) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use proto::ClusterId;

    use super::*;

    fn status() -> Status {
        Status {
            cluster: ClusterId::from_bytes([7; 16]),
            node: 1,
            role: Role::Follower,
            term: 3,
            leader: Some(2),
            last_log: Some(9),
            applied: Some(9),
            ready: true,
            members: Vec::new(),
        }
    }

    #[test]
    fn a_node_is_ready_when_it_has_caught_up_and_knows_a_leader() {
        assert_eq!(readiness(&status(), false), Ok(()));
        for (status, is_stopping, reason) in [
            (status(), true, "stopping"),
            (Status { role: Role::Stopped, ..status() }, false, "stopping"),
            (Status { ready: false, ..status() }, false, "caught up"),
            (Status { leader: None, ..status() }, false, "no leader"),
        ] {
            let answer = readiness(&status, is_stopping);
            assert!(answer.is_err_and(|said| said.contains(reason)), "{reason}");
        }
    }
}
