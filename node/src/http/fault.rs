//! What is wrong with a request before any handler sees it, and how that is answered.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderValue, StatusCode, header};
use proto::limits::{HEAD_BYTES_MAX, HEADERS_MAX, TARGET_BYTES_MAX};
use serde_json::json;

/// Why a request is refused for its form. Its text is for the person who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// Not as RFC 9112 wants it, or so that two readers could read it differently.
    #[error("{0}")]
    Malformed(&'static str),
    /// It came in the clear, to a port that speaks TLS.
    #[error("this port speaks TLS: ask by https")]
    Unencrypted,
    /// Its target is too long.
    #[error("the address of a request has at most {TARGET_BYTES_MAX} characters")]
    TargetTooLong,
    /// Its headers are too long, or too many.
    #[error("a request has at most {HEADERS_MAX} headers, and {HEAD_BYTES_MAX} bytes of them")]
    HeadTooLarge,
}

impl Fault {
    /// The answer to it, as registry clients read errors.
    pub(super) fn response(self) -> Response {
        let status = match self {
            Self::Malformed(_) | Self::Unencrypted => StatusCode::BAD_REQUEST,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        };
        let error = json!({ "code": "UNSUPPORTED", "message": self.to_string() });
        let mut response = (status, Json(json!({ "errors": [error] }))).into_response();
        let nosniff = HeaderValue::from_static("nosniff");
        response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
        response
    }
}
