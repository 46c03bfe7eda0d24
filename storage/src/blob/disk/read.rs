//! Reading: a thread that reads ahead into pooled buffers, for as long as the reader keeps up.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use proto::ObjectKey;
use tokio::sync::mpsc;

use super::error::failure;
use super::folder::Folder;
use super::parts::{Part, parts};
use super::threads::Threads;
use crate::blob::{BlobsError, ByteStream};

/// Bytes of one frame: large enough that switching threads costs nothing beside copying.
const FRAME_BYTES: usize = 256 * 1024;

/// Frames that are read ahead of the reader; with those in its hands, at most 2 MiB a transfer.
const FRAMES_AHEAD: usize = 4;

/// Reads `range` of `object`, see [`crate::Blobs::read`].
pub(super) async fn read(
    folder: &Arc<Folder>,
    object: ObjectKey,
    range: Range<u64>,
) -> Result<ByteStream, BlobsError> {
    if range.is_empty() {
        return Ok(stream::empty().boxed());
    }
    let source = folder.blocking(move |folder| Source::find(folder, object, range)).await?;
    let (frames, received) = mpsc::channel(FRAMES_AHEAD);
    tokio::spawn(send(source, frames, folder.threads.clone()));
    let received = stream::unfold(received, async |mut received| {
        received.recv().await.map(|frame| (frame, received))
    });
    Ok(received.boxed())
}

/// Sends all of `source`, then closes the channel. Threads are taken only while there is room for
/// frames, so a reader that is slow keeps none waiting.
async fn send(mut source: Source, frames: mpsc::Sender<io::Result<Bytes>>, threads: Threads) {
    // No permit: nobody reads any more.
    while let Ok(permit) = frames.clone().reserve_owned().await {
        match threads.run(move || Ok(source.send_burst(permit))).await {
            Ok(Some(rest)) => source = rest,
            Ok(None) => return,
            Err(error) => {
                // A closed channel reads as the end; say that it is not. It fails only when nobody
                // reads.
                let _ = frames.send(Err(io::Error::other(error))).await;
                return;
            }
        }
    }
}

/// What is still to be read of a range.
struct Source {
    /// Where to go on, and where to stop, in bytes of the object.
    range: Range<u64>,
    /// The parts that hold it; the current one, once opened, is in `open`.
    parts: std::vec::IntoIter<Part>,
    open: Option<(Part, File)>,
    pool: Pool,
}

impl Source {
    /// Finds the parts that hold `range`.
    fn find(folder: &Folder, object: ObjectKey, range: Range<u64>) -> Result<Self, BlobsError> {
        let mut within = Vec::new();
        for part in parts(folder, object, 0) {
            let part = part.map_err(failure)?;
            let is_last = part.end >= range.end;
            if part.end > range.start {
                within.push(part);
            }
            if is_last {
                let parts = within.into_iter();
                return Ok(Self { range, parts, open: None, pool: Pool::new() });
            }
        }
        Err(BlobsError::Missing(object))
    }

    /// Reads and sends until there is no room for more frames; answers what is left, if anything
    /// is.
    fn send_burst(mut self, first: mpsc::OwnedPermit<io::Result<Bytes>>) -> Option<Self> {
        let mut permit = first;
        loop {
            let frame = self.frame();
            let is_last = frame.is_err() || self.range.is_empty();
            let frames = permit.send(frame);
            if is_last {
                return None;
            }
            permit = match frames.try_reserve_owned() {
                Ok(permit) => permit,
                Err(_) => return Some(self),
            };
        }
    }

    /// The next frame.
    fn frame(&mut self) -> io::Result<Bytes> {
        let (part, file) = match self.open.take() {
            Some(open) => open,
            None => {
                let part = self.parts.next().ok_or(io::ErrorKind::UnexpectedEof)?;
                let file = File::open(&part.path)?;
                (part, file)
            }
        };
        let end = part.end.min(self.range.end);
        let length = usize::try_from(end - self.range.start).unwrap_or(usize::MAX).min(FRAME_BYTES);
        let mut buffer = self.pool.take();
        // A file that has become shorter is an error here, not an early end.
        file.read_exact_at(buffer.space(length), self.range.start - part.start)?;
        self.range.start += length as u64;
        if self.range.start < part.end {
            self.open = Some((part, file));
        }
        Ok(Bytes::from_owner(buffer))
    }
}

/// Buffers that come back when the frames made of them are dropped.
struct Pool {
    home: Sender<Vec<u8>>,
    back: Receiver<Vec<u8>>,
}

impl Pool {
    fn new() -> Self {
        let (home, back) = channel();
        Self { home, back }
    }

    fn take(&self) -> Buffer {
        let bytes = self.back.try_recv().unwrap_or_default();
        Buffer { bytes, length: 0, home: self.home.clone() }
    }
}

/// A buffer on loan from a [`Pool`].
struct Buffer {
    bytes: Vec<u8>,
    length: usize,
    home: Sender<Vec<u8>>,
}

impl Buffer {
    /// The first `length` bytes, to be filled; they become the content.
    fn space(&mut self, length: usize) -> &mut [u8] {
        if self.bytes.len() < length {
            self.bytes.resize(length, 0);
        }
        self.length = length;
        &mut self.bytes[..length]
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // Fails when the read is over; then the buffer is freed.
        let _ = self.home.send(std::mem::take(&mut self.bytes));
    }
}
