//! What the peer listener and the rest of the node tell each other: whether a leader is heard of,
//! whether this node is about to stop, and what keeps it from taking part.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::Hindrance;

/// Between two words in the log on the same thing that an operator must see to.
pub(crate) const REMINDER_INTERVAL: Duration = Duration::from_secs(60);

/// A node's presence among its peers.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    leaving: AtomicBool,
    heard: Mutex<Heard>,
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

impl Presence {
    /// Notes that this node is about to stop.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    /// Whether this node is about to stop: it should not be handed leadership.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// Notes that a leader which this node follows has sent something, and whether it said that it
    /// hears a majority.
    pub(crate) fn hear(&self, has_majority: bool) {
        let now = Some(Instant::now());
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.any = now;
        if has_majority {
            heard.with_majority = now;
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
