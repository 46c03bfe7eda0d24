//! `/roadstead/v1/token`: where clients get tokens for their credentials
//! (distribution's "Token Authentication Specification" and "Oauth2 Token Authentication").

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::header;
use http::request::Parts;
use proto::access::{AccessCommand, TokenKey, TokenSeed};
use proto::{Command, Timestamp};
use raft::View;
use serde_json::json;

use super::bytes;
use crate::access::{
    Access, BASIC, Caller, Credentials, LIFETIME, Login, Resource, by_certificate, log_in,
    public_jwk,
};
use crate::error::Error;
use crate::extract::Query;
use crate::registry::{Registry, random};

/// Answers with a token for whoever's credentials the request has, or for nobody in particular.
pub(super) async fn show(registry: &Registry, parts: &Parts) -> Result<Response, Error> {
    let access = registry.access()?;
    let view = registry.newest().await?;
    let login = match Credentials::of(&parts.headers) {
        Credentials::None => by_certificate(access, &view, parts)?,
        Credentials::Basic { name, password } => {
            log_in(registry, access, &view, parts, &name, &password).await.map_err(told)?
        }
        Credentials::Bearer(_) | Credentials::Unreadable => return Err(told(Error::LoginFailed)),
    };
    let query = Query::of(&parts.uri);
    give(registry, access, &view, login, query.all("scope")).await
}

/// Answers with a token for the name and password in a form (RFC 6749, section 4.3).
pub(super) async fn exchange(
    registry: &Registry,
    parts: &Parts,
    body: Body,
) -> Result<Response, Error> {
    let access = registry.access()?;
    let form = Query::of_form(&bytes(parts, body).await?);
    if form.first("grant_type") != Some("password") {
        return Err(Error::BadRequest(
            "of OAuth 2 only 'grant_type=password' is known here; or GET, with Basic credentials"
                .to_owned(),
        ));
    }
    let (name, password) = (form.first("username"), form.first("password"));
    let (name, password) = (name.unwrap_or_default(), password.unwrap_or_default());
    let view = registry.newest().await?;
    let login = log_in(registry, access, &view, parts, name, password).await.map_err(told)?;
    give(registry, access, &view, login, form.all("scope")).await
}

/// The refusal of a login, with what is expected in its place.
fn told(error: Error) -> Error {
    match error {
        Error::LoginFailed => Error::Unauthorized { challenge: BASIC.to_owned(), has_failed: true },
        error => error,
    }
}

/// The token is good for what is asked for and permitted now; what is taken back later is refused
/// all the same.
async fn give<'a>(
    registry: &Registry,
    access: &Access,
    view: &View,
    login: Login,
    scopes: impl Iterator<Item = &'a str>,
) -> Result<Response, Error> {
    registry.count_request(login.identity.name())?;
    let now = registry.clock.now();
    let snapshot = access.snapshot(view)?;
    let caller = Caller::with_login(login.clone(), &snapshot, false);
    let resources: Vec<Resource> = Resource::all(scopes)
        .into_iter()
        .filter_map(|asked| asked.permitted(|verb, name| caller.may(verb, Some(name))))
        .collect();
    let key = signing_key(registry, view, now).await?;
    let token = access.tokens.issue(&key, &login, resources, now)?;
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    let body = json!({
        "token": token,
        "access_token": token,
        "expires_in": LIFETIME.as_secs(),
        "issued_at": super::date(now),
    });
    Ok((no_store, Json(body)).into_response())
}

/// The key that signs: a fresh one when there is none, or it has served its time.
async fn signing_key(registry: &Registry, view: &View, now: Timestamp) -> Result<TokenKey, Error> {
    if let Some(key) = view.token_key(now)? {
        return Ok(key);
    }
    let command = AccessCommand::AddTokenKey { seed: TokenSeed(random()?) };
    registry.propose_by_itself(Command::Access(command)).await?;
    // The leader's clock decided: by this one, its key may look old already.
    let newest = registry.newest().await?.token_keys()?.pop();
    newest.ok_or_else(|| Error::Internal("the cluster has no key for tokens".to_owned()))
}

/// Answers with the keys by which tokens can be checked (RFC 7517).
pub(super) async fn keys(registry: &Registry) -> Result<Response, Error> {
    let keys = registry.view().await?.token_keys()?;
    let keys: Vec<_> = keys.iter().filter_map(public_jwk).collect();
    Ok(Json(json!({ "keys": keys })).into_response())
}
