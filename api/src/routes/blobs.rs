//! `/v2/<name>/blobs/<digest>`: pulling and deleting blobs.

use std::ops::Range;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http::request::Parts;
use http::{HeaderName, StatusCode, header};
use proto::{Command, Digest, ObjectKey, RepoName};
use raft::Blob;
use storage::BlobsError;

use super::CONTENT_DIGEST;
use crate::condition::{check_delete, etag, is_unchanged};
use crate::content::range::Wanted;
use crate::content::source::Source;
use crate::error::Error;
use crate::extract::text;
use crate::visit::Visit;

/// Answers a GET: the blob or a part of it (distribution-spec, "Pulling blobs"; RFC 9110, section
/// 14).
pub(super) async fn show(
    visit: &Visit,
    repository: &RepoName,
    digest: Digest,
    parts: &Parts,
) -> Result<Response, Error> {
    let (blob, source) = blob(visit, repository, &digest, parts).await?;
    let response = serve(visit, blob, digest, parts).await;
    let mut response = response.map_err(|error| source.explain(error))?;
    source.mark(response.headers_mut());
    Ok(response)
}

async fn serve(
    visit: &Visit,
    blob: Blob,
    digest: Digest,
    parts: &Parts,
) -> Result<Response, Error> {
    // What could not be read may be by now, and who pulls it gains nothing by being refused.
    if visit.is_damaged(&digest, blob) {
        return Err(gone(digest, blob.object));
    }
    let etag = etag(&digest);
    if is_unchanged(&parts.headers, || digest.clone().into(), &digest)? {
        check(visit.is_there(&digest, blob).await?, blob, &digest)?;
        return Ok((StatusCode::NOT_MODIFIED, about(&digest)).into_response());
    }
    let wanted = match text(&parts.headers, header::RANGE) {
        Some(header) if is_range_valid(parts, &etag) => Wanted::parse(header, blob.size),
        _ => Wanted::Whole,
    };
    let is_elsewhere = visit.options.redirect.is_for(&parts.headers, blob.size);
    if is_elsewhere
        && !matches!(wanted, Wanted::Unsatisfiable)
        && let Some(url) = presign(visit, &blob, &digest).await?
    {
        // Anybody who has the URL can get the blob: it is kept nowhere, and written to no log.
        let headers = [(header::LOCATION, url), (header::CACHE_CONTROL, "no-store".to_owned())];
        let digest = [(CONTENT_DIGEST, digest.to_string())];
        return Ok((StatusCode::TEMPORARY_REDIRECT, digest, headers).into_response());
    }
    match wanted {
        Wanted::Unsatisfiable => {
            check(visit.is_there(&digest, blob).await?, blob, &digest)?;
            Err(Error::Range { digest, size: blob.size })
        }
        Wanted::Whole => {
            let body = open(visit, blob, &digest, 0..blob.size).await?;
            let length = [(header::CONTENT_LENGTH, blob.size.to_string())];
            Ok((about(&digest), length, body).into_response())
        }
        Wanted::Part(range) => {
            let content_range = format!("bytes {}-{}/{}", range.start, range.end - 1, blob.size);
            let length = (range.end - range.start).to_string();
            let part = [(header::CONTENT_LENGTH, length), (header::CONTENT_RANGE, content_range)];
            let body = open(visit, blob, &digest, range).await?;
            Ok((StatusCode::PARTIAL_CONTENT, about(&digest), part, body).into_response())
        }
    }
}

/// Answers a HEAD. A blob whose bytes are gone, or cannot be read, does not exist: the next push of
/// it heals it.
pub(super) async fn describe(
    visit: &Visit,
    repository: &RepoName,
    digest: Digest,
    parts: &Parts,
) -> Result<Response, Error> {
    let (blob, source) = blob(visit, repository, &digest, parts).await?;
    let is_whole = visit.is_whole(&digest, blob).await;
    let checked = is_whole.and_then(|is_whole| check(is_whole, blob, &digest));
    checked.map_err(|error| source.explain(error))?;
    let mut response = if is_unchanged(&parts.headers, || digest.clone().into(), &digest)? {
        (StatusCode::NOT_MODIFIED, about(&digest)).into_response()
    } else {
        let length = [(header::CONTENT_LENGTH, blob.size.to_string())];
        (about(&digest), length).into_response()
    };
    source.mark(response.headers_mut());
    Ok(response)
}

/// Takes a blob out of the repository (distribution-spec, "Deleting Blobs").
pub(super) async fn delete(
    visit: &Visit,
    repository: RepoName,
    digest: Digest,
    parts: &Parts,
) -> Result<Response, Error> {
    if let Err(unmet) = check_delete(&parts.headers, &digest) {
        blob(visit, &repository, &digest, parts).await?;
        return Err(unmet);
    }
    visit.propose_once(Command::UnlinkBlob { repository, digest }).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

async fn blob(
    visit: &Visit,
    repository: &RepoName,
    digest: &Digest,
    parts: &Parts,
) -> Result<(Blob, Source), Error> {
    let blob = visit.content(parts, |view| view.blob(repository, digest)).await?;
    blob.ok_or_else(|| Error::BlobUnknown(digest.clone()))
}

/// The headers of every answer about a blob.
fn about(digest: &Digest) -> [(HeaderName, String); 4] {
    [
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::ETAG, etag(digest)),
        (CONTENT_DIGEST, digest.to_string()),
    ]
}

/// Whether the client wants its range of what is here: `If-Range` names it, or is absent (RFC 9110,
/// section 13.1.5).
fn is_range_valid(parts: &Parts, etag: &str) -> bool {
    text(&parts.headers, header::IF_RANGE).is_none_or(|condition| condition == etag)
}

/// The bytes of `blob` in `range`, opened before the answer begins: after its head only a broken
/// connection can say that bytes are missing.
async fn open(
    visit: &Visit,
    blob: Blob,
    digest: &Digest,
    range: Range<u64>,
) -> Result<Body, Error> {
    if range.is_empty() {
        return Ok(Body::empty());
    }
    match visit.bytes(digest, blob, range).await {
        Ok(bytes) => Ok(Body::from_stream(bytes)),
        Err(Error::Blobs(BlobsError::Missing(object))) => Err(gone(digest.clone(), object)),
        Err(error) => Err(error),
    }
}

/// Refuses `blob` for an answer that has none of its bytes, unless these are there.
fn check(is_there: bool, blob: Blob, digest: &Digest) -> Result<(), Error> {
    if is_there { Ok(()) } else { Err(gone(digest.clone(), blob.object)) }
}

/// Where the client gets `blob` from the store itself, if it can. The store then heeds its range.
async fn presign(visit: &Visit, blob: &Blob, digest: &Digest) -> Result<Option<String>, Error> {
    match visit.presign(blob.object, blob.size).await {
        Err(Error::Blobs(BlobsError::Missing(object))) => Err(gone(digest.clone(), object)),
        outcome => outcome,
    }
}

fn gone(digest: Digest, object: ObjectKey) -> Error {
    tracing::error!(%digest, %object, "the bytes of a linked blob are gone: a push heals it");
    Error::BlobUnknown(digest)
}
