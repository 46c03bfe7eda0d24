//! Recovery: what the catalog lost in a crash is made again from the log before openraft starts.
//!
//! Openraft does that too, but takes 64 entries at a time, whatever their size: with the
//! largest manifests that is 256 MiB. Here it takes [`LOG_READ_BYTES_MAX`](proto::limits) and one
//! entry.

use std::io;

use futures::TryStreamExt as _;
use openraft::RaftLogReader as _;
use openraft::storage::{RaftLogStorage as _, RaftStateMachine as _};
use proto::DecodeError;

use crate::catalog::StateMachine;
use crate::log::LogStore;
use crate::types::LogId;

/// Applies to `machine` the entries that `log` knows to be committed and `machine` has not applied.
/// If the log does not go back that far, it does nothing, and openraft refuses to start. All that
/// `machine` has applied is durable when this returns: openraft, when it starts, takes it for what
/// may be purged from the log.
///
/// # Errors
/// When the log or the catalog cannot be read or written, or the log lacks what is committed.
pub(crate) async fn recover(log: &mut LogStore, machine: &mut StateMachine) -> io::Result<()> {
    let next = |id: Option<LogId>| id.map_or(0, |id| id.index + 1);
    let (applied, _) = machine.applied_state().await?;
    let (from, to) = (next(applied), next(log.read_committed().await?));
    if from >= to || from < next(log.get_log_state().await?.last_purged_log_id) {
        return Ok(());
    }
    tracing::info!(from, to, "making the catalog again from the log");
    let mut reader = log.get_log_reader().await;
    let entries = reader.entries_stream(from..to).await;
    machine.apply(entries.map_ok(|entry| (entry, None))).await?;
    let (applied, _) = machine.applied_state().await?;
    if next(applied) != to {
        let error = DecodeError::new("log", "it ends before the last committed entry");
        return Err(reader.damaged(&error));
    }
    machine.flush().await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use std::sync::Arc;

    use openraft::EntryPayload;
    use openraft::storage::RaftLogStorageExt as _;
    use proto::limits::LOG_READ_BYTES_MAX;
    use storage::Kv;
    use storage::kv::MemoryKv;

    use super::*;
    use crate::convert::samples;
    use crate::types::{Entry, log_id};

    /// A log of entries that are each as large as one read, and an empty catalog.
    async fn stores(committed: u64) -> (LogStore, StateMachine) {
        let kv: Arc<dyn Kv> = Arc::new(MemoryKv::new());
        let mut log = LogStore::open(Arc::clone(&kv)).unwrap();
        let entries = (0..6).map(|index| {
            let payload = EntryPayload::Normal(samples::stamped(samples::push(LOG_READ_BYTES_MAX)));
            Entry { log_id: log_id(1, index), payload }
        });
        log.blocking_append(entries.collect::<Vec<_>>()).await.unwrap();
        log.save_committed(Some(log_id(1, committed))).await.unwrap();
        (log, StateMachine::open(kv).unwrap())
    }

    #[tokio::test]
    async fn what_is_committed_is_applied_and_no_more() {
        let (mut log, mut machine) = stores(3).await;
        for _ in 0..2 {
            recover(&mut log, &mut machine).await.unwrap();
            assert_eq!(machine.applied_state().await.unwrap().0, Some(log_id(1, 3)));
        }
    }

    #[tokio::test]
    async fn a_log_that_ends_before_what_is_committed_is_an_error() {
        let (mut log, mut machine) = stores(3).await;
        log.truncate_after(Some(log_id(1, 2))).await.unwrap();
        let error = recover(&mut log, &mut machine).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[tokio::test]
    async fn a_log_that_does_not_go_back_far_enough_is_not_applied() {
        let (mut log, mut machine) = stores(5).await;
        log.purge(log_id(1, 2)).await.unwrap();
        recover(&mut log, &mut machine).await.unwrap();
        assert_eq!(machine.applied_state().await.unwrap().0, None);
    }
}
