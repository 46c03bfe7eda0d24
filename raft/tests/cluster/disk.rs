//! A disk that outlives the node that uses it. What still runs of a node that was killed reaches
//! it no more: otherwise it could confirm what the next node on the same disk has not read. It can
//! also have consensus panic, which writes to the log, or wait.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, RwLock};

use bytes::Bytes;
use storage::kv::{Synced, Visitor};
use storage::{Batch, Kv, KvError, KvRead, Space};

/// A store, until it is taken away.
pub(crate) struct Disk {
    kv: Arc<dyn Kv>,
    is_taken: RwLock<bool>,
    panics: AtomicBool,
    hangs: Mutex<bool>,
    goes_on: Condvar,
}

/// A disk that hangs, until this is dropped.
pub(crate) struct Hanging(Arc<Disk>);

impl Drop for Hanging {
    fn drop(&mut self) {
        *self.0.hangs.lock().unwrap() = false;
        self.0.goes_on.notify_all();
    }
}

impl Disk {
    pub(crate) fn new(kv: Arc<dyn Kv>) -> Self {
        let (panics, hangs, goes_on) = (AtomicBool::default(), Mutex::default(), Condvar::new());
        Self { kv, is_taken: RwLock::default(), panics, hangs, goes_on }
    }

    /// Has every write to the log wait until the answer is dropped.
    pub(crate) fn hang(self: &Arc<Self>) -> Hanging {
        *self.hangs.lock().unwrap() = true;
        Hanging(Arc::clone(self))
    }

    /// Waits while the disk hangs. Other tasks of the same thread go on.
    fn wait(&self) {
        let hangs = self.hangs.lock().unwrap();
        if *hangs {
            tokio::task::block_in_place(|| {
                drop(self.goes_on.wait_while(hangs, |hangs| *hangs).unwrap());
            });
        }
    }

    /// Takes the store away. What is being written is in it when this returns.
    pub(crate) fn take(&self) -> Arc<dyn Kv> {
        *self.is_taken.write().unwrap() = true;
        Arc::clone(&self.kv)
    }

    /// Has the next write to the log panic.
    pub(crate) fn panic_when_written_to(&self) {
        self.panics.store(true, Ordering::Release);
    }

    fn if_there<T>(&self, work: impl FnOnce() -> Result<T, KvError>) -> Result<T, KvError> {
        let is_taken = self.is_taken.read().unwrap();
        if *is_taken { Err(KvError::Failed("the node was killed".to_owned())) } else { work() }
    }
}

impl KvRead for Disk {
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

    fn fail(&self, reason: String) -> KvError {
        self.kv.fail(reason)
    }
}

impl Kv for Disk {
    fn write(&self, space: Space, batch: Batch) -> Result<(), KvError> {
        let panics = space == Space::Log && self.panics.load(Ordering::Acquire);
        assert!(!panics, "this disk was told to have them panic");
        if space == Space::Log {
            self.wait();
        }
        self.if_there(|| self.kv.write(space, batch))
    }

    fn sync(&self, synced: Synced) {
        match self.if_there(|| Ok(())) {
            Ok(()) => self.kv.sync(synced),
            Err(error) => synced(Err(error)),
        }
    }

    fn flush(&self) -> Result<(), KvError> {
        self.if_there(|| self.kv.flush())
    }

    fn freeze(&self) -> Arc<dyn KvRead> {
        self.kv.freeze()
    }
}
