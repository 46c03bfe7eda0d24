//! A word to the operator who waits for a store that takes long to open.
//!
//! RocksDB replays its log, which may take minutes where the disk is slow. It never ends where a
//! bit of the log has flipped so that a record seems to belong to a log whose file was used again
//! (RocksDB 11.8, `log::Reader::ReadPhysicalRecord`): a node must not stand still in silence then.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// Between two words.
pub(super) const EVERY: Duration = Duration::from_secs(30);

/// Does `open`, and calls `still` after each `every` for which it takes.
pub(super) fn accompany<T>(
    every: Duration,
    still: impl Fn() + Send,
    open: impl FnOnce() -> T,
) -> T {
    thread::scope(|scope| {
        let (_opening, opened) = channel::<()>();
        scope.spawn(move || {
            while opened.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                still();
            }
        });
        open()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_is_told_again_and_again_until_it_is_open() {
        let (say, said) = channel();
        let still = move || {
            // Fails when enough was said.
            let _ = say.send(());
        };
        let open = || said.recv().and_then(|()| said.recv()).is_ok();
        assert!(accompany(Duration::from_millis(1), still, open));
    }
}
