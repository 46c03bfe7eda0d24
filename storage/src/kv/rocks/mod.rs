//! RocksDB as a key-value store: one database, a column family for each space.
//!
//! How the promises of [`Kv`] come about:
//!
//! - *Log.* Batches go through RocksDB's one write-ahead log, unsynced; the flusher thread syncs it
//!   for all who wait at the time. Recovery replays that log up to the first record that is torn or
//!   missing, so what survives a crash is a prefix. When memory is written out to a table, RocksDB
//!   syncs the write-ahead logs that were closed before, so that no table is ever ahead of a log
//!   that could still be torn.
//! - *Catalog.* Batches stay out of the write-ahead log. They become durable when memory is written
//!   out, which happens in the order of writing and never in the middle of a batch: again a prefix.
//! - *A full disk* is seen coming: a write is refused while less than [`FREE_BYTES_MIN`] is free,
//!   before RocksDB could get stuck half way, and accepted again when there is more. One that
//!   removes a range of keys is taken all the same, so that there can be more. When RocksDB
//!   did run out of space, for example while compacting, it looks every few seconds whether there
//!   is some again and resumes by itself; only a sync that comes before that fails for good.
//! - *Any other failure*, a failed sync above all, is final: what a failed sync left behind nobody
//!   knows (the kernel may have dropped the pages and report success next time), so the store
//!   refuses all that comes after.
//! - *Freezing* takes a snapshot of RocksDB's, which takes a lock that writes take too: all views
//!   that are frozen until the next write share one.

mod engine;
mod flusher;
mod frozen;
mod opening;
mod options;
mod read;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use self::engine::Engine;
use self::flusher::Flusher;
use self::frozen::Frozen;
use super::{Batch, Kv, KvError, KvRead, Space, Synced, Visitor};

pub use self::engine::FREE_BYTES_MIN;

/// A store in a RocksDB folder, which one process at a time can use.
///
/// Dropping it answers the syncs that still wait; views that were frozen from it keep the folder in
/// use until they are dropped too.
pub struct RocksKv {
    // Dropped first: it answers what waits while the engine is still there.
    flusher: Flusher,
    engine: Arc<Engine>,
    /// The store as it is since the last write, if anybody has asked for that.
    frozen: Mutex<Option<Arc<Frozen>>>,
}

impl RocksKv {
    /// Opens the store in `dir`, and makes it if there is none.
    ///
    /// # Errors
    /// [`KvError::Full`] when the disk is full; [`KvError::Failed`] when another process uses the
    /// folder, when the folder cannot be written, or when what is in it cannot be recovered.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, KvError> {
        let engine = Arc::new(Engine::open(dir.as_ref())?);
        let flusher = Flusher::start(Arc::clone(&engine))?;
        Ok(Self { flusher, engine, frozen: Mutex::default() })
    }

    /// How often the write-ahead log was synced since the store was opened: fewer times than
    /// [`Kv::sync`] was called when callers shared syncs.
    pub fn syncs(&self) -> u64 {
        self.engine.syncs()
    }

    fn frozen(&self) -> MutexGuard<'_, Option<Arc<Frozen>>> {
        self.frozen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kv for RocksKv {
    fn write(&self, space: Space, batch: Batch) -> Result<(), KvError> {
        let outcome = self.engine.write(space, batch);
        // Only now: what was frozen before may be shared until this returns, and no longer.
        self.frozen().take();
        outcome
    }

    fn sync(&self, synced: Synced) {
        self.flusher.enqueue(synced);
    }

    fn flush(&self) -> Result<(), KvError> {
        self.engine.flush(Space::Catalog)
    }

    fn freeze(&self) -> Arc<dyn KvRead> {
        let mut frozen = self.frozen();
        let frozen = frozen.get_or_insert_with(|| Arc::new(Frozen::of(Arc::clone(&self.engine))));
        Arc::<Frozen>::clone(frozen)
    }
}

impl KvRead for RocksKv {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        read::get(&self.engine, self.engine.db(), space, key)
    }

    fn scan(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        visit: &mut Visitor<'_>,
    ) -> Result<(), KvError> {
        read::scan(&self.engine, self.engine.db(), space, from..to, visit)
    }

    fn last(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
    ) -> Result<Option<(Bytes, Bytes)>, KvError> {
        read::last(&self.engine, self.engine.db(), space, from..to)
    }

    fn fail(&self, reason: String) -> KvError {
        self.engine.fail(reason)
    }
}

impl std::fmt::Debug for RocksKv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RocksKv({})", self.engine.dir().display())
    }
}
