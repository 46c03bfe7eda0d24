//! How much of something each client and all of them together may have at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::client::Client;

/// A number of equal shares, of which each client may hold a part. Clones are the same quota.
#[derive(Clone, Debug)]
pub struct Quota(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    total: usize,
    each: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    total: usize,
    by_client: BTreeMap<Client, usize>,
}

impl Quota {
    /// A quota of `total` shares, of which each client gets at most `each`.
    pub fn new(total: usize, each: usize) -> Self {
        Self(Arc::new(Inner { total, each, held: Mutex::default() }))
    }

    /// A share for `client`, until it is dropped. `None` when there is none left, or `client` has
    /// its part.
    pub fn take(&self, client: Client) -> Option<Share> {
        let mut held = self.held();
        if held.total >= self.0.total {
            return None;
        }
        let count = held.by_client.entry(client).or_default();
        if *count >= self.0.each {
            return None;
        }
        *count += 1;
        held.total += 1;
        drop(held);
        Some(Share { quota: self.clone(), client })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A share of a [`Quota`]; dropping it gives it back.
#[derive(Debug)]
pub struct Share {
    quota: Quota,
    client: Client,
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut held = self.quota.held();
        held.total = held.total.saturating_sub(1);
        if let Some(count) = held.by_client.get_mut(&self.client) {
            *count = count.saturating_sub(1);
            // What is kept is bounded by who is here now, not by who ever came.
            if *count == 0 {
                held.by_client.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use std::net::IpAddr;

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

    #[test]
    fn nothing_is_remembered_of_clients_that_left() {
        let quota = Quota::new(10, 10);
        for last in 0..=255 {
            drop(quota.take(client(&format!("10.0.0.{last}"))));
        }
        assert!(quota.held().by_client.is_empty());
        assert_eq!(quota.held().total, 0);
    }
}
