//! Patience with a client, which it earns by moving bytes: one that sends or takes a byte a minute
//! holds what others need.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use proto::limits::PACE_BYTES;
use tokio::time::{Instant, Sleep, sleep};

/// How long a client may still keep us waiting before it has moved [`PACE_BYTES`]. Only its own
/// time counts, not that of a store or a handler.
pub(super) struct Pace {
    patience: Duration,
    left: Duration,
    /// Bytes since the patience was whole.
    moved: usize,
    /// Since when the client keeps us waiting.
    since: Option<Instant>,
}

impl Pace {
    pub(super) const fn new(patience: Duration) -> Self {
        Self { patience, left: patience, moved: 0, since: None }
    }

    /// Begins to wait, unless that was before; answers until when.
    pub(super) fn wait(&mut self) -> Instant {
        *self.since.get_or_insert_with(Instant::now) + self.left
    }

    /// Ends the wait, if there is one.
    pub(super) fn go_on(&mut self) {
        if let Some(since) = self.since.take() {
            self.left = self.left.saturating_sub(since.elapsed());
        }
    }

    /// Counts bytes that moved.
    pub(super) fn moved(&mut self, bytes: usize) {
        self.moved = self.moved.saturating_add(bytes);
        if self.moved >= PACE_BYTES {
            self.moved = 0;
            self.left = self.patience;
        }
    }

    /// Whether the client waits too long.
    pub(super) fn is_lost(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() > self.left)
    }
}

/// A [`Pace`] that rings when patience is at its end.
pub(super) struct Alarm {
    pace: Pace,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    pub(super) const fn new(patience: Duration) -> Self {
        Self { pace: Pace::new(patience), timer: None }
    }

    /// Counts bytes that moved, which ends the wait for them.
    pub(super) fn moved(&mut self, bytes: usize) {
        self.pace.go_on();
        self.pace.moved(bytes);
    }

    /// Waits for the client; ready when that has been too long.
    pub(super) fn poll_lost(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let is_new = self.pace.since.is_none();
        let deadline = self.pace.wait();
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(Duration::ZERO)));
        if is_new {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_spent_by_waiting_and_earned_by_bytes() {
        let mut pace = Pace::new(Duration::from_secs(60));
        pace.wait();
        assert!(!pace.is_lost());
        pace.since = Instant::now().checked_sub(Duration::from_secs(59));
        assert!(!pace.is_lost());
        pace.go_on();
        pace.moved(PACE_BYTES - 1);
        pace.wait();
        pace.since = Instant::now().checked_sub(Duration::from_secs(2));
        assert!(pace.is_lost(), "59 s and 2 s of 60 s");
        pace.go_on();
        pace.moved(1);
        pace.wait();
        assert!(!pace.is_lost(), "all of it is there again");
    }
}
