//! When which operation begins.
//!
//! Without a rate the loop is closed: each client begins an operation when its last one is over,
//! and a server that is slow is asked less. With a rate it is open: operation `n` is due
//! `n / rate` seconds after the beginning whatever the server does, and its latency counts from
//! then. A generator that measured only from when it got round to asking would leave out just the
//! waiting that overload causes ("coordinated omission").

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// The operations of a run.
pub(crate) struct Schedule {
    began: Instant,
    /// How long operations begin.
    duration: Option<Duration>,
    /// How many there are.
    count: Option<u64>,
    /// How many are due in a second.
    rate: Option<f64>,
    next: AtomicU64,
}

/// An operation that is to begin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Turn {
    pub(crate) number: u64,
    /// When it is due; `None` means now.
    pub(crate) due: Option<Instant>,
}

impl Schedule {
    /// A schedule that begins now.
    pub(crate) fn new(duration: Option<Duration>, count: Option<u64>, rate: Option<f64>) -> Self {
        Self { began: Instant::now(), duration, count, rate, next: AtomicU64::new(0) }
    }

    /// When it began.
    pub(crate) const fn began(&self) -> Instant {
        self.began
    }

    /// How much of it is over at `now`, from 0 to 1.
    pub(crate) fn progress(&self, now: Instant, over: u64) -> f64 {
        let elapsed = now.saturating_duration_since(self.began).as_secs_f64();
        let of_time = self.duration.map(|duration| elapsed / duration.as_secs_f64());
        let of_count = self.count.map(|count| approximate(over) / approximate(count));
        of_time.unwrap_or(0.0).max(of_count.unwrap_or(0.0)).min(1.0)
    }

    /// The next operation, for the player that asks first; `None` when no more begin.
    pub(crate) fn turn(&self, now: Instant) -> Option<Turn> {
        let end = self.duration.map(|duration| self.began + duration);
        if end.is_some_and(|end| now >= end) {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let due =
            self.rate.map(|rate| self.began + Duration::from_secs_f64(approximate(number) / rate));
        let is_too_many = self.count.is_some_and(|count| number >= count);
        let is_too_late = due.is_some_and(|due| end.is_some_and(|end| due >= end));
        if is_too_many || is_too_late {
            self.next.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Turn { number, due })
    }

    /// How many operations were due when the time was over and had not begun, since all clients
    /// were waiting for others.
    pub(crate) fn missed(&self) -> u64 {
        let (Some(rate), Some(duration)) = (self.rate, self.duration) else { return 0 };
        let due = (rate * duration.as_secs_f64()).ceil();
        let due = self.count.map_or(due, |count| due.min(approximate(count)));
        whole((due - approximate(self.next.load(Ordering::Relaxed))).max(0.0))
    }
}

/// `number` as a float; exact up to 2^53, which no run reaches.
#[expect(clippy::cast_precision_loss, reason = "no run has 2^53 of anything")]
pub(crate) const fn approximate(number: u64) -> f64 {
    number as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is small")]
const fn whole(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_closed_loop_ends_by_count_or_time() {
        let schedule = Schedule::new(Some(SECOND), Some(2), None);
        let now = schedule.began();
        assert_eq!(schedule.turn(now), Some(Turn { number: 0, due: None }));
        assert_eq!(schedule.turn(now + SECOND), None);
        assert_eq!(schedule.turn(now), Some(Turn { number: 1, due: None }));
        assert_eq!(schedule.turn(now), None);
        assert_eq!(schedule.missed(), 0);
    }

    #[test]
    fn an_open_loop_does_not_wait_for_the_server() {
        let schedule = Schedule::new(Some(SECOND), None, Some(4.0));
        let late = schedule.began() + SECOND * 9 / 10;
        for number in 0..2 {
            let due = schedule.began() + SECOND / 4 * number;
            let turn = Turn { number: number.into(), due: Some(due) };
            assert_eq!(schedule.turn(late), Some(turn), "due before it was asked for");
        }
        assert_eq!(schedule.turn(schedule.began() + SECOND), None);
        assert_eq!(schedule.missed(), 2, "two were due and never began");
    }

    #[test]
    fn nothing_is_due_after_the_end() {
        let schedule = Schedule::new(Some(SECOND), None, Some(2.0));
        let now = schedule.began();
        assert!(schedule.turn(now).is_some() && schedule.turn(now).is_some());
        assert_eq!(schedule.turn(now), None);
        assert_eq!(schedule.missed(), 0);
    }
}
