//! Snapshots: all rows of a generation, frozen where they are sent from, staged as a new generation
//! where they arrive.
//!
//! There are no snapshot files. What openraft needs a snapshot for is met by the rows themselves:
//! the log may be purged up to what [`Kv::flush`] has made durable, and a node that lags behind the
//! purged log is sent the rows of a frozen view, streamed in bounded chunks. See ADR 2.

use std::io;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use openraft::RaftSnapshotBuilder;
use proto::Mutant;
use storage::{Batch, Kv, KvError, KvRead, Space};

use super::View;
use super::applied::Applied;
use super::keys::{self, Generation, Keys, Table};
use crate::error::io_error;
use crate::offload::offload;
use crate::types::{SnapshotOf, TypeConfig};

/// One row as it travels: its key without the generation, and its value.
pub(crate) type Row = (Bytes, Bytes);

/// The rows of a snapshot.
pub(crate) enum CatalogSnapshot {
    /// Rows of this node's catalog, as they were when it was frozen.
    Frozen(FrozenRows),
    /// Rows that arrived from the leader, all of them, in a generation that is not current yet.
    Staged(StagedRows),
}

/// How many frozen catalogs are on their way to other nodes, at this moment.
#[derive(Clone, Default)]
pub(crate) struct Sendings(Arc<AtomicUsize>);

impl Sendings {
    /// Whether there is any.
    pub(crate) fn are_under_way(&self) -> bool {
        self.0.load(Ordering::Acquire) > 0
    }

    fn begin(&self) -> Sending {
        self.0.fetch_add(1, Ordering::AcqRel);
        Sending(self.clone())
    }
}

/// One of [`Sendings`], until it is dropped.
struct Sending(Sendings);

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Reads the rows of a frozen catalog in key order.
pub(crate) struct FrozenRows {
    rows: Arc<dyn KvRead>,
    prefix: Vec<u8>,
    next: Vec<u8>,
    sendings: Sendings,
    /// Counts this as a snapshot under way. Set at the second call of `next_rows`: the first only
    /// fills a buffer while the connection is being made, and that may never succeed.
    sending: Option<Sending>,
}

impl FrozenRows {
    pub(crate) fn new(view: &View, sendings: &Sendings) -> Self {
        let prefix = keys::prefix(view.keys().generation());
        let sendings = sendings.clone();
        Self { rows: view.rows(), next: prefix.clone(), prefix, sendings, sending: None }
    }

    /// The next rows, without the generation in their keys, of about `bytes_max` bytes together;
    /// none at the end.
    pub(crate) fn next_rows(&mut self, bytes_max: usize) -> io::Result<Vec<Row>> {
        if self.sending.is_none() && self.next != self.prefix {
            self.sending = Some(self.sendings.begin());
        }
        let mut rows = Vec::new();
        let mut bytes = 0;
        let end = keys::after(&self.prefix);
        let skip = self.prefix.len();
        self.rows
            .scan(Space::Catalog, &self.next, &end, &mut |key, value| {
                let is_answer = key.get(skip) == Some(&(Table::Answer as u8));
                if is_answer && Mutant::SnapshotWithoutAnswers.is_active() {
                    return ControlFlow::Continue(());
                }
                bytes += key.len() + value.len();
                rows.push((Bytes::copy_from_slice(&key[skip..]), Bytes::copy_from_slice(value)));
                if bytes < bytes_max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })
            .map_err(io_error)?;
        if let Some((last, _)) = rows.last() {
            self.next = [&self.prefix, last.as_ref(), &[0]].concat();
        }
        Ok(rows)
    }
}

/// Where generations come from: each number is used once while the node runs.
#[derive(Clone)]
pub(crate) struct Staging {
    kv: Arc<dyn Kv>,
    next: Arc<AtomicU32>,
    /// The generations that nobody needs and that could not be removed.
    left: Arc<Mutex<Vec<Generation>>>,
}

impl Staging {
    /// Staging beside the generation `current`; what earlier ones left behind is removed.
    pub(crate) fn open(kv: Arc<dyn Kv>, current: Generation) -> Result<Self, KvError> {
        let mut batch = Batch::new();
        batch.delete_range(keys::prefix(0), keys::prefix(current));
        batch.delete_range(keys::prefix(current.saturating_add(1)), keys::after(&[1]));
        kv.write(Space::Catalog, batch)?;
        let next = Arc::new(AtomicU32::new(current.saturating_add(1)));
        Ok(Self { kv, next, left: Arc::default() })
    }

    /// A new generation to write rows into. Those that could not be removed are tried again.
    pub(crate) fn begin(&self) -> StagedRows {
        let left = std::mem::take(&mut *self.left());
        for generation in left {
            self.abandon(generation);
        }
        let generation = self.next.fetch_add(1, Ordering::Relaxed);
        StagedRows { staging: self.clone(), generation, is_current: false }
    }

    fn left(&self) -> MutexGuard<'_, Vec<Generation>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the rows of `generation`, now or later.
    fn abandon(&self, generation: Generation) {
        if let Err(error) = self.remove(generation) {
            // The next start removes them too.
            tracing::warn!(%error, "rows of an abandoned snapshot stay behind for now");
            self.left().push(generation);
        }
    }

    fn remove(&self, generation: Generation) -> Result<(), KvError> {
        let prefix = keys::prefix(generation);
        let mut batch = Batch::new();
        batch.delete_range(prefix.clone(), keys::after(&prefix));
        self.kv.write(Space::Catalog, batch)
    }
}

/// Rows that arrive, in a generation of their own. Dropping them removes them, unless they became
/// current.
pub(crate) struct StagedRows {
    staging: Staging,
    generation: Generation,
    is_current: bool,
}

impl StagedRows {
    /// Writes the next rows.
    pub(crate) fn write_rows(&mut self, rows: Vec<Row>) -> io::Result<()> {
        let prefix = keys::prefix(self.generation);
        let mut batch = Batch::new();
        for (key, value) in rows {
            batch.put([&prefix, key.as_ref()].concat(), value);
        }
        self.staging.kv.write(Space::Catalog, batch).map_err(io_error)
    }

    /// How far the log is applied in these rows, as they say. If that does not decode, the sender
    /// is wrong, and not this node's store.
    pub(crate) fn applied(&self) -> io::Result<Applied> {
        let key = Keys::of(self.generation).applied();
        let row = self.staging.kv.get(Space::Catalog, &key).map_err(io_error)?;
        let applied = row.map(Applied::decode).transpose().map_err(io::Error::other)?;
        Ok(applied.unwrap_or_default())
    }

    /// Makes these rows the catalog, in one write of the pointer, and removes those of `old`. A
    /// crash leaves one of the two, whole.
    pub(crate) fn make_current(mut self, old: Generation) -> io::Result<Generation> {
        let kv = &self.staging.kv;
        kv.flush().map_err(io_error)?;
        let mut batch = Batch::new();
        batch.put(keys::POINTER, self.generation.to_be_bytes());
        kv.write(Space::Catalog, batch).map_err(io_error)?;
        self.is_current = true;
        kv.flush().map_err(io_error)?;
        self.staging.remove(old).map_err(io_error)?;
        Ok(self.generation)
    }
}

impl Drop for StagedRows {
    fn drop(&mut self) {
        if !self.is_current {
            self.staging.abandon(self.generation);
        }
    }
}

/// Builds a snapshot of the catalog as it was when the builder was made.
pub(crate) struct SnapshotBuilder {
    kv: Arc<dyn Kv>,
    view: View,
}

impl SnapshotBuilder {
    pub(crate) const fn new(kv: Arc<dyn Kv>, view: View) -> Self {
        Self { kv, view }
    }
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = CatalogSnapshot;

    /// Makes what the view shows durable, which is what allows openraft to purge the log up to it.
    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<CatalogSnapshot>> {
        let kv = Arc::clone(&self.kv);
        if !Mutant::PurgedBeyondDurable.is_active() {
            offload(move || kv.flush().map_err(io_error)).await?;
        }
        let meta = Applied::read(&self.view).map_err(io_error)?.meta();
        let rows = FrozenRows::new(&self.view, &Sendings::default());
        let snapshot = CatalogSnapshot::Frozen(rows);
        Ok(SnapshotOf { meta, snapshot })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;
    use crate::refusing::Refusing;

    #[test]
    fn openraft_is_told_that_the_disk_is_full() {
        let disk = Arc::<Refusing>::default();
        let kv: Arc<dyn Kv> = Arc::<Refusing>::clone(&disk);
        let mut staged = Staging::open(kv, 1).unwrap().begin();
        disk.writes.store(true, Ordering::Release);
        let error = staged.write_rows(vec![("row".into(), "of a snapshot".into())]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn rows_of_an_abandoned_snapshot_are_removed_once_that_is_possible() {
        let disk = Arc::<Refusing>::default();
        let kv: Arc<dyn Kv> = Arc::<Refusing>::clone(&disk);
        let staging = Staging::open(kv, 1).unwrap();
        let rows = || disk.last(Space::Catalog, &keys::prefix(0), &keys::after(&[1])).unwrap();
        for _ in 0..2 {
            let mut staged = staging.begin();
            assert_eq!(rows(), None);
            staged.write_rows(vec![("row".into(), "of a snapshot".into())]).unwrap();
            disk.writes.store(true, Ordering::Release);
            drop(staged);
            assert!(rows().is_some(), "its disk is full");
            disk.writes.store(false, Ordering::Release);
        }
        drop(staging.begin());
        assert_eq!(rows(), None);
    }
}
