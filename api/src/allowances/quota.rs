//! How much of something each client and all of them together may have at once.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::client::Client;

/// For each share, how many may wait for one, unless it is said.
const WAITING_PER_SHARE: usize = 8;

/// A number of equal shares, of which each client may hold a part. Clones are the same quota.
#[derive(Clone, Debug)]
pub struct Quota(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    all: Portion,
    /// How large the part of each client is.
    each: usize,
    /// For each of these, how many may wait for one.
    waiting_of_each: usize,
    /// The parts of clients that have something, or wait for it.
    parts: Mutex<BTreeMap<Client, Part>>,
}

/// The part of one client.
#[derive(Debug)]
struct Part {
    portion: Arc<Portion>,
    /// How many places the client has. Counted under the lock, and not by who still has the
    /// portion: of two places that go at the same moment, each would see the other one, and the
    /// part would stay.
    places: usize,
}

impl Quota {
    /// A quota of `total` shares, of which each client gets at most `each`.
    pub fn new(total: usize, each: usize) -> Self {
        Self::with_lines(total, each, WAITING_PER_SHARE, WAITING_PER_SHARE)
    }

    /// A quota like [`Quota::new`], with lines of another length: for each share of all, `waiting`
    /// may wait for one, and for each share of a client, `waiting_of_each`.
    pub(crate) fn with_lines(
        total: usize,
        each: usize,
        waiting: usize,
        waiting_of_each: usize,
    ) -> Self {
        let all = Portion::of(total, waiting);
        Self(Arc::new(Inner { all, each, waiting_of_each, parts: Mutex::default() }))
    }

    /// A share for `client`, until it is dropped. `None` when there is none left, or `client` has
    /// its part.
    pub fn take(&self, client: Client) -> Option<Share> {
        let place = self.place(client);
        let of_part = place.part.take()?;
        let of_all = self.0.all.take()?;
        Some(Share { _shares: [of_part, of_all], _place: place })
    }

    /// A share for `client`, for which it waits its turn, for `patience` at most. `None` when it
    /// comes to none, or too many wait already.
    ///
    /// # Cancellation
    /// Dropping the future gives the turn up.
    pub async fn wait(&self, client: Client, patience: Duration) -> Option<Share> {
        if let Some(share) = self.take(client) {
            return Some(share);
        }
        let place = self.place(client);
        let shares = async {
            // A client waits for a share of all only with a share of its own part in hand: so no
            // client alone can fill that line.
            let of_part = place.part.wait().await?;
            let of_all = self.0.all.wait().await?;
            Some([of_part, of_all])
        };
        let shares = timeout(patience, shares).await.ok()??;
        Some(Share { _shares: shares, _place: place })
    }

    fn place(&self, client: Client) -> Place {
        let portion = || Portion::of(self.0.each, self.0.waiting_of_each);
        let fresh = || Part { portion: Arc::new(portion()), places: 0 };
        let mut parts = self.parts();
        let part = parts.entry(client).or_insert_with(fresh);
        part.places += 1;
        Place { quota: self.clone(), client, part: Arc::clone(&part.portion) }
    }

    fn parts(&self) -> MutexGuard<'_, BTreeMap<Client, Part>> {
        self.0.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Some shares, and who waits for them, in order.
#[derive(Debug)]
struct Portion {
    shares: Arc<Semaphore>,
    waiting: AtomicUsize,
    waiting_max: usize,
}

impl Portion {
    fn of(shares: usize, waiting_per_share: usize) -> Self {
        let shares = shares.min(Semaphore::MAX_PERMITS);
        let waiting_max = shares.saturating_mul(waiting_per_share);
        Self { shares: Arc::new(Semaphore::new(shares)), waiting: AtomicUsize::new(0), waiting_max }
    }

    fn take(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.shares).try_acquire_owned().ok()
    }

    /// A share, when it is this one's turn; `None` at once when too many wait.
    async fn wait(&self) -> Option<OwnedSemaphorePermit> {
        let _waiting = Waiting::join(self)?;
        // The semaphore is never closed.
        Arc::clone(&self.shares).acquire_owned().await.ok()
    }
}

/// Somebody in the line, until dropped.
struct Waiting<'a>(&'a Portion);

impl<'a> Waiting<'a> {
    fn join(portion: &'a Portion) -> Option<Self> {
        let waiting = Self(portion);
        let before = portion.waiting.fetch_add(1, Ordering::Relaxed);
        (before < portion.waiting_max).then_some(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A share of a [`Quota`]; dropping it gives it back.
#[derive(Debug)]
pub struct Share {
    // Given back in this order, before the place is looked at.
    _shares: [OwnedSemaphorePermit; 2],
    _place: Place,
}

/// A client's place in the quota, for as long as it has a share, or waits for one. Nothing is kept
/// of a client that has no place.
#[derive(Debug)]
struct Place {
    quota: Quota,
    client: Client,
    part: Arc<Portion>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut parts = self.quota.parts();
        let Entry::Occupied(mut part) = parts.entry(self.client) else { return };
        part.get_mut().places -= 1;
        // So the number of parts is bounded by the clients that are here now, not by all that ever
        // came.
        if part.get().places == 0 {
            part.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use std::net::IpAddr;
    use std::sync::Barrier;

    use super::*;

    fn client(address: &str) -> Client {
        address.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn each_client_has_its_part_and_all_together_no_more_than_there_is() {
        let quota = Quota::new(3, 2);
        let (a, b) = (client("10.0.0.1"), client("10.0.0.2"));
        let first = quota.take(a).unwrap();
        let _second = quota.take(a).unwrap();
        assert!(quota.take(a).is_none(), "it has its part");
        let _third = quota.take(b).unwrap();
        assert!(quota.take(b).is_none(), "nothing is left");
        drop(first);
        assert!(quota.take(b).is_some());
    }

    /// Long enough for whatever comes at all.
    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_gets_a_share_in_turn_and_not_for_ever() {
        let quota = Quota::new(2, 1);
        let [a, b, c] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map(client);
        let first = quota.take(a).unwrap();
        assert!(quota.wait(a, SHORT).await.is_none(), "its part is taken for longer");
        let (second, ()) = tokio::join!(quota.wait(a, LONG), async { drop(first) });
        let second = second.unwrap();

        let third = quota.take(b).unwrap();
        let (of_c, of_a) = (quota.wait(c, LONG), quota.wait(a, SHORT));
        let (of_c, of_a, ()) = tokio::join!(of_c, of_a, async { drop(third) });
        assert!(of_c.is_some(), "a share of all came back");
        assert!(of_a.is_none(), "that was none of its part");
        drop((second, of_c));
        assert!(quota.parts().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_wait_than_there_may() {
        let quota = Quota::new(8, 1);
        let a = client("10.0.0.1");
        let _held = quota.take(a).unwrap();
        let mut waiting = Vec::new();
        for _ in 0..WAITING_PER_SHARE {
            let quota = quota.clone();
            waiting.push(tokio::spawn(async move { quota.wait(a, LONG).await.is_some() }));
            tokio::task::yield_now().await;
        }
        let begun = tokio::time::Instant::now();
        assert!(quota.wait(a, LONG).await.is_none());
        assert_eq!(begun.elapsed(), Duration::ZERO, "it is told at once");
        // A request that gives up makes room.
        waiting.pop().unwrap().abort();
        tokio::task::yield_now().await;
        assert!(quota.wait(a, SHORT).await.is_none());
        assert!(begun.elapsed() >= SHORT, "it waited");
    }

    #[test]
    fn nothing_is_remembered_of_a_client_two_of_whose_shares_come_back_at_the_same_moment() {
        const ROUNDS: usize = 5_000;
        let (quota, client) = (Quota::new(2, 2), client("10.0.0.1"));
        let (together, remembered) = (Barrier::new(2), AtomicUsize::new(0));
        let take_and_drop = || {
            for _ in 0..ROUNDS {
                let share = quota.take(client);
                together.wait();
                drop(share);
                together.wait();
                remembered.fetch_add(quota.parts().len(), Ordering::Relaxed);
                together.wait();
            }
        };
        std::thread::scope(|threads| {
            threads.spawn(take_and_drop);
            take_and_drop();
        });
        assert_eq!(remembered.into_inner(), 0);
    }

    #[tokio::test]
    async fn nothing_is_remembered_of_clients_that_left() {
        let quota = Quota::new(10, 10);
        let all = quota.0.all.shares.available_permits();
        for last in 0..=255 {
            let client = client(&format!("10.0.0.{last}"));
            drop(quota.take(client));
            drop(quota.wait(client, LONG).await);
            drop(quota.wait(client, LONG));
        }
        assert!(quota.parts().is_empty());
        assert_eq!(quota.0.all.shares.available_permits(), all);
    }
}
