//! `/roadstead/v1/cluster`: the nodes, and how far each of them is.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::registry::Registry;

/// What this node knows of the cluster, and what each node says of itself. Answers without a quorum
/// too.
pub(super) async fn show(registry: &Registry) -> Response {
    let nodes = registry.cluster.survey().await;
    let status = registry.cluster.status();
    Json(json!({
        "cluster": status.cluster.to_string(),
        "node": status.node,
        "role": status.role,
        "term": status.term,
        "leader": status.leader,
        "applied": status.applied,
        "nodes": nodes,
    }))
    .into_response()
}
