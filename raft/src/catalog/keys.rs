//! The key schema of the catalog, one row kind per [`Table`].
//!
//! ```text
//! 0x00                                            the generation that is current (u32)
//! 0x01 generation(u32) table(u8) fields...        a row of a generation
//! ```
//!
//! Text fields end with a zero byte, which occurs in none of them, except the last, which ends with
//! the key. Numbers are big-endian. So every list that a user asks for is one ordered range scan.
//!
//! A snapshot that arrives is written as a generation of its own and becomes current by one write
//! of the pointer: a crash half way leaves the old state.

use proto::access::{AccountName, Grant, Grantee, KeyId, RoleName};
use proto::{Digest, ObjectKey, RepoName, RequestId, Tag, Thumbprint, Timestamp};

/// A generation of the catalog: all of its rows.
pub(crate) type Generation = u32;

/// The key under which the current generation is kept.
pub(crate) const POINTER: &[u8] = &[0];

/// The kinds of rows, by the byte that follows the generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Table {
    /// `-> Applied`: the last applied log id, the membership and the time.
    Applied = b'a',
    /// `-> ClusterFounded`: the cluster's identity and secrets.
    Cluster = b'c',
    /// `node(u64) -> NodeAdmitted`.
    Node = b'n',
    /// `node(u64) -> nothing`: nodes that were removed, and never come back.
    RemovedNode = b'x',
    /// `-> Authority`: who signs the nodes' certificates, with its key.
    Authority = b'K',
    /// `hash -> end(u64)`: the tokens with which nodes join.
    Token = b'J',
    /// `repository -> nothing`: what was ever pushed to.
    Repository = b'r',
    /// `digest -> BlobRow`: where a blob's bytes are, whichever repositories link it.
    Blob = b'b',
    /// `repository digest -> nothing`: the blobs that a repository has.
    Link = b'l',
    /// `digest repository -> nothing`: the repositories that have a blob.
    Holder = b'h',
    /// `repository digest -> Manifest`.
    Manifest = b'm',
    /// `repository tag -> digest`.
    Tag = b't',
    /// `repository digest tag -> nothing`: the tags that name a manifest.
    TagOf = b'g',
    /// `repository digest manifest -> nothing`: the manifests that need a blob or a manifest.
    NeededBy = b'u',
    /// `repository subject digest -> DescriptorRow`: what refers to a manifest.
    Referrer = b's',
    /// `object -> digest`: the blob whose bytes an object holds.
    Object = b'k',
    /// `object -> when(u64)`: objects that hold no blob and never will again, to be swept.
    Orphan = b'o',
    /// `-> index(u64)`: the log index at which anything about access last changed.
    AccessVersion = b'V',
    /// `account -> Account`.
    Account = b'A',
    /// `key -> Key`: access keys by their public half.
    AccessKey = b'Y',
    /// `account key -> nothing`: the access keys of an account.
    KeyOf = b'O',
    /// `key -> when(u64)`: when an access key was last used, to the hour.
    KeyUse = b'U',
    /// `role -> Role`: the roles beside those that every cluster has.
    Role = b'R',
    /// `grantee pattern role -> Grant`.
    Grant = b'G',
    /// `id(u64) -> TokenKey`: the keys whose tokens count.
    TokenKey = b'T',
    /// `index(u64) position(u32) -> JournalRow`: every event, in order.
    Journal = b'j',
    /// `request -> AnswerRow`: what a request was answered.
    Answer = b'q',
    /// `when(u64) request -> nothing`: the answers by age.
    AnswerAge = b'w',
}

/// Builds the keys of one generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    generation: Generation,
}

impl Keys {
    pub(crate) const fn of(generation: Generation) -> Self {
        Self { generation }
    }

    pub(crate) const fn generation(self) -> Generation {
        self.generation
    }

    /// The prefix of a table.
    pub(crate) fn table(self, table: Table) -> Vec<u8> {
        let mut key = prefix(self.generation);
        key.push(table as u8);
        key
    }

    pub(crate) fn applied(self) -> Vec<u8> {
        self.table(Table::Applied)
    }

    pub(crate) fn cluster(self) -> Vec<u8> {
        self.table(Table::Cluster)
    }

    pub(crate) fn node(self, node: u64) -> Vec<u8> {
        join(self.table(Table::Node), &node.to_be_bytes())
    }

    pub(crate) fn removed_node(self, node: u64) -> Vec<u8> {
        join(self.table(Table::RemovedNode), &node.to_be_bytes())
    }

    pub(crate) fn authority(self) -> Vec<u8> {
        self.table(Table::Authority)
    }

    pub(crate) fn token(self, token: &Thumbprint) -> Vec<u8> {
        join(self.table(Table::Token), token.as_bytes())
    }

    pub(crate) fn repository(self, repository: &RepoName) -> Vec<u8> {
        join(self.table(Table::Repository), repository.as_str().as_bytes())
    }

    pub(crate) fn blob(self, digest: &Digest) -> Vec<u8> {
        join(self.table(Table::Blob), digest.as_str().as_bytes())
    }

    /// The prefix of a repository's rows in a table.
    pub(crate) fn within(self, table: Table, repository: &RepoName) -> Vec<u8> {
        field(self.table(table), repository.as_str())
    }

    pub(crate) fn link(self, repository: &RepoName, digest: &Digest) -> Vec<u8> {
        join(self.within(Table::Link, repository), digest.as_str().as_bytes())
    }

    /// The prefix of the repositories that have a blob.
    pub(crate) fn holders(self, digest: &Digest) -> Vec<u8> {
        field(self.table(Table::Holder), digest.as_str())
    }

    pub(crate) fn holder(self, digest: &Digest, repository: &RepoName) -> Vec<u8> {
        join(self.holders(digest), repository.as_str().as_bytes())
    }

    pub(crate) fn manifest(self, repository: &RepoName, digest: &Digest) -> Vec<u8> {
        join(self.within(Table::Manifest, repository), digest.as_str().as_bytes())
    }

    pub(crate) fn tag(self, repository: &RepoName, tag: &Tag) -> Vec<u8> {
        join(self.within(Table::Tag, repository), tag.as_str().as_bytes())
    }

    /// The prefix of the rows about a digest of a repository, in a table that has such rows.
    pub(crate) fn about(self, table: Table, repository: &RepoName, digest: &Digest) -> Vec<u8> {
        field(self.within(table, repository), digest.as_str())
    }

    pub(crate) fn tag_of(self, repository: &RepoName, digest: &Digest, tag: &Tag) -> Vec<u8> {
        join(self.about(Table::TagOf, repository, digest), tag.as_str().as_bytes())
    }

    pub(crate) fn needed_by(self, repository: &RepoName, digest: &Digest, by: &Digest) -> Vec<u8> {
        join(self.about(Table::NeededBy, repository, digest), by.as_str().as_bytes())
    }

    pub(crate) fn referrer(self, repository: &RepoName, subject: &Digest, by: &Digest) -> Vec<u8> {
        join(self.about(Table::Referrer, repository, subject), by.as_str().as_bytes())
    }

    pub(crate) fn object(self, object: ObjectKey) -> Vec<u8> {
        join(self.table(Table::Object), object.to_string().as_bytes())
    }

    pub(crate) fn orphan(self, object: ObjectKey) -> Vec<u8> {
        join(self.table(Table::Orphan), object.to_string().as_bytes())
    }

    pub(crate) fn access_version(self) -> Vec<u8> {
        self.table(Table::AccessVersion)
    }

    pub(crate) fn account(self, name: &AccountName) -> Vec<u8> {
        join(self.table(Table::Account), name.as_str().as_bytes())
    }

    pub(crate) fn access_key(self, id: KeyId) -> Vec<u8> {
        join(self.table(Table::AccessKey), id.to_string().as_bytes())
    }

    pub(crate) fn key_use(self, id: KeyId) -> Vec<u8> {
        join(self.table(Table::KeyUse), id.to_string().as_bytes())
    }

    /// The prefix of the access keys of an account.
    pub(crate) fn keys_of(self, account: &AccountName) -> Vec<u8> {
        field(self.table(Table::KeyOf), account.as_str())
    }

    pub(crate) fn key_of(self, account: &AccountName, id: KeyId) -> Vec<u8> {
        join(self.keys_of(account), id.to_string().as_bytes())
    }

    pub(crate) fn role(self, name: &RoleName) -> Vec<u8> {
        join(self.table(Table::Role), name.as_str().as_bytes())
    }

    /// The prefix of the grants to somebody.
    pub(crate) fn grants_to(self, grantee: &Grantee) -> Vec<u8> {
        field(self.table(Table::Grant), &grantee.to_string())
    }

    pub(crate) fn grant(self, grant: &Grant) -> Vec<u8> {
        let key = field(self.grants_to(&grant.grantee), grant.pattern.as_str());
        join(key, grant.role.as_str().as_bytes())
    }

    pub(crate) fn token_key(self, id: u64) -> Vec<u8> {
        join(self.table(Table::TokenKey), &id.to_be_bytes())
    }

    pub(crate) fn journal(self, index: u64, position: u32) -> Vec<u8> {
        join(join(self.table(Table::Journal), &index.to_be_bytes()), &position.to_be_bytes())
    }

    pub(crate) fn answer(self, request: &RequestId) -> Vec<u8> {
        join(self.table(Table::Answer), request.as_bytes())
    }

    pub(crate) fn answer_age(self, when: Timestamp, request: &RequestId) -> Vec<u8> {
        join(self.answers_before(when), request.as_bytes())
    }

    /// The key before which the ages of all answers older than `when` stand.
    pub(crate) fn answers_before(self, when: Timestamp) -> Vec<u8> {
        join(self.table(Table::AnswerAge), &when.as_millis().to_be_bytes())
    }
}

/// The prefix of all rows of a generation.
pub(crate) fn prefix(generation: Generation) -> Vec<u8> {
    join(vec![1], &generation.to_be_bytes())
}

/// The generation that a row's key belongs to, and the rest of the key; `None` for the pointer.
pub(crate) fn split(key: &[u8]) -> Option<(Generation, &[u8])> {
    let (generation, row) = key.strip_prefix(&[1])?.split_first_chunk()?;
    Some((Generation::from_be_bytes(*generation), row))
}

/// The first key after all those that start with `prefix`, in which one byte at least is not 0xff.
pub(crate) fn after(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    vec![u8::MAX; prefix.len() + 1]
}

fn join(mut key: Vec<u8>, end: &[u8]) -> Vec<u8> {
    key.extend_from_slice(end);
    key
}

fn field(key: Vec<u8>, text: &str) -> Vec<u8> {
    let mut key = join(key, text.as_bytes());
    key.push(0);
    key
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;

    #[test]
    fn the_rows_of_one_repository_are_apart_from_those_of_a_longer_name() {
        let keys = Keys::of(7);
        let (short, long) = ("a".parse().unwrap(), "a/b".parse().unwrap());
        let prefix = keys.within(Table::Tag, &short);
        assert!(keys.tag(&short, &"x".parse().unwrap()).starts_with(&prefix));
        assert!(!keys.tag(&long, &"x".parse().unwrap()).starts_with(&prefix));
    }

    #[test]
    fn after_ends_a_prefix() {
        assert_eq!(after(&[1, 2]), vec![1, 3]);
        assert_eq!(after(&[1, 255, 255]), vec![2]);
        assert!(after(&[255, 255]) > vec![255, 255]);
    }
}
