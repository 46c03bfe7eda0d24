//! Tokens that were looked at lately.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;
use proto::Timestamp;
use sha2::{Digest as _, Sha256};

use super::Caller;

/// How many are kept.
const KEPT: usize = 4096;

/// The callers that tokens stand for, as they were found out. They are found out again when
/// anything about access has changed, and not before. Tokens are kept as their hashes.
pub(super) struct Known(Mutex<LruCache<[u8; 32], Found>>);

/// What was found out about a token.
#[derive(Clone)]
pub(super) struct Found {
    /// Who shows it.
    pub(super) caller: Arc<Caller>,
    /// The version of access for which that is so.
    pub(super) version: u64,
    /// Until when the token counts, if access stays as it is.
    pub(super) until: Timestamp,
}

impl Known {
    pub(super) fn new() -> Self {
        let kept = NonZeroUsize::new(KEPT).unwrap_or(NonZeroUsize::MIN);
        Self(Mutex::new(LruCache::new(kept)))
    }

    /// Who shows `token` at `now`, while access is at `version`.
    pub(super) fn find(&self, token: &str, version: u64, now: Timestamp) -> Option<Arc<Caller>> {
        let hash: [u8; 32] = Sha256::digest(token).into();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.get(&hash)?;
        (found.version == version && now < found.until).then(|| Arc::clone(&found.caller))
    }

    /// Keeps what was found out about `token`.
    pub(super) fn keep(&self, token: &str, found: Found) {
        let hash = Sha256::digest(token).into();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(hash, found);
    }
}
