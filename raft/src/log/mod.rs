//! Raft's log and vote at rest.
//!
//! All of it is in [`Space::Log`], whose batches share one ordered write-ahead log: what is durable
//! is always a prefix of what was written, so a vote never outlives the entries written before it,
//! nor the other way round. The catalog never outlives the log either: rows of [`Space::Catalog`]
//! become durable only after everything that was written to the log before them. Openraft relies on
//! that when it starts: it takes a log that ends before the last applied entry, or has another one
//! in its place, for a damaged one.

mod bare;
pub(crate) mod keys;
mod reader;
mod size;
#[cfg(test)]
mod suite;

use std::io;
use std::sync::Arc;

use openraft::OptionalSend;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use proto::Mutant;
use storage::{Batch, Kv, Space};

pub use bare::BareLog;
pub(crate) use reader::LogReader;
pub(crate) use size::LogSize;

use crate::convert::Wire as _;
use crate::error::io_error;
use crate::store::write;
use crate::types::{Entry, LogId, TypeConfig, Vote};

/// Entries that are counted at once when the log is measured.
const MEASURED_AT_ONCE: u64 = 64;

/// The log and the vote of this node. There is one per store; its readers share what it writes.
pub(crate) struct LogStore {
    kv: Arc<dyn Kv>,
    reader: LogReader,
}

impl LogStore {
    /// Opens the log that `kv` holds, which is empty in a new store.
    ///
    /// # Errors
    /// When the store cannot be read, or holds what is no log.
    pub(crate) fn open(kv: Arc<dyn Kv>) -> io::Result<Self> {
        let reader = LogReader::open(Arc::clone(&kv))?;
        Ok(Self { kv, reader })
    }

    /// Counts the entries that are there from the last one back, until they have more than `enough`
    /// bytes: those before may be as many as a disk has room for.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) fn measure(&self, enough: u64) -> io::Result<LogSize> {
        let mut end = self.reader.last()?.map_or(0, |last| last.index + 1);
        while end > self.reader.first() && self.reader.size().bytes() <= enough {
            let from = end.saturating_sub(MEASURED_AT_ONCE).max(self.reader.first());
            self.reader.size().prepend(end, &self.reader.sizes(from, end)?);
            end = from;
        }
        Ok(self.reader.size().clone())
    }

    fn write(&self, batch: Batch) -> io::Result<()> {
        self.kv.write(Space::Log, batch).map_err(io_error)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = LogReader;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let last_purged_log_id = self.reader.purged()?;
        let last_log_id = self.reader.last()?.or(last_purged_log_id);
        Ok(LogState { last_purged_log_id, last_log_id })
    }

    async fn get_log_reader(&mut self) -> LogReader {
        self.reader.clone()
    }

    /// # Durability
    /// The vote is durable when this returns, and with it all that was written before.
    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        if Mutant::VoteNotPersisted.is_active() {
            return Ok(());
        }
        let mut batch = Batch::new();
        batch.put(keys::VOTE, vote.encode());
        write(&self.kv, batch).await.map_err(io_error)
    }

    /// # Durability
    /// None is asked for: it is a hint, which in a crash is lost together with what was written
    /// after it, and it never names an entry that is lost.
    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        let mut batch = Batch::new();
        match committed {
            Some(committed) => batch.put(keys::COMMITTED, committed.encode()),
            None => batch.delete(keys::COMMITTED),
        }
        self.write(batch)
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        self.reader.log_id(keys::COMMITTED)
    }

    /// # Durability
    /// `flushed` is called when the entries are durable. Appends that wait at the same time share
    /// one sync.
    async fn append<I>(&mut self, entries: I, flushed: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut batch = Batch::new();
        let mut sizes = Vec::new();
        for entry in entries {
            let bytes = entry.encode();
            sizes.push((entry.log_id.index, bytes.len()));
            batch.put(keys::entry(entry.log_id.index), bytes);
        }
        self.write(batch)?;
        for (index, bytes) in sizes {
            self.reader.size().append(index, bytes);
        }
        if Mutant::AckBeforeFsync.is_active() {
            flushed.io_completed(Ok(()));
            return Ok(());
        }
        self.kv.sync(Box::new(move |synced| flushed.io_completed(synced.map_err(io_error))));
        Ok(())
    }

    /// # Durability
    /// The truncation becomes durable with the entries that are appended next. A crash before that
    /// brings all old entries back, and Raft truncates again when the leader sends entries that
    /// conflict with them. By then no entry in their place can have been applied durably, nor a
    /// snapshot been installed: either would have made the truncation durable first.
    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        let from = last.map_or(0, |last| last.index + 1);
        let mut batch = Batch::new();
        batch.delete_range(keys::entry(from), keys::ENTRIES_END);
        self.write(batch)?;
        self.reader.size().truncate(from);
        Ok(())
    }

    /// Purges the log up to `upto`. Openraft asks for it only below a snapshot. A snapshot that is
    /// built or installed makes the catalog durable first, and so does recovery when the node
    /// starts: so the log never loses what the catalog could still lose.
    ///
    /// # Durability
    /// The purge becomes durable with the entries that are appended next: a crash before that
    /// brings the purged entries back.
    async fn purge(&mut self, upto: LogId) -> io::Result<()> {
        let first = upto.index + 1;
        let mut batch = Batch::new();
        batch.put(keys::PURGED, upto.encode());
        // One range from the first entry that can be there: ranges that overlap would slow all
        // later reads.
        batch.delete_range(keys::entry(self.reader.first()), keys::entry(first));
        self.write(batch)?;
        self.reader.starts_at(first);
        self.reader.size().purge(first);
        Ok(())
    }
}
