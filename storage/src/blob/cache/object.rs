//! An object in the cache: a file that grows while it is read.

use std::fs::File;
use std::io::{self, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bytes::Bytes;
use futures::StreamExt as _;
use proto::ObjectKey;
use tempfile::{NamedTempFile, TempPath};
use tokio::sync::watch;

use super::SUFFIX;
use super::shelf::Room;
use crate::blob::files::read_file;
use crate::blob::reserve::check_room;
use crate::blob::threads::Threads;
use crate::blob::{Blobs, BlobsError, ByteStream};

/// Frames that are written at once, of those that have come.
const BATCH_FRAMES: usize = 64;

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The far store has not answered yet.
    Asked,
    /// So many bytes are in the file.
    Filled(u64),
    /// There will be no more: a reader that needs them asks the far store.
    GivenUp,
}

/// The first bytes of an object. The file goes when the last one who holds this does.
pub(super) struct CachedObject {
    key: ObjectKey,
    /// How many bytes it has when it is done.
    length: u64,
    progress: watch::Sender<Progress>,
    file: OnceLock<TempPath>,
    threads: Threads,
    /// Goes with it: the file is removed a moment later.
    _room: Room,
}

impl CachedObject {
    /// The first `length` bytes of the object under `key`, of which there are none yet, and which
    /// have `room`.
    pub(super) fn new(key: ObjectKey, length: u64, room: Room, threads: Threads) -> Self {
        let progress = watch::Sender::new(Progress::Asked);
        Self { key, length, progress, file: OnceLock::new(), threads, _room: room }
    }

    pub(super) const fn key(&self) -> ObjectKey {
        self.key
    }

    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// Whether `range` can be read here without waiting for much that was not asked for.
    pub(super) fn will_serve(&self, range: &Range<u64>) -> bool {
        range.end <= self.length
            && match *self.progress.borrow() {
                Progress::Asked => range.start == 0,
                Progress::Filled(end) => range.start <= end,
                Progress::GivenUp => false,
            }
    }

    /// Fills it from `far`, into a file in `folder`; answers whether all of it is there. It is
    /// given up when nobody waits for it any more.
    pub(super) async fn fill(&self, far: &dyn Blobs, folder: &Path) -> bool {
        let outcome = self.pour(far, folder).await;
        if let Err(error) = &outcome {
            tracing::warn!(object = %self.key, %error, "an object cannot be cached");
        }
        let is_whole = matches!(outcome, Ok(true));
        if !is_whole {
            self.progress.send_replace(Progress::GivenUp);
        }
        is_whole
    }

    async fn pour(&self, far: &dyn Blobs, folder: &Path) -> Result<bool, BlobsError> {
        let folder = folder.to_owned();
        // Before the far store is asked, in vain if there is no room.
        let make = move || begin(&folder).map_err(BlobsError::Unavailable);
        let (mut file, path) = self.threads.run(make).await?.into_parts();
        let _ = self.file.set(path);
        let bytes = match far.read(self.key, 0..self.length).await {
            Ok(bytes) => bytes,
            // A reader that asks the far store gets to know why.
            Err(_) => return Ok(false),
        };
        let mut batches = bytes.ready_chunks(BATCH_FRAMES);
        let mut end = 0;
        while let Some(batch) = batches.next().await {
            // The store has tried again by itself.
            let Ok(batch) = batch.into_iter().collect::<io::Result<Vec<Bytes>>>() else {
                return Ok(false);
            };
            end += batch.iter().map(|frame| frame.len() as u64).sum::<u64>();
            file = self.threads.run(move || write(file, &batch)).await?;
            if self.progress.receiver_count() == 0 && end < self.length {
                return Ok(false);
            }
            self.progress.send_replace(Progress::Filled(end));
        }
        Ok(end == self.length)
    }

    /// How far it is, from now on.
    pub(super) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Reads `range`, which must be in the file already.
    pub(super) async fn open(&self, range: Range<u64>) -> Result<ByteStream, BlobsError> {
        match self.file.get() {
            Some(path) => read_file(PathBuf::from(path), range, &self.threads).await,
            None => Err(BlobsError::Missing(self.key)),
        }
    }
}

impl Drop for CachedObject {
    fn drop(&mut self) {
        if let Some(path) = self.file.take() {
            // To remove a large file takes its time.
            self.threads.leave(move || drop(path));
        }
    }
}

/// A new file in `folder`.
pub(super) fn file_in(folder: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix("object-").suffix(SUFFIX).tempfile_in(folder)
}

/// The same, where there is room for more.
fn begin(folder: &Path) -> io::Result<NamedTempFile> {
    let file = file_in(folder)?;
    check_room(file.as_file())?;
    Ok(file)
}

fn write(mut file: File, batch: &[Bytes]) -> Result<File, BlobsError> {
    let room = check_room(&file);
    let written = room.and_then(|()| batch.iter().try_for_each(|frame| file.write_all(frame)));
    written.map_err(BlobsError::Unavailable)?;
    Ok(file)
}
