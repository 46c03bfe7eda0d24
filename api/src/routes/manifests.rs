//! `/v2/<name>/manifests/<reference>`: pulling, pushing and deleting manifests and tags.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode, header};
use proto::limits::{MANIFEST_BYTES_MAX, TAGS_PER_PUSH_MAX};
use proto::{
    Algorithm, Answer, Command, Digest, Link, Manifest, ManifestError, MediaType, MediaTypeError,
    Mutant, Reference, Refusal, RepoName, Tag,
};

use super::CONTENT_DIGEST;
use crate::access::{readmit, tagging};
use crate::condition::{check_delete, conceal, etag, is_unchanged, preconditions};
use crate::content::source::Source;
use crate::error::Error;
use crate::extract::{Query, accepts, content_length, content_type};
use crate::upload::intake::{self, Terms};
use crate::visit::Visit;
use crate::warning::warn;

/// Tells a client that the visit keeps referrers itself (distribution-spec, "Pushing Manifests
/// with Subject").
const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
/// Names a tag that a push by digest has set.
const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");

/// Answers with the manifest as it was pushed, whatever `Accept` says: its type is part of what its
/// digest covers (distribution-spec, "Pulling manifests"). The server drops the body for HEAD.
pub(super) async fn show(
    visit: &Visit,
    repository: &RepoName,
    reference: Reference,
    parts: &Parts,
) -> Result<Response, Error> {
    let (manifest, source) = manifest(visit, repository, &reference, parts).await?;
    let mut response = answer(manifest, reference, parts)?;
    source.mark(response.headers_mut());
    Ok(response)
}

fn answer(manifest: Manifest, reference: Reference, parts: &Parts) -> Result<Response, Error> {
    let digest = manifest.digest();
    let about = [(header::ETAG, etag(digest)), (CONTENT_DIGEST, digest.to_string())];
    if is_unchanged(&parts.headers, || reference, digest)? {
        return Ok((StatusCode::NOT_MODIFIED, about).into_response());
    }
    let media_type = manifest.media_type().as_str();
    let content_type = [(header::CONTENT_TYPE, media_type)];
    let mut response = (about, content_type, manifest.content().clone()).into_response();
    if !accepts(&parts.headers, media_type) {
        let text = format!("this manifest is of type {media_type}, which Accept does not list");
        warn(response.headers_mut(), &text);
    }
    Ok(response)
}

/// Puts a manifest into the repository (distribution-spec, "Pushing Manifests"), under the tag in
/// the path, or under its digest and every `tag` of the query. `If-Match` and `If-None-Match` are
/// about these tags; without tags, about the digest.
pub(super) async fn put(
    visit: &Visit,
    repository: RepoName,
    reference: Reference,
    parts: &Parts,
    body: Body,
) -> Result<Response, Error> {
    let media_type = media_type(parts)?;
    let tags = tags(&reference, parts)?;
    let preconditions = preconditions(&parts.headers)?;
    let content = content(parts, body).await?;
    let visit = &readmit(visit, parts).await?;
    let algorithm = match &reference {
        Reference::Digest(expected) => {
            let actual = Digest::of(expected.algorithm(), &content);
            if actual != *expected {
                return Err(Error::DigestMismatch { expected: expected.clone(), actual });
            }
            expected.algorithm()
        }
        Reference::Tag(_) => Algorithm::Sha256,
    };
    let manifest = Manifest::parse(media_type, algorithm, content)?;
    if Mutant::ReferencesCheckedEarly.is_active() {
        check_early(visit, &repository, &manifest).await?;
    }
    let (digest, subject) = (manifest.digest().clone(), manifest.subject().cloned());
    let mut response = pushed(&repository, &reference, &digest, subject.as_ref(), &tags);
    let may_pull = visit.caller.may_pull_somehow(&repository);
    let put = Command::PutManifest {
        tagging: tagging(&visit.caller, &repository),
        repository,
        manifest,
        tags,
        preconditions,
        sparse: visit.options.sparse,
    };
    let decided = visit.propose_once(put).await;
    let answer = decided.map_err(|error| conceal(error, may_pull))?;
    if let Answer::Sparse { missing, example } = answer {
        let text = format!(
            "the repository lacks {missing} of what this manifest names, such as {example}: a pull \
             of it fails unless they are pushed too, or come from elsewhere"
        );
        warn(response.headers_mut(), &text);
    }
    Ok(response)
}

/// What only a decision can check: see [`Mutant::ReferencesCheckedEarly`].
async fn check_early(
    visit: &Visit,
    repository: &RepoName,
    manifest: &Manifest,
) -> Result<(), Error> {
    let view = visit.view().await?;
    let missing =
        |link: &Link| Error::Refused(Refusal::ReferencesUnknown(vec![link.digest.clone()]));
    for link in manifest.blobs() {
        view.blob(repository, &link.digest)?.ok_or_else(|| missing(link))?;
    }
    for link in manifest.children() {
        view.manifest(repository, &link.digest.clone().into())?.ok_or_else(|| missing(link))?;
    }
    Ok(())
}

/// Deletes a manifest with all its tags, or one tag (distribution-spec, "Content Management"), when
/// that is what `If-Match` wants.
pub(super) async fn delete(
    visit: &Visit,
    repository: RepoName,
    reference: Reference,
    parts: &Parts,
) -> Result<Response, Error> {
    let may_pull = visit.caller.may_pull_somehow(&repository);
    let command = match reference {
        Reference::Tag(tag) => {
            let preconditions = preconditions(&parts.headers)?;
            Command::DeleteTag { repository, tag, preconditions }
        }
        Reference::Digest(digest) => {
            if let Err(unmet) = check_delete(&parts.headers, &digest) {
                manifest(visit, &repository, &digest.into(), parts).await?;
                return Err(unmet);
            }
            Command::DeleteManifest { repository, digest }
        }
    };
    visit.propose_once(command).await.map_err(|error| conceal(error, may_pull))?;
    Ok(StatusCode::ACCEPTED.into_response())
}

async fn manifest(
    visit: &Visit,
    repository: &RepoName,
    reference: &Reference,
    parts: &Parts,
) -> Result<(Manifest, Source), Error> {
    let found = match reference {
        Reference::Digest(_) => {
            visit.content(parts, |view| view.manifest(repository, reference)).await?
        }
        Reference::Tag(_) => {
            let manifest = visit.view().await?.manifest(repository, reference)?;
            manifest.map(|manifest| (manifest, Source::Confirmed))
        }
    };
    match found {
        Some(found) => Ok(found),
        None if visit.view().await?.has_repository(repository)? => {
            Err(Error::ManifestUnknown(reference.clone()))
        }
        None => Err(Error::NameUnknown(repository.clone())),
    }
}

fn media_type(parts: &Parts) -> Result<MediaType, Error> {
    let media_type = content_type(&parts.headers).ok_or(Error::ContentType(MediaTypeError))?;
    media_type.parse().map_err(Error::ContentType)
}

/// The tags that the push sets. Beside a tag in the path, those in the query mean nothing.
fn tags(reference: &Reference, parts: &Parts) -> Result<Vec<Tag>, Error> {
    if let Reference::Tag(tag) = reference {
        return Ok(vec![tag.clone()]);
    }
    let query = Query::of(&parts.uri);
    let mut tags: Vec<Tag> = Vec::new();
    for tag in query.all("tag") {
        let tag = tag.parse().map_err(Error::TagInvalid)?;
        if !tags.contains(&tag) {
            tags.push(tag);
        }
        if tags.len() > TAGS_PER_PUSH_MAX {
            return Err(Error::TooManyTags);
        }
    }
    Ok(tags)
}

async fn content(parts: &Parts, body: Body) -> Result<Bytes, Error> {
    let length = content_length(&parts.headers);
    let most = MANIFEST_BYTES_MAX as u64;
    if length.is_some_and(|length| length > most) {
        return Err(Error::Manifest(ManifestError::TooLarge));
    }
    let too_large = Error::Manifest(ManifestError::TooLarge);
    intake::collect(body, Terms { length, most }, too_large).await
}

/// The answer to a push that succeeds.
fn pushed(
    repository: &RepoName,
    reference: &Reference,
    digest: &Digest,
    subject: Option<&Digest>,
    tags: &[Tag],
) -> Response {
    let location = format!("/v2/{repository}/manifests/{digest}");
    let about = [(header::LOCATION, location), (CONTENT_DIGEST, digest.to_string())];
    let mut response = (StatusCode::CREATED, about).into_response();
    let headers = response.headers_mut();
    if let Some(subject) = subject
        && let Ok(subject) = HeaderValue::try_from(subject.as_str())
    {
        headers.insert(OCI_SUBJECT, subject);
    }
    if let Reference::Digest(_) = reference {
        for tag in tags {
            if let Ok(tag) = HeaderValue::try_from(tag.as_str()) {
                headers.append(OCI_TAG, tag);
            }
        }
    }
    response
}
