//! Appending: frames gathered while what came before is written, then synced and published.

use std::io::{self, IoSlice, Write as _};
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use proto::{Mutant, ObjectKey};
use tempfile::NamedTempFile;
use tokio::task::JoinHandle;

use super::arriving::Arriving;
use super::end::End;
use super::error::joined;
use super::folder::Folder;
use super::parts;
use super::writeback::Writeback;
use crate::blob::body::begun;
use crate::blob::error::failure;
use crate::blob::reserve::{LOOK_BYTES, check_room};
use crate::blob::threads::Threads;
use crate::blob::{BlobsError, ByteStream, Position};

/// Bytes that are gathered before they are written: few switches between threads, and little memory
/// for a transfer, which holds this much twice.
const GATHER_BYTES: usize = 1024 * 1024;

/// Appends `body` to `object`, which may have `parts_max` parts, see [`crate::Blobs::append`].
pub(super) async fn append(
    folder: &Arc<Folder>,
    object: ObjectKey,
    at: Position,
    parts_max: usize,
    body: ByteStream,
) -> Result<Position, BlobsError> {
    let end = folder.blocking(move |folder| end_at(folder, object, at)).await?;
    let Some(body) = begun(body).await? else { return Ok(end.position()) };
    // Decided on what the store has, whatever clients were told.
    if end.count >= parts_max {
        return Err(BlobsError::TooManyParts);
    }
    let file = folder.blocking(|folder| begin(folder).map_err(failure)).await?;
    let arriving = Arriving::new(file, &folder.threads);
    let (arriving, length) = receive(arriving, body, &folder.threads).await?;
    let publish = move |folder: &Folder| {
        let file = arriving.take().map_err(failure)?;
        if !Mutant::PartNotSynced.is_active() {
            file.as_file().sync_data().map_err(failure)?;
        }
        match parts::publish(folder, object, end, file, length).map_err(failure)? {
            Some(end) => Ok(end.position()),
            None => Err(BlobsError::Offset {
                extent: End::of(folder, object).map_err(failure)?.position().extent,
            }),
        }
    };
    folder.blocking(publish).await
}

/// The end of `object`, which must be at `at`.
fn end_at(folder: &Folder, object: ObjectKey, at: Position) -> Result<End, BlobsError> {
    if let Some(end) = End::told(folder, object, at).map_err(failure)? {
        return Ok(end);
    }
    let end = End::of(folder, object).map_err(failure)?;
    match end.position().extent {
        extent if extent == at.extent => Ok(end),
        extent => Err(BlobsError::Offset { extent }),
    }
}

/// A file for a part, where there is room for one.
fn begin(folder: &Folder) -> io::Result<NamedTempFile> {
    let file = folder.temporary()?;
    check_room(file.as_file())?;
    Ok(file)
}

/// Writes `body` to `file`. While one piece is being written the next is awaited, so what makes the
/// body, such as a hash of it, works beside the disk; and a slow body keeps no thread waiting.
async fn receive(
    arriving: Arriving,
    mut body: ByteStream,
    threads: &Threads,
) -> Result<(Arriving, u64), BlobsError> {
    let mut length = 0;
    let mut writing = Writing::Idle(arriving);
    let mut writeback = Writeback::default();
    loop {
        let piece = gather(&mut body).await.map_err(BlobsError::Body)?;
        let mut arriving = writing.finish().await?;
        if piece.is_empty() {
            writeback.finish().await?;
            return Ok((arriving, length));
        }
        let file = arriving.file().map_err(failure)?.as_file();
        writeback.keep_up(file, length, threads).await?;
        let end = length + piece.iter().map(|frame| frame.len() as u64).sum::<u64>();
        let looks = length / LOOK_BYTES < end / LOOK_BYTES;
        writing = Writing::start(arriving, piece, looks, threads).await?;
        length = end;
    }
}

/// A file, or the write that has it. Dropped half way, the file is removed when the write ends.
enum Writing {
    Idle(Arriving),
    Busy(JoinHandle<io::Result<Arriving>>),
}

impl Writing {
    /// Starts the write of `piece`; one that `looks` fails where there is no room for more.
    async fn start(
        mut arriving: Arriving,
        piece: Vec<Bytes>,
        looks: bool,
        threads: &Threads,
    ) -> Result<Self, BlobsError> {
        let write = threads.start(move || {
            let file = arriving.file()?;
            if looks {
                check_room(file.as_file())?;
            }
            write(file, &piece)?;
            Ok(arriving)
        });
        Ok(Self::Busy(write.await?))
    }

    async fn finish(self) -> Result<Arriving, BlobsError> {
        match self {
            Self::Idle(arriving) => Ok(arriving),
            Self::Busy(write) => joined(write).await,
        }
    }
}

/// The next frames of `body`, at least [`GATHER_BYTES`] unless it ends; none when it has ended.
async fn gather(body: &mut ByteStream) -> io::Result<Vec<Bytes>> {
    let mut frames = Vec::new();
    let mut length = 0;
    while length < GATHER_BYTES
        && let Some(frame) = body.next().await.transpose()?
    {
        if !frame.is_empty() {
            length += frame.len();
            frames.push(frame);
        }
    }
    Ok(frames)
}

/// Writes all of `frames`, uncopied.
fn write(file: &mut NamedTempFile, frames: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = frames.iter().map(|frame| IoSlice::new(frame)).collect();
    let mut left = &mut slices[..];
    while !left.is_empty() {
        match file.as_file_mut().write_vectored(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut left, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
