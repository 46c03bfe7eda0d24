//! Connections to peers, apart by purpose: a snapshot or a large batch never delays a heartbeat or
//! a vote.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tonic::transport::Channel;

use crate::{Dial, DialError};

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    /// The leader's heartbeats, and the probes of linearizable reads.
    Heartbeats,
    /// Entries of the log.
    Entries,
    /// Votes, and the transfer of leadership.
    Votes,
    /// Snapshots.
    Snapshots,
}

/// One connection per peer and lane. Clones share them.
#[derive(Clone)]
pub(super) struct Lanes {
    dial: Arc<dyn Dial>,
    channels: Arc<Mutex<BTreeMap<(String, Lane), Channel>>>,
}

impl Lanes {
    pub(super) fn new(dial: Arc<dyn Dial>) -> Self {
        Self { dial, channels: Arc::default() }
    }

    /// The channel to `address` for `lane`, which connects when it is used.
    ///
    /// # Errors
    /// When `address` is none.
    pub(super) fn channel(&self, address: &str, lane: Lane) -> Result<Channel, DialError> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (address.to_owned(), lane);
        if let Some(channel) = channels.get(&key) {
            return Ok(channel.clone());
        }
        let channel = self.dial.dial(address)?;
        channels.insert(key, channel.clone());
        Ok(channel)
    }
}
