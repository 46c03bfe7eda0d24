//! `/roadstead/v1/`: tokens, and the management of accounts, keys, roles and grants.

mod accounts;
mod explanation;
mod grants;
mod keys;
mod roles;
mod token;

use axum::body::Body;
use axum::response::Response;
use http::request::Parts;
use proto::Command;
use proto::access::AccessCommand;
use serde::de::DeserializeOwned;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::access::readmit;
use crate::endpoint::AccessEndpoint;
use crate::error::Error;
use crate::extract::{content_length, content_type};
use crate::upload::intake::{self, Terms};
use crate::visit::Visit;

/// Largest body of a request that manages something, in bytes: many times the largest account.
const BODY_BYTES_MAX: u64 = 64 * 1024;

/// Answers a request about access.
pub(super) async fn handle(
    visit: &Visit,
    endpoint: AccessEndpoint,
    parts: &Parts,
    body: Body,
) -> Result<Response, Error> {
    if visit.access.is_none() {
        return Err(Error::AccessOpen);
    }
    match (endpoint, parts.method.as_str()) {
        (AccessEndpoint::Token, "POST") => token::exchange(visit, parts, body).await,
        (AccessEndpoint::Token, "GET") => token::show(visit, parts).await,
        (AccessEndpoint::TokenKeys, "GET") => token::keys(visit).await,
        (AccessEndpoint::Accounts, "POST") => accounts::create(visit, parts, body).await,
        (AccessEndpoint::Accounts, "GET") => accounts::list(visit, parts).await,
        (AccessEndpoint::Account(name), "PATCH") => {
            accounts::update(visit, name, parts, body).await
        }
        (AccessEndpoint::Account(name), "DELETE") => accounts::remove(visit, name).await,
        (AccessEndpoint::Account(name), "GET") => accounts::show(visit, name).await,
        (AccessEndpoint::Keys(account), "POST") => keys::create(visit, account, parts, body).await,
        (AccessEndpoint::Keys(account), "GET") => keys::list(visit, account).await,
        (AccessEndpoint::Key(account, id), "DELETE") => keys::revoke(visit, account, id).await,
        (AccessEndpoint::Roles, "GET") => roles::list(visit).await,
        (AccessEndpoint::Role(name), "PUT") => roles::put(visit, name, parts, body).await,
        (AccessEndpoint::Role(name), "DELETE") => roles::remove(visit, name).await,
        (AccessEndpoint::Grants, "POST") => grants::create(visit, parts, body).await,
        (AccessEndpoint::Grants, "DELETE") => grants::revoke(visit, parts).await,
        (AccessEndpoint::Grants, "GET") => grants::list(visit).await,
        (AccessEndpoint::Explanation, "GET") => explanation::show(visit, parts).await,
        (endpoint, _) => Err(Error::Method(endpoint.allow())),
    }
}

/// Has the cluster decide a change of access.
async fn change(visit: &Visit, command: AccessCommand) -> Result<(), Error> {
    visit.propose_once(Command::Access(command)).await?;
    Ok(())
}

/// The bytes of a body, which is small.
async fn bytes(parts: &Parts, body: Body) -> Result<bytes::Bytes, Error> {
    let length = content_length(&parts.headers);
    let too_large = || Error::BodyTooLarge { most: BODY_BYTES_MAX };
    if length.is_some_and(|length| length > BODY_BYTES_MAX) {
        return Err(too_large());
    }
    intake::collect(body, Terms { length, most: BODY_BYTES_MAX }, too_large()).await
}

/// What a body says as JSON, and the visit with the rights that count now that the body is there: a
/// caller who has lost the right to change anything while it came is refused. It must be called
/// JSON: a browser sends no such thing for a page of another site without asking first, and it may
/// have a client's certificate, or its password.
async fn json<T: DeserializeOwned>(
    visit: &Visit,
    parts: &Parts,
    body: Body,
) -> Result<(T, Visit), Error> {
    let media_type = content_type(&parts.headers).unwrap_or_default();
    if !media_type.eq_ignore_ascii_case("application/json") {
        let what = "send JSON, and say so: Content-Type: application/json";
        return Err(Error::BadRequest(what.to_owned()));
    }
    let bytes = bytes(parts, body).await?;
    let visit = readmit(visit, parts).await?;
    let said = serde_json::from_slice(&bytes);
    Ok((said.map_err(|error| Error::BadRequest(error.to_string()))?, visit))
}

/// `text` as one of the types that have a form, or what is wrong with it.
fn parse<T: std::str::FromStr<Err: ToString>>(text: &str) -> Result<T, Error> {
    text.parse().map_err(|error: T::Err| Error::BadRequest(error.to_string()))
}

/// A time as people and programs read it (RFC 3339).
fn date(when: proto::Timestamp) -> Option<String> {
    let seconds = i64::try_from(when.as_millis() / 1000).ok()?;
    OffsetDateTime::from_unix_timestamp(seconds).ok()?.format(&Rfc3339).ok()
}
