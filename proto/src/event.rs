//! What has happened: the only source of the catalog's rows, kept in the journal.

use crate::access::AccessChange;
use crate::{
    Authority, Checksum, ClusterId, Digest, Manifest, NodeId, ObjectKey, PeerAddress, RepoName,
    Tag, Thumbprint, Timestamp, UploadKey,
};

/// One fact that became true. Rows derive from events alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The cluster got its identity.
    ClusterFounded {
        /// The cluster's id.
        cluster: ClusterId,
        /// The key that signs upload sessions.
        upload_key: UploadKey,
    },
    /// A node was admitted.
    NodeAdmitted {
        /// Its id.
        node: NodeId,
        /// Where its peers reach it.
        peer_address: PeerAddress,
    },
    /// The cluster got who signs its nodes' certificates.
    AuthorityEstablished {
        /// The authority.
        authority: Authority,
    },
    /// Nodes may join by a token.
    TokenIssued {
        /// The hash of its secret.
        token: Thumbprint,
        /// Until when.
        end: Timestamp,
    },
    /// No node may join by this token any more.
    TokenRevoked {
        /// The hash of its secret.
        token: Thumbprint,
    },
    /// A node was removed, for good.
    NodeRemoved {
        /// Its id.
        node: NodeId,
    },
    /// A repository has a blob.
    BlobLinked {
        /// The repository.
        repository: RepoName,
        /// The blob.
        digest: Digest,
        /// Its size, in bytes.
        size: u64,
        /// The checksum of its bytes, if it is known.
        checksum: Option<Checksum>,
        /// The object that holds its bytes.
        object: ObjectKey,
    },
    /// An upload has ended: its bytes are the blob, or were not needed.
    UploadLinked {
        /// The upload, whose key is not the object's.
        upload: ObjectKey,
        /// The blob.
        digest: Digest,
    },
    /// A blob's bytes rest in another object from now on, in every repository.
    ObjectReplaced {
        /// The blob.
        digest: Digest,
        /// Its size, in bytes.
        size: u64,
        /// The checksum of its bytes, if it is known.
        checksum: Option<Checksum>,
        /// The object that was missing or damaged.
        from: ObjectKey,
        /// The object that took its place.
        to: ObjectKey,
    },
    /// An object holds nothing that the catalog names, and can be swept.
    ObjectOrphaned {
        /// The object.
        object: ObjectKey,
    },
    /// A repository no longer has a blob.
    BlobUnlinked {
        /// The repository.
        repository: RepoName,
        /// The blob.
        digest: Digest,
    },
    /// A repository has a manifest.
    ManifestPut {
        /// The repository.
        repository: RepoName,
        /// The manifest.
        manifest: Manifest,
    },
    /// A repository no longer has a manifest.
    ManifestDeleted {
        /// The repository.
        repository: RepoName,
        /// The manifest.
        digest: Digest,
    },
    /// A tag names another manifest than before.
    TagMoved {
        /// The repository.
        repository: RepoName,
        /// The tag.
        tag: Tag,
        /// What it named before, if it existed.
        from: Option<Digest>,
        /// What it names now.
        to: Digest,
    },
    /// Something about who may do what is another way than before.
    AccessChanged {
        /// The log index at which it changed: a node that keeps what it has read of access knows by
        /// it that it must read again.
        version: u64,
        /// What changed.
        change: AccessChange,
    },
    /// A tag is gone.
    TagDeleted {
        /// The repository.
        repository: RepoName,
        /// The tag.
        tag: Tag,
        /// What it named.
        digest: Digest,
    },
}
