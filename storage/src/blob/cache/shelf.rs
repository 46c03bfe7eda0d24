//! Which objects are here, and which has to go when there is no room for another.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lru::LruCache;
use proto::ObjectKey;

use super::CacheCounts;
use super::object::CachedObject;

/// An object that would take more than this part of the cache is not kept: it would put out much
/// that is asked for more often.
const PART_MAX: u64 = 4;

/// What a file takes of a disk at least, in bytes: many small objects fill no more than large ones.
const FILE_BYTES_MIN: u64 = 4096;

/// The objects, up to so many bytes. The one that was asked for least recently goes first.
pub(super) struct Shelf {
    bytes_max: u64,
    objects: Mutex<Objects>,
    hits: AtomicU64,
    misses: AtomicU64,
}

struct Objects {
    by_key: LruCache<ObjectKey, Arc<CachedObject>>,
    /// How many bytes they have, or will have, all together.
    bytes: u64,
}

/// What there is for a read.
pub(super) enum Found {
    /// One that has the range, or will have it in a moment.
    Here(Arc<CachedObject>),
    /// One that was made just now, and is to be filled.
    Fresh(Arc<CachedObject>),
    /// None, and it is not worth while to make one.
    Nothing,
}

impl Shelf {
    pub(super) fn new(bytes_max: u64) -> Self {
        let objects = Objects { by_key: LruCache::unbounded(), bytes: 0 };
        Self {
            bytes_max,
            objects: Mutex::new(objects),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn counts(&self) -> CacheCounts {
        CacheCounts {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            bytes: self.objects().bytes,
        }
    }

    /// The object under `key` to read `range` from. Where there is none, what is read from its
    /// start gets the one that `fresh` makes, and others make room for it.
    pub(super) fn find(
        &self,
        key: ObjectKey,
        range: &Range<u64>,
        fresh: impl FnOnce() -> CachedObject,
    ) -> Found {
        let mut objects = self.objects();
        if let Some(object) = objects.by_key.get(&key)
            && object.will_serve(range)
        {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Found::Here(Arc::clone(object));
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        if range.start > 0 || range.is_empty() || range.end > self.bytes_max / PART_MAX {
            return Found::Nothing;
        }
        let object = Arc::new(fresh());
        objects.bytes += room(&object);
        if let Some(shorter) = objects.by_key.put(key, Arc::clone(&object)) {
            objects.bytes -= room(&shorter);
        }
        while objects.bytes > self.bytes_max
            && let Some((_, oldest)) = objects.by_key.pop_lru()
        {
            objects.bytes -= room(&oldest);
        }
        Found::Fresh(object)
    }

    /// Takes the object under `key` away, if it is `expected`, where that is given. Whoever reads
    /// it goes on.
    pub(super) fn remove(&self, key: ObjectKey, expected: Option<&Arc<CachedObject>>) {
        let mut objects = self.objects();
        let is_meant = |found| expected.is_none_or(|expected| Arc::ptr_eq(expected, found));
        if objects.by_key.peek(&key).is_some_and(is_meant)
            && let Some(object) = objects.by_key.pop(&key)
        {
            objects.bytes -= room(&object);
        }
    }
}

/// What an object counts for, in bytes.
fn room(object: &CachedObject) -> u64 {
    object.length().max(FILE_BYTES_MIN)
}
