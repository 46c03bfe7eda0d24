//! Making an uploaded object a blob: proposes `LinkBlob`, and removes the object that lost, or was
//! refused.

use proto::{Answer, Command, Digest, ObjectKey, Refusal, RepoName, RequestId};
use raft::Blob;
use sha2::{Digest as _, Sha256};

use crate::client::Client;
use crate::error::Error;
use crate::registry::{detached, fresh_request};
use crate::visit::Visit;

/// Bytes that were uploaded, and whose digest was computed.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    /// The repository that gets the blob.
    pub(crate) repository: RepoName,
    /// The upload.
    pub(crate) id: ObjectKey,
    /// The digest of the bytes.
    pub(crate) digest: Digest,
    /// How many there are, their checksum, and the object that holds them.
    pub(crate) blob: Blob,
    /// Whether the request that ends it has made that object, so that no other has bytes of it.
    pub(crate) is_fresh: bool,
}

impl Visit {
    /// Makes `upload` a blob of its repository. The same upload may be linked again: it gets the
    /// first answer. Goes on to its end when the caller is dropped.
    ///
    /// When the digest has an object already, that one stays and the uploaded one is removed,
    /// unless it is the `damaged` one: then the upload takes its place, and heals every repository
    /// that has the blob. What the cluster refuses is removed too.
    pub(crate) async fn link(
        &self,
        upload: Upload,
        damaged: Option<ObjectKey>,
    ) -> Result<(), Error> {
        let visit = self.clone();
        detached(async move {
            match visit.agree(&upload, damaged).await {
                Ok(kept) => {
                    visit.settle(upload.id, upload.blob.object, kept).await;
                    Ok(())
                }
                Err(refused @ Error::Refused(_)) => {
                    visit.clear(&upload).await;
                    // Which object that was is nothing to the client.
                    let has_ended = matches!(refused, Error::Refused(Refusal::UploadEnded(_)));
                    Err(if has_ended { Error::UploadUnknown } else { refused })
                }
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// Has the cluster agree that `upload` is a blob of its repository, and answers the object that
    /// holds the blob.
    async fn agree(&self, upload: &Upload, damaged: Option<ObjectKey>) -> Result<ObjectKey, Error> {
        let object = self.propose_link(request_id(upload, damaged), upload, damaged).await?;
        let Upload { repository, digest, blob, .. } = upload;
        if self.view().await?.blob(repository, digest)?.is_some() {
            return Ok(object);
        }
        // The first answer to this upload is kept, but its blob was deleted since. The upload has
        // ended with that answer; when another object was kept, its own is a blob no more.
        self.link_again(repository.clone(), digest.clone(), Blob { object, ..*blob }).await
    }

    /// Makes `blob`, which an upload into `repository` has become, a blob of it again, after it was
    /// deleted there. Answers the object that holds it.
    pub(crate) async fn link_again(
        &self,
        repository: RepoName,
        digest: Digest,
        blob: Blob,
    ) -> Result<ObjectKey, Error> {
        let upload = Upload { repository, id: blob.object, digest, blob, is_fresh: false };
        self.propose_link(fresh_request()?, &upload, None).await
    }

    /// Removes the object of an upload that was refused, once the cluster agrees that nothing of
    /// that upload will ever be a blob. If the cluster does not agree, some of the upload's bytes
    /// have become a blob. Then the object goes only if this request has made it (`is_fresh`): no
    /// other object shares its bytes. An object that stays only takes space until it is swept.
    async fn clear(&self, upload: &Upload) {
        let (id, object) = (upload.id, upload.blob.object);
        match self.propose_once(Command::DiscardObject { object: id }).await {
            Ok(_) => self.remove(object).await,
            Err(Error::Refused(_)) if upload.is_fresh && object != id => self.remove(object).await,
            Err(Error::Refused(_)) => {}
            Err(error) => tracing::warn!(%object, %error, "an unneeded object stays for now"),
        }
    }

    /// The object that the digest of `upload`, which `client` ends, has already, when its bytes are
    /// not those that were pushed.
    ///
    /// A client that pushes a blob which the repository has either was told, perhaps by another
    /// node, that it is gone, or has not asked. So the object that is there is read before it is
    /// preferred to the one that came.
    pub(crate) async fn damaged(
        &self,
        upload: &Upload,
        heals: bool,
        client: Client,
    ) -> Result<Option<ObjectKey>, Error> {
        let Upload { repository, digest, .. } = upload;
        let (blob, is_linked) = {
            let view = self.view().await?;
            let blob = match view.blob_anywhere(digest)? {
                Some(blob) if blob.object != upload.blob.object => blob,
                Some(_) | None => return Ok(None),
            };
            (blob, view.blob(repository, digest)?.is_some())
        };
        let is_whole = self.is_whole(digest, blob).await?
            && (!(is_linked || heals) || self.comes_whole(digest, blob, client).await?);
        if !is_whole {
            tracing::warn!(%digest, damaged = %blob.object, "healing");
        }
        Ok((!is_whole).then_some(blob.object))
    }

    /// The object that holds the blob after `upload` was proposed.
    async fn propose_link(
        &self,
        request: RequestId,
        upload: &Upload,
        replaces: Option<ObjectKey>,
    ) -> Result<ObjectKey, Error> {
        let Blob { size, checksum, object } = upload.blob;
        let command = Command::LinkBlob {
            repository: upload.repository.clone(),
            digest: upload.digest.clone(),
            size,
            checksum,
            object,
            replaces,
            upload: (upload.id != object).then_some(upload.id),
        };
        match self.propose(request, command).await? {
            Answer::Linked { object } => Ok(object),
            other => Err(Error::Internal(format!("the cluster answered to a link: {other:?}"))),
        }
    }

    /// Gives up an upload, and removes its bytes. The cluster settles it against an upload that is
    /// being linked meanwhile.
    ///
    /// # Errors
    /// When the upload has become a blob: then nothing is removed.
    pub(crate) async fn discard(&self, upload: ObjectKey) -> Result<(), Error> {
        let visit = self.clone();
        detached(async move {
            visit.propose_once(Command::DiscardObject { object: upload }).await?;
            visit.abandon(upload).await;
            Ok(())
        })
        .await
    }
}

/// The request id under which `upload` is linked: the same on every node, whenever its client asks
/// again.
fn request_id(upload: &Upload, replaces: Option<ObjectKey>) -> RequestId {
    let mut hash = Sha256::new();
    hash.update(b"roadstead link\0");
    for part in [upload.repository.as_str(), upload.digest.as_str(), &upload.id.to_string()] {
        hash.update(part.as_bytes());
        hash.update(b"\0");
    }
    if let Some(object) = replaces {
        hash.update(object.to_string().as_bytes());
    }
    let mut id = [0; 16];
    id.copy_from_slice(&hash.finalize()[..16]);
    RequestId::from_bytes(id)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use proto::{Algorithm, Checksum};

    use super::*;

    #[test]
    fn an_upload_is_linked_under_one_id_wherever_it_is_finished() {
        let object = ObjectKey::from_random(1);
        let blob = Blob { size: 1, checksum: Some(Checksum::EMPTY), object };
        let upload = Upload {
            repository: "team/app".parse().unwrap(),
            id: object,
            digest: Digest::of(Algorithm::Sha256, b"x"),
            blob,
            is_fresh: true,
        };
        let other = Upload { id: ObjectKey::from_random(2), ..upload.clone() };
        let elsewhere = Blob { object: ObjectKey::from_random(3), ..blob };
        let stored_twice = Upload { blob: elsewhere, ..upload.clone() };
        assert_eq!(request_id(&upload, None), request_id(&stored_twice, None));
        assert_ne!(request_id(&upload, None), request_id(&other, None));
        assert_ne!(request_id(&upload, None), request_id(&upload, Some(elsewhere.object)));
    }
}
