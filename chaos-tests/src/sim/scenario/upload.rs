//! An upload of a story, which any client can go on with.

use bytes::Bytes;
use proto::{Algorithm, Digest};

use crate::sim::client;

/// An upload under way, and all that it shall become.
pub struct Upload {
    pub(super) inner: client::Upload,
    pub(super) content: Bytes,
}

impl Upload {
    pub(super) const fn new(inner: client::Upload, content: Bytes) -> Self {
        Self { inner, content }
    }

    /// What comes after what is acknowledged, up to `end`.
    pub(super) fn rest_to(&self, end: usize) -> Bytes {
        let begin = usize::try_from(self.inner.session.acknowledged()).unwrap_or(usize::MAX);
        let end = end.min(self.content.len());
        self.content.slice(begin.min(end)..end)
    }

    pub(super) fn digest(&self) -> Digest {
        Digest::of(Algorithm::Sha256, &self.content)
    }
}
