//! `/roadstead/v1/grants`: who has which role where.

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::request::Parts;
use proto::access::{AccessCommand, Grant};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{change, json as body_of, parse};
use crate::error::Error;
use crate::extract::Query;
use crate::visit::Visit;

/// A grant, as requests write it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    grantee: String,
    pattern: String,
    role: String,
}

impl Wanted {
    fn read(&self) -> Result<Grant, Error> {
        Ok(Grant {
            grantee: parse(&self.grantee)?,
            pattern: parse(&self.pattern)?,
            role: parse(&self.role)?,
        })
    }
}

/// Lists the grants, in order of whom they are for.
pub(super) async fn list(visit: &Visit) -> Result<Response, Error> {
    let grants = visit.view().await?.grants()?;
    Ok(Json(json!({ "grants": grants.iter().map(shown).collect::<Vec<_>>() })).into_response())
}

/// Makes a grant.
pub(super) async fn create(visit: &Visit, parts: &Parts, body: Body) -> Result<Response, Error> {
    let (wanted, visit): (Wanted, _) = body_of(visit, parts, body).await?;
    change(&visit, AccessCommand::Grant(wanted.read()?)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Takes the grant back that the query names.
pub(super) async fn revoke(visit: &Visit, parts: &Parts) -> Result<Response, Error> {
    let query = Query::of(&parts.uri);
    let named = |name| query.first(name).unwrap_or_default().to_owned();
    let wanted =
        Wanted { grantee: named("grantee"), pattern: named("pattern"), role: named("role") };
    change(visit, AccessCommand::Revoke(wanted.read()?)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// A grant, as answers write it.
pub(super) fn shown(grant: &Grant) -> Value {
    json!({
        "grantee": grant.grantee.to_string(),
        "pattern": grant.pattern.as_str(),
        "role": grant.role.as_str(),
    })
}
