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
    BASIC, Caller, Credentials, LIFETIME, Login, Resource, by_certificate, log_in, public_jwk,
};
use crate::content::source::Source;
use crate::error::{Error, RETRY_AFTER};
use crate::extract::Query;
use crate::registry::random;
use crate::visit::Visit;

/// Answers with a token for the account whose credentials the request has, or for nobody in
/// particular.
pub(super) async fn show(visit: &Visit, parts: &Parts) -> Result<Response, Error> {
    let entry = enter(visit, parts, &Credentials::of(&parts.headers)).await?;
    let query = Query::of(&parts.uri);
    give(visit, entry, query.all("scope")).await
}

/// Answers with a token for the name and password in a form (RFC 6749, section 4.3).
pub(super) async fn exchange(visit: &Visit, parts: &Parts, body: Body) -> Result<Response, Error> {
    let form = Query::of_form(&bytes(parts, body).await?);
    if form.first("grant_type") != Some("password") {
        return Err(Error::BadRequest(
            "of OAuth 2 only 'grant_type=password' is known here; or GET, with Basic credentials"
                .to_owned(),
        ));
    }
    let field = |name| form.first(name).unwrap_or_default().to_owned();
    let credentials = Credentials::Basic { name: field("username"), password: field("password") };
    let entry = enter(visit, parts, &credentials).await?;
    give(visit, entry, form.all("scope")).await
}

/// Who has logged in, and the catalog that says so.
struct Entry {
    login: Login,
    view: View,
    source: Source,
}

/// Logs in with `credentials`: without a quorum by the catalog that this node has, as it serves
/// content by its digest. Each node judges by its own catalog what the token is good for.
async fn enter(visit: &Visit, parts: &Parts, credentials: &Credentials) -> Result<Entry, Error> {
    let (view, source) = visit.at_hand().await?;
    match log_in_by(visit, parts, credentials, &view).await {
        // Of credentials that were made meanwhile, this node has not heard.
        Err(Error::LoginFailed) if source == Source::Alone => {}
        outcome => return Ok(Entry { login: outcome.map_err(told)?, view, source }),
    }
    let view = visit.newest().await?;
    let login = log_in_by(visit, parts, credentials, &view).await.map_err(told)?;
    Ok(Entry { login, view, source: Source::Confirmed })
}

async fn log_in_by(
    visit: &Visit,
    parts: &Parts,
    credentials: &Credentials,
    view: &View,
) -> Result<Login, Error> {
    let access = visit.access()?;
    match credentials {
        Credentials::None => by_certificate(access, view, parts),
        Credentials::Basic { name, password } => {
            log_in(visit, access, view, parts, name, password).await
        }
        Credentials::Bearer(_) | Credentials::Unreadable => Err(told(Error::LoginFailed)),
    }
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
    visit: &Visit,
    entry: Entry,
    scopes: impl Iterator<Item = &'a str>,
) -> Result<Response, Error> {
    let Entry { login, view, source } = entry;
    visit.count_request(login.identity.name())?;
    let access = visit.access()?;
    let now = visit.clock.now();
    let snapshot = access.snapshot(&view)?;
    let caller = Caller::with_login(login.clone(), &snapshot);
    let resources: Vec<Resource> = Resource::all(scopes)
        .into_iter()
        .filter_map(|asked| asked.permitted(|verb, name| caller.may(verb, Some(name))))
        .collect();
    let key = match source {
        Source::Confirmed => signing_key(visit, &view, now).await?,
        Source::Alone => last_key(&view)?,
    };
    let token = access.tokens.issue(source, &key, &login, resources, now)?;
    let no_store = [(header::CACHE_CONTROL, "no-store")];
    let body = json!({
        "token": token,
        "access_token": token,
        "expires_in": LIFETIME.as_secs(),
        "issued_at": super::date(now),
    });
    let mut response = (no_store, Json(body)).into_response();
    source.mark_login(response.headers_mut());
    Ok(response)
}

/// The key that signs: a fresh one when there is none, or it has served its time.
async fn signing_key(visit: &Visit, view: &View, now: Timestamp) -> Result<TokenKey, Error> {
    if let Some(key) = view.token_key(now)? {
        return Ok(key);
    }
    let command = AccessCommand::AddTokenKey { seed: TokenSeed(random()?) };
    visit.propose_by_itself(Command::Access(command)).await?;
    // The leader's clock decided: by this one, its key may look old already.
    let newest = visit.newest().await?.token_keys()?.pop();
    newest.ok_or_else(|| Error::Internal("the cluster has no key for tokens".to_owned()))
}

/// The key that signs while there can be no fresh one. What the last key has signed counts until
/// that key is retired.
fn last_key(view: &View) -> Result<TokenKey, Error> {
    let last = view.token_keys()?.pop();
    last.ok_or(Error::Unavailable { retry_after: RETRY_AFTER })
}

/// Answers with the keys by which tokens can be checked (RFC 7517).
pub(super) async fn keys(visit: &Visit) -> Result<Response, Error> {
    let keys = visit.view().await?.token_keys()?;
    let keys: Vec<_> = keys.iter().filter_map(public_jwk).collect();
    Ok(Json(json!({ "keys": keys })).into_response())
}
