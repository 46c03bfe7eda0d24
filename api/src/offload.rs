//! Work that takes a processor for a while, kept away from the threads that answer.

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::spawn_blocking;

use crate::error::Error;

/// Runs `work` on a thread of its own, or right here on a runtime that has only one thread: a
/// simulation, in which a second thread would make the order of things depend on the machine.
pub(crate) async fn offload<T, W>(work: W) -> Result<T, Error>
where
    T: Send + 'static,
    W: FnOnce() -> T + Send + 'static,
{
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        return Ok(work());
    }
    Ok(spawn_blocking(work).await?)
}
