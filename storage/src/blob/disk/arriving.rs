//! The file of a part that arrives.

use std::io;

use tempfile::NamedTempFile;

use crate::blob::threads::Threads;

/// A temporary file. Dropped before it was [taken](Arriving::take), it is removed by a thread that
/// may block: a file system that hangs must not stop the thread that drops it.
pub(super) struct Arriving {
    file: Option<NamedTempFile>,
    threads: Threads,
}

impl Arriving {
    pub(super) fn new(file: NamedTempFile, threads: &Threads) -> Self {
        Self { file: Some(file), threads: threads.clone() }
    }

    /// The file, to be written to.
    pub(super) fn file(&mut self) -> io::Result<&mut NamedTempFile> {
        self.file.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The file, which is then removed where it is dropped.
    pub(super) fn take(mut self) -> io::Result<NamedTempFile> {
        self.file.take().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            self.threads.leave(move || drop(file));
        }
    }
}
