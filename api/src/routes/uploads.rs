//! `/v2/<name>/blobs/uploads/`: pushing blobs, at once, in a stream or in chunks, and mounting
//! them.

mod finish;
mod position;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{HeaderName, StatusCode, header};
use proto::limits::UPLOAD_CHUNK_BYTES_MIN;
use proto::{Algorithm, Command, Digest, Mutant, ObjectKey, RepoName};
use raft::View;

use self::finish::{Begun, finish};
use self::position::{chunk, durable, interrupted};
use super::CONTENT_DIGEST;
use crate::access;
use crate::client::Client;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::extract::Query;
use crate::registry::random;
use crate::upload::intake::{self, Held, Place, Taken};
use crate::upload::session::Session;
use crate::visit::Visit;

/// The upload's id, for clients that track it.
const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// Asks for chunks of at least so many bytes (distribution-spec, "Pushing a blob in chunks").
const CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");

/// Begins an upload (distribution-spec, "Pushing blobs"): mounts the blob when `mount` asks for one
/// that is there, takes it whole when `digest` is given, and otherwise tells where to send it.
pub(super) async fn begin(
    visit: &Visit,
    repository: RepoName,
    parts: &Parts,
    body: Body,
) -> Result<Response, Error> {
    let query = Query::of(&parts.uri);
    let (mut algorithm, mut heals) = (Algorithm::Sha256, false);
    if let Some(digest) = query.first("mount") {
        let digest: Digest = digest.parse()?;
        match mount(visit, parts, &repository, query.first("from"), &digest).await? {
            Mounted::Done => return Ok(created(&repository, &digest)),
            Mounted::Refused => {}
            Mounted::Damaged => heals = true,
        }
        algorithm = digest.algorithm();
    }
    if let Some(name) = query.first("digest-algorithm") {
        algorithm = name.parse()?;
    }
    let upload = ObjectKey::from_random(u128::from_be_bytes(random()?));
    let owner = visit.caller.actor();
    let session = Session::begin(repository, owner, upload, algorithm, heals, visit.clock.now());
    if query.first("digest").is_some() {
        let finished = finish(visit, session, parts, body, Begun::Now).await;
        return finished.map_err(|error| match error {
            // Nobody goes on with an upload that ends as it begins.
            Error::UploadOffset { .. } => Error::ContentRange,
            error => error,
        });
    }
    // Only uploads that stay open count against the limit, and this one does.
    let admitted = visit.upload_starts.take(Client::of(&parts.extensions));
    admitted.map_err(|retry_after| Error::TooManyUploads { retry_after })?;
    let mut response = accepted(visit, &session, StatusCode::ACCEPTED).await?;
    response.headers_mut().insert(CHUNK_MIN_LENGTH, UPLOAD_CHUNK_BYTES_MIN.into());
    Ok(response)
}

/// Goes on with an upload.
pub(super) async fn handle(
    visit: &Visit,
    repository: RepoName,
    upload: ObjectKey,
    parts: &Parts,
    body: Body,
) -> Result<Response, Error> {
    let session = session(visit, repository, upload, parts).await?;
    match parts.method.as_str() {
        "GET" => show(visit, session).await,
        "PATCH" => append(visit, session, parts, body).await,
        "PUT" => finish(visit, session, parts, body, Begun::Before).await,
        "DELETE" => cancel(visit, session).await,
        _ => Err(Error::Method(Endpoint::Upload(session.repository, upload).allow())),
    }
}

/// The session that the request continues.
async fn session(
    visit: &Visit,
    repository: RepoName,
    upload: ObjectKey,
    parts: &Parts,
) -> Result<Session, Error> {
    let query = Query::of(&parts.uri);
    let state = query.first("state").ok_or(Error::UploadUnknown)?;
    let key = visit.upload_key().await?;
    let owner = visit.caller.actor();
    let now = visit.clock.now();
    Session::open(key, repository, owner, upload, state, now).ok_or(Error::UploadUnknown)
}

/// Tells how far an upload is, from what is durable: a client whose last answer was lost goes on
/// from there.
async fn show(visit: &Visit, session: Session) -> Result<Response, Error> {
    known(visit, &session).await?;
    let session = durable(visit, session).await?;
    accepted(visit, &session, StatusCode::NO_CONTENT).await
}

/// Adds a chunk (distribution-spec, "Pushing a blob in chunks"), or with neither length nor range a
/// stream.
async fn append(
    visit: &Visit,
    session: Session,
    parts: &Parts,
    body: Body,
) -> Result<Response, Error> {
    // Only so that an ended upload does not grow: what this node knows is enough, unconfirmed.
    if visit.cluster.local()?.has_ended(session.upload)? {
        return Err(Error::UploadUnknown);
    }
    let (session, terms) = chunk(visit, session, &parts.headers).await?;
    let hasher = session.hasher_for(session.algorithm);
    let place = Place::After(session.at);
    let session = match intake::take(visit, session.upload, place, body, hasher, terms).await {
        Ok(Taken { held: Some(Held::Upload(at)), hasher, .. }) => {
            session.advance(at, hasher, visit.clock.now())
        }
        Ok(_) => durable(visit, session).await?,
        Err(error) => return Err(interrupted(visit, session, &parts.headers, error).await?),
    };
    accepted(visit, &session, StatusCode::ACCEPTED).await
}

/// Cancels an upload (distribution-spec, "Cancelling a blob upload").
async fn cancel(visit: &Visit, session: Session) -> Result<Response, Error> {
    known(visit, &session).await?;
    visit.discard(session.upload).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Refuses an upload that has become a blob, or was given up.
async fn known(visit: &Visit, session: &Session) -> Result<(), Error> {
    if visit.view().await?.has_ended(session.upload)? {
        return Err(Error::UploadUnknown);
    }
    Ok(())
}

/// What comes of a mount.
enum Mounted {
    /// The blob is in the repository.
    Done,
    /// It is not, and its bytes are to be sent. All reasons look alike to the client, which must
    /// not learn what others have.
    Refused,
    /// The same, because its bytes are damaged or gone.
    Damaged,
}

/// Mounts the blob, from the repository `from` alone when there is one.
async fn mount(
    visit: &Visit,
    parts: &Parts,
    repository: &RepoName,
    from: Option<&str>,
    digest: &Digest,
) -> Result<Mounted, Error> {
    let from = match from {
        Some(from) => {
            let from = from.parse().ok();
            from.filter(|from| visit.caller.may_pull_somehow(from))
        }
        None => visit.mountable_from(digest).await?,
    };
    let Some(from) = from else { return Ok(Mounted::Refused) };
    let find = |view: &View| match Mutant::MountUnchecked.is_active() {
        true => view.blob_anywhere(digest),
        false => view.blob(&from, digest),
    };
    let Some((blob, _)) = visit.content(parts, find).await? else {
        return Ok(Mounted::Refused);
    };
    access::check_mount(visit, parts, repository, &from)?;
    // Bytes that are gone come back only when the client sends them again.
    if !visit.is_whole(digest, blob).await? {
        return Ok(Mounted::Damaged);
    }
    let command =
        Command::MountBlob { repository: repository.clone(), from, digest: digest.clone() };
    match visit.propose_once(command).await {
        Ok(_) => Ok(Mounted::Done),
        Err(Error::Refused(_)) => Ok(Mounted::Refused),
        Err(error) => Err(error),
    }
}

/// The answer that tells where the upload stands.
async fn accepted(visit: &Visit, session: &Session, status: StatusCode) -> Result<Response, Error> {
    let headers = [
        (header::LOCATION, session.location(visit.upload_key().await?)),
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
