//! Which objects are here, and which has to go when there is no room for another.

use std::num::NonZeroUsize;
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

/// Objects that are known to be forgotten. They are read a moment later, and few at once.
const FORGOTTEN_MAX: NonZeroUsize = NonZeroUsize::new(1000).unwrap();

/// Objects by their keys, in the order in which they were asked for.
type Objects = LruCache<ObjectKey, Arc<CachedObject>>;

/// The objects, up to so many bytes. The one that was asked for least recently goes first.
pub(super) struct Shelf {
    bytes_max: u64,
    objects: Mutex<Objects>,
    /// Those of which the next read is of the far store; there are none of them in `objects`.
    forgotten: Mutex<LruCache<ObjectKey, ()>>,
    /// Bytes of all [`Room`]s: of objects that were taken away and are still read, too.
    bytes: Arc<AtomicU64>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What an object takes of the disk, for as long as this lives.
pub(super) struct Room {
    taken: Arc<AtomicU64>,
    bytes: u64,
}

impl Room {
    fn take(taken: &Arc<AtomicU64>, bytes: u64) -> Self {
        taken.fetch_add(bytes, Ordering::Relaxed);
        Self { taken: Arc::clone(taken), bytes }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
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
        Self {
            bytes_max,
            objects: Mutex::new(LruCache::unbounded()),
            forgotten: Mutex::new(LruCache::new(FORGOTTEN_MAX)),
            bytes: Arc::default(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn forgotten(&self) -> MutexGuard<'_, LruCache<ObjectKey, ()>> {
        self.forgotten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn counts(&self) -> CacheCounts {
        CacheCounts {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }

    /// The object under `key` to read `range` from. Where there is none, what is read from its
    /// start gets the one that `fresh` makes, if others can make room for it. What was forgotten
    /// gets none this time: its file would be no less in doubt than the one that was here.
    pub(super) fn find(
        &self,
        key: ObjectKey,
        range: &Range<u64>,
        fresh: impl FnOnce(Room) -> CachedObject,
    ) -> Found {
        let mut objects = self.objects();
        if let Some(object) = objects.get(&key)
            && object.will_serve(range)
        {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Found::Here(Arc::clone(object));
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        if self.forgotten().pop(&key).is_some() {
            return Found::Nothing;
        }
        if range.start > 0 || range.is_empty() || range.end > self.bytes_max / PART_MAX {
            return Found::Nothing;
        }
        let bytes = room(range.end);
        if !self.make_room(&mut objects, bytes) {
            return Found::Nothing;
        }
        let object = Arc::new(fresh(Room::take(&self.bytes, bytes)));
        // What is under the key is shorter, or given up.
        objects.put(key, Arc::clone(&object));
        Found::Fresh(object)
    }

    /// Puts out what was asked for least recently until there are `bytes` to take; nothing when
    /// there would not be. Answers whether there are. An object that is read stays: its file would
    /// be there until its last reader is gone, and make no room before.
    fn make_room(&self, objects: &mut Objects, bytes: u64) -> bool {
        let taken = self.bytes.load(Ordering::Relaxed);
        let mut missing = taken.saturating_add(bytes).saturating_sub(self.bytes_max);
        let mut idle = Vec::new();
        for (key, object) in objects.iter().rev() {
            if missing == 0 {
                break;
            }
            // Of this one alone: readers get theirs under the lock that is held here.
            if Arc::strong_count(object) == 1 {
                missing = missing.saturating_sub(room(object.length()));
                idle.push(*key);
            }
        }
        if missing > 0 {
            return false;
        }
        for key in idle {
            objects.pop(&key);
        }
        true
    }

    /// Takes the object under `key` away, and has it [found](Self::find) nowhere the next time.
    pub(super) fn forget(&self, key: ObjectKey) {
        let mut objects = self.objects();
        objects.pop(&key);
        self.forgotten().put(key, ());
    }

    /// Takes the object under `key` away, if it is `expected`, where that is given. Its readers go
    /// on.
    pub(super) fn remove(&self, key: ObjectKey, expected: Option<&Arc<CachedObject>>) {
        let mut objects = self.objects();
        let is_meant = |found| expected.is_none_or(|expected| Arc::ptr_eq(expected, found));
        if objects.peek(&key).is_some_and(is_meant) {
            objects.pop(&key);
        }
    }
}

/// What an object of `length` bytes counts for, in bytes.
fn room(length: u64) -> u64 {
    length.max(FILE_BYTES_MIN)
}
