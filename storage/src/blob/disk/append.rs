//! Appending: frames gathered while what came before is written, then synced and published.

use std::io::{self, IoSlice, Write as _};
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use proto::ObjectKey;
use tempfile::NamedTempFile;
use tokio::task::JoinHandle;

use super::error::{blocking, failure, joined};
use super::folder::Folder;
use super::parts::{self, Part};
use super::writeback::Writeback;
use crate::blob::body::begun;
use crate::blob::{BlobsError, ByteStream};

/// Bytes that are gathered before they are written: few switches between threads, and little memory
/// for a transfer, which holds this much twice.
const GATHER_BYTES: usize = 1024 * 1024;

/// Appends `body` to `object`, which may have `parts_max` parts, see [`crate::Blobs::append`].
pub(super) async fn append(
    folder: &Arc<Folder>,
    object: ObjectKey,
    offset: u64,
    parts_max: usize,
    body: ByteStream,
) -> Result<u64, BlobsError> {
    let place = Arc::clone(folder);
    let (previous, count) = blocking(move || last_before(&place, object, offset)).await?;
    let Some(body) = begun(body).await? else { return Ok(offset) };
    // Decided on what the store has, whatever clients were told.
    if count >= parts_max {
        return Err(BlobsError::TooManyParts);
    }
    let place = Arc::clone(folder);
    let file = blocking(move || place.temporary().map_err(failure)).await?;
    let (file, length) = receive(file, body).await?;
    let place = Arc::clone(folder);
    blocking(move || {
        file.as_file().sync_data().map_err(failure)?;
        if parts::publish(&place, object, previous.as_ref(), file).map_err(failure)? {
            return Ok(offset + length);
        }
        Err(BlobsError::Offset { extent: parts::extent(&place, object).map_err(failure)? })
    })
    .await
}

/// The last part of `object`, which must end at `offset`, or none when it must have no parts; and
/// how many there are.
fn last_before(
    folder: &Folder,
    object: ObjectKey,
    offset: u64,
) -> Result<(Option<Part>, usize), BlobsError> {
    let (last, count) = parts::last(folder, object).map_err(failure)?;
    match last.as_ref().map_or(0, |part| part.end) {
        extent if extent == offset => Ok((last, count)),
        extent => Err(BlobsError::Offset { extent }),
    }
}

/// Writes `body` to `file`. While one piece is being written the next is awaited, so whoever makes
/// the body, by hashing it for example, works beside the disk; and a slow body keeps no thread
/// waiting.
async fn receive(
    file: NamedTempFile,
    mut body: ByteStream,
) -> Result<(NamedTempFile, u64), BlobsError> {
    let mut length = 0;
    let mut writing = Writing::Idle(file);
    let mut writeback = Writeback::default();
    loop {
        let piece = gather(&mut body).await.map_err(BlobsError::Body)?;
        let file = writing.finish().await?;
        if piece.is_empty() {
            writeback.finish().await?;
            return Ok((file, length));
        }
        writeback.keep_up(file.as_file(), length).await?;
        length += piece.iter().map(|frame| frame.len() as u64).sum::<u64>();
        writing = Writing::start(file, piece);
    }
}

/// A file, or the write that has it. Dropped half way, the file is removed when the write ends.
enum Writing {
    Idle(NamedTempFile),
    Busy(JoinHandle<io::Result<NamedTempFile>>),
}

impl Writing {
    fn start(mut file: NamedTempFile, piece: Vec<Bytes>) -> Self {
        Self::Busy(tokio::task::spawn_blocking(move || {
            write(&mut file, &piece)?;
            Ok(file)
        }))
    }

    async fn finish(self) -> Result<NamedTempFile, BlobsError> {
        match self {
            Self::Idle(file) => Ok(file),
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
