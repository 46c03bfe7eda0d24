//! What the ledger speaks of: items, what is done to them, what is seen of them, and what that is
//! worth.

use std::fmt;

use bytes::Bytes;
use http::{HeaderValue, Response, header};
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
}

impl Source {
    /// Who says what `response` says, of content by its digest or with a token: a node without a
    /// quorum warns. Other warnings are about something else.
    pub(crate) fn of(response: &Response<Bytes>) -> Self {
        let mut warnings = response.headers().get_all(header::WARNING).iter();
        let is_alone = |warning: &HeaderValue| {
            warning.to_str().is_ok_and(|text| text.contains("could not ask its cluster"))
        };
        if warnings.any(is_alone) { Self::Alone } else { Self::Confirmed }
    }
}

/// What can be the case with an item, from what is known: the more it can be there, the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum May {
    Absent,
    Either,
    There,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;

    #[test]
    fn only_who_could_not_ask_its_cluster_is_alone() {
        let source = |warnings: &[&str]| {
            let mut answer = Response::builder();
            for warning in warnings {
                answer = answer.header(header::WARNING, *warning);
            }
            Source::of(&answer.body(Bytes::new()).unwrap())
        };
        let alone =
            r#"299 - "this node could not ask its cluster: the bytes are those of the digest""#;
        let other = r#"299 - "the repository does not have sha256:00, which the manifest names""#;
        assert_eq!(source(&[]), Source::Confirmed);
        assert_eq!(source(&[other]), Source::Confirmed);
        assert_eq!(source(&[alone]), Source::Alone);
        assert_eq!(source(&[other, alone]), Source::Alone);
    }
}
