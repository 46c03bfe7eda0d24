//! Connections to other nodes, apart by purpose: a snapshot or a large batch never delays a
//! heartbeat or a vote.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proto::PeerAddress;
use tonic::transport::Channel;

use crate::{Dial, DialError};

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lane {
    /// The leader's heartbeats, and the probes of linearizable reads.
    Heartbeats,
    /// Entries of the log.
    Entries,
    /// Votes, and the transfer of leadership.
    Votes,
    /// Snapshots.
    Snapshots,
    /// What nodes ask of each other beside Raft.
    Requests,
}

/// One connection per node and lane, opened when it is first needed. Clones share them.
#[derive(Clone)]
pub(crate) struct Lanes {
    dial: Arc<dyn Dial>,
    channels: Arc<Mutex<BTreeMap<(PeerAddress, Lane), Channel>>>,
}

impl Lanes {
    pub(crate) fn new(dial: Arc<dyn Dial>) -> Self {
        Self { dial, channels: Arc::default() }
    }

    /// The channel to `address` for `lane`, which connects when it is used.
    ///
    /// # Errors
    /// When nothing can be reached there.
    pub(crate) fn channel(&self, address: &PeerAddress, lane: Lane) -> Result<Channel, DialError> {
        let mut channels = self.channels();
        let key = (address.clone(), lane);
        if let Some(channel) = channels.get(&key) {
            return Ok(channel.clone());
        }
        let channel = self.dial.dial(address)?;
        channels.insert(key, channel.clone());
        Ok(channel)
    }

    /// Drops the connections to all other addresses than `known`: a node that was removed, or is
    /// reached elsewhere now, costs nothing more. What is under way on them goes on.
    pub(crate) fn keep(&self, known: &BTreeSet<PeerAddress>) {
        self.channels().retain(|(address, _), _| known.contains(address));
    }

    fn channels(&self) -> MutexGuard<'_, BTreeMap<(PeerAddress, Lane), Channel>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use std::sync::atomic::{AtomicUsize, Ordering};

    use tonic::transport::Endpoint;

    use super::*;

    #[derive(Default)]
    struct CountingDial(AtomicUsize);

    impl Dial for CountingDial {
        fn dial(&self, address: &PeerAddress) -> Result<Channel, DialError> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy())
        }
    }

    #[tokio::test]
    async fn only_connections_to_known_addresses_are_kept() {
        let dial = Arc::new(CountingDial::default());
        let dialled = || dial.0.load(Ordering::Relaxed);
        let lanes = Lanes::new(Arc::<CountingDial>::clone(&dial));
        let [stays, goes] = ["a:1", "b:1"].map(|address| address.parse::<PeerAddress>().unwrap());
        for _ in 0..2 {
            lanes.channel(&stays, Lane::Entries).unwrap();
            lanes.channel(&stays, Lane::Votes).unwrap();
            lanes.channel(&goes, Lane::Entries).unwrap();
        }
        assert_eq!(dialled(), 3, "one for each address and lane");

        lanes.keep(&BTreeSet::from([stays.clone()]));
        lanes.channel(&stays, Lane::Entries).unwrap();
        assert_eq!(dialled(), 3);
        lanes.channel(&goes, Lane::Entries).unwrap();
        assert_eq!(dialled(), 4);
    }
}
