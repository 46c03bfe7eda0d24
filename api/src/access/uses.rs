//! When access keys are used, of which the cluster is told now and then.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use lru::LruCache;
use proto::access::{AccessCommand, KeyId};
use proto::limits::KEY_USE_INTERVAL;
use proto::{Command, Timestamp};
use raft::View;

use super::Access;
use crate::registry::Registry;

/// Keys whose last report to the cluster is remembered. For a key that fell out, the catalog is
/// asked.
const KEPT: usize = 4096;

/// When the cluster was last told of the use of which key.
pub(super) struct Uses(Mutex<LruCache<KeyId, Timestamp>>);

impl Uses {
    pub(super) fn new() -> Self {
        let kept = NonZeroUsize::new(KEPT).unwrap_or(NonZeroUsize::MIN);
        Self(Mutex::new(LruCache::new(kept)))
    }

    /// Whether the cluster is to be told that `key` is used at `now`. It counts as told then.
    fn is_news(&self, key: KeyId, now: Timestamp) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_old = |last: &Timestamp| !last.is_recent(now, KEY_USE_INTERVAL);
        let is_news = told.get(&key).is_none_or(is_old);
        if is_news {
            told.put(key, now);
        }
        is_news
    }

    fn forget(&self, key: KeyId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop(&key);
    }
}

/// Tells the cluster that `key` is used now, unless it knows by `view`. Nobody waits for that.
pub(super) fn note(registry: &Registry, access: &Access, view: &View, key: KeyId) {
    let now = registry.clock.now();
    if !access.uses.is_news(key, now) {
        return;
    }
    let is_known = |last: Timestamp| last.is_recent(now, KEY_USE_INTERVAL);
    if view.key_use(key).is_ok_and(|last| last.is_some_and(is_known)) {
        return;
    }
    let registry = registry.clone();
    tokio::spawn(async move {
        let command = AccessCommand::NoteKeyUse(key);
        if let Err(error) = registry.propose_by_itself(Command::Access(command)).await {
            tracing::debug!(%key, %error, "the use of a key is not noted");
            if let Some(access) = &registry.access {
                access.uses.forget(key);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use proto::limits::STAMP_AHEAD_MAX;

    use super::*;

    #[test]
    fn a_use_is_news_once_an_hour() {
        let uses = Uses::new();
        let (key, other) = (KeyId::from_bytes([1; 16]), KeyId::from_bytes([2; 16]));
        let start = Timestamp::from_millis(1_700_000_000_000);
        assert!(uses.is_news(key, start) && uses.is_news(other, start));
        assert!(!uses.is_news(key, start));
        assert!(uses.is_news(key, start.plus(KEY_USE_INTERVAL)));
        assert!(uses.is_news(key, start.minus(STAMP_AHEAD_MAX)), "the clock was wrong");
        uses.forget(other);
        assert!(uses.is_news(other, start));
    }
}
