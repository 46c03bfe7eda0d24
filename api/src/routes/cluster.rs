//! `/roadstead/v1/cluster`: the nodes, how far each of them is, and the removal of one.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use proto::NodeId;
use raft::Removed;
use serde_json::json;

use crate::error::Error;
use crate::visit::Visit;

/// What this node knows of the cluster, and what each node says of itself. Answers without a quorum
/// too.
pub(super) async fn show(visit: &Visit) -> Response {
    let nodes = visit.cluster.survey().await;
    let status = visit.cluster.status();
    let mut response = Json(json!({
        "cluster": status.cluster.to_string(),
        "node": status.node,
        "role": status.role,
        "term": status.term,
        "leader": status.leader,
        "applied": status.applied,
        "nodes": nodes,
    }))
    .into_response();
    visit.admission.source.mark_login(response.headers_mut());
    response
}

/// Removes a node for good. Waits out an election. 202 when that is decided and, after some
/// seconds, not carried out: until then the node may be needed.
pub(super) async fn remove(visit: &Visit, node: NodeId) -> Result<Response, Error> {
    let status = match visit.remove_node(node).await? {
        Removed::CarriedOut => StatusCode::NO_CONTENT,
        Removed::Decided => StatusCode::ACCEPTED,
    };
    Ok(status.into_response())
}
