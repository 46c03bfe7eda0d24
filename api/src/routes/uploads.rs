//! `/v2/<name>/blobs/uploads/`: pushing blobs, at once, in a stream or in chunks, and mounting
//! them.

mod place;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{HeaderName, StatusCode, header};
use proto::limits::{UPLOAD_CHUNK_BYTES_MIN, UPLOAD_PARTS_MAX};
use proto::{Algorithm, Command, Digest, Hasher, ObjectKey, Refusal, RepoName};
use storage::BlobsError;
use storage::blob::Position;

use self::place::{chunk, durable, interrupted, out_of_step};
use super::CONTENT_DIGEST;
use crate::error::Error;
use crate::extract::Query;
use crate::intake::{self, Held, IntakeError, Place, Taken, Terms};
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
    let upload = ObjectKey::from_random(u128::from_be_bytes(random()?));
    let session = Session::begin(repository, upload, algorithm, registry.clock.now());
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
    upload: ObjectKey,
    parts: &Parts,
) -> Result<Session, Error> {
    let query = Query::of(&parts.uri);
    let state = query.first("state").ok_or(Error::UploadUnknown)?;
    let key = registry.upload_key().await?;
    Session::open(key, repository, upload, state, registry.clock.now()).ok_or(Error::UploadUnknown)
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
    if registry.cluster.local()?.has_ended(session.upload)? {
        return Err(Error::UploadUnknown);
    }
    let (session, terms) = chunk(registry, session, &parts.headers).await?;
    let hasher = session.hasher_for(session.algorithm);
    let place = Place::After(session.at);
    let blobs = &*registry.blobs;
    let session = match intake::take(blobs, session.upload, place, body, hasher, terms).await {
        Ok(Taken { held: Some(Held::Upload(at)), hasher, .. }) => {
            session.advance(at, hasher, registry.clock.now())
        }
        Ok(_) => durable(registry, session).await?,
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
    let whole = match arrive(registry, &session, digest.algorithm(), body, terms).await? {
        Ok(whole) => whole,
        Err(error) => return Err(interrupted(registry, session, &parts.headers, error).await?),
    };
    let upload = session.upload;
    if whole.size < session.at.extent {
        return ended(registry, session, digest).await;
    }
    let (object, actual) = match whole.digest(registry, upload, digest.algorithm()).await {
        Err(Error::Blobs(BlobsError::Offset { .. })) => {
            return Err(out_of_step(registry, session).await?);
        }
        outcome => outcome?,
    };
    if actual != digest {
        if whole.is_repeated {
            return Err(out_of_step(registry, session).await?);
        }
        return reject(registry, session, whole, digest, actual).await;
    }
    let Session { repository, .. } = session;
    let response = created(&repository, &digest);
    let size = whole.size;
    registry.link(Upload { repository, id: upload, object, digest, size }).await?;
    Ok(response)
}

/// What an upload holds when its end is asked for.
struct Whole {
    held: Held,
    /// How many bytes.
    size: u64,
    /// Their hash, if it is known without reading them.
    hasher: Option<Hasher>,
    /// Whether the last chunk was there already: this very request may have come before, and its
    /// answer not have reached the client.
    is_repeated: bool,
}

impl Whole {
    /// The object that the upload `id` is, and its digest.
    async fn digest(
        &self,
        registry: &Registry,
        id: ObjectKey,
        algorithm: Algorithm,
    ) -> Result<(ObjectKey, Digest), Error> {
        let object = match self.held {
            Held::Object(object) => object,
            Held::Upload(at) => registry.seal(id, at).await?,
        };
        let digest = match &self.hasher {
            Some(hasher) => hasher.clone().finish(),
            None => registry.digest_of(object, self.size, algorithm).await?,
        };
        Ok((object, digest))
    }
}

/// Takes the last chunk of an upload, perhaps an empty one.
async fn arrive(
    registry: &Registry,
    session: &Session,
    algorithm: Algorithm,
    body: Body,
    terms: Terms,
) -> Result<Result<Whole, IntakeError>, Error> {
    let (upload, at) = (session.upload, session.at);
    let place = if at == Position::START { Place::Whole } else { Place::After(at) };
    let hasher = session.hasher_for(algorithm);
    let (hasher, is_repeated) =
        match intake::take(&*registry.blobs, upload, place, body, hasher, terms).await {
            Ok(Taken { held: Some(held), length, hasher }) => {
                let size = at.extent + length;
                return Ok(Ok(Whole { held, size, hasher, is_repeated: false }));
            }
            Ok(Taken { hasher, .. }) => (hasher, false),
            Err(IntakeError::Offset) => (None, true),
            Err(error) => return Ok(Err(error)),
        };
    let now = registry.position(upload).await?;
    let hasher = hasher.filter(|_| now == at);
    Ok(Ok(Whole { held: Held::Upload(now), size: now.extent, hasher, is_repeated }))
}

/// The answer to ending an upload with the wrong digest, whose bytes are removed.
async fn reject(
    registry: &Registry,
    session: Session,
    whole: Whole,
    expected: Digest,
    actual: Digest,
) -> Result<Response, Error> {
    let outcome = registry.discard(session.upload).await;
    if let Held::Object(object) = whole.held
        && object != session.upload
    {
        registry.remove(object).await;
    }
    match outcome {
        Ok(()) => Err(Error::DigestMismatch { expected, actual }),
        // It has become a blob before; when nothing is left of it, perhaps this one.
        Err(Error::Refused(Refusal::UploadEnded(_))) => {
            match ended(registry, session, expected.clone()).await {
                Ok(response) if whole.size == 0 => Ok(response),
                _ => Err(Error::DigestMismatch { expected, actual }),
            }
        }
        Err(error) => Err(error),
    }
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
