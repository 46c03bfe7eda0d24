//! An ordered key-value store: what Raft's log and the catalog rest in.

mod batch;
mod memory;
mod rocks;

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;

pub use batch::{Batch, Write};
pub use memory::MemoryKv;
pub use rocks::{FREE_BYTES_MIN, RocksKv};

/// The two keyspaces of a node, which differ in how they become durable. One promise joins them: a
/// durable batch of the catalog implies that every batch of the log that was written before it is
/// durable too. What an entry of the log made of the catalog never outlives the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Space {
    /// Raft's log and vote. Batches go through one ordered write-ahead log, so a crash loses a
    /// suffix of those written after the last [`Kv::sync`], and never one of those before it.
    Log,
    /// The catalog. It can be made again from the log, so it has no write-ahead log: a crash loses
    /// a suffix of the batches written after the last [`Kv::flush`], and at least those written
    /// after a batch of the log that it loses.
    Catalog,
}

/// Reading keys of a store, or of a frozen view of one.
///
/// Reads are short and block the calling thread for as long as the engine needs; callers bound
/// their scans.
pub trait KvRead: Send + Sync + 'static {
    /// The value of `key`.
    ///
    /// # Errors
    /// When the engine fails, see [`KvError`].
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, KvError>;

    /// Visits the pairs with `from <= key < to` in key order until the visitor breaks.
    ///
    /// # Errors
    /// When the engine fails, see [`KvError`].
    fn scan(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        visit: &mut Visitor<'_>,
    ) -> Result<(), KvError>;

    /// The last pair with `from <= key < to`.
    ///
    /// # Errors
    /// When the engine fails, see [`KvError`].
    fn last(&self, space: Space, from: &[u8], to: &[u8])
    -> Result<Option<(Bytes, Bytes)>, KvError>;

    /// Declares that the store has failed, for a `reason` that its engine cannot see: what was read
    /// is not what was written. Answers the error that an engine would have given; one that keeps
    /// things refuses all further writes from now on.
    fn fail(&self, reason: String) -> KvError {
        KvError::Failed(reason)
    }
}

/// What [`KvRead::scan`] calls with each key and value.
pub type Visitor<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// What [`Kv::sync`] calls when the writes before it are durable, or when they cannot be made so.
pub type Synced = Box<dyn FnOnce(Result<(), KvError>) + Send>;

/// An ordered key-value store with two spaces.
pub trait Kv: KvRead {
    /// Writes all of `batch` or nothing of it. Later reads on any thread see it when this returns.
    ///
    /// # Durability
    /// None yet: see [`Kv::sync`] and [`Kv::flush`]. Batches of one space become durable in the
    /// order of their writes, and a batch of the catalog no sooner than the batches of the log that
    /// were written before it.
    ///
    /// # Errors
    /// [`KvError`]; then the batch had no effect. One that [makes room](Batch::makes_room) is tried
    /// on a full disk, too.
    fn write(&self, space: Space, batch: Batch) -> Result<(), KvError>;

    /// Asks that all batches of [`Space::Log`] written before this call become durable, and returns
    /// at once; `synced` is called when they are: from another thread or, by an engine that need
    /// not wait, before this returns. Calls that wait at the same time share one sync, and are
    /// answered in the order in which they came.
    fn sync(&self, synced: Synced);

    /// Makes all batches of [`Space::Catalog`] written before this call durable, and with them
    /// those of [`Space::Log`] written before the last of them. Takes as long as writing what
    /// memory holds of them; blocks the calling thread.
    ///
    /// # Errors
    /// [`KvError`]; then nothing is known of their durability.
    fn flush(&self) -> Result<(), KvError>;

    /// The store as it is now, for reading at leisure: later writes do not show in it.
    fn freeze(&self) -> Arc<dyn KvRead>;
}

/// What the operator does about a node that has lost what it had made durable, or finds something
/// else in its place: it may have lost votes, too.
pub const MAKE_ANEW: &str = "take the disk for broken, or an older copy, and make a new node of \
    this one: remove it from its cluster (roadstead cluster remove), and start it with an empty \
    folder (node.data_dir) and the address of that cluster (cluster.join)";

/// Why the engine could not do what was asked. After [`KvError::Failed`] the store refuses all
/// further writes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KvError {
    /// The disk is full: nothing was written. Space must be made.
    #[error("the disk is full: {0}")]
    Full(String),
    /// The engine failed; a node whose store failed must stop and be looked at.
    #[error("the store failed: {0}")]
    Failed(String),
}
