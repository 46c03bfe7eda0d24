//! `/v2/<name>/blobs/uploads/`: pushing blobs, at once, in a stream or in chunks, and mounting
//! them.

mod finish;
mod standing;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{HeaderName, StatusCode, header};
use proto::limits::UPLOAD_CHUNK_BYTES_MIN;
use proto::{Algorithm, Command, Digest, Mutant, ObjectKey, RepoName};
use raft::View;

pub(super) use self::finish::{Begun, finish};
use self::standing::{chunk, durable, interrupted};
use super::CONTENT_DIGEST;
use crate::access;
use crate::client::Client;
use crate::error::Error;
use crate::extract::Query;
use crate::intake::{self, Held, Place, Taken};
use crate::registry::{Registry, random};
use crate::session::Session;

/// The upload's id, for clients that track it.
const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// Asks for chunks of at least so many bytes (distribution-spec, "Pushing a blob in chunks").
const CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");

/// Begins an upload (distribution-spec, "Pushing blobs"): mounts the blob when `mount` asks for one
/// that is there, takes it whole when `digest` is given, and otherwise tells where to send it.
pub(super) async fn begin(
    registry: &Registry,
    repository: RepoName,
    parts: &Parts,
    body: Body,
) -> Result<Response, Error> {
    let query = Query::of(&parts.uri);
    let mut algorithm = Algorithm::Sha256;
    if let Some(digest) = query.first("mount") {
        let digest: Digest = digest.parse()?;
        if mount(registry, parts, &repository, query.first("from"), &digest).await? {
            return Ok(created(&repository, &digest));
        }
        algorithm = digest.algorithm();
    }
    if let Some(name) = query.first("digest-algorithm") {
        algorithm = name.parse()?;
    }
    let upload = ObjectKey::from_random(u128::from_be_bytes(random()?));
    let owner = registry.caller.actor();
    let session = Session::begin(repository, owner, upload, algorithm, registry.clock.now());
    if query.first("digest").is_some() {
        return finish(registry, session, parts, body, Begun::Now).await;
    }
    // Only uploads that stay open count against the limit, and this one does.
    let admitted = registry.upload_starts.take(Client::of(&parts.extensions));
    admitted.map_err(|retry_after| Error::TooManyUploads { retry_after })?;
    let mut response = accepted(registry, &session, StatusCode::ACCEPTED).await?;
    response.headers_mut().insert(CHUNK_MIN_LENGTH, UPLOAD_CHUNK_BYTES_MIN.into());
    Ok(response)
}

/// The session that the request continues.
pub(super) async fn session(
    registry: &Registry,
    repository: RepoName,
    upload: ObjectKey,
    parts: &Parts,
) -> Result<Session, Error> {
    let query = Query::of(&parts.uri);
    let state = query.first("state").ok_or(Error::UploadUnknown)?;
    let key = registry.upload_key().await?;
    let owner = registry.caller.actor();
    let now = registry.clock.now();
    Session::open(key, repository, owner, upload, state, now).ok_or(Error::UploadUnknown)
}

/// Tells how far an upload is, from what is durable: a client whose last answer was lost goes on
/// from there.
pub(super) async fn show(registry: &Registry, session: Session) -> Result<Response, Error> {
    known(registry, &session).await?;
    let session = durable(registry, session).await?;
    accepted(registry, &session, StatusCode::NO_CONTENT).await
}

/// Adds a chunk (distribution-spec, "Pushing a blob in chunks"), or with neither length nor range a
/// stream.
pub(super) async fn append(
    registry: &Registry,
    session: Session,
    parts: &Parts,
    body: Body,
) -> Result<Response, Error> {
    // Only so that an ended upload does not grow: what this node knows is enough, unconfirmed.
    if registry.cluster.local()?.has_ended(session.upload)? {
        return Err(Error::UploadUnknown);
    }
    let (session, terms) = chunk(registry, session, &parts.headers).await?;
    let hasher = session.hasher_for(session.algorithm);
    let place = Place::After(session.at);
    let session = match intake::take(registry, session.upload, place, body, hasher, terms).await {
        Ok(Taken { held: Some(Held::Upload(at)), hasher, .. }) => {
            session.advance(at, hasher, registry.clock.now())
        }
        Ok(_) => durable(registry, session).await?,
        Err(error) => return Err(interrupted(registry, session, &parts.headers, error).await?),
    };
    accepted(registry, &session, StatusCode::ACCEPTED).await
}

/// Cancels an upload (distribution-spec, "Cancelling a blob upload").
pub(super) async fn cancel(registry: &Registry, session: Session) -> Result<Response, Error> {
    known(registry, &session).await?;
    registry.discard(session.upload).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Refuses an upload that has become a blob, or was given up.
async fn known(registry: &Registry, session: &Session) -> Result<(), Error> {
    if registry.view().await?.has_ended(session.upload)? {
        return Err(Error::UploadUnknown);
    }
    Ok(())
}

/// Whether the blob could be mounted, from the repository `from` alone when there is one. All
/// reasons against it look alike, so that nobody learns what others have.
async fn mount(
    registry: &Registry,
    parts: &Parts,
    repository: &RepoName,
    from: Option<&str>,
    digest: &Digest,
) -> Result<bool, Error> {
    let from = match from {
        Some(from) => {
            let from = from.parse().ok();
            from.filter(|from| registry.caller.may_pull_somehow(from))
        }
        None => registry.source(digest).await?,
    };
    let Some(from) = from else { return Ok(false) };
    let find = |view: &View| match Mutant::MountUnchecked.is_active() {
        true => view.blob_anywhere(digest),
        false => view.blob(&from, digest),
    };
    let Some((blob, _)) = registry.content(find).await? else {
        return Ok(false);
    };
    access::check_mount(registry, parts, repository, &from)?;
    // Bytes that are gone come back only when the client sends them again.
    if !registry.is_whole(digest, blob).await? {
        return Ok(false);
    }
    let command =
        Command::MountBlob { repository: repository.clone(), from, digest: digest.clone() };
    match registry.propose_once(command).await {
        Ok(_) => Ok(true),
        Err(Error::Refused(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The answer that tells where the upload stands.
async fn accepted(
    registry: &Registry,
    session: &Session,
    status: StatusCode,
) -> Result<Response, Error> {
    let headers = [
        (header::LOCATION, session.location(registry.upload_key().await?)),
        (header::RANGE, session.range()),
        (UPLOAD_UUID, session.upload.to_string()),
    ];
    Ok((status, headers).into_response())
}

/// The answer that tells that the repository has the blob.
fn created(repository: &RepoName, digest: &Digest) -> Response {
    let location = format!("/v2/{repository}/blobs/{digest}");
    let headers = [(header::LOCATION, location), (CONTENT_DIGEST, digest.to_string())];
    (StatusCode::CREATED, headers).into_response()
}
