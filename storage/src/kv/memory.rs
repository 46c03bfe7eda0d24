//! A key-value store in memory, for tests and for the simulated node.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;

use super::{Batch, Kv, KvError, KvRead, Space, Synced, Visitor, Write};

/// A store in memory. A clone is the same store opened again, so a test can drop one and go on with
/// the other as a node does with its folder after a restart.
///
/// Everything it holds counts as durable: [`Kv::sync`] calls back at once, on the calling thread.
#[derive(Clone, Debug, Default)]
pub struct MemoryKv {
    maps: Arc<RwLock<Maps>>,
}

/// The pairs of both spaces. Cloning is cheap; a map is copied by the first write that finds it
/// shared with a view.
#[derive(Clone, Debug, Default)]
struct Maps {
    log: Arc<BTreeMap<Bytes, Bytes>>,
    catalog: Arc<BTreeMap<Bytes, Bytes>>,
}

impl MemoryKv {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// A copy that goes its own way from here: neither sees what is written to the other.
    pub fn fork(&self) -> Self {
        Self { maps: Arc::new(RwLock::new(self.maps())) }
    }

    fn maps(&self) -> Maps {
        self.maps.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Maps {
    const fn of(&self, space: Space) -> &Arc<BTreeMap<Bytes, Bytes>> {
        match space {
            Space::Log => &self.log,
            Space::Catalog => &self.catalog,
        }
    }

    const fn of_mut(&mut self, space: Space) -> &mut Arc<BTreeMap<Bytes, Bytes>> {
        match space {
            Space::Log => &mut self.log,
            Space::Catalog => &mut self.catalog,
        }
    }
}

impl Kv for MemoryKv {
    fn write(&self, space: Space, batch: Batch) -> Result<(), KvError> {
        let mut maps = self.maps.write().unwrap_or_else(PoisonError::into_inner);
        let map = Arc::make_mut(maps.of_mut(space));
        for write in batch.into_writes() {
            match write {
                Write::Put { key, value } => {
                    map.insert(key.into(), value.into());
                }
                Write::Delete { key } => {
                    map.remove(key.as_slice());
                }
                Write::DeleteRange { from, to } if from < to => {
                    let mut tail = map.split_off(from.as_slice());
                    map.append(&mut tail.split_off(to.as_slice()));
                }
                Write::DeleteRange { .. } => {}
            }
        }
        Ok(())
    }

    fn sync(&self, synced: Synced) {
        synced(Ok(()));
    }

    fn flush(&self) -> Result<(), KvError> {
        Ok(())
    }

    fn freeze(&self) -> Arc<dyn KvRead> {
        Arc::new(self.maps())
    }
}

impl KvRead for MemoryKv {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        let maps = self.maps.read().unwrap_or_else(PoisonError::into_inner);
        Ok(maps.of(space).get(key).cloned())
    }

    fn scan(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        visit: &mut Visitor<'_>,
    ) -> Result<(), KvError> {
        // Of a view, so that the visitor may write to the store.
        self.maps().scan(space, from, to, visit)
    }

    fn last(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
    ) -> Result<Option<(Bytes, Bytes)>, KvError> {
        self.maps.read().unwrap_or_else(PoisonError::into_inner).last(space, from, to)
    }
}

impl KvRead for Maps {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        Ok(self.of(space).get(key).cloned())
    }

    fn scan(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        visit: &mut Visitor<'_>,
    ) -> Result<(), KvError> {
        if from < to {
            for (key, value) in self.of(space).range::<[u8], _>(range(from, to)) {
                if visit(key, value).is_break() {
                    break;
                }
            }
        }
        Ok(())
    }

    fn last(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
    ) -> Result<Option<(Bytes, Bytes)>, KvError> {
        if from >= to {
            return Ok(None);
        }
        let last = self.of(space).range::<[u8], _>(range(from, to)).next_back();
        Ok(last.map(|(key, value)| (key.clone(), value.clone())))
    }
}

/// `from <= key < to`; a map's `range` panics unless `from < to`.
const fn range<'a>(from: &'a [u8], to: &'a [u8]) -> (Bound<&'a [u8]>, Bound<&'a [u8]>) {
    (Bound::Included(from), Bound::Excluded(to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;

    #[test]
    fn memory_does_all_that_a_store_must() {
        conformance::kv::all(MemoryKv::new);
    }

    #[test]
    fn memory_loses_nothing_in_a_crash() {
        conformance::kv::crashing(MemoryKv::new, |store| store.fork());
    }

    #[test]
    fn a_fork_goes_its_own_way() {
        let store = MemoryKv::new();
        let fork = store.fork();
        let mut batch = Batch::new();
        batch.put("key", "value");
        assert_eq!(store.write(Space::Log, batch), Ok(()));
        assert_eq!(fork.get(Space::Log, b"key"), Ok(None));
        assert_eq!(store.fork().get(Space::Log, b"key"), Ok(Some("value".into())));
    }

    #[test]
    fn a_clone_is_the_same_store() {
        let store = MemoryKv::new();
        conformance::kv::reopening(|| store.clone());
    }
}
