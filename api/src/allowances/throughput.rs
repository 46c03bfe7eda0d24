//! How fast the bytes of bodies go, for each client and each account: who has had its share of a
//! second waits, and nobody is refused.

use std::mem;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use proto::access::AccountName;
use tokio::time::{Sleep, sleep};

use super::Rate;
use crate::client::Client;

/// Bytes that are counted as one: a rate has nanoseconds for each, and must not round them away.
const UNIT: u64 = 1024;

/// How fast bytes may go. Clones are the same throughput.
#[derive(Clone, Debug)]
pub(crate) struct Throughput {
    by_client: Rate<Client>,
    by_account: Rate<AccountName>,
}

impl Throughput {
    /// Lets each client move `per_client` KiB a second, and each account `per_account`; 0: as much
    /// as they like.
    pub(crate) fn new(per_client: u32, per_account: u32) -> Self {
        let (by_client, by_account) = (Rate::per_second(per_client), Rate::per_second(per_account));
        Self { by_client, by_account }
    }

    /// `body`, which goes no faster than `client` and `account` may move bytes, over all of their
    /// bodies together.
    pub(crate) fn limit(&self, client: Client, account: Option<&AccountName>, body: Body) -> Body {
        let by_account = account.filter(|_| self.by_account.is_limited());
        if body.is_end_stream() || !(self.by_client.is_limited() || by_account.is_some()) {
            return body;
        }
        let shares = Shares {
            throughput: self.clone(),
            client,
            account: by_account.cloned(),
            of_client: 0,
            of_account: 0,
        };
        Body::new(Limited { body, shares, held: None, pause: None, has_paid: false })
    }
}

/// What is yet to be taken from the allowances of a client and an account for what has passed.
struct Shares {
    throughput: Throughput,
    client: Client,
    account: Option<AccountName>,
    /// Bytes.
    of_client: u64,
    /// Bytes.
    of_account: u64,
}

impl Shares {
    fn owe(&mut self, bytes: usize) {
        self.of_client += bytes as u64;
        self.of_account += bytes as u64;
    }

    /// Takes one piece of what is owed. Answers whether that was the last.
    ///
    /// # Errors
    /// How long to wait until there is enough in the allowance.
    fn settle(&mut self) -> Result<bool, Duration> {
        let Self { throughput, client, account, of_client, of_account } = self;
        pay(of_client, |count| throughput.by_client.take_many(*client, count))?;
        let Some(name) = account else { return Ok(*of_client < UNIT) };
        pay(of_account, |count| throughput.by_account.take_many(name.clone(), count))?;
        Ok(*of_client < UNIT && *of_account < UNIT)
    }
}

/// Takes one piece of the whole units of `owed`, if there are any.
fn pay(owed: &mut u64, take: impl Fn(NonZeroU32) -> Result<(), Duration>) -> Result<(), Duration> {
    /// Units that are taken at once: 4 KiB, which come within a millisecond, as exactly as a task
    /// sleeps. A large frame that waited for all of its units at once would never find them: small
    /// frames would take each of them as it comes.
    const PIECE: u64 = 4;
    let units = (*owed / UNIT).min(PIECE);
    if let Some(count) = u32::try_from(units).ok().and_then(NonZeroU32::new) {
        take(count)?;
        *owed -= units * UNIT;
    }
    Ok(())
}

/// A body each of whose frames waits until it is paid for.
struct Limited {
    body: Body,
    shares: Shares,
    /// The frame that waits.
    held: Option<Frame<Bytes>>,
    pause: Option<Pin<Box<Sleep>>>,
    /// Whether a piece was paid since all others had their turn.
    has_paid: bool,
}

impl HttpBody for Limited {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        loop {
            if let Some(pause) = &mut this.pause {
                ready!(pause.as_mut().poll(cx));
                this.pause = None;
            }
            if this.held.is_none() {
                match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                    Some(Ok(frame)) => {
                        this.shares.owe(frame.data_ref().map_or(0, Bytes::len));
                        this.held = Some(frame);
                    }
                    end => return Poll::Ready(end),
                }
            }
            if mem::take(&mut this.has_paid) {
                // Other bodies that wait for the same allowance come before the next piece of this
                // one.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match this.shares.settle() {
                Ok(is_last) => {
                    this.has_paid = true;
                    if is_last {
                        return Poll::Ready(this.held.take().map(Ok));
                    }
                }
                Err(wait) => this.pause = Some(Box::pin(sleep(wait))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.held.as_ref().and_then(Frame::data_ref).map_or(0, Bytes::len) as u64;
        let rest = self.body.size_hint();
        let mut whole = SizeHint::new();
        whole.set_lower(rest.lower() + held);
        if let Some(upper) = rest.upper() {
            whole.set_upper(upper + held);
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use std::io;
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::StreamExt as _;
    use http_body_util::BodyExt as _;
    use tokio::time::Instant;

    use super::*;

    fn client(number: u32) -> Client {
        IpAddr::from(Ipv4Addr::from_bits(number)).into()
    }

    /// How long two bodies of four pieces of `bytes` each take, read side by side.
    async fn time(throughput: &Throughput, who: [(Client, Option<&str>); 2], bytes: usize) -> u64 {
        let started = Instant::now();
        let read = who.map(|(client, account)| {
            let pieces = [(); 4].map(|()| Ok::<_, io::Error>(vec![0_u8; bytes]));
            let body = Body::from_stream(futures::stream::iter(pieces));
            let account = account.map(|name| name.parse().unwrap());
            throughput.limit(client, account.as_ref(), body).collect()
        });
        for whole in futures::future::join_all(read).await {
            assert_eq!(whole.unwrap().to_bytes().len(), 4 * bytes);
        }
        started.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_moves_no_more_than_its_share_of_each_second_over_all_its_bodies() {
        let throughput = Throughput::new(1024, 0);
        let mib = 1024 * 1024;
        // 8 MiB, of which one is there at once.
        let both = time(&throughput, [(client(1), None), (client(1), Some("a"))], mib).await;
        assert!((6..=8).contains(&both), "{both} s");
        let apart = time(&throughput, [(client(2), None), (client(3), None)], mib).await;
        assert!((2..=4).contains(&apart), "{apart} s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_of_large_frames_has_its_part_beside_one_of_small_frames() {
        const MIB: usize = 1024 * 1024;
        let throughput = Throughput::new(4 * 1024, 0);
        let body = |size: usize| {
            let frame = move |_| Ok::<_, io::Error>(Bytes::from(vec![0; size]));
            let frames = (0..8 * MIB / size).map(frame);
            throughput.limit(client(1), None, Body::from_stream(futures::stream::iter(frames)))
        };
        // What is there at once goes first.
        let first = throughput.limit(client(1), None, Body::from(vec![0; 4 * MIB]));
        first.collect().await.unwrap();
        let moved = Arc::new(AtomicUsize::new(0));
        let (count, mut large) = (Arc::clone(&moved), body(64 * 1024).into_data_stream());
        let large = tokio::spawn(async move {
            while let Some(frame) = large.next().await {
                count.fetch_add(frame.unwrap().len(), Ordering::Relaxed);
            }
        });
        tokio::spawn(body(4 * 1024).collect()).await.unwrap().unwrap();
        let moved = moved.load(Ordering::Relaxed);
        assert!(moved >= 2 * MIB, "{moved} bytes, while the other one had 8 MiB");
        large.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_of_one_frame_are_paid_for_too() {
        let throughput = Throughput::new(1024, 0);
        let started = Instant::now();
        for _ in 0..8 {
            let mut body = throughput.limit(client(1), None, Body::from(vec![0; 1024 * 1024]));
            // As a server does that knows the length: it asks for no more than that.
            body.frame().await.unwrap().unwrap();
        }
        assert!((6..=8).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn an_account_moves_no_more_than_its_share_from_wherever_it_comes() {
        let throughput = Throughput::new(0, 1024);
        let mib = 1024 * 1024;
        let same = time(&throughput, [(client(1), Some("a")), (client(2), Some("a"))], mib).await;
        assert!((6..=8).contains(&same), "{same} s");
        let nobody = time(&throughput, [(client(1), None), (client(1), None)], mib).await;
        assert_eq!(nobody, 0, "without an account there is none of its allowance to take");
    }

    #[tokio::test(start_paused = true)]
    async fn without_limits_bodies_stay_as_they_are() {
        let throughput = Throughput::new(0, 0);
        let body = throughput.limit(client(1), None, Body::from("text"));
        assert_eq!(body.size_hint().exact(), Some(4));
        let limited = Throughput::new(1024, 0).limit(client(1), None, Body::from("text"));
        assert_eq!(limited.size_hint().exact(), Some(4), "its length is still known");
        assert_eq!(limited.collect().await.unwrap().to_bytes(), "text");
    }
}
