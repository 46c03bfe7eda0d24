//! Reading files: what the system has in memory is read at once, where it is asked for; what must
//! come from the disk is read ahead by a thread, for as long as the reader keeps up.
//!
//! No file is mapped: `docs/adr/0014-files-are-read-and-not-mapped.md` says why.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use rustix::io::{ReadWriteFlags, preadv2};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::error::failure;
use super::threads::Threads;
use super::{BlobsError, ByteStream};

/// Bytes of one frame: large enough that what is done once a frame costs nothing beside copying.
const FRAME_BYTES: usize = 256 * 1024;

/// Frames that are read ahead of the reader; with those in its hands, at most 2 MiB a transfer.
const FRAMES_AHEAD: usize = 4;

/// A file, and which bytes it holds of what several files hold together: at least one.
#[derive(Debug)]
pub(super) struct Part {
    /// The file.
    pub(super) path: PathBuf,
    /// Where it starts, in bytes.
    pub(super) start: u64,
    /// Where the next part starts.
    pub(super) end: u64,
}

/// Reads `range` of the file at `path`, which must hold all of it.
pub(super) async fn read_file(
    path: PathBuf,
    range: Range<u64>,
    threads: &Threads,
) -> Result<ByteStream, BlobsError> {
    let part = Part { path, start: 0, end: range.end };
    let source = threads.run(move || Source::open(range, vec![part]).map_err(failure)).await?;
    Ok(source.read(threads))
}

/// A transfer.
struct Reading {
    turn: Turn,
    threads: Threads,
}

/// Who reads the next frame.
enum Turn {
    /// The readers that want it.
    Reader(Source),
    /// A thread, which sends what it reads.
    Thread(mpsc::Receiver<io::Result<Bytes>>, JoinHandle<Source>),
}

impl Reading {
    /// The next frame, if there is one.
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        loop {
            self.turn = match self.turn {
                Turn::Reader(mut source) => match source.frame_at_hand(read_at_hand) {
                    Some(frame) => {
                        return Ok(Some((frame, Self { turn: Turn::Reader(source), ..self })));
                    }
                    None if source.range.is_empty() => return Ok(None),
                    None => read_ahead(source, &self.threads).await?,
                },
                Turn::Thread(mut frames, thread) => match frames.recv().await {
                    Some(frame) => {
                        let turn = Turn::Thread(frames, thread);
                        return Ok(Some((frame?, Self { turn, ..self })));
                    }
                    None => Turn::Reader(thread.await.map_err(io::Error::other)?),
                },
            };
        }
    }
}

/// Has a thread read the next frames of `source`. There is room for all of them, so that a reader
/// that is slow keeps no thread waiting.
async fn read_ahead(mut source: Source, threads: &Threads) -> io::Result<Turn> {
    let (frames, received) = mpsc::channel(FRAMES_AHEAD);
    let thread = threads.start(move || {
        for _ in 0..FRAMES_AHEAD {
            if source.range.is_empty() {
                break;
            }
            let frame = source.frame();
            let is_last = frame.is_err();
            // Refused when nobody reads any more.
            if frames.try_send(frame).is_err() || is_last {
                break;
            }
        }
        source
    });
    Ok(Turn::Thread(received, thread.await.map_err(io::Error::other)?))
}

/// What is still to be read of a range.
pub(super) struct Source {
    /// Where to go on, and where to stop, in bytes of the object.
    range: Range<u64>,
    /// The parts that hold it; the current one, once opened, is in `open`.
    parts: std::vec::IntoIter<Part>,
    open: Option<(Part, File)>,
    pool: Pool,
}

impl Source {
    /// What `parts` hold in `range`: they are in order, and hold all of it. Opens the first.
    pub(super) fn open(range: Range<u64>, parts: Vec<Part>) -> io::Result<Self> {
        let mut source = Self { range, parts: parts.into_iter(), open: None, pool: Pool::new() };
        source.open = Some(source.next_part()?);
        Ok(source)
    }

    /// Its bytes.
    pub(super) fn read(self, threads: &Threads) -> ByteStream {
        let reading = Reading { turn: Turn::Reader(self), threads: threads.clone() };
        stream::try_unfold(reading, Reading::next).boxed()
    }

    fn next_part(&mut self) -> io::Result<(Part, File)> {
        let part = self.parts.next().ok_or(io::ErrorKind::UnexpectedEof)?;
        let file = File::open(&part.path)?;
        Ok((part, file))
    }

    /// What of the next frame the system has in memory, if anything, as `read` tells.
    fn frame_at_hand(
        &mut self,
        read: impl FnOnce(&File, &mut [u8], u64) -> rustix::io::Result<usize>,
    ) -> Option<Bytes> {
        let (part, file) = self.open.take()?;
        let mut buffer = self.pool.take();
        let space = buffer.space(self.frame_bytes(&part));
        match read(&file, space, self.range.start - part.start) {
            // Nothing, or the system cannot tell, or it fails, or the file has become shorter: that
            // comes of reading on a thread. Linux 5.9 and 5.10 say 0 of what is not in memory.
            Ok(0) | Err(_) => {
                self.open = Some((part, file));
                None
            }
            Ok(length) => {
                buffer.length = length;
                Some(self.pass(part, file, buffer))
            }
        }
    }

    /// The next frame, from wherever it is. A file that has become shorter is an error, not an
    /// early end.
    fn frame(&mut self) -> io::Result<Bytes> {
        let (part, file) = match self.open.take() {
            Some(open) => open,
            None => self.next_part()?,
        };
        let mut buffer = self.pool.take();
        let space = buffer.space(self.frame_bytes(&part));
        file.read_exact_at(space, self.range.start - part.start)?;
        Ok(self.pass(part, file, buffer))
    }

    /// How many bytes the next frame has at most, which comes from `part`.
    fn frame_bytes(&self, part: &Part) -> usize {
        let end = part.end.min(self.range.end);
        usize::try_from(end - self.range.start).unwrap_or(usize::MAX).min(FRAME_BYTES)
    }

    /// Goes on after `buffer`, which was read from `part`.
    fn pass(&mut self, part: Part, file: File, buffer: Buffer) -> Bytes {
        self.range.start += buffer.length as u64;
        if self.range.start < part.end && !self.range.is_empty() {
            self.open = Some((part, file));
        }
        Bytes::from_owner(buffer)
    }
}

/// Reads from `at` on what of `file` the system has in memory.
fn read_at_hand(file: &File, space: &mut [u8], at: u64) -> rustix::io::Result<usize> {
    preadv2(file, &mut [IoSliceMut::new(space)], at, ReadWriteFlags::NOWAIT)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use std::io::Write as _;

    use super::*;

    /// As Linux 5.9 and 5.10 say it of what is not in memory.
    #[test]
    fn that_nothing_is_at_hand_is_not_the_end_of_the_file() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"abc").unwrap();
        let part = Part { path: PathBuf::new(), start: 0, end: 3 };
        let (parts, pool) = (Vec::new().into_iter(), Pool::new());
        let mut source = Source { range: 0..3, parts, open: Some((part, file)), pool };
        assert_eq!(source.frame_at_hand(|_, _, _| Ok(0)), None);
        assert_eq!(source.frame().unwrap(), "abc");
    }
}
