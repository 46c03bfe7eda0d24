//! Commands, as they stand in the log and travel to the leader.

use std::time::Duration;

use super::{DecodeError, authority, bytes, id, parse, parse_all, upload_key};
use crate::pb::catalog as pb;
use crate::{Checksum, Command, ObjectKey, Precondition, Stamped, Tagging, Timestamp};

impl From<&Stamped> for pb::Stamped {
    fn from(stamped: &Stamped) -> Self {
        Self {
            request_id: bytes(stamped.request.as_bytes()),
            actor: stamped.actor.to_string(),
            when_millis: stamped.when.as_millis(),
            command: Some((&stamped.command).into()),
        }
    }
}

impl TryFrom<pb::Stamped> for Stamped {
    type Error = DecodeError;

    fn try_from(stamped: pb::Stamped) -> Result<Self, DecodeError> {
        Ok(Self {
            request: id("request id", &stamped.request_id)?,
            actor: parse("actor", &stamped.actor)?,
            when: Timestamp::from_millis(stamped.when_millis),
            command: stamped.command.ok_or_else(|| DecodeError::missing("command"))?.try_into()?,
        })
    }
}

impl From<&Command> for pb::Command {
    fn from(command: &Command) -> Self {
        use pb::command::Command as Pb;
        let command = match command {
            Command::FoundCluster { cluster, upload_key } => Pb::FoundCluster(pb::FoundCluster {
                cluster_id: bytes(cluster.as_bytes()),
                upload_key: bytes(upload_key.as_bytes()),
            }),
            Command::AdmitNode { peer_address, token } => Pb::AdmitNode(pb::AdmitNode {
                peer_address: peer_address.to_string(),
                token: token.map(|token| bytes(token.as_bytes())).unwrap_or_default(),
            }),
            Command::EstablishAuthority { authority } => {
                Pb::EstablishAuthority(pb::EstablishAuthority { authority: Some(authority.into()) })
            }
            Command::IssueToken { token, lifetime, alone } => Pb::IssueToken(pb::IssueToken {
                token: bytes(token.as_bytes()),
                lifetime_millis: u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX),
                alone: *alone,
            }),
            Command::RemoveNode { node } => Pb::RemoveNode(pb::RemoveNode { node_id: *node }),
            Command::LinkBlob { repository, digest, size, checksum, object, replaces, upload } => {
                Pb::LinkBlob(pb::LinkBlob {
                    repository: repository.to_string(),
                    digest: digest.to_string(),
                    size: *size,
                    object: object.to_string(),
                    replaces: replaces.as_ref().map(ObjectKey::to_string),
                    upload: upload.as_ref().map(ObjectKey::to_string),
                    crc32c: checksum.map(Checksum::crc),
                })
            }
            Command::MountBlob { repository, from, digest } => Pb::MountBlob(pb::MountBlob {
                repository: repository.to_string(),
                from: from.to_string(),
                digest: digest.to_string(),
            }),
            Command::UnlinkBlob { repository, digest } => Pb::UnlinkBlob(pb::UnlinkBlob {
                repository: repository.to_string(),
                digest: digest.to_string(),
            }),
            Command::PutManifest { repository, manifest, tags, preconditions, sparse, tagging } => {
                Pb::PutManifest(pb::PutManifest {
                    repository: repository.to_string(),
                    manifest: Some(manifest.into()),
                    tags: tags.iter().map(ToString::to_string).collect(),
                    preconditions: preconditions.iter().map(Into::into).collect(),
                    sparse: *sparse,
                    tags_stay: !tagging.may_move,
                    no_new_tags: !tagging.may_create,
                })
            }
            Command::DeleteManifest { repository, digest } => {
                Pb::DeleteManifest(pb::DeleteManifest {
                    repository: repository.to_string(),
                    digest: digest.to_string(),
                })
            }
            Command::DeleteTag { repository, tag, preconditions } => Pb::DeleteTag(pb::DeleteTag {
                repository: repository.to_string(),
                tag: tag.to_string(),
                preconditions: preconditions.iter().map(Into::into).collect(),
            }),
            Command::Access(command) => Pb::Access(command.into()),
            Command::DiscardObject { object } => {
                Pb::DiscardObject(pb::DiscardObject { object: object.to_string() })
            }
        };
        Self { command: Some(command) }
    }
}

impl TryFrom<pb::Command> for Command {
    type Error = DecodeError;

    fn try_from(command: pb::Command) -> Result<Self, DecodeError> {
        use pb::command::Command as Pb;
        Ok(match command.command.ok_or_else(|| DecodeError::unknown("command"))? {
            Pb::FoundCluster(c) => Self::FoundCluster {
                cluster: id("cluster id", &c.cluster_id)?,
                upload_key: upload_key(&c.upload_key)?,
            },
            Pb::AdmitNode(c) => Self::AdmitNode {
                peer_address: parse("peer address", &c.peer_address)?,
                token: match c.token.is_empty() {
                    true => None,
                    false => Some(id("token", &c.token)?),
                },
            },
            Pb::EstablishAuthority(c) => {
                Self::EstablishAuthority { authority: authority(c.authority)? }
            }
            Pb::IssueToken(c) => Self::IssueToken {
                token: id("token", &c.token)?,
                lifetime: Duration::from_millis(c.lifetime_millis),
                alone: c.alone,
            },
            Pb::RemoveNode(c) => Self::RemoveNode { node: c.node_id },
            Pb::LinkBlob(c) => Self::LinkBlob {
                repository: parse("repository", &c.repository)?,
                digest: parse("digest", &c.digest)?,
                size: c.size,
                object: parse("object", &c.object)?,
                replaces: c.replaces.map(|key| parse("object", &key)).transpose()?,
                upload: c.upload.map(|key| parse("upload", &key)).transpose()?,
                checksum: c.crc32c.map(Checksum::from_crc),
            },
            Pb::MountBlob(c) => Self::MountBlob {
                repository: parse("repository", &c.repository)?,
                from: parse("repository", &c.from)?,
                digest: parse("digest", &c.digest)?,
            },
            Pb::UnlinkBlob(c) => Self::UnlinkBlob {
                repository: parse("repository", &c.repository)?,
                digest: parse("digest", &c.digest)?,
            },
            Pb::PutManifest(c) => Self::PutManifest {
                repository: parse("repository", &c.repository)?,
                manifest: c.manifest.ok_or_else(|| DecodeError::missing("manifest"))?.try_into()?,
                tags: parse_all("tag", &c.tags)?,
                preconditions: preconditions(c.preconditions)?,
                sparse: c.sparse,
                tagging: Tagging { may_create: !c.no_new_tags, may_move: !c.tags_stay },
            },
            Pb::DeleteManifest(c) => Self::DeleteManifest {
                repository: parse("repository", &c.repository)?,
                digest: parse("digest", &c.digest)?,
            },
            Pb::DeleteTag(c) => Self::DeleteTag {
                repository: parse("repository", &c.repository)?,
                tag: parse("tag", &c.tag)?,
                preconditions: preconditions(c.preconditions)?,
            },
            Pb::Access(command) => Self::Access(command.try_into()?),
            Pb::DiscardObject(c) => Self::DiscardObject { object: parse("object", &c.object)? },
        })
    }
}

fn preconditions(all: Vec<pb::Precondition>) -> Result<Vec<Precondition>, DecodeError> {
    all.into_iter().map(TryInto::try_into).collect()
}
