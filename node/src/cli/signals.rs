//! The signals that ask a process to end.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Failure;

/// Ctrl-C and SIGTERM, neither of which ends the process any more once this is there.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Receives them from now on.
    pub(crate) fn receive() -> Result<Self, Failure> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(Failure::Signals)?,
            terminate: signal(SignalKind::terminate()).map_err(Failure::Signals)?,
        })
    }

    /// Resolves at the next one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
