//! Work that may wait for a disk, kept away from the threads that answer.

use std::io;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::spawn_blocking;

/// Runs `work` on a thread that may block, or right here on a runtime that has only one thread: a
/// simulation, in which a second thread would make the order of things depend on the machine.
///
/// # Errors
/// Those of `work`, and when it panicked.
pub(crate) async fn offload<T, W>(work: W) -> io::Result<T>
where
    T: Send + 'static,
    W: FnOnce() -> io::Result<T> + Send + 'static,
{
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        return work();
    }
    spawn_blocking(work).await.map_err(io::Error::other)?
}
