//! The database, and the verdict on every error it gives.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rocksdb::{ColumnFamily, DB, Error, ErrorKind, WriteBatch, WriteOptions};

use super::super::{Batch, KvError, MAKE_ANEW, Space, Write};
use super::opening::{EVERY, accompany};
use super::options::{Setup, family_name};
use crate::make_folder;

/// Bytes that a write must find free on the disk, or it is refused, unless it makes room: for
/// RocksDB to write out what is in memory, to be opened again, and to remove what is not needed.
pub const FREE_BYTES_MIN: u64 = 64 * 1024 * 1024;

/// A RocksDB database that stays failed once it has failed.
pub(super) struct Engine {
    db: DB,
    dir: PathBuf,
    failure: OnceLock<KvError>,
    syncs: AtomicU64,
}

impl Engine {
    /// Opens the database in `dir`, and makes it if there is none.
    pub(super) fn open(dir: &Path) -> Result<Self, KvError> {
        // Durably: a start that finds none takes the node for a new one, which has given no vote.
        // And for its owner alone, wherever it is: a catalog has keys in it.
        make_folder(dir, 0o700).map_err(|error| {
            let text = format!("the folder {} cannot be made: {error}", dir.display());
            if is_full(&error) { KvError::Full(text) } else { KvError::Failed(text) }
        })?;
        let setup = Setup::new().map_err(|error| open_error(dir, error))?;
        let Setup { database, families } = setup;
        let still = || {
            tracing::warn!(
                folder = %dir.display(),
                "the store is still being opened: its log is replayed; if this never ends, the log \
                 is damaged: stop this node, {MAKE_ANEW}"
            );
        };
        let open = || DB::open_cf_descriptors(&database, dir, families);
        let db = accompany(EVERY, still, open).map_err(|error| open_error(dir, error))?;
        Ok(Self { db, dir: dir.into(), failure: OnceLock::new(), syncs: AtomicU64::new(0) })
    }

    pub(super) const fn db(&self) -> &DB {
        &self.db
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// The column family of `space`.
    pub(super) fn family(&self, space: Space) -> Result<&ColumnFamily, KvError> {
        let name = family_name(space);
        let missing = || self.fail(format!("the column family {name} is missing"));
        self.db.cf_handle(name).ok_or_else(missing)
    }

    pub(super) fn write(&self, space: Space, batch: Batch) -> Result<(), KvError> {
        self.is_healthy()?;
        if !batch.makes_room() {
            self.has_room()?;
        }
        self.write_unchecked(space, batch)
    }

    /// Writes `batch` without having looked whether it may.
    pub(super) fn write_unchecked(&self, space: Space, batch: Batch) -> Result<(), KvError> {
        let family = self.family(space)?;
        let mut writes = WriteBatch::default();
        for write in batch.into_writes() {
            match write {
                Write::Put { key, value } => writes.put_cf(family, key, value),
                Write::Delete { key } => writes.delete_cf(family, key),
                // RocksDB keeps an empty range as a tombstone, and fails on a reversed one when it
                // flushes.
                Write::DeleteRange { from, to } if from < to => {
                    writes.delete_range_cf(family, from, to);
                }
                Write::DeleteRange { .. } => {}
            }
        }
        let mut how = WriteOptions::default();
        how.disable_wal(space == Space::Catalog);
        self.db.write_opt(writes, &how).map_err(|error| self.judge(error))
    }

    /// Makes all that is in the write-ahead log durable.
    pub(super) fn sync(&self) -> Result<(), KvError> {
        self.is_healthy()?;
        self.syncs.fetch_add(1, Ordering::Relaxed);
        // Final also when the text speaks of a full disk: the batches were accepted and now cannot
        // be made durable.
        self.db.flush_wal(true).map_err(|error| self.fail(error.into_string()))
    }

    /// Writes what memory holds of `space` to a durable table.
    pub(super) fn flush(&self, space: Space) -> Result<(), KvError> {
        self.is_healthy()?;
        self.db.flush_cf(self.family(space)?).map_err(|error| self.judge(error))
    }

    /// What `error` means to the caller; unless the disk is full, the store is failed from now on.
    pub(super) fn judge(&self, error: Error) -> KvError {
        let text = advised(error);
        if tells_full(&text) { KvError::Full(text) } else { self.fail(text) }
    }

    /// Makes the store refuse all further writes and syncs, because of what `text` says.
    pub(super) fn fail(&self, text: String) -> KvError {
        tracing::error!(dir = %self.dir.display(), error = text, "the store failed");
        self.failure.get_or_init(|| KvError::Failed(text)).clone()
    }

    fn is_healthy(&self) -> Result<(), KvError> {
        self.failure.get().map_or(Ok(()), |failure| Err(failure.clone()))
    }

    fn has_room(&self) -> Result<(), KvError> {
        let disk = rustix::fs::statvfs(&self.dir)
            .map_err(|error| self.fail(format!("the disk cannot be looked at: {error}")))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < FREE_BYTES_MIN {
            let dir = self.dir.display();
            return Err(KvError::Full(format!("{free} bytes are free in {dir}")));
        }
        Ok(())
    }
}

fn open_error(dir: &Path, error: Error) -> KvError {
    let text = advised(error);
    let dir = dir.display();
    let is_locked = text.contains("While lock file") && text.contains("temporarily unavailable");
    if is_locked || text.contains("lock hold by current process") {
        return KvError::Failed(format!("another process uses the folder {dir}"));
    }
    let sentence = format!("the folder {dir} cannot be opened: {text}");
    if tells_full(&text) { KvError::Full(sentence) } else { KvError::Failed(sentence) }
}

/// What RocksDB says, and what to do where that is that its files are damaged.
fn advised(error: Error) -> String {
    let is_damaged = error.kind() == ErrorKind::Corruption;
    let text = error.into_string();
    if is_damaged { format!("{text}; {MAKE_ANEW}") } else { text }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether RocksDB speaks of ENOSPC, from which it resumes by itself; the binding passes on the
/// text alone.
fn tells_full(text: &str) -> bool {
    text.contains("No space left on device")
}
