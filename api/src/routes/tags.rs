//! `/v2/<name>/tags/list`: the tags of a repository.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use http::header;
use http::request::Parts;
use proto::{RepoName, Tag};
use serde_json::json;

use crate::error::Error;
use crate::extract::{Page, Query};
use crate::visit::Visit;

/// Lists the tags in order (distribution-spec, "Listing Tags").
pub(super) async fn list(
    visit: &Visit,
    repository: &RepoName,
    parts: &Parts,
) -> Result<Response, Error> {
    let page = Page::of(&Query::of(&parts.uri))?;
    let view = visit.view().await?;
    if !view.has_repository(repository)? {
        return Err(Error::NameUnknown(repository.clone()));
    }
    // One more than asked for tells whether there is a next page.
    let mut tags = view.tags(repository, page.after.as_deref(), page.limit + 1)?;
    let has_more = tags.len() > page.limit;
    tags.truncate(page.limit);

    let names: Vec<&str> = tags.iter().map(Tag::as_str).collect();
    let body = Json(json!({ "name": repository.as_str(), "tags": names }));
    Ok(match tags.last() {
        Some(last) if has_more => {
            let link = page.link(&format!("/v2/{repository}/tags/list"), last.as_str(), &[]);
            ([(header::LINK, link)], body).into_response()
        }
        _ => body.into_response(),
    })
}
