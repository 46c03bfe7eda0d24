//! `/v2/`: whether this is a visit.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::visit::Visit;

/// Says yes (distribution-spec, "Determining Support"), to a caller who may ask.
pub(super) fn show(visit: &Visit) -> Response {
    let mut response = Json(json!({})).into_response();
    visit.admission.source.mark_login(response.headers_mut());
    response
}
