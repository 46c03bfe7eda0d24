//! `/v2/_catalog`: the repositories.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use http::header;
use http::request::Parts;
use proto::RepoName;
use serde_json::json;

use crate::error::Error;
use crate::extract::{Page, Query};
use crate::registry::Registry;

/// Lists the repositories in order.
pub(super) async fn list(registry: &Registry, parts: &Parts) -> Result<Response, Error> {
    let page = Page::of(&Query::of(&parts.uri))?;
    let view = registry.view().await?;
    // One more than asked for tells whether there is a next page.
    let mut repositories = view.repositories(page.after.as_deref(), page.limit + 1)?;
    let has_more = repositories.len() > page.limit;
    repositories.truncate(page.limit);

    let names: Vec<&str> = repositories.iter().map(RepoName::as_str).collect();
    let body = Json(json!({ "repositories": names }));
    Ok(match repositories.last() {
        Some(last) if has_more => {
            let link = page.link("/v2/_catalog", last.as_str(), &[]);
            ([(header::LINK, link)], body).into_response()
        }
        _ => body.into_response(),
    })
}
