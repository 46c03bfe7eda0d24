//! `/v2/_catalog`: the repositories.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use http::header;
use http::request::Parts;
use proto::RepoName;
use proto::limits::PAGE_ENTRIES_MAX;
use raft::View;
use serde_json::json;

use crate::error::Error;
use crate::extract::{Page, Query};
use crate::visit::Visit;

/// Lists the repositories that the caller may read, in order.
pub(super) async fn list(visit: &Visit, parts: &Parts) -> Result<Response, Error> {
    let page = Page::of(&Query::of(&parts.uri))?;
    let view = visit.view().await?;
    // One more than asked for tells whether there is a next page.
    let mut repositories = readable(visit, &view, &page).await?;
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

/// The page of the repositories that the caller may read, and one more.
async fn readable(visit: &Visit, view: &View, page: &Page) -> Result<Vec<RepoName>, Error> {
    if page.limit == 0 || !visit.caller.has_any_right() {
        return Ok(Vec::new());
    }
    let wanted = page.limit + 1;
    let mut step = wanted;
    let mut readable: Vec<RepoName> = Vec::new();
    let mut after = page.after.clone();
    loop {
        let looked_at = view.repositories(after.as_deref(), step)?;
        let is_last = looked_at.len() < step;
        after = looked_at.last().map(ToString::to_string);
        readable.extend(looked_at.into_iter().filter(|name| visit.caller.may_see(name)));
        if is_last || readable.len() >= wanted {
            readable.truncate(wanted);
            return Ok(readable);
        }
        // Others have their turn while somebody looks for a few among very many.
        step = PAGE_ENTRIES_MAX;
        tokio::task::yield_now().await;
    }
}
