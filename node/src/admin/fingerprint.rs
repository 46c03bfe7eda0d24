//! A number that tells the catalogs of two nodes apart, for operators who doubt:
//! `GET /roadstead/v1/cluster/fingerprint` on the admin listener.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use raft::{Cluster, Fingerprint};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// What answers are drawn from. Clones share it.
#[derive(Clone)]
struct Source {
    cluster: Cluster,
    /// Each fingerprint reads all rows: one at a time.
    turn: Arc<Semaphore>,
}

/// The endpoint.
pub(crate) fn router(cluster: Cluster) -> Router {
    let source = Source { cluster, turn: Arc::new(Semaphore::new(1)) };
    Router::new().route("/roadstead/v1/cluster/fingerprint", get(show)).with_state(source)
}

/// Answers with the fingerprint of this node's own catalog, and the log index that is applied in
/// it: two nodes of one cluster that name the same index name the same fingerprint, or one of them
/// is damaged.
async fn show(State(Source { cluster, turn }): State<Source>) -> Response {
    let Ok(turn) = turn.try_acquire_owned() else {
        let reason = "another one is being told; try again in a moment\n";
        let after = [(header::RETRY_AFTER, "1")];
        return (StatusCode::SERVICE_UNAVAILABLE, after, reason).into_response();
    };
    let sum = move || {
        // Until it has ended, also when nobody waits for it any more.
        let _turn = turn;
        Fingerprint::of_all(&cluster.local()?)
    };
    match spawn_blocking(sum).await {
        Ok(Ok(Some((applied, fingerprint)))) => {
            let fingerprint = format!("{fingerprint:032x}");
            Json(json!({ "applied": applied, "fingerprint": fingerprint })).into_response()
        }
        Ok(Ok(None)) => Json(json!({ "applied": null, "fingerprint": null })).into_response(),
        Ok(Err(error)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response(),
        Err(error) => {
            tracing::error!(%error, "the fingerprint cannot be told");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
