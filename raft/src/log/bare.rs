//! The log without consensus around it, for benchmarks: see [`crate::BareCatalog`].

use std::io;
use std::ops::Range;
use std::sync::Arc;

use openraft::storage::{RaftLogStorage as _, RaftLogStorageExt as _};
use openraft::{EntryPayload, RaftLogReader as _};
use proto::Stamped;
use storage::Kv;

use super::{LogReader, LogStore};
use crate::types::{Entry, log_id};

/// A log that holds what it is given, from index 0.
pub struct BareLog {
    store: LogStore,
    reader: LogReader,
    next: u64,
}

impl BareLog {
    /// The log of a new store.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn new(kv: Arc<dyn Kv>) -> io::Result<Self> {
        let store = LogStore::open(kv)?;
        let reader = store.reader.clone();
        Ok(Self { store, reader, next: 0 })
    }

    /// The index of the next entry.
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// Appends `commands`, all at once, and waits until they are durable.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn append(&mut self, commands: Vec<Stamped>) -> io::Result<()> {
        let indexes = self.next..;
        self.next += commands.len() as u64;
        let entries = indexes.zip(commands).map(|(index, command)| Entry {
            log_id: log_id(1, index),
            payload: EntryPayload::Normal(command),
        });
        self.store.blocking_append(entries.collect::<Vec<_>>()).await.map_err(io::Error::other)
    }

    /// Reads entries as for sending them to another node, and answers how many they are: not more
    /// than one message may hold.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn read(&mut self, indexes: Range<u64>) -> io::Result<usize> {
        Ok(self.reader.limited_get_log_entries(indexes.start, indexes.end).await?.len())
    }

    /// Forgets all entries.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn purge(&mut self) -> io::Result<()> {
        self.store.purge(log_id(1, self.next.saturating_sub(1))).await
    }
}
