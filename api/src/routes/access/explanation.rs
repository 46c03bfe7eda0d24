//! `/roadstead/v1/explanation`: why somebody may do something, or may not.

use std::collections::BTreeSet;

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use proto::RepoName;
use proto::access::{AccountName, Verb};
use serde_json::json;

use super::grants::shown;
use super::parse;
use crate::access::{Identity, Policy};
use crate::error::Error;
use crate::extract::Query;
use crate::visit::Visit;

/// Answers whether `account`, or nobody in particular, may do `verb` in `repository`, or what
/// concerns the whole visit, and the grant that says so.
pub(super) async fn show(visit: &Visit, parts: &Parts) -> Result<Response, Error> {
    let query = Query::of(&parts.uri);
    let verb: Verb = parse(query.first("verb").unwrap_or_default())?;
    let repository = query.first("repository").map(parse::<RepoName>).transpose()?;
    let view = visit.view().await?;
    let (identity, is_enabled) = match query.first("account") {
        None => (Identity::Anonymous, true),
        Some(name) => {
            let name: AccountName = parse(name)?;
            let account = view.account(&name)?;
            let is_enabled = account.as_ref().is_none_or(|account| account.enabled);
            let groups = account.map_or_else(BTreeSet::new, |account| account.groups);
            (Identity::Account { name, groups }, is_enabled)
        }
    };
    let grant = Policy::read(&view)?.explain(&identity, verb, repository.as_ref());
    let body = json!({
        "permitted": grant.is_some() && is_enabled,
        "enabled": is_enabled,
        "grant": grant.as_ref().map(shown),
    });
    Ok(Json(body).into_response())
}
