//! The disk as a process uses it.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use raft::Fingerprint;
use storage::kv::{MemoryKv, Synced, Visitor, Write};
use storage::{Batch, Kv, KvError, KvRead, Space};

use super::surface::Surface;
use super::{After, Blow, Condition, SimDisk, State, failed};
use crate::sim::invariant::Invariant;
use crate::sim::invariants::Log;

/// The disk as one process uses it.
pub(crate) struct OpenDisk {
    pub(super) disk: SimDisk,
    pub(super) process: u64,
    /// What the process reads: everything that it wrote.
    pub(super) live: MemoryKv,
    pub(super) fingerprint: Mutex<Fingerprint>,
    pub(super) log: Mutex<Log>,
    /// Whatever can be read of it has a clone, for as long as somebody holds it.
    pub(super) readers: Arc<()>,
}

impl OpenDisk {
    /// How many views of it are frozen.
    pub(crate) fn frozen(&self) -> usize {
        Arc::strong_count(&self.readers) - 1
    }

    /// Whether the process was refused something, or is dead: it has a reason to end. That there
    /// was no room is none once there is some again and it has written.
    pub(crate) fn has_refused(&self) -> bool {
        let state = self.disk.state();
        state.has_refused || !state.without_room.is_empty() || state.process != self.process
    }

    fn usable(&self) -> Result<MutexGuard<'_, State>, KvError> {
        let mut state = self.disk.state();
        state.check(self.process)?;
        Ok(state)
    }

    /// The same for a change of what is in `space`, with which the process may die.
    fn usable_for(&self, space: Space) -> Result<MutexGuard<'_, State>, KvError> {
        let mut state = self.usable()?;
        match state.after.take_if(|after| after.counts_log || space == Space::Catalog) {
            None => {}
            Some(After { writes: 0, blow: Blow::Crash, .. }) => {
                state.process += 1;
                state.has_crashed = true;
                self.disk.chronicle.count("crashes between two writes");
                return Err(failed());
            }
            Some(After { writes: 0, blow: Blow::Failure, .. }) => {
                state.condition = Condition::Failed;
                state.has_refused = true;
                self.disk.chronicle.count("failures between two writes");
                return Err(failed());
            }
            Some(after) => state.after = Some(After { writes: after.writes - 1, ..after }),
        }
        Ok(state)
    }

    /// The rows that a batch of the catalog is about, as they are before it.
    fn follow(&self, batch: &Batch) -> Vec<(Vec<u8>, Option<Bytes>)> {
        let mut before = Vec::new();
        for write in batch.writes() {
            match write {
                Write::Put { key, .. } | Write::Delete { key } => {
                    let old = self.live.get(Space::Catalog, key).ok().flatten();
                    before.push((key.clone(), old));
                }
                Write::DeleteRange { from, to } => {
                    let _ = self.live.scan(Space::Catalog, from, to, &mut |key, value| {
                        before.push((key.to_vec(), Some(Bytes::copy_from_slice(value))));
                        ControlFlow::Continue(())
                    });
                }
            }
        }
        before.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        before.dedup_by(|one, other| one.0 == other.0);
        before
    }

    /// Shows the watch what the state is after a batch, before which the rows were these.
    fn show(&self, before: Vec<(Vec<u8>, Option<Bytes>)>) {
        let mut fingerprint = self.fingerprint.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, old) in before {
            let new = self.live.get(Space::Catalog, &key).ok().flatten();
            fingerprint.follow(&key, old.as_deref(), new.as_deref());
        }
        match fingerprint.of_current(Arc::new(self.live.clone())) {
            Ok(Some((index, state))) => {
                self.disk.watch.same_state.observe(&self.disk.node, index, state)
            }
            Ok(None) => {}
            Err(error) => self.disk.chronicle.violated(
                Invariant::CatalogReadable,
                format_args!("{}: the catalog cannot be read: {error}", self.disk.node),
            ),
        }
    }
}

impl Kv for OpenDisk {
    fn write(&self, space: Space, batch: Batch) -> Result<(), KvError> {
        let mut state = self.usable_for(space)?;
        if !batch.makes_room() {
            state.check_room(space)?;
        }
        state.heal(space, &batch);
        match space {
            Space::Log => {
                state.log_written += 1;
                state.unsynced_log.push_back(batch.clone());
            }
            Space::Catalog => {
                let after = state.log_written;
                state.unsynced_catalog.push_back((after, batch.clone()));
            }
        }
        drop(state);
        if space == Space::Log {
            let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
            self.disk.watch.logs.observe(&self.disk.node, &mut log, &batch);
            return self.live.write(space, batch);
        }
        let before = self.follow(&batch);
        self.live.write(space, batch)?;
        self.show(before);
        Ok(())
    }

    fn sync(&self, synced: Synced) {
        {
            let mut state = self.disk.state();
            if state.process == self.process {
                state.waiting.push(synced);
                if state.is_syncing {
                    return;
                }
                state.is_syncing = true;
            } else {
                drop(state);
                return synced(Err(failed()));
            }
        }
        tokio::spawn(sync_all(self.disk.clone(), self.process));
    }

    fn flush(&self) -> Result<(), KvError> {
        let mut state = self.usable_for(Space::Catalog)?;
        state.check_room(Space::Catalog)?;
        let batches = std::mem::take(&mut state.unsynced_catalog);
        if let Some((after, _)) = batches.back() {
            state.sync_log(*after);
        }
        for (_, batch) in batches {
            state.durable.write(Space::Catalog, batch)?;
        }
        Ok(())
    }

    fn freeze(&self) -> Arc<dyn KvRead> {
        Arc::new(self.surface(self.live.freeze()))
    }
}

/// Syncs for as long as somebody waits: each sync covers all that was written before it began.
async fn sync_all(disk: SimDisk, process: u64) {
    loop {
        let (group, until, takes) = {
            let mut state = disk.state();
            if state.process != process {
                return;
            }
            let group = std::mem::take(&mut state.waiting);
            if group.is_empty() {
                state.is_syncing = false;
                return;
            }
            let longest = state.sync_max;
            (group, state.log_written, state.dice.up_to(longest))
        };
        tokio::time::sleep(takes).await;
        let outcome = {
            let mut state = disk.state();
            state.check(process).map(|()| state.sync_log(until))
        };
        if group.len() > 1 {
            disk.chronicle.count("syncs that were shared");
        }
        for synced in group {
            synced(outcome.clone());
        }
    }
}

impl OpenDisk {
    /// What of the disk is readable, with `rows` on it.
    fn surface(&self, rows: Arc<dyn KvRead>) -> Surface {
        Surface {
            disk: self.disk.clone(),
            process: self.process,
            rows,
            _counted: Arc::clone(&self.readers),
        }
    }

    fn live(&self) -> Surface {
        self.surface(Arc::new(self.live.clone()))
    }
}

impl KvRead for OpenDisk {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        self.live().get(space, key)
    }

    fn scan(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        visit: &mut Visitor<'_>,
    ) -> Result<(), KvError> {
        self.live().scan(space, from, to, visit)
    }

    fn last(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
    ) -> Result<Option<(Bytes, Bytes)>, KvError> {
        self.live().last(space, from, to)
    }
}
