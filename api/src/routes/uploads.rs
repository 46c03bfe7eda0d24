//! `/v2/<name>/blobs/uploads/`: pushing blobs, at once, in a stream or in chunks, and mounting
//! them.

mod place;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{HeaderName, StatusCode, header};
use proto::limits::{UPLOAD_CHUNK_BYTES_MIN, UPLOAD_PARTS_MAX};
use proto::{Algorithm, Command, Digest, ObjectKey, Refusal, RepoName};

use self::place::{chunk, durable, interrupted, out_of_step};
use super::CONTENT_DIGEST;
use crate::error::Error;
use crate::extract::Query;
use crate::intake::{self, IntakeError};
use crate::link::Upload;
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
        if mount(registry, &repository, query.first("from"), &digest).await? {
            return Ok(created(&repository, &digest));
        }
        algorithm = digest.algorithm();
    }
    if let Some(name) = query.first("digest-algorithm") {
        algorithm = name.parse()?;
    }
    let object = ObjectKey::from_random(u128::from_be_bytes(random()?));
    let session = Session::begin(repository, object, algorithm, registry.clock.now());
    if query.first("digest").is_some() {
        return finish(registry, session, parts, body).await;
    }
    let mut response = accepted(registry, &session, StatusCode::ACCEPTED).await?;
    response.headers_mut().insert(CHUNK_MIN_LENGTH, UPLOAD_CHUNK_BYTES_MIN.into());
    Ok(response)
}

/// The session that the request continues.
pub(super) async fn session(
    registry: &Registry,
    repository: RepoName,
    object: ObjectKey,
    parts: &Parts,
) -> Result<Session, Error> {
    let query = Query::of(&parts.uri);
    let state = query.first("state").ok_or(Error::UploadUnknown)?;
    let key = registry.upload_key().await?;
    Session::open(key, repository, object, state, registry.clock.now()).ok_or(Error::UploadUnknown)
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
    if session.parts as usize >= UPLOAD_PARTS_MAX {
        return Err(Error::TooManyChunks);
    }
    // Only so that an ended upload does not grow: what this node knows is enough, unconfirmed.
    if registry.cluster.local()?.has_ended(session.object)? {
        return Err(Error::UploadUnknown);
    }
    let (session, terms) = chunk(registry, session, &parts.headers).await?;
    let hasher = session.hasher_for(session.algorithm);
    let (object, offset) = (session.object, session.offset);
    let session = match intake::append(&*registry.blobs, object, offset, body, hasher, terms).await
    {
        Ok(taken) if taken.length == 0 => durable(registry, session).await?,
        Ok(taken) => session.advance(taken.length, taken.hasher, registry.clock.now()),
        Err(error) => return Err(interrupted(registry, session, &parts.headers, error).await?),
    };
    accepted(registry, &session, StatusCode::ACCEPTED).await
}

/// Ends an upload, perhaps with a last chunk: what came is the blob `digest`, or it is removed.
pub(super) async fn finish(
    registry: &Registry,
    session: Session,
    parts: &Parts,
    body: Body,
) -> Result<Response, Error> {
    let query = Query::of(&parts.uri);
    let digest: Digest = query.first("digest").ok_or(Error::DigestMissing)?.parse()?;
    let (session, terms) = chunk(registry, session, &parts.headers).await?;
    let hasher = session.hasher_for(digest.algorithm());
    let (object, offset) = (session.object, session.offset);
    let (size, hasher, is_repeated) =
        match intake::append(&*registry.blobs, object, offset, body, hasher, terms).await {
            Ok(taken) if taken.length > 0 => (offset + taken.length, taken.hasher, false),
            Ok(taken) => match registry.extent(object).await? {
                extent if extent == offset => (offset, taken.hasher, false),
                extent => (extent, None, false),
            },
            // This very request may have come before, and its answer not have reached the client.
            Err(IntakeError::Offset) => (registry.extent(object).await?, None, true),
            Err(error) => return Err(interrupted(registry, session, &parts.headers, error).await?),
        };
    if size < offset {
        return ended(registry, session, digest).await;
    }
    let actual = match hasher {
        Some(hasher) => hasher.finish(),
        None => registry.digest_of(object, size, digest.algorithm()).await?,
    };
    if actual != digest {
        if is_repeated {
            return Err(out_of_step(registry, session).await?);
        }
        match registry.discard(object).await {
            // It became the blob that it is before: only this request is wrong.
            Ok(()) | Err(Error::Refused(Refusal::UploadEnded(_))) => {}
            Err(error) => return Err(error),
        }
        return Err(Error::DigestMismatch { expected: digest, actual });
    }
    let Session { repository, .. } = session;
    let response = created(&repository, &digest);
    registry.link(Upload { repository, object, digest, size }).await?;
    Ok(response)
}

/// Cancels an upload (distribution-spec, "Cancelling a blob upload").
pub(super) async fn cancel(registry: &Registry, session: Session) -> Result<Response, Error> {
    known(registry, &session).await?;
    registry.discard(session.object).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Refuses an upload that has become a blob, or was given up.
async fn known(registry: &Registry, session: &Session) -> Result<(), Error> {
    if registry.view().await?.has_ended(session.object)? {
        return Err(Error::UploadUnknown);
    }
    Ok(())
}

/// Whether the blob could be mounted, from the repository `from` alone when there is one. All
/// reasons against it look alike, so that nobody learns what others have.
async fn mount(
    registry: &Registry,
    repository: &RepoName,
    from: Option<&str>,
    digest: &Digest,
) -> Result<bool, Error> {
    let from = match from {
        Some(from) => from.parse().ok(),
        None => registry.source(digest).await?,
    };
    let Some(from) = from else { return Ok(false) };
    let Some(blob) = registry.content(|view| view.blob(&from, digest)).await? else {
        return Ok(false);
    };
    // Bytes that are gone come back only when the client sends them again.
    if registry.extent(blob.object).await? < blob.size {
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

/// The answer to ending an upload whose bytes are gone: yes, when it was ended before and the blob
/// is there.
async fn ended(registry: &Registry, session: Session, digest: Digest) -> Result<Response, Error> {
    let linked = registry.view().await?.blob(&session.repository, &digest)?;
    match linked {
        Some(_) => Ok(created(&session.repository, &digest)),
        None => Err(Error::UploadUnknown),
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
        (UPLOAD_UUID, session.object.to_string()),
    ];
    Ok((status, headers).into_response())
}

/// The answer that tells that the repository has the blob.
fn created(repository: &RepoName, digest: &Digest) -> Response {
    let location = format!("/v2/{repository}/blobs/{digest}");
    let headers = [(header::LOCATION, location), (CONTENT_DIGEST, digest.to_string())];
    (StatusCode::CREATED, headers).into_response()
}
