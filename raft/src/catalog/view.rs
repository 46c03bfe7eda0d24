//! Reading the catalog.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use proto::limits::TOKENS_MAX;
use proto::pb::catalog as pb;
use proto::{
    Authority, Checksum, ClusterId, DecodeError, Descriptor, Digest, Manifest, ObjectKey,
    Reference, RepoName, RequestId, Tag, Thumbprint, Timestamp, UploadKey,
};
use storage::{KvError, KvRead, Space};

use super::keys::{self, Generation, Keys, Table};
use crate::ReadError;
use crate::error::remedy;

/// Where a blob's bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blob {
    /// The blob's size, in bytes.
    pub size: u64,
    /// The checksum of its bytes; none of what was pushed before there were any.
    pub checksum: Option<Checksum>,
    /// The object that holds its bytes.
    pub object: ObjectKey,
}

/// The catalog at one moment: what is read through one view belongs together. Each reading fails
/// with [`ReadError`] when this node's store cannot be read, and never otherwise.
#[derive(Clone)]
pub struct View {
    rows: Arc<dyn KvRead>,
    keys: Keys,
}

#[allow(clippy::missing_errors_doc, reason = "all fail alike, see ReadError")]
impl View {
    /// The current generation in `rows`, which are frozen or written by the caller alone.
    pub(crate) fn current(rows: Arc<dyn KvRead>) -> Result<Self, ReadError> {
        let generation = current_generation(&*rows)?;
        Ok(Self { rows, keys: Keys::of(generation) })
    }

    /// A generation in `rows`.
    pub(crate) fn of(rows: Arc<dyn KvRead>, generation: Generation) -> Self {
        Self { rows, keys: Keys::of(generation) }
    }

    /// Where the rows are read from.
    pub(crate) fn rows(&self) -> Arc<dyn KvRead> {
        Arc::clone(&self.rows)
    }

    pub(crate) const fn keys(&self) -> Keys {
        self.keys
    }

    /// The key that signs upload sessions; `None` until the cluster is founded.
    pub fn upload_key(&self) -> Result<Option<UploadKey>, ReadError> {
        let Some(row) = self.founded()? else { return Ok(None) };
        let key = row.upload_key.as_ref().try_into();
        let key: [u8; 32] = self.or_damaged(key.map_err(|e| DecodeError::new("upload key", e)))?;
        Ok(Some(UploadKey::from_bytes(key)))
    }

    /// The cluster's id; `None` until it is founded.
    pub fn cluster(&self) -> Result<Option<ClusterId>, ReadError> {
        let Some(row) = self.founded()? else { return Ok(None) };
        let id = ClusterId::try_from(row.cluster_id.as_ref());
        Ok(Some(self.or_damaged(id.map_err(|e| DecodeError::new("cluster id", e)))?))
    }

    /// Who signs the nodes' certificates; `None` until the cluster has one.
    pub(crate) fn authority(&self) -> Result<Option<Authority>, ReadError> {
        let row = self.get(&self.keys.authority())?;
        self.or_damaged(row.map(Authority::decode).transpose())
    }

    /// Until when nodes may join by the token of this hash, if they ever might.
    pub(crate) fn token(&self, token: &Thumbprint) -> Result<Option<Timestamp>, ReadError> {
        let row = self.get(&self.keys.token(token))?;
        self.or_damaged(row.map(|value| timestamp(&value)).transpose())
    }

    /// The hashes of all tokens, with their ends.
    pub(crate) fn tokens(&self) -> Result<Vec<(Thumbprint, Timestamp)>, ReadError> {
        let mut tokens = Vec::new();
        let prefix = self.keys.table(Table::Token);
        self.visit(&prefix, None, 2 * TOKENS_MAX, |hash, end| {
            let hash = Thumbprint::try_from(hash).map_err(|e| DecodeError::new("token", e));
            tokens.push(hash.and_then(|hash| Ok((hash, timestamp(end)?))));
        })?;
        self.or_damaged(tokens.into_iter().collect())
    }

    /// Whether the cluster has admitted `node`.
    pub(crate) fn has_node(&self, node: proto::NodeId) -> Result<bool, ReadError> {
        Ok(self.get(&self.keys.node(node))?.is_some())
    }

    /// Whether `node` was removed from the cluster, for good: if it is a member still, it will not
    /// be for long.
    pub fn is_removed(&self, node: proto::NodeId) -> Result<bool, ReadError> {
        Ok(self.get(&self.keys.removed_node(node))?.is_some())
    }

    /// Whether anything was ever put into `repository`.
    pub fn has_repository(&self, repository: &RepoName) -> Result<bool, ReadError> {
        Ok(self.get(&self.keys.repository(repository))?.is_some())
    }

    /// The blob `digest`, when `repository` links it.
    pub fn blob(&self, repository: &RepoName, digest: &Digest) -> Result<Option<Blob>, ReadError> {
        if self.get(&self.keys.link(repository, digest))?.is_none() {
            return Ok(None);
        }
        self.blob_anywhere(digest)
    }

    /// The blob `digest`, whichever repositories link it: for healing, never for serving.
    pub fn blob_anywhere(&self, digest: &Digest) -> Result<Option<Blob>, ReadError> {
        let Some(row) = self.message::<pb::BlobRow>("blob", &self.keys.blob(digest))? else {
            return Ok(None);
        };
        let object = row.object.parse().map_err(|e| DecodeError::new("object", e));
        let checksum = row.crc32c.map(Checksum::from_crc);
        Ok(Some(Blob { size: row.size, checksum, object: self.or_damaged(object)? }))
    }

    /// The blob whose bytes `object` holds, or that the upload of this key became.
    pub(crate) fn blob_of(&self, object: ObjectKey) -> Result<Option<Digest>, ReadError> {
        let row = self.get(&self.keys.object(object))?;
        self.or_damaged(row.map(|value| text("object", &value)).transpose())
    }

    /// The blob whose bytes `object` holds, or that the upload of this key became; its own object
    /// may be another one.
    pub fn blob_in(&self, object: ObjectKey) -> Result<Option<Blob>, ReadError> {
        match self.blob_of(object)? {
            Some(digest) => self.blob_anywhere(&digest),
            None => Ok(None),
        }
    }

    /// Whether the upload into `object` has ended: it became a blob, or was given up.
    pub fn has_ended(&self, object: ObjectKey) -> Result<bool, ReadError> {
        Ok(self.is_orphan(object)? || self.blob_of(object)?.is_some())
    }

    /// Whether `object` holds no blob and never will: its bytes are there no longer, or not for
    /// long.
    pub(crate) fn is_orphan(&self, object: ObjectKey) -> Result<bool, ReadError> {
        Ok(self.get(&self.keys.orphan(object))?.is_some())
    }

    /// What `tag` names.
    pub fn tag(&self, repository: &RepoName, tag: &Tag) -> Result<Option<Digest>, ReadError> {
        let row = self.get(&self.keys.tag(repository, tag))?;
        self.or_damaged(row.map(|value| text("tag", &value)).transpose())
    }

    /// The manifest that `reference` names.
    pub fn manifest(
        &self,
        repository: &RepoName,
        reference: &Reference,
    ) -> Result<Option<Manifest>, ReadError> {
        let named;
        let digest = match reference {
            Reference::Digest(digest) => digest,
            Reference::Tag(tag) => match self.tag(repository, tag)? {
                Some(digest) => {
                    named = digest;
                    &named
                }
                None => return Ok(None),
            },
        };
        let row = self.get(&self.keys.manifest(repository, digest))?;
        self.or_damaged(row.map(Manifest::decode).transpose())
    }

    /// Up to `limit` tags after `after`, in order.
    pub fn tags(
        &self,
        repository: &RepoName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<Tag>, ReadError> {
        self.page("tag", &self.keys.within(Table::Tag, repository), after, limit)
    }

    /// Up to `limit` repositories after `after`, in order.
    pub fn repositories(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<RepoName>, ReadError> {
        self.page("repository", &self.keys.table(Table::Repository), after, limit)
    }

    /// Up to `limit` repositories that have the blob `digest`, after `after`, in order.
    pub fn holders(
        &self,
        digest: &Digest,
        after: Option<&RepoName>,
        limit: usize,
    ) -> Result<Vec<RepoName>, ReadError> {
        let after = after.map(RepoName::as_str);
        self.page("repository", &self.keys.holders(digest), after, limit)
    }

    /// Visits the manifests of `repository` whose subject is `subject`, in order of digest and from
    /// the digest after `after` on, until `visit` breaks. With each come the bytes of its row,
    /// which are what it costs to look at it: there may be many, and each may be large.
    pub fn visit_referrers(
        &self,
        repository: &RepoName,
        subject: &Digest,
        after: Option<&Digest>,
        mut visit: impl FnMut(Descriptor, usize) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let prefix = self.keys.about(Table::Referrer, repository, subject);
        let from = following(&prefix, after.map(Digest::as_str));
        let mut damaged = Ok(());
        self.rows.scan(
            Space::Catalog,
            &from,
            &keys::after(&prefix),
            &mut |key, row| match referrer(&key[prefix.len()..], row) {
                Ok(referrer) => visit(referrer, row.len()),
                Err(error) => {
                    damaged = Err(error);
                    ControlFlow::Break(())
                }
            },
        )?;
        self.or_damaged(damaged)
    }

    /// Up to `limit` tags that name `digest`, in order.
    pub(crate) fn tags_of(
        &self,
        repository: &RepoName,
        digest: &Digest,
        limit: usize,
    ) -> Result<Vec<Tag>, ReadError> {
        self.page("tag", &self.keys.about(Table::TagOf, repository, digest), None, limit)
    }

    /// A manifest of `repository` that needs `digest`, if there is one.
    pub(crate) fn needed_by(
        &self,
        repository: &RepoName,
        digest: &Digest,
    ) -> Result<Option<Digest>, ReadError> {
        let prefix = self.keys.about(Table::NeededBy, repository, digest);
        Ok(self.page("digest", &prefix, None, 1)?.pop())
    }

    /// What the request was answered, while that is kept.
    pub(crate) fn answer(&self, request: &RequestId) -> Result<Option<proto::Outcome>, ReadError> {
        let Some(row) = self.message::<pb::AnswerRow>("answer", &self.keys.answer(request))? else {
            return Ok(None);
        };
        let outcome = row.outcome.ok_or_else(|| DecodeError::missing("outcome"));
        self.or_damaged(outcome.and_then(TryInto::try_into)).map(Some)
    }

    fn founded(&self) -> Result<Option<pb::ClusterFounded>, ReadError> {
        self.message("cluster", &self.keys.cluster())
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        self.rows.get(Space::Catalog, key)
    }

    fn message<M: prost::Message + Default>(
        &self,
        what: &'static str,
        key: &[u8],
    ) -> Result<Option<M>, ReadError> {
        let row = self.get(key)?.map(M::decode).transpose();
        self.or_damaged(row.map_err(|e| DecodeError::new(what, e)))
    }

    /// Hands on a decoded row. If decoding failed, marks the store as failed first: the node must
    /// not go on with a row that it cannot read.
    pub(crate) fn or_damaged<T>(&self, decoded: Result<T, DecodeError>) -> Result<T, ReadError> {
        decoded.map_err(|error| damaged(&*self.rows, error))
    }

    /// Up to `limit` names that follow `prefix` in keys, after the name `after`.
    fn page<T: std::str::FromStr<Err: ToString>>(
        &self,
        what: &'static str,
        prefix: &[u8],
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<T>, ReadError> {
        let mut names = Vec::new();
        self.visit(prefix, after, limit, |end, _| names.push(text(what, end)))?;
        self.or_damaged(names.into_iter().collect())
    }

    /// Visits up to `limit` rows whose key is `prefix` and then more than `after`, with what
    /// follows the prefix.
    pub(crate) fn visit(
        &self,
        prefix: &[u8],
        after: Option<&str>,
        limit: usize,
        visit: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), ReadError> {
        self.visit_from(&following(prefix, after), prefix, limit, visit)
    }

    /// Visits up to `limit` rows whose key starts with `prefix` and is not before `from`, with what
    /// follows the prefix.
    pub(crate) fn visit_from(
        &self,
        from: &[u8],
        prefix: &[u8],
        limit: usize,
        mut visit: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), ReadError> {
        if limit == 0 {
            return Ok(());
        }
        let mut left = limit;
        self.rows.scan(Space::Catalog, from, &keys::after(prefix), &mut |key, value| {
            visit(&key[prefix.len()..], value);
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(())
    }
}

/// The generation that readers of `rows` use: the first one until a snapshot was installed.
pub(crate) fn current_generation(rows: &dyn KvRead) -> Result<Generation, ReadError> {
    let Some(value) = rows.get(Space::Catalog, keys::POINTER)? else { return Ok(0) };
    let bytes = value.as_ref().try_into().map_err(|e| DecodeError::new("generation", e));
    Ok(Generation::from_be_bytes(bytes.map_err(|error| damaged(rows, error))?))
}

/// A row of `rows` that reads and does not decode is not what was written, whatever it is: the
/// store is as good as one that does not read it, and the node must end likewise. Where rows were
/// replaced, votes may have been.
fn damaged(rows: &dyn KvRead, error: DecodeError) -> ReadError {
    let remedy = remedy(&error);
    let error = ReadError::Damaged(error);
    rows.fail(format!("{error}; {remedy}"));
    error
}

/// The first key that can follow `prefix` and the name `after`.
fn following(prefix: &[u8], after: Option<&str>) -> Vec<u8> {
    let mut from = prefix.to_vec();
    if let Some(after) = after {
        from.extend_from_slice(after.as_bytes());
        from.push(0);
    }
    from
}

fn referrer(digest: &[u8], row: &[u8]) -> Result<Descriptor, DecodeError> {
    let row = pb::DescriptorRow::decode(row).map_err(|e| DecodeError::new("referrer", e))?;
    Ok(Descriptor {
        digest: text("digest", digest)?,
        media_type: row.media_type.parse().map_err(|e| DecodeError::new("media type", e))?,
        size: row.size,
        artifact_type: row.artifact_type,
        annotations: row.annotations,
    })
}

fn timestamp(value: &[u8]) -> Result<Timestamp, DecodeError> {
    let millis = value.try_into().map_err(|e| DecodeError::new("end of a token", e))?;
    Ok(Timestamp::from_millis(u64::from_be_bytes(millis)))
}

pub(super) fn text<T: std::str::FromStr<Err: ToString>>(
    what: &'static str,
    bytes: &[u8],
) -> Result<T, DecodeError> {
    let text = std::str::from_utf8(bytes).map_err(|e| DecodeError::new(what, e))?;
    text.parse().map_err(|e: T::Err| DecodeError::new(what, e.to_string()))
}
