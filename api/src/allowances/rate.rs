//! How often something may happen for each client, or for each account.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::RateLimiter;
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use tokio::time::Instant;

use crate::client::Client;

/// Most of those that are told apart, which takes a few megabytes. While there are more, all others
/// are counted as one.
const KEPT_MAX: usize = 65_536;

/// How often those are forgotten that have all of their allowance again, when there is no room.
const FORGET_EVERY: Duration = Duration::from_secs(1);

/// An allowance of each client, or of each of another kind, that comes back as time passes. Clones
/// are the same rate.
#[derive(Debug)]
pub(crate) struct Rate<K: Eq + Hash + Clone = Client>(Option<Arc<Inner<K>>>);

/// Its key is `None` for all those together for whom there is no room.
type Limiter<K> =
    RateLimiter<Option<K>, HashMapStateStore<Option<K>>, Uptime, NoOpMiddleware<Duration>>;

#[derive(Debug)]
struct Inner<K: Eq + Hash + Clone> {
    limiter: Limiter<K>,
    clock: Uptime,
    kept_max: usize,
    /// When some were last forgotten.
    forgotten: Mutex<Instant>,
}

impl<K: Eq + Hash + Clone> Clone for Rate<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Eq + Hash + Clone> Rate<K> {
    /// Lets something happen so many times a minute for each, and `at_once` times without a pause.
    /// Never refuses when either is 0.
    pub(crate) fn new(per_minute: u32, at_once: u32) -> Self {
        Self::with_room(KEPT_MAX, per_minute, at_once)
    }

    fn with_room(kept_max: usize, per_minute: u32, at_once: u32) -> Self {
        let (Some(per_minute), Some(at_once)) =
            (NonZeroU32::new(per_minute), NonZeroU32::new(at_once))
        else {
            return Self(None);
        };
        let quota = governor::Quota::per_minute(per_minute).allow_burst(at_once);
        Self(Some(Inner::shared(kept_max, quota)))
    }

    /// Lets `per_second` things happen a second for each, and as many at once. Never refuses when
    /// that is 0.
    pub(crate) fn per_second(per_second: u32) -> Self {
        let quota = NonZeroU32::new(per_second).map(governor::Quota::per_second);
        Self(quota.map(|quota| Inner::shared(KEPT_MAX, quota)))
    }

    /// Whether it ever refuses.
    pub(crate) const fn is_limited(&self) -> bool {
        self.0.is_some()
    }

    /// Counts one more for `key`.
    ///
    /// # Errors
    /// The time until it may happen again, when `key` has no more of its allowance.
    pub(crate) fn take(&self, key: K) -> Result<(), Duration> {
        self.take_many(key, NonZeroU32::MIN)
    }

    /// Counts `count` more for `key`, all of them or none. That is never refused of more than may
    /// happen at once, which nobody could wait for.
    ///
    /// # Errors
    /// The time until they may happen, when `key` has not as much of its allowance.
    pub(crate) fn take_many(&self, key: K, count: NonZeroU32) -> Result<(), Duration> {
        let Some(inner) = &self.0 else { return Ok(()) };
        let key = inner.has_room().then_some(key);
        let refused = |until: governor::NotUntil<Duration>| until.wait_time_from(inner.clock.now());
        match inner.limiter.check_key_n(&key, count) {
            Ok(outcome) => outcome.map_err(refused),
            Err(governor::InsufficientCapacity(_)) => Ok(()),
        }
    }
}

impl<K: Eq + Hash + Clone> Inner<K> {
    fn shared(kept_max: usize, quota: governor::Quota) -> Arc<Self> {
        let now = Instant::now();
        let clock = Uptime { since: now };
        let limiter = RateLimiter::hashmap_with_clock(quota, clock);
        Arc::new(Self { limiter, clock, kept_max, forgotten: Mutex::new(now) })
    }

    /// Whether one more can be told apart.
    fn has_room(&self) -> bool {
        if self.limiter.len() < self.kept_max {
            return true;
        }
        let mut forgotten = self.forgotten.lock().unwrap_or_else(PoisonError::into_inner);
        if forgotten.elapsed() >= FORGET_EVERY {
            *forgotten = Instant::now();
            self.limiter.retain_recent();
        }
        self.limiter.len() < self.kept_max
    }
}

/// The clock of tokio, which a simulation sets.
#[derive(Clone, Copy, Debug)]
struct Uptime {
    since: Instant,
}

impl Clock for Uptime {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.since.elapsed()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use std::net::Ipv4Addr;

    use tokio::time::advance;

    use super::*;

    fn client(number: u32) -> Client {
        std::net::IpAddr::from(Ipv4Addr::from_bits(number)).into()
    }

    #[tokio::test(start_paused = true)]
    async fn an_allowance_comes_back_as_time_passes() {
        let rate = Rate::<Client>::new(60, 3);
        for _ in 0..3 {
            rate.take(client(1)).unwrap();
        }
        assert_eq!(rate.take(client(1)), Err(Duration::from_secs(1)));
        rate.take(client(2)).unwrap();
        advance(Duration::from_millis(400)).await;
        assert_eq!(rate.take(client(1)), Err(Duration::from_millis(600)));
        advance(Duration::from_millis(600)).await;
        rate.take(client(1)).unwrap();
        assert_eq!(rate.take(client(1)), Err(Duration::from_secs(1)));
        advance(Duration::from_secs(3600)).await;
        for _ in 0..3 {
            rate.take(client(1)).unwrap();
        }
        assert_eq!(rate.take(client(1)), Err(Duration::from_secs(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_of_nothing_refuses_nobody() {
        for rate in [Rate::<Client>::new(0, 1), Rate::new(1, 0)] {
            for _ in 0..10 {
                rate.take(client(1)).unwrap();
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_clients_are_remembered_and_only_while_they_matter() {
        let rate = Rate::<Client>::with_room(10, 60, 3);
        let remembered = || rate.0.as_ref().unwrap().limiter.len();
        for number in 1..=10 {
            rate.take(client(number)).unwrap();
        }
        // The rest are counted together.
        for number in 11..=13 {
            rate.take(client(number)).unwrap();
        }
        assert!(rate.take(client(14)).is_err());
        assert_eq!(remembered(), 11);
        // All have their allowance back.
        advance(Duration::from_secs(10)).await;
        rate.take(client(14)).unwrap();
        assert_eq!(remembered(), 1);
    }
}
