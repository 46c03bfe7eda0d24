//! The threads that wait for the file system.

use std::io;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinHandle};

use super::BlobsError;

/// Some of the runtime's threads that may block.
#[derive(Clone, Debug)]
pub(super) struct Threads(Arc<Semaphore>);

impl Threads {
    /// Threads that a store keeps busy at most: more than make a disk faster, and a quarter of
    /// those that the runtime has for all, so that a file system that hangs stops nothing else.
    /// Work that finds none free waits, for as long as that takes.
    pub(super) const MOST: usize = 128;

    /// At most `most` of them at once.
    pub(super) fn new(most: usize) -> Self {
        Self(Arc::new(Semaphore::new(most)))
    }

    /// Runs `work` to its end once a thread is free.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, BlobsError> + Send + 'static,
    ) -> Result<T, BlobsError> {
        self.start(work).await?.await.map_err(not_run).flatten()
    }

    /// Starts `work` once a thread is free. It goes on when nobody waits for it any more.
    pub(super) async fn start<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<T>, BlobsError> {
        let thread = Arc::clone(&self.0).acquire_owned().await;
        let thread = thread.map_err(|closed| BlobsError::Unavailable(io::Error::other(closed)))?;
        Ok(tokio::task::spawn_blocking(move || on(thread, work)))
    }

    /// Has `work` done at some time, by the first thread that is free.
    pub(super) fn leave(&self, work: impl FnOnce() + Send + 'static) {
        let Ok(runtime) = Handle::try_current() else { return work() };
        let threads = self.clone();
        runtime.spawn(async move { threads.start(work).await.map(drop) });
    }
}

/// What it means that work ended without an outcome: it panicked, or the process is shutting down.
pub(super) fn not_run(error: JoinError) -> BlobsError {
    BlobsError::Unavailable(io::Error::other(error))
}

/// Runs `work`, and counts `thread` as busy until it is done.
fn on<T>(thread: OwnedSemaphorePermit, work: impl FnOnce() -> T) -> T {
    let done = work();
    drop(thread);
    done
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use std::sync::mpsc;

    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn work_that_hangs_takes_no_more_threads_than_it_may() {
        let threads = Threads::new(2);
        let (go_on, hanging) = mpsc::channel::<()>();
        let hung = threads.start(move || hanging.recv()).await.unwrap();
        assert_eq!(threads.run(|| Ok(1)).await.unwrap(), 1, "there is another");
        let (go_on_too, hanging) = mpsc::channel::<()>();
        let given_up = threads.start(move || hanging.recv()).await.unwrap();
        drop(given_up);
        assert!(threads.start(|| ()).now_or_never().is_none(), "it still hangs");
        drop(go_on);
        hung.await.unwrap().unwrap_err();
        assert_eq!(threads.run(|| Ok(2)).await.unwrap(), 2);
        drop(go_on_too);
        let (left, is_done) = tokio::sync::oneshot::channel();
        threads.leave(move || left.send(()).unwrap());
        is_done.await.unwrap();
    }
}
