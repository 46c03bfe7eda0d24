//! `/roadstead/v1/roles`: names for sets of verbs.

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::request::Parts;
use proto::access::{AccessCommand, Role, RoleName, Verb, Verbs};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{change, json as body_of, parse};
use crate::error::Error;
use crate::visit::Visit;

/// What a role shall permit.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Permitted {
    verbs: Vec<String>,
}

/// Lists the roles, those first that every cluster has.
pub(super) async fn list(visit: &Visit) -> Result<Response, Error> {
    let roles = visit.view().await?.roles()?;
    let shown = |role: &Role| -> Value {
        json!({
            "name": role.name.as_str(),
            "verbs": role.verbs.iter().map(Verb::as_str).collect::<Vec<_>>(),
            "built_in": Role::is_built_in(&role.name),
        })
    };
    Ok(Json(json!({ "roles": roles.iter().map(shown).collect::<Vec<_>>() })).into_response())
}

/// Makes a role, or changes what it permits.
pub(super) async fn put(
    visit: &Visit,
    name: RoleName,
    parts: &Parts,
    body: Body,
) -> Result<Response, Error> {
    let (permitted, visit): (Permitted, _) = body_of(visit, parts, body).await?;
    let verbs: Verbs =
        permitted.verbs.iter().map(|verb| parse::<Verb>(verb)).collect::<Result<_, _>>()?;
    if verbs.is_empty() {
        return Err(Error::BadRequest("a role permits one verb at least".to_owned()));
    }
    change(&visit, AccessCommand::PutRole(Role { name, verbs })).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Removes a role that no grant gives.
pub(super) async fn remove(visit: &Visit, name: RoleName) -> Result<Response, Error> {
    change(visit, AccessCommand::RemoveRole(name)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
