//! `/roadstead/v1/accounts/<name>/keys`: the access keys of an account.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{StatusCode, header};
use proto::Timestamp;
use proto::access::{AccessCommand, AccessKey, AccessRefusal, AccountName, KeyId, KeyScope};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{change, date, json as body_of};
use crate::access::AccessKeySecret;
use crate::error::Error;
use crate::visit::Visit;

/// A key that is to be made.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKey {
    #[serde(default)]
    description: String,
    /// After how many seconds it ends.
    expires_in: Option<u64>,
    #[serde(default)]
    scope: Vec<String>,
}

/// Makes a key, and shows it: nobody can show it again.
pub(super) async fn create(
    visit: &Visit,
    account: AccountName,
    parts: &Parts,
    body: Body,
) -> Result<Response, Error> {
    let (new, visit): (NewKey, _) = body_of(visit, parts, body).await?;
    if new.description.chars().any(char::is_control) {
        let why = "a description has no control characters, such as line breaks";
        return Err(Error::BadRequest(why.to_owned()));
    }
    let scope = KeyScope::of(new.scope.iter().map(String::as_str))
        .map_err(|error| Error::BadRequest(error.to_string()))?;
    let drawn = AccessKeySecret::draw()?;
    let now = visit.clock.now();
    let expires = new.expires_in.map(|seconds| end(now, seconds)).transpose()?;
    let key = AccessKey {
        id: drawn.id,
        secret: drawn.hash(),
        account: account.clone(),
        description: new.description,
        created: now,
        expires,
        scope,
    };
    let mut body = shown(&key, None);
    body["key"] = json!(drawn.to_string());
    let location = format!("/roadstead/v1/accounts/{account}/keys/{}", drawn.id);
    change(&visit, AccessCommand::CreateKey(key)).await?;
    let headers = [(header::LOCATION, location.as_str()), (header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::CREATED, headers, Json(body)).into_response())
}

/// When a key ends that is made now and is good for so many `seconds`.
fn end(now: Timestamp, seconds: u64) -> Result<Timestamp, Error> {
    let end = now.plus(Duration::from_secs(seconds));
    match date(end) {
        Some(_) if seconds > 0 => Ok(end),
        _ => Err(Error::BadRequest(
            "a key is good for a second at least, and until the year 9999 at most".to_owned(),
        )),
    }
}

/// Lists the keys of an account, without their secrets.
pub(super) async fn list(visit: &Visit, account: AccountName) -> Result<Response, Error> {
    let view = visit.view().await?;
    if view.account(&account)?.is_none() {
        return Err(Error::Refused(AccessRefusal::AccountUnknown(account).into()));
    }
    let mut keys = Vec::new();
    for key in view.access_keys_of(&account)? {
        keys.push(shown(&key, view.key_use(key.id)?));
    }
    Ok(Json(json!({ "keys": keys })).into_response())
}

/// Ends a key.
pub(super) async fn revoke(
    visit: &Visit,
    account: AccountName,
    key: KeyId,
) -> Result<Response, Error> {
    change(visit, AccessCommand::RevokeKey { account, key }).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn shown(key: &AccessKey, last_use: Option<Timestamp>) -> Value {
    json!({
        "id": key.id.to_string(),
        "account": key.account.as_str(),
        "description": key.description,
        "created": date(key.created),
        "expires": key.expires.and_then(date),
        "last_used": last_use.and_then(date),
        "scope": key.scope.parts().collect::<Vec<_>>(),
    })
}
