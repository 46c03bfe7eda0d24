//! `PUT` of an upload: takes the last chunk, seals, compares the digest, and links.

use axum::body::Body;
use axum::response::Response;
use http::request::Parts;
use proto::{Algorithm, Digest, Hasher, Mutant, ObjectKey, Refusal};
use raft::Blob;
use storage::BlobsError;
use storage::blob::Position;

use super::created;
use super::standing::{chunk, interrupted, out_of_step};
use crate::access::readmit;
use crate::client::Client;
use crate::error::Error;
use crate::extract::Query;
use crate::intake::{self, Held, IntakeError, Place, Taken, Terms};
use crate::link::Upload;
use crate::registry::Registry;
use crate::session::Session;

/// When an upload was begun.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begun {
    /// By an earlier request: its client may end it more than once.
    Before,
    /// By the one that ends it, so that nobody else knows of it.
    Now,
}

/// Ends an upload, perhaps with a last chunk: what came is the blob `digest`, or it is removed.
pub(crate) async fn finish(
    registry: &Registry,
    session: Session,
    parts: &Parts,
    body: Body,
    begun: Begun,
) -> Result<Response, Error> {
    let query = Query::of(&parts.uri);
    let digest: Digest = query.first("digest").ok_or(Error::DigestMissing)?.parse()?;
    // The local replica is enough here: a node that is behind only receives a chunk that it did not
    // need.
    if begun == Begun::Before && registry.cluster.local()?.blob_in(session.upload)?.is_some() {
        return repeated(registry, &session, &digest).await;
    }
    let (session, terms) = chunk(registry, session, &parts.headers).await?;
    let algorithm = digest.algorithm();
    let arriving = Whole::arrive(registry, &session, algorithm, parts, body, terms);
    let Some(whole) = arriving.await? else {
        return ended(registry, &session, &digest).await;
    };
    let registry = &readmit(registry, parts).await?;
    let client = Client::of(&parts.extensions);
    let (object, hasher) = match whole.seal(registry, client, session.upload, &digest).await {
        Err(Error::Blobs(BlobsError::Offset { .. })) => {
            return Err(out_of_step(registry, session).await?);
        }
        // Another request may have ended it meanwhile, and its bytes be gone with it.
        Err(Error::UploadUnknown | Error::Blobs(_))
            if registry.newest().await?.has_ended(session.upload)? =>
        {
            return ended(registry, &session, &digest).await;
        }
        outcome => outcome?,
    };
    let (checksum, actual) = (hasher.checksum(), hasher.finish());
    let is_spared = whole.size < 100 && Mutant::SmallDigestUnchecked.is_active();
    if actual != digest && !is_spared {
        if whole.is_repeated {
            return Err(out_of_step(registry, session).await?);
        }
        if begun == Begun::Now {
            // There is nothing that the cluster would have to agree on.
            registry.remove(object).await;
            return Err(Error::DigestMismatch { expected: digest, actual });
        }
        return reject(registry, session, whole, digest, actual).await;
    }
    let Session { repository, upload: id, .. } = session;
    let response = created(&repository, &digest);
    let blob = Blob { size: whole.size, checksum: Some(checksum), object };
    let is_fresh = matches!(whole.held, Held::Object(_));
    let upload = Upload { repository, id, digest, blob, is_fresh };
    let damaged = registry.damaged(&upload, client).await?;
    registry.link(upload, damaged).await?;
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
    /// Takes the last chunk of an upload, perhaps an empty one. `None` when less of the upload is
    /// there than its client was told: it has ended.
    async fn arrive(
        registry: &Registry,
        session: &Session,
        algorithm: Algorithm,
        parts: &Parts,
        body: Body,
        terms: Terms,
    ) -> Result<Option<Self>, Error> {
        let (upload, at) = (session.upload, session.at);
        let place = if at == Position::START { Place::Whole } else { Place::After(at) };
        let hasher = session.hasher_for(algorithm);
        let (hasher, is_repeated) =
            match intake::take(registry, upload, place, body, hasher, terms).await {
                Ok(Taken { held: Some(held), length, hasher }) => {
                    let size = at.extent + length;
                    return Ok(Some(Self { held, size, hasher, is_repeated: false }));
                }
                Ok(Taken { hasher, .. }) => (hasher, false),
                Err(IntakeError::Offset) => (None, true),
                Err(error) => {
                    let session = session.clone();
                    return Err(interrupted(registry, session, &parts.headers, error).await?);
                }
            };
        let now = registry.position(upload).await?;
        if now.extent < at.extent {
            return Ok(None);
        }
        // Only a chunk that ends where the upload does can have been here before. For any other,
        // nobody reads what may be very many bytes.
        let end = terms.length.and_then(|length| at.extent.checked_add(length));
        if is_repeated && end != Some(now.extent) {
            return Err(out_of_step(registry, session.clone()).await?);
        }
        let hasher = hasher.filter(|_| now == at);
        Ok(Some(Self { held: Held::Upload(now), size: now.extent, hasher, is_repeated }))
    }

    /// The object that the upload `id` of `client` is, and a hasher that has taken all of it. What
    /// is read back for that and is not `expected` is read once more: only the way from the store
    /// may have changed it, and a client that did nothing wrong would be refused.
    async fn seal(
        &self,
        registry: &Registry,
        client: Client,
        id: ObjectKey,
        expected: &Digest,
    ) -> Result<(ObjectKey, Hasher), Error> {
        let object = match self.held {
            Held::Object(object) => object,
            Held::Upload(at) => match registry.seal(id, at).await {
                // Some of it was swept, as when a node stood still for days: it cannot be mended.
                Err(Error::Blobs(BlobsError::Missing(_))) => return Err(Error::UploadUnknown),
                sealed => sealed?,
            },
        };
        if let Some(hasher) = &self.hasher {
            return Ok((object, hasher.clone()));
        }
        let _share = registry.reading(client).await?;
        let hash = || registry.hash(object, self.size, expected.algorithm());
        let hasher = hash().await?;
        if hasher.clone().finish() == *expected {
            return Ok((object, hasher));
        }
        registry.blobs.forget(object).await;
        Ok((object, hash().await?))
    }
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
            match ended(registry, &session, &expected).await {
                Ok(response) if whole.size == 0 => Ok(response),
                _ => Err(Error::DigestMismatch { expected, actual }),
            }
        }
        Err(error) => Err(error),
    }
}

/// The answer to ending an upload that has become a blob: yes again, when that is `digest` and has
/// its bytes. Nothing is read for it, and nothing taken of what comes with it: those bytes would
/// lie in the store behind the blob's.
async fn repeated(
    registry: &Registry,
    session: &Session,
    digest: &Digest,
) -> Result<Response, Error> {
    let view = registry.view().await?;
    let became = view.blob_in(session.upload)?;
    let blob = match view.blob_anywhere(digest)? {
        Some(blob) if became == Some(blob) => blob,
        Some(_) | None => return ended(registry, session, digest).await,
    };
    if !registry.is_whole(digest, blob).await? {
        return Err(Error::UploadUnknown);
    }
    if view.blob(&session.repository, digest)?.is_none() {
        // It was deleted since: this makes it a blob again, as the bytes would.
        registry.link_again(session.repository.clone(), digest.clone(), blob).await?;
    }
    Ok(created(&session.repository, digest))
}

/// The answer to ending an upload whose bytes are gone: yes, when it was ended before and the blob
/// is there, with its bytes: whoever pushes what has lost them is not to go away.
async fn ended(registry: &Registry, session: &Session, digest: &Digest) -> Result<Response, Error> {
    match registry.view().await?.blob(&session.repository, digest)? {
        Some(blob) if registry.is_whole(digest, blob).await? => {
            Ok(created(&session.repository, digest))
        }
        Some(_) | None => Err(Error::UploadUnknown),
    }
}
