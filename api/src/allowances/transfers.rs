//! How many transfers are under way at once: each holds memory, a file or both for as long as its
//! client likes, or has the store look for as many files as a blob may have parts.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::Method;
use http_body_util::BodyExt as _;

use super::Share;
use crate::client::Client;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::registry::Registry;

/// How long a transfer waits for its turn. Among many small ones that comes within milliseconds,
/// and costs less than to refuse each and be asked again.
const PATIENCE: Duration = Duration::from_secs(1);

/// The share of the transfers that a request of `client` takes; none when it moves no content.
/// Waits for its turn.
///
/// # Errors
/// [`Error::TooManyTransfers`] when there are as many as there may be, of its client or of all, for
/// longer than it waits.
pub(crate) async fn admit(
    registry: &Registry,
    endpoint: &Endpoint,
    method: &Method,
    client: Client,
) -> Result<Option<Arc<Share>>, Error> {
    if !is_transfer(endpoint, method) {
        return Ok(None);
    }
    let share = registry.transfers.wait(client, PATIENCE).await.ok_or(Error::TooManyTransfers)?;
    Ok(Some(Arc::new(share)))
}

/// `response`, which holds `share` until its last byte was taken.
pub(crate) fn attach(share: Option<Arc<Share>>, response: Response) -> Response {
    let Some(share) = share else { return response };
    response.map(|body| {
        Body::new(body.map_err(move |error| {
            // The share goes when the body does, to which this belongs.
            let _held = &share;
            error
        }))
    })
}

/// Whether a request has a body that counts, on its way in or out, or is as much work without it:
/// the store looks for all parts of a blob, and a list is made to know its length. The few other
/// questions stay possible while everything is taken: tools ask them to find out what is wrong, and
/// clients to get the tokens with which the transfers under way go on.
fn is_transfer(endpoint: &Endpoint, method: &Method) -> bool {
    match *method {
        _ if matches!(endpoint, Endpoint::Access(_)) => false,
        Method::GET => !matches!(endpoint, Endpoint::Base | Endpoint::Cluster),
        Method::HEAD => matches!(
            endpoint,
            Endpoint::Blob(..) | Endpoint::Referrers(..) | Endpoint::Tags(_) | Endpoint::Catalog
        ),
        Method::POST | Method::PUT | Method::PATCH => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;

    #[test]
    fn what_moves_or_looks_for_content_counts_and_no_question_of_who_may_what() {
        let blob = format!("/v2/a/blobs/sha256:{}", "0".repeat(64));
        for (method, path, counts) in [
            (Method::GET, "/v2/a/manifests/1", true),
            (Method::HEAD, "/v2/a/manifests/1", false),
            (Method::HEAD, &blob, true),
            (Method::HEAD, &blob.replace("blobs", "referrers"), true),
            (Method::HEAD, "/v2/a/tags/list", true),
            (Method::HEAD, "/v2/_catalog", true),
            (Method::POST, "/v2/a/blobs/uploads/", true),
            (Method::GET, "/v2/", false),
            (Method::GET, "/roadstead/v1/cluster", false),
            (Method::GET, "/roadstead/v1/token", false),
            (Method::POST, "/roadstead/v1/token", false),
        ] {
            let endpoint = Endpoint::parse(path).unwrap();
            assert_eq!(is_transfer(&endpoint, &method), counts, "{method} {path}");
        }
    }
}
