//! Bodies that keep a pace, and what goes on in a connection of HTTP/2, where the flow control of
//! each stream lets a client hold an answer back without the connection standing still.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, sleep};

use super::pace::{Alarm, Pace};

/// Most bytes of one piece of an answer in HTTP/2: what is handed over waits in memory until the
/// client lets it through.
const PIECE_BYTES: usize = 64 * 1024;

/// The body of a request, which fails when its client keeps it waiting for too long.
pub(super) struct Inbound<B> {
    body: B,
    alarm: Alarm,
}

impl<B> Inbound<B> {
    pub(super) const fn new(body: B, patience: Duration) -> Self {
        Self { body, alarm: Alarm::new(patience) }
    }
}

impl<B> HttpBody for Inbound<B>
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Poll::Ready(next) = Pin::new(&mut self.body).poll_frame(cx) else {
            ready!(self.alarm.poll_lost(cx));
            return Poll::Ready(Some(Err("it came too slowly".into())));
        };
        if let Some(Ok(frame)) = &next {
            self.alarm.moved(frame.data_ref().map_or(0, Bytes::len));
        }
        Poll::Ready(next.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Why a connection is to be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Nothing was asked for long.
    Idle,
    /// An answer is not taken.
    Stuck,
}

/// What goes on in a connection. Clones are of the same one.
#[derive(Clone)]
pub(super) struct Activity(Arc<Mutex<State>>);

struct State {
    /// Requests that are not yet answered to the last byte.
    open: usize,
    /// When the last one was.
    since: Instant,
    answers: Vec<Weak<Mutex<Pace>>>,
}

impl Activity {
    pub(super) fn new() -> Self {
        let state = State { open: 0, since: Instant::now(), answers: Vec::new() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Notes a request, which is under way until what this answers is dropped.
    pub(super) fn begin(&self) -> Underway {
        self.state().open += 1;
        Underway(self.clone())
    }

    /// Resolves when the connection is to be ended, because it has kept us waiting for longer than
    /// `patience`.
    pub(super) async fn end(&self, patience: Duration) -> End {
        loop {
            sleep(patience / 4).await;
            let mut state = self.state();
            state.answers.retain(|answer| answer.strong_count() > 0);
            let mut answers = state.answers.iter().filter_map(Weak::upgrade);
            if answers.any(|pace| lock(&pace).is_lost()) {
                return End::Stuck;
            }
            if state.open == 0 && state.since.elapsed() >= patience {
                return End::Idle;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

/// A request that is under way.
pub(super) struct Underway(Activity);

impl Underway {
    /// `body` as the answer to the request, in pieces, which the client must take at its pace.
    pub(super) fn answer(self, body: Body, patience: Duration) -> Body {
        if body.is_end_stream() {
            return body;
        }
        let pace = Arc::new(Mutex::new(Pace::new(patience)));
        self.0.state().answers.push(Arc::downgrade(&pace));
        Body::new(Outbound { body, rest: Bytes::new(), pace, _underway: self })
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.open -= 1;
        state.since = Instant::now();
    }
}

/// The body of an answer. That it is asked for more tells that the client took what was before.
struct Outbound {
    body: Body,
    /// Of the last frame.
    rest: Bytes,
    pace: Arc<Mutex<Pace>>,
    _underway: Underway,
}

impl HttpBody for Outbound {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        lock(&self.pace).go_on();
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                end => return Poll::Ready(end),
            }
        }
        let length = self.rest.len().min(PIECE_BYTES);
        let piece = self.rest.split_to(length);
        let mut pace = lock(&self.pace);
        pace.moved(length);
        pace.wait();
        drop(pace);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, hint) = (self.rest.len() as u64, self.body.size_hint());
        let mut all = SizeHint::new();
        all.set_lower(hint.lower().saturating_add(rest));
        if let Some(upper) = hint.upper() {
            all.set_upper(upper.saturating_add(rest));
        }
        all
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
