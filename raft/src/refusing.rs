//! A store for tests, on a disk that is full.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use storage::kv::{MemoryKv, Synced, Visitor};
use storage::{Batch, Kv, KvError, KvRead, Space};

/// A store that refuses what it is told to, since its disk is full.
#[derive(Default)]
pub(crate) struct Refusing {
    kv: MemoryKv,
    /// Whether it takes no batch, not even one that would make room.
    pub(crate) writes: AtomicBool,
    /// Whether it makes nothing durable of what it has taken.
    pub(crate) syncs: AtomicBool,
}

impl Refusing {
    fn check(refuses: &AtomicBool) -> Result<(), KvError> {
        match refuses.load(Ordering::Acquire) {
            true => Err(KvError::Full("no space left".to_owned())),
            false => Ok(()),
        }
    }
}

impl KvRead for Refusing {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        self.kv.get(space, key)
    }

    fn scan(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        visit: &mut Visitor<'_>,
    ) -> Result<(), KvError> {
        self.kv.scan(space, from, to, visit)
    }

    fn last(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
    ) -> Result<Option<(Bytes, Bytes)>, KvError> {
        self.kv.last(space, from, to)
    }
}

impl Kv for Refusing {
    fn write(&self, space: Space, batch: Batch) -> Result<(), KvError> {
        Self::check(&self.writes)?;
        self.kv.write(space, batch)
    }

    fn sync(&self, synced: Synced) {
        match Self::check(&self.syncs) {
            Ok(()) => self.kv.sync(synced),
            refused => synced(refused),
        }
    }

    fn flush(&self) -> Result<(), KvError> {
        self.kv.flush()
    }

    fn freeze(&self) -> Arc<dyn KvRead> {
        self.kv.freeze()
    }
}
