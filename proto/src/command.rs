//! What the cluster is asked to agree on, and what it answers.

use std::fmt;
use std::time::Duration;

use crate::access::AccessCommand;
use crate::{
    Actor, Authority, Checksum, ClusterId, Digest, Manifest, NodeId, ObjectKey, PeerAddress,
    Precondition, Refusal, RepoName, RequestId, Tag, Thumbprint, Timestamp, UploadKey,
};

/// A change that a node proposes. Whether it happens, and as which events, `decide` says when it is
/// applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Gives the cluster its identity and its secrets, once.
    FoundCluster {
        /// The new cluster's id.
        cluster: ClusterId,
        /// The key that signs upload sessions.
        upload_key: UploadKey,
    },
    /// Admits a node; the index of this entry becomes its id.
    AdmitNode {
        /// Where its peers reach it.
        peer_address: PeerAddress,
        /// The hash of the secret with which it asks; none where nodes have no certificates.
        token: Option<Thumbprint>,
    },
    /// Gives the cluster who signs its nodes' certificates, once.
    EstablishAuthority {
        /// The authority.
        authority: Authority,
    },
    /// Lets nodes join by a token.
    IssueToken {
        /// The hash of its secret.
        token: Thumbprint,
        /// For how long.
        lifetime: Duration,
        /// Whether the tokens from before are good no longer.
        alone: bool,
    },
    /// Removes a node from the cluster, for good: its id is never taken again.
    RemoveNode {
        /// The node.
        node: NodeId,
    },
    /// States that a repository has a blob, whose bytes rest in the object store.
    LinkBlob {
        /// The repository.
        repository: RepoName,
        /// The blob's digest, which the node that proposes has computed over the bytes.
        digest: Digest,
        /// The blob's size, in bytes.
        size: u64,
        /// The checksum of the bytes; none in what was proposed before there were any.
        checksum: Option<Checksum>,
        /// The sealed object that holds the bytes.
        object: ObjectKey,
        /// An object that was linked to this digest and was found missing or damaged: `object`
        /// takes its place.
        replaces: Option<ObjectKey>,
        /// The upload that became `object`, when it was known under another key.
        upload: Option<ObjectKey>,
    },
    /// Links a blob of another repository, without its bytes travelling again.
    MountBlob {
        /// The repository that gets the blob.
        repository: RepoName,
        /// The repository that has it.
        from: RepoName,
        /// The blob.
        digest: Digest,
    },
    /// Takes a blob out of a repository.
    UnlinkBlob {
        /// The repository.
        repository: RepoName,
        /// The blob.
        digest: Digest,
    },
    /// Puts a manifest into a repository and points tags to it, in one step.
    PutManifest {
        /// The repository.
        repository: RepoName,
        /// The manifest.
        manifest: Manifest,
        /// The tags that shall name it.
        tags: Vec<Tag>,
        /// What must hold of each of the tags; without tags, of the manifest's digest.
        preconditions: Vec<Precondition>,
        /// Whether the repository may lack what the manifest names.
        sparse: bool,
        /// Which changes of tags the caller may make.
        tagging: Tagging,
    },
    /// Deletes a manifest and every tag that names it.
    DeleteManifest {
        /// The repository.
        repository: RepoName,
        /// The manifest.
        digest: Digest,
    },
    /// Deletes a tag, and leaves what it named.
    DeleteTag {
        /// The repository.
        repository: RepoName,
        /// The tag.
        tag: Tag,
        /// What must hold of the tag.
        preconditions: Vec<Precondition>,
    },
    /// Changes who may do what.
    Access(AccessCommand),
    /// Gives up an object that holds no blob, so that it never will and its bytes can be removed.
    DiscardObject {
        /// The object.
        object: ObjectKey,
    },
}

/// Which changes of tags the caller may make. What a tag names is known only when the push is
/// decided, so it is decided there too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tagging {
    /// Whether they may set a tag that does not exist.
    pub may_create: bool,
    /// Whether they may point a tag that exists to another manifest.
    pub may_move: bool,
}

impl Tagging {
    /// Every change.
    pub const ANY: Self = Self { may_create: true, may_move: true };
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FoundCluster { cluster, .. } => write!(f, "found cluster {cluster}"),
            Self::AdmitNode { peer_address, .. } => write!(f, "admit node at {peer_address}"),
            Self::EstablishAuthority { authority } => {
                write!(f, "establish authority {}", authority.thumbprint())
            }
            Self::IssueToken { lifetime, alone, .. } => {
                write!(f, "issue a token for {lifetime:?}{}", if *alone { ", alone" } else { "" })
            }
            Self::RemoveNode { node } => write!(f, "remove node {node}"),
            Self::LinkBlob { repository, digest, size, object, .. } => {
                write!(f, "link {repository}@{digest} ({size} bytes, object {object})")
            }
            Self::MountBlob { repository, from, digest } => {
                write!(f, "mount {repository}@{digest} from {from}")
            }
            Self::UnlinkBlob { repository, digest } => write!(f, "unlink {repository}@{digest}"),
            Self::PutManifest { repository, manifest, tags, preconditions, .. } => {
                write!(f, "put {repository}@{} as {tags:?}", manifest.digest())?;
                write_preconditions(f, preconditions)
            }
            Self::DeleteManifest { repository, digest } => {
                write!(f, "delete {repository}@{digest}")
            }
            Self::DeleteTag { repository, tag, preconditions } => {
                write!(f, "delete {repository}:{tag}")?;
                write_preconditions(f, preconditions)
            }
            Self::Access(command) => write!(f, "{command}"),
            Self::DiscardObject { object } => write!(f, "discard object {object}"),
        }
    }
}

fn write_preconditions(f: &mut fmt::Formatter<'_>, all: &[Precondition]) -> fmt::Result {
    all.iter().try_for_each(|precondition| write!(f, ", if {precondition}"))
}

/// A command as it stands in the log: with who asked, when the leader took it, and the id its
/// answer is kept under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamped {
    /// The request's id; a repetition under the same id gets the first answer.
    pub request: RequestId,
    /// Who asked, as the journal shall name them.
    pub actor: Actor,
    /// When the leader took it.
    pub when: Timestamp,
    /// The command.
    pub command: Command,
}

impl fmt::Display for Stamped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {} at {} ({})", self.command, self.actor, self.when, self.request)
    }
}

/// What an accepted command is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It is so now.
    Done,
    /// The blob is linked, and its bytes are this object: another than the proposed one when an
    /// upload of the same digest came first.
    Linked {
        /// The object that holds the blob's bytes.
        object: ObjectKey,
    },
    /// It is so now, and the repository lacks something that its new manifest names.
    Sparse {
        /// How many digests it lacks.
        missing: u64,
        /// The first of them.
        example: Digest,
    },
    /// The node is admitted.
    Admitted {
        /// Its id.
        node: NodeId,
        /// The cluster it belongs to from now on.
        cluster: ClusterId,
    },
}

/// What a command came to.
pub type Outcome = Result<Answer, Refusal>;
