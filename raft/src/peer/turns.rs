//! Whose snapshot this node takes: one at a time, and always the newest leader's.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::types::Vote;

/// One turn at a time. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Turns {
    current: Arc<Mutex<Current>>,
}

#[derive(Default)]
struct Current {
    /// Goes up with each turn: a turn that ends late does not end the one after it.
    number: u64,
    stage: Stage,
}

#[derive(Default)]
enum Stage {
    #[default]
    Free,
    /// Rows come from the leader of this vote. Dropping the sender displaces the turn.
    Coming { vote: Vote, _displace: oneshot::Sender<()> },
    /// Raft installs the snapshot, and is not to be disturbed.
    Installing,
}

impl Turns {
    /// A turn for the leader of `vote`. It displaces a snapshot that is still coming from the same
    /// leader, which has given that snapshot up, or from an earlier leader. `None` while the
    /// snapshot of a later leader is coming, or one is being installed.
    pub(super) fn take(&self, vote: Vote) -> Option<Turn> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let is_free = match &current.stage {
            Stage::Free => true,
            Stage::Coming { vote: coming, .. } => vote >= *coming,
            Stage::Installing => false,
        };
        if !is_free {
            return None;
        }
        let (displace, displaced) = oneshot::channel();
        current.number += 1;
        current.stage = Stage::Coming { vote, _displace: displace };
        let turns = self.clone();
        Some(Turn { number: current.number, displaced, turns })
    }
}

/// The turn to send a snapshot, until it is dropped.
pub(super) struct Turn {
    number: u64,
    displaced: oneshot::Receiver<()>,
    turns: Turns,
}

impl Turn {
    /// What `work` comes to; `None` when a newer snapshot took this one's place before it ended.
    pub(super) async fn unless_displaced<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            // Nothing is ever sent: this is the end of the sender.
            _ = &mut self.displaced => None,
            done = work => Some(done),
        }
    }

    /// The same turn, which nothing displaces any more. `None` when something has.
    pub(super) fn install(self) -> Option<Self> {
        let mut current = self.turns.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.number != self.number {
            return None;
        }
        current.stage = Stage::Installing;
        drop(current);
        Some(self)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut current = self.turns.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.number == self.number {
            current.stage = Stage::Free;
        }
    }
}
