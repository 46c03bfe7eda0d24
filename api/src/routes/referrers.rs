//! `/v2/<name>/referrers/<digest>`: the manifests whose subject is a given one.

use axum::response::{IntoResponse as _, Response};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderName, HeaderValue, header};
use proto::limits::MANIFEST_BYTES_MAX;
use proto::{Descriptor, Digest, MediaType, RepoName};
use raft::View;
use serde_json::json;

use crate::error::Error;
use crate::extract::{Page, Query};
use crate::registry::Registry;

/// Says by what the list was filtered.
const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
/// Referrers that are read from the catalog at once: each may carry a manifest's worth of
/// annotations.
const SCAN: usize = 32;
/// Referrers that one request looks through for those of the wanted type.
const SCANNED_MAX: usize = 10_000;

/// One page of referrers.
struct Found {
    descriptors: Vec<serde_json::Value>,
    /// Where the next page begins, when there may be one.
    next: Option<Digest>,
}

/// Lists the referrers in order of digest (distribution-spec, "Listing Referrers"): an empty index,
/// not an error, when there are none or the repository does not exist.
pub(super) async fn list(
    registry: &Registry,
    repository: &RepoName,
    subject: &Digest,
    parts: &Parts,
) -> Result<Response, Error> {
    let query = Query::of(&parts.uri);
    let page = Page::of(&query)?;
    // No media type holds a space: one here was a plus sign that the client did not escape.
    let wanted = query.first("artifactType").map(|wanted| wanted.replace(' ', "+"));
    let after = page.after.as_deref().map(str::parse).transpose()?;
    let view = registry.view().await?;
    let found = collect(&view, repository, subject, after, wanted.as_deref(), page.limit)?;

    let index = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_INDEX,
        "manifests": found.descriptors,
    });
    let mut response = ([(CONTENT_TYPE, MediaType::OCI_INDEX)], index.to_string()).into_response();
    let extra = wanted.as_deref().map(|wanted| ("artifactType", wanted));
    if extra.is_some() {
        let applied = HeaderValue::from_static("artifactType");
        response.headers_mut().insert(FILTERS_APPLIED, applied);
    }
    if let Some(last) = found.next {
        let path = format!("/v2/{repository}/referrers/{subject}");
        let link = page.link(&path, last.as_str(), extra.as_slice());
        if let Ok(link) = HeaderValue::try_from(link) {
            response.headers_mut().insert(header::LINK, link);
        }
    }
    Ok(response)
}

/// The referrers of type `wanted` after `after`: at most `limit`, and at most as many bytes of them
/// as clients take for a manifest.
fn collect(
    view: &View,
    repository: &RepoName,
    subject: &Digest,
    mut after: Option<Digest>,
    wanted: Option<&str>,
    limit: usize,
) -> Result<Found, Error> {
    let mut found = Found { descriptors: Vec::new(), next: None };
    let (mut bytes, mut scanned) = (0, 0);
    if limit == 0 {
        return Ok(found);
    }
    loop {
        let batch = view.referrers(repository, subject, after.as_ref(), SCAN)?;
        let is_last = batch.len() < SCAN;
        for referrer in batch {
            if is_wanted(&referrer, wanted) {
                let descriptor = serde_json::to_value(&referrer)
                    .map_err(|error| Error::Internal(error.to_string()))?;
                let size = descriptor.to_string().len();
                let is_full = found.descriptors.len() == limit
                    || (bytes + size > MANIFEST_BYTES_MAX - 1024 && bytes > 0);
                if is_full {
                    found.next = after;
                    return Ok(found);
                }
                bytes += size;
                found.descriptors.push(descriptor);
            }
            after = Some(referrer.digest);
            scanned += 1;
        }
        if is_last {
            return Ok(found);
        }
        if scanned >= SCANNED_MAX {
            found.next = after;
            return Ok(found);
        }
    }
}

fn is_wanted(referrer: &Descriptor, wanted: Option<&str>) -> bool {
    wanted.is_none_or(|wanted| referrer.artifact_type.as_deref() == Some(wanted))
}
