//! What the peer listener and the rest of the node tell each other: whether a leader is heard of,
//! and whether this node is about to stop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A node's presence among its peers.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    leaving: AtomicBool,
    heard: Mutex<Option<Instant>>,
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
}
