//! Purges the log once it has too many entries or too many bytes. The newest half of what it may
//! have stays, and so does everything that the catalog has not yet made durable.
//!
//! Openraft itself would count entries alone, from the last start on. But an entry may have some
//! megabytes, also when it is refused: a single client could fill the disks of all nodes. And the
//! log of a node that is often started would never be purged. So openraft only says here when there
//! is a snapshot, and is told what to purge. A node that needs purged entries is sent the catalog.

use openraft::RaftMetrics;
use openraft::async_runtime::WatchReceiver as _;
use openraft::errors::Fatal;

use crate::log::LogSize;
use crate::types::{Raft, TypeConfig};

/// Bytes after which the log is purged, however few entries they are: small disks have room for
/// them. An ordinary entry has a kilobyte or two, so these are many times the entries that are kept
/// with the default of [`Tuning::snapshot_every`](crate::Tuning).
const LOG_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Bytes after which the log is purged, for each entry of
/// [`Tuning::snapshot_every`](crate::Tuning): a log of few entries is to have few bytes, too.
const ENTRY_BYTES: u64 = 64 * 1024;

/// What the log may have, what of it stays when it is purged, and how far that has come.
#[derive(Debug)]
pub(crate) struct Purging {
    bytes_max: u64,
    entries_kept: u64,
    /// What the log had when a snapshot was last asked for; 0 when it has less than too much.
    asked_at: u64,
    /// The last entry of the snapshot for which it was last decided what to purge.
    snapshot: Option<u64>,
    /// What openraft was told to purge, which it does when no node is just being sent it.
    upto: Option<u64>,
}

/// What openraft is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Have the catalog made durable.
    Snapshot,
    /// Purge the log up to there.
    Purge(u64),
}

impl Purging {
    pub(crate) fn new(snapshot_every: u64) -> Self {
        let bytes_max = snapshot_every.saturating_mul(ENTRY_BYTES).min(LOG_BYTES_MAX);
        let entries_kept = snapshot_every / 2;
        Self { bytes_max, entries_kept, asked_at: 0, snapshot: None, upto: None }
    }

    /// The bytes of entries that stay.
    pub(crate) const fn bytes_kept(&self) -> u64 {
        self.bytes_max / 2
    }

    /// Purges what there is too much of, now and for as long as `raft` runs.
    pub(crate) async fn run(mut self, raft: Raft, log: LogSize) {
        if let Err(stopped) = self.purge_until_stopped(&raft, &log).await {
            tracing::debug!(%stopped, "the log is purged no more");
        }
    }

    async fn purge_until_stopped(
        &mut self,
        raft: &Raft,
        log: &LogSize,
    ) -> Result<(), Fatal<TypeConfig>> {
        let mut metrics = raft.metrics();
        loop {
            let step = self.next(&metrics.borrow_watched(), log);
            match step {
                Some(Step::Snapshot) => raft.trigger().snapshot().await?,
                Some(Step::Purge(upto)) => raft.trigger().purge_log(upto).await?,
                None => {}
            }
            if metrics.changed().await.is_err() {
                return Ok(());
            }
        }
    }

    /// The next step, now that openraft has these `metrics`. While a purge waits for a slow node,
    /// no other is asked for: openraft would wait for the other in its place, and none might ever
    /// be made. A snapshot is asked for again after another eighth of the limit: the last one may
    /// have been put off, see [`SNAPSHOTS_DEFERRED_MAX`](proto::limits::SNAPSHOTS_DEFERRED_MAX).
    fn next(&mut self, metrics: &RaftMetrics<TypeConfig>, log: &LogSize) -> Option<Step> {
        let snapshot = metrics.snapshot.map(|last| last.index);
        if snapshot > self.snapshot && metrics.purged.map(|last| last.index) >= self.upto {
            self.snapshot = snapshot;
            let by_entries = snapshot.and_then(|last| last.checked_sub(self.entries_kept));
            let upto = by_entries.max(log.excess(self.bytes_kept())).min(snapshot);
            if upto > self.upto {
                self.upto = upto;
                return upto.map(Step::Purge);
            }
        }
        let bytes = log.bytes();
        if bytes <= self.bytes_max {
            self.asked_at = 0;
        } else if bytes >= self.asked_at + self.bytes_max / 8 {
            self.asked_at = bytes;
            return Some(Step::Snapshot);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::log_id;

    const MIB: usize = 1024 * 1024;

    /// What openraft says of a log that goes on after entry 0 and is purged up to `purged`, when it
    /// has a snapshot up to `snapshot`.
    fn metrics(snapshot: u64, purged: Option<u64>) -> RaftMetrics<TypeConfig> {
        let mut metrics = RaftMetrics::new_initial(1);
        metrics.snapshot = Some(log_id(1, snapshot));
        metrics.purged = purged.map(|index| log_id(1, index));
        metrics
    }

    #[test]
    fn of_small_entries_as_many_stay_as_are_to_be_kept() {
        let mut purging = Purging::new(10);
        let log = LogSize::of(0, &[100; 30]);
        assert_eq!(purging.next(&metrics(4, None), &log), None);
        assert_eq!(purging.next(&metrics(10, None), &log), Some(Step::Purge(5)));
        assert_eq!(purging.next(&metrics(10, Some(5)), &log), None, "all is said");
        assert_eq!(purging.next(&metrics(20, Some(5)), &log), Some(Step::Purge(15)));
    }

    #[test]
    fn of_large_entries_those_stay_that_have_half_the_bytes_and_none_that_is_not_durable() {
        let mut purging = Purging::new(64);
        let log = LogSize::of(0, &[MIB; 5]);
        assert_eq!(purging.next(&metrics(0, None), &log), Some(Step::Purge(0)));
        assert_eq!(purging.next(&metrics(0, Some(0)), &log), Some(Step::Snapshot));
        assert_eq!(purging.next(&metrics(4, Some(0)), &log), Some(Step::Purge(2)));
        assert_eq!(Purging::new(10_000).bytes_max, LOG_BYTES_MAX);
    }

    #[test]
    fn a_snapshot_is_asked_for_again_when_the_log_goes_on_to_grow() {
        let mut purging = Purging::new(64);
        let log = LogSize::of(0, &[MIB; 5]);
        purging.next(&metrics(0, None), &log);
        assert_eq!(purging.next(&metrics(0, Some(0)), &log), Some(Step::Snapshot));
        assert_eq!(purging.next(&metrics(0, Some(0)), &log), None);
        let longer = LogSize::of(0, &[MIB; 6]);
        assert_eq!(purging.next(&metrics(0, Some(0)), &longer), Some(Step::Snapshot));
        let short = LogSize::of(0, &[MIB; 4]);
        assert_eq!(purging.next(&metrics(0, Some(0)), &short), None);
        assert_eq!(purging.next(&metrics(0, Some(0)), &log), Some(Step::Snapshot));
    }

    #[test]
    fn a_purge_that_waits_for_a_slow_node_is_followed_by_the_next_one_when_it_is_done() {
        let mut purging = Purging::new(10);
        let log = LogSize::of(0, &[100; 30]);
        assert_eq!(purging.next(&metrics(10, None), &log), Some(Step::Purge(5)));
        assert_eq!(purging.next(&metrics(20, None), &log), None);
        assert_eq!(purging.next(&metrics(20, Some(5)), &log), Some(Step::Purge(15)));
    }
}
