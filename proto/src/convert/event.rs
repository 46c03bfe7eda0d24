//! Events, as the journal keeps them.

use super::{DecodeError, authority, bytes, id, parse, upload_key};
use crate::access::AccessChange;
use crate::pb::catalog as pb;
use crate::{Authority, Checksum, Digest, Event, RepoName, Thumbprint, Timestamp};

impl From<&Event> for pb::Event {
    fn from(event: &Event) -> Self {
        use pb::event::Event as Pb;
        let event = match event {
            Event::ClusterFounded { cluster, upload_key } => {
                Pb::ClusterFounded(pb::ClusterFounded {
                    cluster_id: bytes(cluster.as_bytes()),
                    upload_key: bytes(upload_key.as_bytes()),
                })
            }
            Event::NodeAdmitted { node, peer_address } => Pb::NodeAdmitted(pb::NodeAdmitted {
                node_id: *node,
                peer_address: peer_address.to_string(),
            }),
            Event::AuthorityEstablished { authority } => established(authority),
            Event::TokenIssued { token, end } => issued(token, *end),
            Event::TokenRevoked { token } => revoked(token),
            Event::NodeRemoved { node } => Pb::NodeRemoved(pb::NodeRemoved { node_id: *node }),
            Event::BlobLinked { repository, digest, size, checksum, object } => {
                Pb::BlobLinked(pb::BlobLinked {
                    repository: repository.to_string(),
                    digest: digest.to_string(),
                    size: *size,
                    object: object.to_string(),
                    crc32c: checksum.map(Checksum::crc),
                })
            }
            Event::UploadLinked { upload, digest } => Pb::UploadLinked(pb::UploadLinked {
                upload: upload.to_string(),
                digest: digest.to_string(),
            }),
            Event::ObjectReplaced { digest, size, checksum, from, to } => {
                Pb::ObjectReplaced(pb::ObjectReplaced {
                    digest: digest.to_string(),
                    size: *size,
                    from: from.to_string(),
                    to: to.to_string(),
                    crc32c: checksum.map(Checksum::crc),
                })
            }
            Event::ObjectOrphaned { object } => {
                Pb::ObjectOrphaned(pb::ObjectOrphaned { object: object.to_string() })
            }
            Event::AccessChanged { version, change } => access_changed(*version, change),
            Event::BlobUnlinked { repository, digest } => Pb::BlobUnlinked(pb::BlobUnlinked {
                repository: repository.to_string(),
                digest: digest.to_string(),
            }),
            Event::ManifestPut { repository, manifest } => Pb::ManifestPut(pb::ManifestPut {
                repository: repository.to_string(),
                manifest: Some(manifest.into()),
            }),
            Event::ManifestDeleted { repository, digest } => manifest_deleted(repository, digest),
            Event::TagMoved { repository, tag, from, to } => Pb::TagMoved(pb::TagMoved {
                repository: repository.to_string(),
                tag: tag.to_string(),
                from: from.as_ref().map(ToString::to_string),
                to: to.to_string(),
            }),
            Event::TagDeleted { repository, tag, digest } => Pb::TagDeleted(pb::TagDeleted {
                repository: repository.to_string(),
                tag: tag.to_string(),
                digest: digest.to_string(),
            }),
        };
        Self { event: Some(event) }
    }
}

fn access_changed(version: u64, change: &AccessChange) -> pb::event::Event {
    let change = Some(change.into());
    pb::event::Event::AccessChanged(pb::AccessChanged { version, change })
}

fn manifest_deleted(repository: &RepoName, digest: &Digest) -> pb::event::Event {
    let (repository, digest) = (repository.to_string(), digest.to_string());
    pb::event::Event::ManifestDeleted(pb::ManifestDeleted { repository, digest })
}

fn established(authority: &Authority) -> pb::event::Event {
    let authority = Some(authority.into());
    pb::event::Event::AuthorityEstablished(pb::AuthorityEstablished { authority })
}

fn issued(token: &Thumbprint, end: Timestamp) -> pb::event::Event {
    let (token, end_millis) = (bytes(token.as_bytes()), end.as_millis());
    pb::event::Event::TokenIssued(pb::TokenIssued { token, end_millis })
}

fn revoked(token: &Thumbprint) -> pb::event::Event {
    let token = bytes(token.as_bytes());
    pb::event::Event::TokenRevoked(pb::TokenRevoked { token })
}

impl TryFrom<pb::Event> for Event {
    type Error = DecodeError;

    fn try_from(event: pb::Event) -> Result<Self, DecodeError> {
        use pb::event::Event as Pb;
        Ok(match event.event.ok_or_else(|| DecodeError::unknown("event"))? {
            Pb::ClusterFounded(e) => Self::ClusterFounded {
                cluster: id("cluster id", &e.cluster_id)?,
                upload_key: upload_key(&e.upload_key)?,
            },
            Pb::NodeAdmitted(e) => Self::NodeAdmitted {
                node: e.node_id,
                peer_address: parse("peer address", &e.peer_address)?,
            },
            Pb::AuthorityEstablished(e) => {
                Self::AuthorityEstablished { authority: authority(e.authority)? }
            }
            Pb::TokenIssued(e) => Self::TokenIssued {
                token: id("token", &e.token)?,
                end: Timestamp::from_millis(e.end_millis),
            },
            Pb::TokenRevoked(e) => Self::TokenRevoked { token: id("token", &e.token)? },
            Pb::NodeRemoved(e) => Self::NodeRemoved { node: e.node_id },
            Pb::BlobLinked(e) => Self::BlobLinked {
                repository: parse("repository", &e.repository)?,
                digest: parse("digest", &e.digest)?,
                size: e.size,
                checksum: e.crc32c.map(Checksum::from_crc),
                object: parse("object", &e.object)?,
            },
            Pb::UploadLinked(e) => Self::UploadLinked {
                upload: parse("upload", &e.upload)?,
                digest: parse("digest", &e.digest)?,
            },
            Pb::ObjectReplaced(e) => Self::ObjectReplaced {
                digest: parse("digest", &e.digest)?,
                size: e.size,
                checksum: e.crc32c.map(Checksum::from_crc),
                from: parse("object", &e.from)?,
                to: parse("object", &e.to)?,
            },
            Pb::ObjectOrphaned(e) => Self::ObjectOrphaned { object: parse("object", &e.object)? },
            Pb::AccessChanged(e) => Self::AccessChanged {
                version: e.version,
                change: e.change.ok_or_else(|| DecodeError::missing("change"))?.try_into()?,
            },
            Pb::BlobUnlinked(e) => Self::BlobUnlinked {
                repository: parse("repository", &e.repository)?,
                digest: parse("digest", &e.digest)?,
            },
            Pb::ManifestPut(e) => Self::ManifestPut {
                repository: parse("repository", &e.repository)?,
                manifest: e.manifest.ok_or_else(|| DecodeError::missing("manifest"))?.try_into()?,
            },
            Pb::ManifestDeleted(e) => Self::ManifestDeleted {
                repository: parse("repository", &e.repository)?,
                digest: parse("digest", &e.digest)?,
            },
            Pb::TagMoved(e) => Self::TagMoved {
                repository: parse("repository", &e.repository)?,
                tag: parse("tag", &e.tag)?,
                from: e.from.map(|digest| parse("digest", &digest)).transpose()?,
                to: parse("digest", &e.to)?,
            },
            Pb::TagDeleted(e) => Self::TagDeleted {
                repository: parse("repository", &e.repository)?,
                tag: parse("tag", &e.tag)?,
                digest: parse("digest", &e.digest)?,
            },
        })
    }
}
