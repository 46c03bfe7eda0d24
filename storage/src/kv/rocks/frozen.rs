//! Frozen views: RocksDB snapshots that keep their database open.

use std::sync::Arc;

use bytes::Bytes;
use rocksdb::Snapshot;
use self_cell::self_cell;

use super::super::{KvError, KvRead, Space, Visitor};
use super::engine::Engine;
use super::read;

self_cell!(
    /// The store as it was at one moment.
    pub(super) struct Frozen {
        owner: Arc<Engine>,
        #[covariant]
        dependent: Snapshot,
    }
);

impl Frozen {
    /// The store of `engine` as it is now.
    pub(super) fn of(engine: Arc<Engine>) -> Self {
        Self::new(engine, |engine| engine.db().snapshot())
    }
}

impl KvRead for Frozen {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        read::get(self.borrow_owner(), self.borrow_dependent(), space, key)
    }

    fn scan(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        visit: &mut Visitor<'_>,
    ) -> Result<(), KvError> {
        read::scan(self.borrow_owner(), self.borrow_dependent(), space, from..to, visit)
    }

    fn last(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
    ) -> Result<Option<(Bytes, Bytes)>, KvError> {
        read::last(self.borrow_owner(), self.borrow_dependent(), space, from..to)
    }

    fn fail(&self, reason: String) -> KvError {
        self.borrow_owner().fail(reason)
    }
}
