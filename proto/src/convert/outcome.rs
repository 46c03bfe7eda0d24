//! Answers and refusals, as they are kept for repetitions and travel back from the leader.

use super::{DecodeError, bytes, id, parse, parse_all};
use crate::pb::catalog as pb;
use crate::{Answer, Outcome, Refusal, Timestamp};

impl From<&Outcome> for pb::Outcome {
    fn from(outcome: &Outcome) -> Self {
        use pb::outcome::Outcome as Pb;
        let outcome = match outcome {
            Ok(answer) => Pb::Answer(answer.into()),
            Err(refusal) => Pb::Refusal(refusal.into()),
        };
        Self { outcome: Some(outcome) }
    }
}

impl TryFrom<pb::Outcome> for Outcome {
    type Error = DecodeError;

    fn try_from(outcome: pb::Outcome) -> Result<Self, DecodeError> {
        use pb::outcome::Outcome as Pb;
        Ok(match outcome.outcome.ok_or_else(|| DecodeError::unknown("outcome"))? {
            Pb::Answer(answer) => Ok(answer.try_into()?),
            Pb::Refusal(refusal) => Err(refusal.try_into()?),
        })
    }
}

impl From<&Answer> for pb::Answer {
    fn from(answer: &Answer) -> Self {
        use pb::answer::Answer as Pb;
        let answer = match answer {
            Answer::Done => Pb::Done(pb::Done {}),
            Answer::Linked { object } => Pb::Linked(pb::Linked { object: object.to_string() }),
            Answer::Sparse { missing, example } => {
                Pb::Sparse(pb::Sparse { missing: *missing, example: example.to_string() })
            }
            Answer::Admitted { node, cluster } => {
                Pb::Admitted(pb::Admitted { node_id: *node, cluster_id: bytes(cluster.as_bytes()) })
            }
        };
        Self { answer: Some(answer) }
    }
}

impl TryFrom<pb::Answer> for Answer {
    type Error = DecodeError;

    fn try_from(answer: pb::Answer) -> Result<Self, DecodeError> {
        use pb::answer::Answer as Pb;
        Ok(match answer.answer.ok_or_else(|| DecodeError::unknown("answer"))? {
            Pb::Done(_) => Self::Done,
            Pb::Linked(a) => Self::Linked { object: parse("object", &a.object)? },
            Pb::Sparse(a) => {
                Self::Sparse { missing: a.missing, example: parse("digest", &a.example)? }
            }
            Pb::Admitted(a) => {
                Self::Admitted { node: a.node_id, cluster: id("cluster id", &a.cluster_id)? }
            }
        })
    }
}

impl From<&Refusal> for pb::Refusal {
    fn from(refusal: &Refusal) -> Self {
        use pb::refusal::Refusal as Pb;
        let refusal = match refusal {
            Refusal::NameUnknown(name) => {
                Pb::NameUnknown(pb::NameUnknown { repository: name.to_string() })
            }
            Refusal::BlobUnknown(digest) => {
                Pb::BlobUnknown(pb::BlobUnknown { digest: digest.to_string() })
            }
            Refusal::ManifestUnknown(reference) => {
                Pb::ManifestUnknown(pb::ManifestUnknown { reference: reference.to_string() })
            }
            Refusal::ReferencesUnknown(digests) => Pb::ReferencesUnknown(pb::ReferencesUnknown {
                digests: digests.iter().map(ToString::to_string).collect(),
            }),
            Refusal::SizeMismatch { digest, declared, actual } => {
                Pb::SizeMismatch(pb::SizeMismatch {
                    digest: digest.to_string(),
                    declared: *declared,
                    actual: *actual,
                })
            }
            Refusal::InUse { digest, by } => {
                Pb::InUse(pb::InUse { digest: digest.to_string(), by: by.to_string() })
            }
            Refusal::TooManyTags(digest) => {
                Pb::TooManyTags(pb::TooManyTags { digest: digest.to_string() })
            }
            Refusal::TypeConflict { digest, stored } => Pb::TypeConflict(pb::TypeConflict {
                digest: digest.to_string(),
                stored: stored.to_string(),
            }),
            Refusal::PreconditionFailed { reference, current } => {
                Pb::PreconditionFailed(pb::PreconditionFailed {
                    reference: reference.to_string(),
                    current: current.as_ref().map(ToString::to_string),
                })
            }
            Refusal::UploadEnded(object) => {
                Pb::UploadEnded(pb::UploadEnded { object: object.to_string() })
            }
            Refusal::AlreadyFounded(cluster) => {
                Pb::AlreadyFounded(pb::AlreadyFounded { cluster_id: bytes(cluster.as_bytes()) })
            }
            Refusal::Access(refusal) => Pb::Access(refusal.into()),
            Refusal::NotFounded => Pb::NotFounded(pb::NotFounded {}),
            Refusal::NodeUnknown(node) => Pb::NodeUnknown(pb::NodeUnknown { node_id: *node }),
            Refusal::LastVoter(node) => Pb::LastVoter(pb::LastVoter { node_id: *node }),
            Refusal::TokenUnknown => Pb::TokenUnknown(pb::TokenUnknown {}),
            Refusal::TokenExpired(end) => {
                Pb::TokenExpired(pb::TokenExpired { end_millis: end.as_millis() })
            }
        };
        Self { refusal: Some(refusal) }
    }
}

impl TryFrom<pb::Refusal> for Refusal {
    type Error = DecodeError;

    fn try_from(refusal: pb::Refusal) -> Result<Self, DecodeError> {
        use pb::refusal::Refusal as Pb;
        Ok(match refusal.refusal.ok_or_else(|| DecodeError::unknown("refusal"))? {
            Pb::NameUnknown(r) => Self::NameUnknown(parse("repository", &r.repository)?),
            Pb::BlobUnknown(r) => Self::BlobUnknown(parse("digest", &r.digest)?),
            Pb::ManifestUnknown(r) => Self::ManifestUnknown(parse("reference", &r.reference)?),
            Pb::ReferencesUnknown(r) => Self::ReferencesUnknown(parse_all("digest", &r.digests)?),
            Pb::SizeMismatch(r) => Self::SizeMismatch {
                digest: parse("digest", &r.digest)?,
                declared: r.declared,
                actual: r.actual,
            },
            Pb::InUse(r) => {
                Self::InUse { digest: parse("digest", &r.digest)?, by: parse("digest", &r.by)? }
            }
            Pb::TooManyTags(r) => Self::TooManyTags(parse("digest", &r.digest)?),
            Pb::TypeConflict(r) => Self::TypeConflict {
                digest: parse("digest", &r.digest)?,
                stored: parse("media type", &r.stored)?,
            },
            Pb::PreconditionFailed(r) => Self::PreconditionFailed {
                reference: parse("reference", &r.reference)?,
                current: r.current.map(|digest| parse("digest", &digest)).transpose()?,
            },
            Pb::UploadEnded(r) => Self::UploadEnded(parse("object", &r.object)?),
            Pb::AlreadyFounded(r) => Self::AlreadyFounded(id("cluster id", &r.cluster_id)?),
            Pb::Access(r) => Self::Access(r.try_into()?),
            Pb::NotFounded(_) => Self::NotFounded,
            Pb::NodeUnknown(r) => Self::NodeUnknown(r.node_id),
            Pb::LastVoter(r) => Self::LastVoter(r.node_id),
            Pb::TokenUnknown(_) => Self::TokenUnknown,
            Pb::TokenExpired(r) => Self::TokenExpired(Timestamp::from_millis(r.end_millis)),
        })
    }
}
