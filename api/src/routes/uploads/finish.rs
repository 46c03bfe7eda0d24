//! `PUT` of an upload: takes the last chunk, seals, compares the digest, and links.

use axum::body::Body;
use axum::response::Response;
use http::request::Parts;
use proto::{Algorithm, Digest, Hasher, Mutant, ObjectKey, Refusal};
use raft::Blob;
use storage::BlobsError;
use storage::blob::Position;

use super::created;
use super::position::{chunk, interrupted, out_of_step};
use crate::access::readmit;
use crate::client::Client;
use crate::error::Error;
use crate::extract::Query;
use crate::upload::intake::{self, Held, IntakeError, Place, Taken, Terms};
use crate::upload::link::Upload;
use crate::upload::session::Session;
use crate::visit::Visit;

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
    visit: &Visit,
    session: Session,
    parts: &Parts,
    body: Body,
    begun: Begun,
) -> Result<Response, Error> {
    let query = Query::of(&parts.uri);
    let digest: Digest = query.first("digest").ok_or(Error::DigestMissing)?.parse()?;
    // The local replica is enough here: a node that is behind only receives a chunk that it did not
    // need.
    if begun == Begun::Before && visit.cluster.local()?.blob_in(session.upload)?.is_some() {
        return repeated(visit, &session, &digest).await;
    }
    let (session, terms) = chunk(visit, session, &parts.headers).await?;
    let algorithm = digest.algorithm();
    let arriving = Whole::arrive(visit, &session, algorithm, parts, body, terms);
    let whole = match arriving.await {
        Ok(Some(whole)) => whole,
        Ok(None) | Err(Error::UploadUnknown) => return ended(visit, &session, &digest).await,
        Err(error) => return Err(error),
    };
    let visit = &readmit(visit, parts).await?;
    let client = Client::of(&parts.extensions);
    let (object, hasher) = match whole.seal(visit, client, session.upload, &digest).await {
        Err(Error::Blobs(BlobsError::Offset { .. })) => {
            return astray(visit, session, &digest).await;
        }
        // Another request may have ended it meanwhile, and its bytes be gone with it.
        Err(Error::UploadUnknown | Error::Blobs(_))
            if visit.newest().await?.has_ended(session.upload)? =>
        {
            return ended(visit, &session, &digest).await;
        }
        outcome => outcome?,
    };
    let (checksum, actual) = (hasher.checksum(), hasher.finish());
    let is_spared = whole.size < 100 && Mutant::SmallDigestUnchecked.is_active();
    if actual != digest && !is_spared {
        if whole.is_repeated {
            return astray(visit, session, &digest).await;
        }
        if begun == Begun::Now {
            // There is nothing that the cluster would have to agree on.
            visit.remove(object).await;
            return Err(Error::DigestMismatch { expected: digest, actual });
        }
        return reject(visit, session, whole, digest, actual).await;
    }
    let Session { repository, upload: id, heals, .. } = session;
    let response = created(&repository, &digest);
    let blob = Blob { size: whole.size, checksum: Some(checksum), object };
    let is_fresh = matches!(whole.held, Held::Object(_));
    let upload = Upload { repository, id, digest, blob, is_fresh };
    let damaged = visit.damaged(&upload, heals, client).await?;
    visit.link(upload, damaged).await?;
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
        visit: &Visit,
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
            match intake::take(visit, upload, place, body, hasher, terms).await {
                Ok(Taken { held: Some(held), length, hasher }) => {
                    let size = at.extent + length;
                    return Ok(Some(Self { held, size, hasher, is_repeated: false }));
                }
                Ok(Taken { hasher, .. }) => (hasher, false),
                Err(IntakeError::Offset) => (None, true),
                Err(error) => {
                    let session = session.clone();
                    return Err(interrupted(visit, session, &parts.headers, error).await?);
                }
            };
        let now = visit.position(upload).await?;
        if now.extent < at.extent {
            return Ok(None);
        }
        // Only a chunk that ends where the upload does can have been here before. For any other,
        // nobody reads what may be very many bytes.
        let end = terms.length.and_then(|length| at.extent.checked_add(length));
        if is_repeated && end != Some(now.extent) {
            return Err(out_of_step(visit, session.clone()).await?);
        }
        let hasher = hasher.filter(|_| now == at);
        Ok(Some(Self { held: Held::Upload(now), size: now.extent, hasher, is_repeated }))
    }

    /// The object that the upload `id` of `client` is, and a hasher that has taken all of it. What
    /// is read back for that and is not `expected` is read once more: only the way from the store
    /// may have changed it, and a client that did nothing wrong would be refused.
    async fn seal(
        &self,
        visit: &Visit,
        client: Client,
        id: ObjectKey,
        expected: &Digest,
    ) -> Result<(ObjectKey, Hasher), Error> {
        let object = match self.held {
            Held::Object(object) => object,
            Held::Upload(at) => match visit.seal(id, at).await {
                // Some of it was swept, as when a node stood still for days: it cannot be mended.
                Err(Error::Blobs(BlobsError::Missing(_))) => return Err(Error::UploadUnknown),
                sealed => sealed?,
            },
        };
        if let Some(hasher) = &self.hasher {
            return Ok((object, hasher.clone()));
        }
        let _share = visit.reading(client).await?;
        let hash = || visit.hash(object, self.size, expected.algorithm());
        let hasher = hash().await?;
        if hasher.clone().finish() == *expected {
            return Ok((object, hasher));
        }
        visit.blobs.forget(object).await;
        Ok((object, hash().await?))
    }
}

/// The answer to ending an upload with the wrong digest, whose bytes are removed.
async fn reject(
    visit: &Visit,
    session: Session,
    whole: Whole,
    expected: Digest,
    actual: Digest,
) -> Result<Response, Error> {
    let outcome = visit.discard(session.upload).await;
    if let Held::Object(object) = whole.held
        && object != session.upload
    {
        visit.remove(object).await;
    }
    match outcome {
        // It has become a blob before: perhaps this one, and has grown since. When nothing is left
        // of it, its bytes cannot say so.
        Err(Error::Refused(Refusal::UploadEnded(_))) => {
            let response = match ended_as(visit, &session, &expected).await? {
                None if whole.size == 0 => ended(visit, &session, &expected).await.ok(),
                response => response,
            };
            response.ok_or(Error::DigestMismatch { expected, actual })
        }
        Err(error) if whole.size == 0 => Err(error),
        // Other bytes than those of the digest, whatever becomes of them.
        Ok(()) | Err(_) => Err(Error::DigestMismatch { expected, actual }),
    }
}

/// The answer to ending an upload that has become a blob. Nothing is read for it, and nothing taken
/// of what comes with it: those bytes would lie in the store behind the blob's.
async fn repeated(visit: &Visit, session: &Session, digest: &Digest) -> Result<Response, Error> {
    match ended_as(visit, session, digest).await? {
        Some(response) => Ok(response),
        None => ended(visit, session, digest).await,
    }
}

/// The answer to ending an upload that has become the blob `digest`: yes again, when that has its
/// bytes. `None` when it has not become that.
async fn ended_as(
    visit: &Visit,
    session: &Session,
    digest: &Digest,
) -> Result<Option<Response>, Error> {
    let (blob, is_linked) = {
        let view = visit.view().await?;
        let became = view.blob_in(session.upload)?;
        let Some(blob) = view.blob_anywhere(digest)?.filter(|blob| became == Some(*blob)) else {
            return Ok(None);
        };
        (blob, view.blob(&session.repository, digest)?.is_some())
    };
    if !visit.is_whole(digest, blob).await? {
        return Err(Error::UploadUnknown);
    }
    if !is_linked {
        // It was deleted since: this makes it a blob again, as the bytes would.
        visit.link_again(session.repository.clone(), digest.clone(), blob).await?;
    }
    Ok(Some(created(&session.repository, digest)))
}

/// The answer to ending an upload that does not stand where its client takes it to: where it does,
/// or what it has become meanwhile.
async fn astray(visit: &Visit, session: Session, digest: &Digest) -> Result<Response, Error> {
    match out_of_step(visit, session.clone()).await {
        Err(Error::UploadUnknown) => ended(visit, &session, digest).await,
        error => Err(error?),
    }
}

/// The answer to ending an upload whose bytes are gone: yes, when it was ended before and the blob
/// is there, with its bytes. A client that pushes what has lost them is not to go away.
async fn ended(visit: &Visit, session: &Session, digest: &Digest) -> Result<Response, Error> {
    let blob = visit.view().await?.blob(&session.repository, digest)?;
    match blob {
        Some(blob) if visit.is_whole(digest, blob).await? => {
            Ok(created(&session.repository, digest))
        }
        Some(_) | None => Err(Error::UploadUnknown),
    }
}
