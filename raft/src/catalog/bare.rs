//! The catalog without consensus around it, for benchmarks.
//!
//! Behind [`Cluster`](crate::Cluster) the rules are a small part of what a proposal costs, so what
//! they cost by themselves cannot be seen there. This is a door for `raft/benches` alone, which
//! `node/tests/tidy.rs` watches. It is always compiled: behind a feature, benchmarks would need
//! this crate and all above it to be built once more.

use std::sync::Arc;

use openraft::EntryPayload;
use proto::{Event, Outcome, Refusal, Stamped, Timestamp};
use storage::{Batch, Kv};

use super::decide::{NotDecided, decide};
use super::project::project;
use super::{StateMachine, View};
use crate::ReadError;
use crate::types::{Entry, log_id};

/// A catalog that applies what it is given, one command after the other.
pub struct BareCatalog {
    machine: StateMachine,
    view: View,
    /// The index of the last entry.
    last: u64,
}

impl BareCatalog {
    /// The catalog of a new store.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn new(kv: Arc<dyn Kv>) -> Result<Self, ReadError> {
        let machine = StateMachine::open(Arc::clone(&kv))?;
        Ok(Self { machine, view: View::current(kv)?, last: 0 })
    }

    /// What would happen if `command` came next, or why nothing.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn decide(&self, command: &Stamped) -> Result<Result<Vec<Event>, Refusal>, ReadError> {
        match decide(&self.view, self.last + 1, command.when, &command.command) {
            Ok(decision) => Ok(Ok(decision.events)),
            Err(NotDecided::Refused(refusal)) => Ok(Err(refusal)),
            Err(NotDecided::Unreadable(error)) => Err(error),
        }
    }

    /// What `events`, if they happened at `when`, would change in the rows.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn project(&self, when: Timestamp, events: &[Event]) -> Result<Batch, ReadError> {
        let mut batch = Batch::new();
        for event in events {
            project(&self.view, when, event, &mut batch)?;
        }
        Ok(batch)
    }

    /// Applies `command` as the next entry of the log: all that a node does with one.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn apply(&mut self, command: Stamped) -> Result<Option<Outcome>, ReadError> {
        self.last += 1;
        let entry = Entry { log_id: log_id(1, self.last), payload: EntryPayload::Normal(command) };
        Ok(self.machine.apply_entry(&entry)?.outcome)
    }
}
