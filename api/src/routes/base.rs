//! `/v2/`: whether this is a registry.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

/// Says yes (distribution-spec, "Determining Support").
pub(super) fn show() -> Response {
    Json(json!({})).into_response()
}
