//! `/v2/`: whether this is a registry.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::registry::Registry;

/// Says yes (distribution-spec, "Determining Support"), to whoever may ask.
pub(super) fn show(registry: &Registry) -> Response {
    let mut response = Json(json!({})).into_response();
    registry.admission.standing.mark_login(response.headers_mut());
    response
}
