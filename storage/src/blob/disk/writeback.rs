//! Syncing a file beside the writes to it, so that little is left to wait for at its end.

use std::fs::File;
use std::io;

use tokio::task::JoinHandle;

use super::error::joined;
use crate::blob::BlobsError;
use crate::blob::error::failure;
use crate::blob::threads::Threads;

/// Bytes between the starts of two syncs: few enough that the disk is never idle, many enough that
/// syncing costs little beside writing. A part of fewer bytes is synced once, at its end.
const SYNC_BYTES: u64 = 16 * 1024 * 1024;

/// The syncs of one file that is being written.
#[derive(Default)]
pub(super) struct Writeback {
    started_at: u64,
    running: Option<JoinHandle<io::Result<()>>>,
}

impl Writeback {
    /// Starts a sync of the `written` bytes of `file` when enough came since the last, unless that
    /// still runs.
    pub(super) async fn keep_up(
        &mut self,
        file: &File,
        written: u64,
        threads: &Threads,
    ) -> Result<(), BlobsError> {
        let is_due = written - self.started_at >= SYNC_BYTES;
        let is_busy = self.running.as_ref().is_some_and(|sync| !sync.is_finished());
        if is_due && !is_busy {
            self.finish().await?;
            self.started_at = written;
            let file = file.try_clone().map_err(failure)?;
            self.running = Some(threads.start(move || file.sync_data()).await?);
        }
        Ok(())
    }

    /// Waits for the sync that runs. Its error must not be lost: the kernel tells a failed write to
    /// one sync only, and the next would succeed.
    pub(super) async fn finish(&mut self) -> Result<(), BlobsError> {
        match self.running.take() {
            Some(sync) => joined(sync).await,
            None => Ok(()),
        }
    }
}
