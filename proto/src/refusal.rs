//! Why `decide` refuses a command.

use crate::access::AccessRefusal;
use crate::limits::TAGS_PER_DELETION_MAX;
use crate::{ClusterId, Digest, MediaType, NodeId, ObjectKey, Reference, RepoName, Timestamp};

/// A command was understood and did nothing. Its text tells the person what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The repository does not exist.
    #[error("repository {0} does not exist")]
    NameUnknown(RepoName),
    /// The repository has no such blob.
    #[error("the repository has no blob {0}")]
    BlobUnknown(Digest),
    /// The repository has no such manifest or tag.
    #[error("the repository has no manifest {0}")]
    ManifestUnknown(Reference),
    /// The manifest names blobs or manifests that the repository does not have.
    #[error("the repository lacks what the manifest names, push it first: {}", list(.0))]
    ReferencesUnknown(Vec<Digest>),
    /// The manifest gives another size for a digest than the content has.
    #[error("the manifest says that {digest} has {declared} bytes, but it has {actual}")]
    SizeMismatch {
        /// The blob or manifest.
        digest: Digest,
        /// The size in the descriptor, in bytes.
        declared: u64,
        /// The size of the content, in bytes.
        actual: u64,
    },
    /// Another manifest needs it.
    #[error("{digest} is part of manifest {by}; delete that first")]
    InUse {
        /// What was to be deleted.
        digest: Digest,
        /// A manifest that names it.
        by: Digest,
    },
    /// Too many tags name the manifest for them to be deleted with it.
    #[error(
        "manifest {0} has more than {TAGS_PER_DELETION_MAX} tags, too many to be deleted with it; \
         delete tags of it first"
    )]
    TooManyTags(Digest),
    /// The repository has the manifest under another media type.
    #[error("manifest {digest} is stored as {stored}; its media type never changes")]
    TypeConflict {
        /// The manifest.
        digest: Digest,
        /// The media type it was first pushed with.
        stored: MediaType,
    },
    /// What the change depends on is not so.
    #[error("{}", unlike(reference, current.as_ref()))]
    PreconditionFailed {
        /// The tag, or the digest, that it depends on.
        reference: Reference,
        /// What that names; `None` when it does not exist.
        current: Option<Digest>,
    },
    /// The object holds a blob already, or was given up.
    #[error("upload {0} has ended; begin a new one")]
    UploadEnded(ObjectKey),
    /// Access is against it, or it would be against access.
    #[error(transparent)]
    Access(#[from] AccessRefusal),
    /// The cluster has its identity already.
    #[error("this is cluster {0} already")]
    AlreadyFounded(ClusterId),
    /// The cluster has no identity yet.
    #[error("the cluster is still being founded; try again in a moment")]
    NotFounded,
    /// The cluster never had such a node.
    #[error("the cluster has no node {0}; `roadstead cluster status` lists its nodes")]
    NodeUnknown(NodeId),
    /// No other node votes.
    #[error("node {0} is the only one that votes, and a cluster needs one; add another node first")]
    LastVoter(NodeId),
    /// The token is none of the cluster's.
    #[error(
        "the cluster does not know this join token, or not any more; make one by `roadstead \
         cluster token` on a node of it"
    )]
    TokenUnknown,
    /// The token's time is over.
    #[error(
        "this join token has expired; make another by `roadstead cluster token` on a node of \
         the cluster"
    )]
    TokenExpired(Timestamp),
}

fn unlike(reference: &Reference, current: Option<&Digest>) -> String {
    match (reference, current) {
        (Reference::Tag(tag), Some(current)) => {
            format!("tag {tag} names {current} now: look at that, and decide anew")
        }
        (Reference::Tag(tag), None) => format!("tag {tag} does not exist now: decide anew"),
        (Reference::Digest(digest), Some(_)) => {
            format!("{digest} is there, which the condition of this request rules out")
        }
        (Reference::Digest(digest), None) => format!("{digest} does not exist"),
    }
}

fn list(digests: &[Digest]) -> String {
    digests.iter().map(Digest::as_str).collect::<Vec<_>>().join(", ")
}
