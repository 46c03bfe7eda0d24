//! What the peer listener and the rest of the node tell each other: whether a leader is heard of,
//! whether this node is about to stop, and what keeps it from taking part.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::Hindrance;

/// Between two words in the log on what keeps this node from taking part.
const REMINDER_INTERVAL: Duration = Duration::from_secs(60);

/// A node's presence among its peers.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    leaving: AtomicBool,
    heard: Mutex<Option<Instant>>,
    /// With the time when the log has said so.
    hindrance: Mutex<Option<(Hindrance, Instant)>>,
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

    /// Notes that a leader which this node follows has sent something.
    pub(crate) fn hear(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether a leader was heard of within `patience`.
    pub(crate) fn hears_a_leader(&self, patience: Duration) -> bool {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.is_some_and(|when| when.elapsed() <= patience)
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
