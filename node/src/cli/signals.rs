//! The signals that ask a process to end, and the one by which it shall not.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::task::AbortOnDropHandle;

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

/// Has the process go on at SIGHUP, by which other services read their files anew, and say so for
/// as long as what this answers is kept.
pub(crate) fn outlive_hangups() -> Result<AbortOnDropHandle<()>, Failure> {
    let mut hangup = signal(SignalKind::hangup()).map_err(Failure::Signals)?;
    let outliving = async move {
        while hangup.recv().await.is_some() {
            tracing::info!(
                "SIGHUP changes nothing: files of certificates, keys and users are read again \
                 whenever they change, and the configuration at the next start"
            );
        }
    };
    Ok(AbortOnDropHandle::new(tokio::spawn(outliving)))
}
