//! `/v2/<name>/referrers/<digest>`: the manifests whose subject is a given one.

use std::ops::ControlFlow;

use axum::response::{IntoResponse as _, Response};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderName, HeaderValue, header};
use proto::limits::{MANIFEST_BYTES_MAX, MEDIA_TYPE_BYTES_MAX};
use proto::{Descriptor, Digest, MediaType, RepoName};
use raft::View;
use serde_json::json;

use crate::error::Error;
use crate::extract::{Page, Query};
use crate::visit::Visit;

/// Says by what the list was filtered.
const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");
/// Rows that one request looks at for those of the wanted type.
const SCANNED_ROWS_MAX: usize = 10_000;
/// Bytes of rows that one request looks at: a row has all annotations of its manifest.
const SCANNED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of the descriptors of one page, with a comma for each: as many as clients take for a
/// manifest, less those of the index around them.
const PAGE_BYTES_MAX: usize = MANIFEST_BYTES_MAX - 1024;

/// One page of referrers.
struct Found {
    descriptors: Vec<serde_json::Value>,
    /// Where the next page begins, when there may be one.
    next: Option<Digest>,
}

/// Lists the referrers in order of digest (distribution-spec, "Listing Referrers"): an empty index,
/// not an error, when there are none or the repository does not exist.
pub(super) async fn list(
    visit: &Visit,
    repository: &RepoName,
    subject: &Digest,
    parts: &Parts,
) -> Result<Response, Error> {
    let query = Query::of(&parts.uri);
    let page = Page::of(&query)?;
    // No media type holds a space: one here was a plus sign that the client did not escape.
    let wanted = query.first("artifactType").map(|wanted| wanted.replace(' ', "+"));
    let after = page.after.as_deref().map(str::parse).transpose()?;
    let view = visit.view().await?;
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

/// The referrers of type `wanted` after `after`: at most `limit`, at most as many bytes of them as
/// clients take for a manifest, and what can be found with a bounded effort. A page may have fewer,
/// even none, and still a next one.
fn collect(
    view: &View,
    repository: &RepoName,
    subject: &Digest,
    after: Option<Digest>,
    wanted: Option<&str>,
    limit: usize,
) -> Result<Found, Error> {
    let mut found = Found { descriptors: Vec::new(), next: None };
    if limit == 0 {
        return Ok(found);
    }
    let (mut bytes, mut scanned_rows, mut scanned_bytes) = (0, 0, 0);
    let mut last = after.clone();
    view.visit_referrers(repository, subject, after.as_ref(), |mut referrer, row_bytes| {
        scanned_bytes += row_bytes;
        let is_spent = scanned_rows == SCANNED_ROWS_MAX || scanned_bytes > SCANNED_BYTES_MAX;
        // Never at the first row, so that every page gets further.
        if is_spent && scanned_rows > 0 {
            found.next = last.take();
            return ControlFlow::Break(());
        }
        if is_wanted(&referrer, wanted) {
            let (descriptor, size) = entry(&mut referrer);
            if found.descriptors.len() == limit || bytes + size > PAGE_BYTES_MAX {
                found.next = last.take();
                return ControlFlow::Break(());
            }
            bytes += size;
            found.descriptors.push(descriptor);
        }
        scanned_rows += 1;
        last = Some(referrer.digest);
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

/// What the list says of `referrer`, and how many bytes of a page that takes. Where a page would
/// not hold it, it is without its annotations, and without a type that is too long to be one.
fn entry(referrer: &mut Descriptor) -> (serde_json::Value, usize) {
    let measure = |referrer: &Descriptor| {
        let descriptor = json!(referrer);
        let size = descriptor.to_string().len() + 1;
        (descriptor, size)
    };
    let whole = measure(referrer);
    if whole.1 <= PAGE_BYTES_MAX {
        return whole;
    }
    referrer.annotations.clear();
    referrer.artifact_type.take_if(|artifact_type| artifact_type.len() > MEDIA_TYPE_BYTES_MAX);
    measure(referrer)
}

fn is_wanted(referrer: &Descriptor, wanted: Option<&str>) -> bool {
    wanted.is_none_or(|wanted| referrer.artifact_type.as_deref() == Some(wanted))
}
