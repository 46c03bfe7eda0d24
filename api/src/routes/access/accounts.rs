//! `/roadstead/v1/accounts`: users and robots.

use std::collections::BTreeSet;

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{StatusCode, header};
use proto::access::{
    AccessCommand, AccessRefusal, Account, AccountKind, AccountName, GroupName, PasswordHash, Verb,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{change, json as body_of, parse};
use crate::access::{Need, NewPassword};
use crate::client::Client;
use crate::error::Error;
use crate::extract::{Page, Query};
use crate::visit::Visit;

/// An account that is to be made.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewAccount {
    name: String,
    #[serde(default)]
    kind: Kind,
    password: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    #[default]
    User,
    Robot,
}

/// What is to change of an account.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    password: Option<String>,
    groups: Option<Vec<String>>,
    enabled: Option<bool>,
}

/// Makes an account.
pub(super) async fn create(visit: &Visit, parts: &Parts, body: Body) -> Result<Response, Error> {
    let (new, visit): (NewAccount, _) = body_of(visit, parts, body).await?;
    let name: AccountName = parse(&new.name)?;
    let kind = match new.kind {
        Kind::User => AccountKind::User,
        Kind::Robot => AccountKind::Robot,
    };
    let (groups, password) = (groups(&new.groups)?, hashed(&visit, parts, new.password).await?);
    let location = format!("/roadstead/v1/accounts/{name}");
    change(&visit, AccessCommand::CreateAccount { name, kind, password, groups }).await?;
    Ok((StatusCode::CREATED, [(header::LOCATION, location)]).into_response())
}

/// Lists the accounts in order.
pub(super) async fn list(visit: &Visit, parts: &Parts) -> Result<Response, Error> {
    let page = Page::of(&Query::of(&parts.uri))?;
    let mut accounts = visit.view().await?.accounts(page.after.as_deref(), page.limit + 1)?;
    let has_more = accounts.len() > page.limit;
    accounts.truncate(page.limit);
    let body = Json(json!({ "accounts": accounts.iter().map(shown).collect::<Vec<_>>() }));
    Ok(match accounts.last() {
        Some(last) if has_more => {
            let link = page.link("/roadstead/v1/accounts", last.name.as_str(), &[]);
            ([(header::LINK, link)], body).into_response()
        }
        _ => body.into_response(),
    })
}

/// Shows an account.
pub(super) async fn show(visit: &Visit, name: AccountName) -> Result<Response, Error> {
    match visit.view().await?.account(&name)? {
        Some(account) => Ok(Json(shown(&account)).into_response()),
        None => Err(Error::Refused(AccessRefusal::AccountUnknown(name).into())),
    }
}

/// Changes an account. Who is not an administrator changes their own password alone.
pub(super) async fn update(
    visit: &Visit,
    name: AccountName,
    parts: &Parts,
    body: Body,
) -> Result<Response, Error> {
    let (changes, visit): (Changes, _) = body_of(visit, parts, body).await?;
    let is_administration = changes.groups.is_some() || changes.enabled.is_some();
    if is_administration && !visit.caller.may(Verb::Manage, None) {
        return Err(visit.access()?.deny(parts, &visit.caller, &Need::Administration));
    }
    let groups = changes.groups.as_deref().map(groups).transpose()?;
    let password = hashed(&visit, parts, changes.password).await?;
    let enabled = changes.enabled;
    change(&visit, AccessCommand::UpdateAccount { name, password, groups, enabled }).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Removes an account, with its keys and the grants to it.
pub(super) async fn remove(visit: &Visit, name: AccountName) -> Result<Response, Error> {
    change(visit, AccessCommand::RemoveAccount(name)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn hashed(
    visit: &Visit,
    parts: &Parts,
    password: Option<String>,
) -> Result<Option<PasswordHash>, Error> {
    let Some(password) = password else { return Ok(None) };
    let (passwords, new) = (&visit.access()?.passwords, NewPassword::new(password)?);
    Ok(Some(passwords.hash(Client::of(&parts.extensions), new).await?))
}

fn groups(names: &[String]) -> Result<BTreeSet<GroupName>, Error> {
    names.iter().map(|name| parse(name)).collect()
}

fn shown(account: &Account) -> Value {
    json!({
        "name": account.name.as_str(),
        "kind": account.kind.to_string(),
        "groups": account.groups.iter().map(GroupName::as_str).collect::<Vec<_>>(),
        "enabled": account.enabled,
        "password": account.password.is_some(),
    })
}
