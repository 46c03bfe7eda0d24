//! What the ledger speaks of: items, what is done to them, what is seen of them, and what that is
//! worth.

use std::fmt;

use bytes::Bytes;
use http::{Response, header};
use proto::Digest;

/// What a digest names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Blob,
    Manifest,
}

/// Content of a repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Item {
    pub(crate) repository: &'static str,
    pub(crate) kind: Kind,
    pub(crate) digest: Digest,
}

impl Item {
    pub(crate) fn blob(repository: &'static str, digest: &Digest) -> Self {
        Self { repository, kind: Kind::Blob, digest: digest.clone() }
    }

    pub(crate) fn manifest(repository: &'static str, digest: &Digest) -> Self {
        Self { repository, kind: Kind::Manifest, digest: digest.clone() }
    }

    /// The path at which it is.
    pub(crate) fn path(&self) -> String {
        let kind = match self.kind {
            Kind::Blob => "blobs",
            Kind::Manifest => "manifests",
        };
        format!("/v2/{}/{kind}/{}", self.repository, self.digest)
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path())
    }
}

/// What a request is to do with an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Put,
    Delete,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// There is no answer, or one that does not say it: it may still happen.
    Unknown,
    /// Nor will there be one: by this time it had happened, or it never does.
    Settled(u64),
    /// It was answered at this time that it is done.
    Done(u64),
    /// It was refused, and had no effect.
    Refused,
}

/// A request that is to change an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) by: String,
    pub(crate) deed: Deed,
    /// When it was sent, in the order of everything that happened.
    pub(crate) called: u64,
    pub(crate) outcome: Outcome,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { by, deed, called, outcome } = self;
        write!(f, "[{called}] {by}: {deed:?} {outcome:?}")
    }
}

/// Somebody looked whether an item is there.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(crate) called: u64,
    pub(crate) returned: u64,
    pub(crate) is_there: bool,
}

/// How much an answer that something is there is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A node that has lost its cluster, which serves content by digest from what it has: it may
    /// be deleted elsewhere.
    Alone,
    /// The cluster has confirmed it, or nothing is wrong: so it is everywhere.
    Confirmed,
    /// The end, when nothing is wrong, and nobody begins anything.
    Audit,
}

impl Source {
    /// Who says what `response` says, of content by its digest or with a token: a node without a
    /// quorum warns.
    pub(crate) fn of(response: &Response<Bytes>) -> Self {
        if response.headers().contains_key(header::WARNING) { Self::Alone } else { Self::Confirmed }
    }
}

/// What can be the case with an item, from what is known: the more it can be there, the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum May {
    Absent,
    Either,
    There,
}
