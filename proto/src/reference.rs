//! What a manifest is asked for by: a tag or a digest.

use std::fmt;
use std::str::FromStr;

use crate::{Digest, DigestError, Tag, TagError};

/// A tag, or a digest (distribution-spec, "Pulling manifests": `<reference>`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reference {
    /// By tag: what it names may move.
    Tag(Tag),
    /// By digest: what it names never changes.
    Digest(Digest),
}

/// Why a text is neither tag nor digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// It has a colon, so it was meant as a digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// It has no colon, so it was meant as a tag.
    #[error(transparent)]
    Tag(#[from] TagError),
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.contains(':') {
            Ok(Self::Digest(text.parse()?))
        } else {
            Ok(Self::Tag(text.parse()?))
        }
    }
}

impl From<Digest> for Reference {
    fn from(digest: Digest) -> Self {
        Self::Digest(digest)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}
