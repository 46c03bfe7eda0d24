//! What is left of a request's body when its answer needed none of it, as most that are errors.
//!
//! A client that is still sending reads no answer. When the server then closes the connection with
//! bytes unread, the client's system may throw the answer away too (RFC 9112, section 9.6): it
//! never learns, say, at which offset to go on with its upload. So what is left is taken first, as
//! far as that is worth it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::StreamExt as _;
use http_body::{Body as HttpBody, Frame, SizeHint};
use proto::limits::UPLOAD_CHUNK_BYTES_MIN;
use tokio::time::timeout;

/// Most bytes that are taken and thrown away: a chunk of the length that uploads are asked for, and
/// some. Of a body with more left, nothing is.
const BYTES_MAX: u64 = 2 * UPLOAD_CHUNK_BYTES_MIN;
/// How long that may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Gives the body to a handler, and what the handler leaves of it to the [`Remainder`].
pub(crate) fn lend(body: Body) -> (Body, Remainder) {
    let remainder = Remainder::default();
    if body.is_end_stream() {
        return (body, remainder);
    }
    let lent = Lent { body: Some(body), remainder: remainder.clone() };
    (Body::new(lent), remainder)
}

/// The rest of a body that was lent; nothing while it is.
#[derive(Clone, Default)]
pub(crate) struct Remainder(Arc<Mutex<Option<Body>>>);

impl Remainder {
    /// Takes the rest, and throws it away.
    pub(crate) async fn discard(self) {
        let Some(rest) = self.slot().take() else { return };
        if rest.is_end_stream() || rest.size_hint().lower() > BYTES_MAX {
            return;
        }
        let mut frames = rest.into_data_stream();
        let discarding = async {
            let mut taken = 0;
            while let Some(Ok(frame)) = frames.next().await {
                taken += frame.len() as u64;
                if taken > BYTES_MAX {
                    return;
                }
            }
        };
        // Too slow or too much: the client has to see how it comes to its answer.
        let _late = timeout(PATIENCE, discarding).await;
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Body>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body that goes back to its [`Remainder`] when it is dropped.
struct Lent {
    body: Option<Body>,
    remainder: Remainder,
}

impl Drop for Lent {
    fn drop(&mut self) {
        *self.remainder.slot() = self.body.take();
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}
