//! The end of an upload: its bytes become a blob of a repository, or nothing.

use proto::{Answer, Checksum, Command, Digest, ObjectKey, RepoName, RequestId};
use sha2::{Digest as _, Sha256};

use crate::error::Error;
use crate::registry::{Registry, detached, fresh_request};

/// Bytes that were uploaded, and whose digest was computed.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    /// The repository that gets the blob.
    pub(crate) repository: RepoName,
    /// The upload.
    pub(crate) id: ObjectKey,
    /// The object that holds its bytes.
    pub(crate) object: ObjectKey,
    /// The digest of the bytes.
    pub(crate) digest: Digest,
    /// How many there are.
    pub(crate) size: u64,
    /// Their checksum.
    pub(crate) checksum: Checksum,
}

impl Registry {
    /// Makes `upload` a blob of its repository. The same upload may be linked again: it gets the
    /// first answer. Goes on to its end when the caller is dropped.
    ///
    /// When the digest has an object already, that one stays and the uploaded one is removed,
    /// unless the linked one lost its bytes: then the upload takes its place, and heals every
    /// repository that has the blob. What the cluster refuses is removed too.
    pub(crate) async fn link(&self, upload: Upload) -> Result<(), Error> {
        let registry = self.clone();
        detached(async move {
            match registry.agree(&upload).await {
                Ok(kept) => {
                    registry.settle(upload.id, upload.object, kept).await;
                    Ok(())
                }
                Err(refused @ Error::Refused(_)) => {
                    registry.discard_object(upload.object).await;
                    Err(refused)
                }
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// Has the cluster agree that `upload` is a blob of its repository, and answers the object that
    /// holds the blob.
    async fn agree(&self, upload: &Upload) -> Result<ObjectKey, Error> {
        let damaged = self.damaged(upload).await?;
        let kept = self.propose_link(request_id(upload, damaged), upload, damaged).await?;
        if self.view().await?.blob(&upload.repository, &upload.digest)?.is_some() {
            return Ok(kept);
        }
        // The first answer to this upload is kept, but its blob was deleted since. The upload has
        // ended with that answer; when another object was kept, its own is a blob no more.
        let again = Upload { id: kept, object: kept, ..upload.clone() };
        self.propose_link(fresh_request()?, &again, None).await
    }

    /// Removes an object that was not linked, once the cluster agrees that it never will be. One
    /// that cannot be removed now only takes space until it is swept.
    async fn discard_object(&self, object: ObjectKey) {
        match self.propose_once(Command::DiscardObject { object }).await {
            Ok(_) => self.remove(object).await,
            // It holds a blob: what was refused was another one.
            Err(Error::Refused(_)) => {}
            Err(error) => tracing::warn!(%object, %error, "an unneeded object stays for now"),
        }
    }

    /// The object that the upload's digest has already, when its bytes are gone.
    async fn damaged(&self, upload: &Upload) -> Result<Option<ObjectKey>, Error> {
        match self.view().await?.blob_anywhere(&upload.digest)? {
            Some(blob) if blob.object != upload.object => {
                let is_whole = self.is_whole(&upload.digest, blob).await?;
                if !is_whole {
                    tracing::warn!(digest = %upload.digest, damaged = %blob.object, "healing");
                }
                Ok((!is_whole).then_some(blob.object))
            }
            Some(_) | None => Ok(None),
        }
    }

    /// The object that holds the blob after `upload` was proposed.
    async fn propose_link(
        &self,
        request: RequestId,
        upload: &Upload,
        replaces: Option<ObjectKey>,
    ) -> Result<ObjectKey, Error> {
        let command = Command::LinkBlob {
            repository: upload.repository.clone(),
            digest: upload.digest.clone(),
            size: upload.size,
            checksum: Some(upload.checksum),
            object: upload.object,
            replaces,
            upload: (upload.id != upload.object).then_some(upload.id),
        };
        match self.propose(request, command).await? {
            Answer::Linked { object } => Ok(object),
            Answer::Done | Answer::Sparse { .. } | Answer::Admitted { .. } => Ok(upload.object),
        }
    }

    /// Gives up an upload, and removes its bytes. The cluster settles it against an upload that is
    /// being linked meanwhile.
    ///
    /// # Errors
    /// When the upload has become a blob: then nothing is removed.
    pub(crate) async fn discard(&self, upload: ObjectKey) -> Result<(), Error> {
        let registry = self.clone();
        detached(async move {
            registry.propose_once(Command::DiscardObject { object: upload }).await?;
            registry.abandon(upload).await;
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

    use proto::Algorithm;

    use super::*;

    #[test]
    fn an_upload_is_linked_under_one_id_wherever_it_is_finished() {
        let upload = Upload {
            repository: "team/app".parse().unwrap(),
            id: ObjectKey::from_random(1),
            object: ObjectKey::from_random(1),
            digest: Digest::of(Algorithm::Sha256, b"x"),
            size: 1,
            checksum: Checksum::EMPTY,
        };
        let other = Upload { id: ObjectKey::from_random(2), ..upload.clone() };
        let stored_twice = Upload { object: ObjectKey::from_random(3), ..upload.clone() };
        assert_eq!(request_id(&upload, None), request_id(&stored_twice, None));
        assert_ne!(request_id(&upload, None), request_id(&other, None));
        assert_ne!(request_id(&upload, None), request_id(&upload, Some(other.object)));
    }
}
