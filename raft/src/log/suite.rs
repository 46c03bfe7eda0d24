//! The log on every engine: openraft's own suite, and what it does not ask.
#![allow(clippy::unwrap_used, reason = "a failed test panics")]

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures::TryStreamExt as _;
use openraft::storage::{IOFlushed, RaftLogStorage as _, RaftLogStorageExt as _};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::{EntryPayload, RaftLogReader as _, StorageError};
use proto::limits::LOG_READ_BYTES_MAX;
use storage::kv::{MemoryKv, RocksKv};
use storage::{Batch, Kv, Space};
use tempfile::TempDir;

use super::{LogReader, LogStore, keys};
use crate::catalog::StateMachine;
use crate::convert::samples;
use crate::refusing::Refusing;
use crate::types::{Entry, PeerNode, TypeConfig, Vote, log_id};

struct InMemory;

impl StoreBuilder<TypeConfig, LogStore, StateMachine> for InMemory {
    async fn build(&self) -> Result<((), LogStore, StateMachine), StorageError<TypeConfig>> {
        let (log, machine) = stores(Arc::new(MemoryKv::new()));
        Ok(((), log, machine))
    }
}

struct InRocks;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, TempDir> for InRocks {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError<TypeConfig>> {
        let folder = TempDir::new().unwrap();
        let (log, machine) = stores(Arc::new(RocksKv::open(folder.path()).unwrap()));
        Ok((folder, log, machine))
    }
}

/// The nodes of openraft's suite are nowhere.
impl Default for PeerNode {
    fn default() -> Self {
        Self { peer_address: "nowhere:1".parse().unwrap() }
    }
}

fn stores(kv: Arc<dyn Kv>) -> (LogStore, StateMachine) {
    (LogStore::open(Arc::clone(&kv)).unwrap(), StateMachine::open(kv).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_in_memory_passes_the_suite_of_openraft() {
    Suite::test_all(InMemory).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_in_rocksdb_passes_the_suite_of_openraft() {
    Suite::test_all(InRocks).await.unwrap();
}

fn blank(index: u64) -> Entry {
    Entry { log_id: log_id(1, index), payload: EntryPayload::Blank }
}

/// An entry of about `bytes` bytes.
fn large(index: u64, bytes: usize) -> Entry {
    let payload = EntryPayload::Normal(samples::stamped(samples::push(bytes)));
    Entry { log_id: log_id(1, index), payload }
}

async fn log_with(entries: impl IntoIterator<Item = Entry> + Send) -> (MemoryKv, LogStore) {
    let kv = MemoryKv::new();
    let mut log = LogStore::open(Arc::new(kv.clone())).unwrap();
    log.blocking_append(entries.into_iter().collect::<Vec<_>>()).await.unwrap();
    (kv, log)
}

fn indexes(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.log_id.index).collect()
}

#[tokio::test]
async fn a_read_for_replication_stops_at_its_limit_and_is_never_empty() {
    let size = LOG_READ_BYTES_MAX / 2;
    let (_, mut log) =
        log_with([large(0, size), large(1, size), large(2, 3 * size), large(3, size)]).await;
    let mut reader = log.get_log_reader().await;
    assert_eq!(indexes(&reader.limited_get_log_entries(0, 4).await.unwrap()), [0, 1]);
    assert_eq!(indexes(&reader.limited_get_log_entries(2, 4).await.unwrap()), [2]);
}

#[tokio::test]
async fn a_stream_of_entries_goes_on_beyond_the_limit_of_one_read() {
    let (_, mut log) = log_with((0..5).map(|index| large(index, LOG_READ_BYTES_MAX))).await;
    let mut reader = log.get_log_reader().await;
    let entries: Vec<Entry> = reader.entries_stream(1..4).await.try_collect().await.unwrap();
    assert_eq!(indexes(&entries), [1, 2, 3]);
}

#[tokio::test]
async fn a_log_opened_again_is_as_it_was() {
    let (kv, mut log) = log_with((0..10).map(blank)).await;
    log.save_vote(&Vote::new_committed(2, 7)).await.unwrap();
    log.save_committed(Some(log_id(1, 8))).await.unwrap();
    log.purge(log_id(1, 3)).await.unwrap();
    log.truncate_after(Some(log_id(1, 8))).await.unwrap();
    drop(log);

    let mut log = LogStore::open(Arc::new(kv)).unwrap();
    let state = log.get_log_state().await.unwrap();
    assert_eq!(state.last_purged_log_id, Some(log_id(1, 3)));
    assert_eq!(state.last_log_id, Some(log_id(1, 8)));
    assert_eq!(log.read_committed().await.unwrap(), Some(log_id(1, 8)));
    let mut reader = log.get_log_reader().await;
    assert_eq!(reader.read_vote().await.unwrap(), Some(Vote::new_committed(2, 7)));
    assert_eq!(indexes(&reader.try_get_log_entries(..).await.unwrap()), [4, 5, 6, 7, 8]);
}

#[tokio::test]
async fn a_log_is_measured_from_its_end_as_far_as_is_asked() {
    let (kv, mut log) = log_with((0..200).map(|index| large(index, 1000))).await;
    log.purge(log_id(1, 9)).await.unwrap();
    log.truncate_after(Some(log_id(1, 189))).await.unwrap();
    let all = log.measure(0).unwrap();
    assert!(all.bytes() > 180 * 1000, "it was counted as it was written");

    let measured = |enough| LogStore::open(Arc::new(kv.clone())).unwrap().measure(enough).unwrap();
    assert_eq!(measured(u64::MAX).bytes(), all.bytes());
    assert_eq!(measured(u64::MAX).excess(0), Some(189));
    assert_eq!(measured(u64::MAX).excess(all.bytes() - 1), Some(10));
    let some = measured(all.bytes() / 2);
    assert!(some.bytes() > all.bytes() / 2 && some.bytes() < all.bytes());
    assert_eq!(some.excess(all.bytes() / 2), all.excess(all.bytes() / 2));
}

#[tokio::test]
async fn a_reader_made_before_a_purge_sees_what_is_written_after_it() {
    let (_, mut log) = log_with((0..3).map(blank)).await;
    let mut reader = log.get_log_reader().await;
    log.purge(log_id(1, 2)).await.unwrap();
    log.append([blank(3)], IOFlushed::noop()).await.unwrap();
    assert_eq!(indexes(&reader.try_get_log_entries(0..=3).await.unwrap()), [3]);
}

#[tokio::test]
async fn truncating_after_nothing_removes_everything() {
    let (_, mut log) = log_with((0..3).map(blank)).await;
    log.truncate_after(None).await.unwrap();
    assert_eq!(log.get_log_state().await.unwrap().last_log_id, None);
}

#[tokio::test]
async fn a_missing_or_damaged_entry_is_an_error() {
    for damage in [None, Some(Bytes::from_static(b"\xff\xff"))] {
        let (kv, mut log) = log_with((0..3).map(blank)).await;
        let mut batch = Batch::new();
        match damage {
            None => batch.delete(keys::entry(1)),
            Some(bytes) => batch.put(keys::entry(1), bytes),
        }
        kv.write(Space::Log, batch).unwrap();
        let mut reader = log.get_log_reader().await;
        let error = reader.try_get_log_entries(0..3).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().contains("make a new node of this one"), "{error}");
    }
}

#[tokio::test]
async fn a_read_that_would_begin_after_a_hole_is_an_error_and_after_a_purge_nothing() {
    let (kv, mut log) = log_with((0..6).map(blank)).await;
    log.purge(log_id(1, 1)).await.unwrap();
    let mut reader = log.get_log_reader().await;
    assert!(reader.limited_get_log_entries(1, 6).await.unwrap().is_empty());
    assert_eq!(indexes(&reader.limited_get_log_entries(2, 6).await.unwrap()), [2, 3, 4, 5]);

    let mut batch = Batch::new();
    batch.delete(keys::entry(3));
    kv.write(Space::Log, batch).unwrap();
    let streamed = async |reader: &mut LogReader| {
        reader.entries_stream(3..6).await.try_collect::<Vec<Entry>>().await
    };
    for error in [
        reader.try_get_log_entries(3..6).await.unwrap_err(),
        reader.limited_get_log_entries(3, 6).await.unwrap_err(),
        streamed(&mut reader).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}

#[tokio::test]
async fn a_stream_that_ends_before_what_was_written_last_is_an_error() {
    let (kv, mut log) = log_with((0..4).map(blank)).await;
    log.truncate_after(Some(log_id(1, 2))).await.unwrap();
    let streamed = async |mut reader: LogReader| {
        reader.entries_stream(1..4).await.try_collect::<Vec<Entry>>().await
    };
    assert_eq!(indexes(&streamed(log.get_log_reader().await).await.unwrap()), [1, 2]);

    let mut reopened = LogStore::open(Arc::new(kv.clone())).unwrap();
    reopened.measure(0).unwrap();
    let mut batch = Batch::new();
    batch.delete(keys::entry(2));
    kv.write(Space::Log, batch).unwrap();
    for log in [&mut log, &mut reopened] {
        let error = streamed(log.get_log_reader().await).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}

#[tokio::test]
async fn nothing_is_acknowledged_when_the_disk_is_full() {
    let disk = Refusing::default();
    disk.syncs.store(true, Ordering::Release);
    let mut log = LogStore::open(Arc::new(disk)).unwrap();
    let error = log.save_vote(&Vote::new(1, 1)).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    let error = log.blocking_append([blank(0)]).await.unwrap_err();
    assert!(error.to_string().contains("the disk is full"), "{error}");
}
