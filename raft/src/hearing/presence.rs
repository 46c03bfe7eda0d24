//! What the peer listener and the rest of the node tell each other: whether a leader is heard of,
//! and how far it is, whether this node is about to stop, and what keeps it from taking part.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::{Hindrance, barrier};

/// Between two words in the log on the same thing that an operator must see to.
pub(crate) const REMINDER_INTERVAL: Duration = Duration::from_secs(60);

/// A node's presence among its peers.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    leaving: AtomicBool,
    heard: Mutex<Heard>,
    committed: Mutex<Committed>,
    /// With the time when the log has said so.
    hindrance: Mutex<Option<(Hindrance, Instant)>>,
}

/// When a leader that this node follows has sent something last.
#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    /// Whether or not it heard a majority.
    any: Option<Instant>,
    with_majority: Option<Instant>,
}

/// How far leaders have said that the log is committed.
#[derive(Debug, Default)]
struct Committed {
    /// What they have said within [`barrier::DEADLINE`], and when: one for each [`Self::STEP`].
    lately: VecDeque<(Instant, u64)>,
    /// The last of what they have said before that.
    due: Option<u64>,
}

impl Committed {
    const STEP: Duration = Duration::from_millis(100);

    fn note(&mut self, now: Instant, index: u64) {
        self.pass(now);
        if self.lately.back().is_none_or(|(when, _)| now - *when >= Self::STEP) {
            self.lately.push_back((now, index));
        }
    }

    /// Has what was said too long ago be due.
    fn pass(&mut self, now: Instant) {
        while let Some((_, index)) =
            self.lately.pop_front_if(|(when, _)| now - *when > barrier::DEADLINE)
        {
            self.due = Some(index);
        }
    }
}

impl Presence {
    /// Notes that this node is about to stop.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// Whether this node is about to stop: it should not be handed leadership.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// Notes that a leader which this node follows has sent something, whether it said that it
    /// hears a majority, and how far it said that the log is committed.
    pub(crate) fn hear(&self, has_majority: bool, committed: Option<u64>) {
        let now = Instant::now();
        if let Some(index) = committed {
            self.committed().note(now, index);
        }
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.any = Some(now);
        if has_majority {
            heard.with_majority = Some(now);
        }
    }

    /// Whether a leader was heard of within `patience`: it lives, and can be asked.
    pub(crate) fn hears_a_leader(&self, patience: Duration) -> bool {
        self.heard().any.is_some_and(|when| when.elapsed() <= patience)
    }

    /// Whether a leader was heard of within `patience` that hears a majority: it can decide.
    pub(crate) fn hears_a_majority(&self, patience: Duration) -> bool {
        self.heard().with_majority.is_some_and(|when| when.elapsed() <= patience)
    }

    /// Whether this node, which has `applied` so much of the log, has applied everything that was
    /// committed longer ago than a read would wait. Goes by the commit index that leaders have
    /// sent, not by openraft's own, which stops moving when the disk hangs.
    pub(crate) fn keeps_up(&self, applied: Option<u64>) -> bool {
        let mut committed = self.committed();
        committed.pass(Instant::now());
        applied >= committed.due
    }

    fn committed(&self) -> MutexGuard<'_, Committed> {
        self.committed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn heard(&self) -> Heard {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what keeps this node from taking part, and has the log say so: at once, and rarely
    /// from then on.
    pub(crate) fn hinder(&self, hindrance: Hindrance) {
        let mut noted = self.hindrance.lock().unwrap_or_else(PoisonError::into_inner);
        let was_said = noted
            .as_ref()
            .is_some_and(|(known, said)| *known == hindrance && said.elapsed() < REMINDER_INTERVAL);
        if !was_said {
            tracing::error!("{hindrance}");
            *noted = Some((hindrance, Instant::now()));
        }
    }

    /// Notes that nothing keeps it from taking part any more.
    pub(crate) fn proceed(&self) {
        self.hindrance.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// What keeps it from taking part.
    pub(crate) fn hindrance(&self) -> Option<Hindrance> {
        let noted = self.hindrance.lock().unwrap_or_else(PoisonError::into_inner);
        noted.as_ref().map(|(hindrance, _)| hindrance.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A millisecond more than a read waits.
    const TOO_LONG: Duration = barrier::DEADLINE.saturating_add(Duration::from_millis(1));

    #[tokio::test(start_paused = true)]
    async fn a_node_keeps_up_that_has_applied_all_it_has_heard_of_but_the_latest() {
        let presence = Presence::default();
        assert!(presence.keeps_up(None), "it has heard nothing");
        presence.hear(true, None);
        presence.hear(true, Some(9));
        assert!(presence.keeps_up(None), "it has just heard of it");
        tokio::time::advance(TOO_LONG).await;
        assert!(!presence.keeps_up(None) && !presence.keeps_up(Some(8)));
        assert!(presence.keeps_up(Some(9)));
        presence.hear(true, Some(20));
        assert!(presence.keeps_up(Some(9)));
        tokio::time::advance(TOO_LONG).await;
        assert!(!presence.keeps_up(Some(19)) && presence.keeps_up(Some(20)));
    }

    /// A thousand entries a second, for a minute.
    #[tokio::test(start_paused = true)]
    async fn a_node_that_lags_less_than_a_read_waits_keeps_up_all_the_time_and_no_other_one() {
        let presence = Presence::default();
        let (mut quick, mut slow) = (0, 0);
        for now in (0..60_000_u64).step_by(10) {
            presence.hear(true, Some(now));
            assert!(presence.committed().lately.len() <= 21, "what is noted is bounded");
            quick += u32::from(presence.keeps_up(Some(now.saturating_sub(1_900))));
            slow += u32::from(presence.keeps_up(now.checked_sub(2_200)));
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        assert_eq!(quick, 6_000);
        // Until it had heard of the first entry for as long.
        assert!((200..=211).contains(&slow), "{slow}");
    }
}
