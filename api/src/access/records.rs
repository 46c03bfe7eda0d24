//! Which refusals are recorded: of each client so many a minute, and how many more there were.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::Extensions;
use proto::limits::REFUSALS_RECORDED_PER_MINUTE;
use tokio::time::Instant;

use crate::allowances::Rate;
use crate::audit;
use crate::client::{Client, Origin};

/// How long refusals are left out before it is recorded how many.
const LEFT_OUT_FOR: Duration = Duration::from_secs(60);
/// Most clients whose refusals are counted for each; those of all others are counted together.
const CLIENTS_MAX: usize = 1000;

/// What was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// A password that was checked, and is wrong. Few may be tried, so that each is recorded,
    /// whatever else a client does.
    Password,
    /// Anything else, which costs nothing to do.
    Else,
}

/// How many refusals of each client are recorded.
pub(super) struct Records {
    passwords: Rate<Client>,
    others: Rate<Client>,
    left_out: Mutex<LeftOut>,
}

/// How many refusals of whom were not recorded, since when.
#[derive(Default)]
struct LeftOut {
    since: Option<Instant>,
    counts: BTreeMap<Client, (Origin, u64)>,
}

impl Records {
    pub(super) fn new() -> Self {
        let rate = || Rate::new(REFUSALS_RECORDED_PER_MINUTE, REFUSALS_RECORDED_PER_MINUTE);
        Self { passwords: rate(), others: rate(), left_out: Mutex::default() }
    }

    /// Records a refusal of the client that sent the request with these `extensions`, unless there
    /// were too many; and how many were left out, if it is time to.
    pub(super) fn record(
        &self,
        refused: Refused,
        extensions: &Extensions,
        write: impl FnOnce(Origin),
    ) {
        let (client, from) = (Client::of(extensions), Origin::of(extensions));
        let rate = match refused {
            Refused::Password => &self.passwords,
            Refused::Else => &self.others,
        };
        for (from, count) in self.due() {
            audit::not_recorded(from, count);
        }
        match rate.take(client) {
            Ok(()) => write(from),
            Err(_) => self.leave_out(client, from),
        }
    }

    /// The refusals that were left out and are to be recorded now: once a minute, so that counts
    /// take no more records than they save.
    fn due(&self) -> Vec<(Origin, u64)> {
        let mut left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        if left_out.since.is_none_or(|since| since.elapsed() < LEFT_OUT_FOR) {
            return Vec::new();
        }
        std::mem::take(&mut *left_out).counts.into_values().collect()
    }

    fn leave_out(&self, client: Client, from: Origin) {
        let mut left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        left_out.since.get_or_insert_with(Instant::now);
        let has_room = left_out.counts.len() < CLIENTS_MAX || left_out.counts.contains_key(&client);
        let (client, from) =
            if has_room { (client, from) } else { (Client::UNKNOWN, Origin::NONE) };
        left_out.counts.entry(client).or_insert((from, 0)).1 += 1;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use std::net::{IpAddr, Ipv4Addr};

    use tokio::time::advance;

    use super::*;

    fn client(number: u32) -> Extensions {
        let mut extensions = Extensions::new();
        extensions.insert(Client::from(IpAddr::from(Ipv4Addr::from_bits(number))));
        extensions
    }

    /// How many of `count` refusals are recorded.
    fn recorded(records: &Records, refused: Refused, from: &Extensions, count: u32) -> u32 {
        let mut recorded = 0;
        for _ in 0..count {
            records.record(refused, from, |_| recorded += 1);
        }
        recorded
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_else_that_is_refused_takes_the_place_of_wrong_passwords() {
        let (records, most) = (Records::new(), REFUSALS_RECORDED_PER_MINUTE);
        assert_eq!(recorded(&records, Refused::Else, &client(1), most + 7), most);
        assert_eq!(recorded(&records, Refused::Password, &client(1), 5), 5);
        assert_eq!(recorded(&records, Refused::Else, &client(2), 1), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn how_many_were_left_out_is_told_once_a_minute_and_not_twice() {
        let (records, most) = (Records::new(), REFUSALS_RECORDED_PER_MINUTE);
        let told = || records.due().into_iter().map(|(_, count)| count).collect::<Vec<_>>();
        recorded(&records, Refused::Else, &client(1), most + 7);
        assert_eq!(told(), [0; 0]);
        advance(LEFT_OUT_FOR).await;
        assert_eq!(told(), [7]);
        assert_eq!(told(), [0; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn of_very_many_clients_it_is_counted_together() {
        let records = Records::new();
        for number in 1..=2 * u32::try_from(CLIENTS_MAX).unwrap() {
            records.leave_out(Client::of(&client(number)), Origin::NONE);
        }
        advance(LEFT_OUT_FOR).await;
        let due = records.due();
        assert_eq!(due.len(), CLIENTS_MAX + 1);
        let all: u64 = due.iter().map(|(_, count)| count).sum();
        assert_eq!(all, 2 * u64::try_from(CLIENTS_MAX).unwrap());
    }
}
