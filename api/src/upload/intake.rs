//! Request bodies on their way in: measured, hashed as they pass, cut off where they break their
//! word.

use std::error::Error as _;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use proto::limits::UPLOAD_LIFETIME;
use proto::{Hasher, ObjectKey};
use storage::BlobsError;
use storage::blob::Position;
use tokio::time::{Instant, sleep_until, timeout};

use crate::error::Error;
use crate::visit::Visit;

/// How long a body may go without a byte.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// How long the store may be busy with one piece of a body, or with its end: longer than the store
/// gives itself for the steps that it repeats.
const STORE_MAX: Duration = Duration::from_secs(5 * 60);

/// Where in its upload a body belongs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// After what is there.
    After(Position),
    /// It is the whole upload.
    Whole,
}

/// What the store holds after a body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Held {
    /// The upload, up to here.
    Upload(Position),
    /// An object that is the upload.
    Object(ObjectKey),
}

/// What a body must keep to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// Its length in bytes, where headers announce it.
    pub(crate) length: Option<u64>,
    /// Most bytes that it may have.
    pub(crate) most: u64,
}

/// What came of a body that was stored.
pub(crate) struct Taken {
    /// Its length, in bytes.
    pub(crate) length: u64,
    /// The hasher that was given, after the body.
    pub(crate) hasher: Option<Hasher>,
    /// What the store holds now; none after an empty body, of which the store learns nothing.
    pub(crate) held: Option<Held>,
}

/// Why a body was not stored. Nothing of it was kept.
#[derive(Debug)]
pub(crate) enum IntakeError {
    /// The upload does not stand where the body was to begin.
    Offset,
    /// The body has another length than announced.
    Length {
        /// The announced one, in bytes.
        expected: u64,
    },
    /// The body has more bytes than it may.
    TooLarge,
    /// Nothing came for too long.
    Idle,
    /// The connection broke.
    Broken(String),
    /// The store failed.
    Store(BlobsError),
}

/// Nothing came for too long.
#[derive(Debug, thiserror::Error)]
#[error("nothing came for too long")]
struct Idle;

/// `body`, which breaks off when its client sends nothing for too long. That counts only while it
/// is asked for more: not while it waits for how fast bytes may go.
pub(crate) fn watched(body: Body) -> Body {
    if body.is_end_stream() {
        return body;
    }
    Body::from_stream(stream::try_unfold(body.into_data_stream(), |mut body| async move {
        match timeout(IDLE_MAX, body.next()).await {
            Ok(next) => Ok(next.transpose()?.map(|frame| (frame, body))),
            Err(_) => Err(axum::Error::new(Idle)),
        }
    }))
}

/// Adds `body` to `upload`, and hashes it on the way. An empty body leaves the store alone. The
/// request has its share for as long as the store holds the body, also when the caller is gone.
///
/// # Errors
/// See [`IntakeError`].
pub(crate) async fn take(
    visit: &Visit,
    upload: ObjectKey,
    place: Place,
    body: Body,
    hasher: Option<Hasher>,
    terms: Terms,
) -> Result<Taken, IntakeError> {
    let tally = Tally::shared(hasher);
    let mut frames = Box::pin(frames(body, terms, Arc::clone(&tally)));
    let outcome = match frames.next().await {
        None => Ok(None),
        Some(first) => {
            let share = visit.share.clone();
            let all = stream::once(async move { first }).chain(frames);
            // This closure owns a copy of the share: it goes when the stream does.
            let all = Box::pin(all.inspect(move |_| {
                let _held = &share;
            }));
            let blobs = &visit.blobs;
            let storing = async {
                match place {
                    Place::After(at) => blobs.append(upload, at, all).await.map(Held::Upload),
                    Place::Whole => blobs.put(upload, all).await.map(|(o, _)| Held::Object(o)),
                }
            };
            tokio::select! {
                outcome = storing => outcome.map(Some),
                late = stalled(&tally, STORE_MAX) => Err(late),
            }
        }
    };
    let mut tally = lock(&tally);
    match (outcome, tally.fault.take()) {
        (_, Some(fault)) => Err(fault),
        (Ok(held), None) => Ok(Taken { length: tally.length, hasher: tally.hasher.take(), held }),
        (Err(BlobsError::Offset { .. }), None) => Err(IntakeError::Offset),
        (Err(BlobsError::Body(error)), None) => Err(IntakeError::Broken(error.to_string())),
        (Err(error), None) => Err(IntakeError::Store(error)),
    }
}

/// All of `body`, in memory.
///
/// # Errors
/// `too_large` when it has more than `most` bytes, of which no more is read; and when it breaks
/// off.
pub(crate) async fn collect(body: Body, terms: Terms, too_large: Error) -> Result<Bytes, Error> {
    let tally = Tally::shared(None);
    let frames = frames(body, terms, Arc::clone(&tally));
    let whole: Result<BytesMut, io::Error> = frames
        .try_fold(BytesMut::new(), |mut whole, frame| async move {
            whole.extend_from_slice(&frame);
            Ok(whole)
        })
        .await;
    let fault = lock(&tally).fault.take();
    match (whole, fault) {
        (_, Some(IntakeError::TooLarge)) => Err(too_large),
        (_, Some(fault)) => Err(fault.into()),
        (Ok(whole), None) => Ok(whole.freeze()),
        (Err(error), None) => Err(Error::BodyBroken(error.to_string())),
    }
}

impl From<IntakeError> for Error {
    fn from(error: IntakeError) -> Self {
        match error {
            // Callers that know the session answer these two with where the upload stands.
            IntakeError::Offset => Self::UploadUnknown,
            IntakeError::Length { expected } => Self::BodyLength { expected },
            IntakeError::TooLarge => Self::BlobTooLarge,
            IntakeError::Idle => Self::BodyIdle,
            IntakeError::Broken(reason) => Self::BodyBroken(reason),
            IntakeError::Store(error) => Self::Blobs(error),
        }
    }
}

/// What has passed so far. The stream writes it; the function that started the stream reads it
/// afterwards.
struct Tally {
    length: u64,
    hasher: Option<Hasher>,
    fault: Option<IntakeError>,
    /// Since when the store, which takes the body, has not asked for more of it.
    handed_over: Option<Instant>,
}

impl Tally {
    fn shared(hasher: Option<Hasher>) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self { length: 0, hasher, fault: None, handed_over: None }))
    }

    fn take(&mut self, frame: &[u8], terms: Terms) -> Result<(), IntakeError> {
        self.length += frame.len() as u64;
        if self.length > terms.most {
            return Err(IntakeError::TooLarge);
        }
        if let Some(expected) = terms.length
            && self.length > expected
        {
            return Err(IntakeError::Length { expected });
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(frame);
        }
        Ok(())
    }

    fn end(&self, terms: Terms) -> Result<(), IntakeError> {
        match terms.length {
            Some(expected) if expected != self.length => Err(IntakeError::Length { expected }),
            _ => Ok(()),
        }
    }

    /// Notes why the stream ends here, for when the store has passed the error on.
    fn fail(&mut self, fault: IntakeError) -> io::Error {
        self.fault = Some(fault);
        io::Error::other("the body broke off")
    }
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Resolves when the store, which takes the body, was busy with one piece of it for `most`.
async fn stalled(tally: &Mutex<Tally>, most: Duration) -> BlobsError {
    loop {
        let now = Instant::now();
        let deadline = lock(tally).handed_over.unwrap_or(now) + most;
        if deadline <= now {
            return BlobsError::Unavailable(io::ErrorKind::TimedOut.into());
        }
        sleep_until(deadline).await;
    }
}

/// The frames of `body` that are not empty, as long as they keep to `terms`, and end within the
/// life of an upload.
fn frames(
    body: Body,
    terms: Terms,
    tally: Arc<Mutex<Tally>>,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let end = Instant::now() + UPLOAD_LIFETIME;
    stream::try_unfold((body.into_data_stream(), tally), move |(mut body, tally)| async move {
        lock(&tally).handed_over = None;
        loop {
            let next = body.next().await;
            let mut guard = lock(&tally);
            let checked = match next {
                _ if Instant::now() > end => {
                    Err(IntakeError::Broken("it took longer than an upload lives".to_owned()))
                }
                Some(Ok(frame)) if frame.is_empty() => continue,
                Some(Ok(frame)) => guard.take(&frame, terms).map(|()| Some(frame)),
                Some(Err(error)) if is_idle(&error) => Err(IntakeError::Idle),
                Some(Err(error)) => Err(IntakeError::Broken(error.to_string())),
                None => guard.end(terms).map(|()| None),
            };
            guard.handed_over = Some(Instant::now());
            let frame = checked.map_err(|fault| guard.fail(fault))?;
            drop(guard);
            return Ok(frame.map(|frame| (frame, (body, tally))));
        }
    })
}

/// Whether `error` comes from [`watched`], through the bodies around that.
fn is_idle(error: &axum::Error) -> bool {
    std::iter::successors(error.source(), |&error| error.source()).any(|error| error.is::<Idle>())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a failed test panics")]

    use super::*;
    use crate::allowances::Throughput;

    fn body(frames: &[&'static str]) -> Body {
        let frames: Vec<io::Result<Bytes>> =
            frames.iter().map(|frame| Ok(Bytes::from_static(frame.as_bytes()))).collect();
        Body::from_stream(stream::iter(frames))
    }

    async fn collected(frames: &[&'static str], length: Option<u64>) -> Result<Bytes, Error> {
        collect(body(frames), Terms { length, most: 6 }, Error::BlobTooLarge).await
    }

    #[tokio::test]
    async fn a_body_keeps_to_its_terms_or_is_refused() {
        assert_eq!(collected(&["abc", "", "def"], None).await.unwrap(), "abcdef");
        assert_eq!(collected(&[], Some(0)).await.unwrap(), "");
        assert!(matches!(collected(&["abc", "defg"], None).await, Err(Error::BlobTooLarge)));
        for frames in [&["ab"][..], &["ab", "cd"], &[]] {
            let found = collected(frames, Some(3)).await;
            assert!(matches!(found, Err(Error::BodyLength { expected: 3 })), "{found:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stalls_is_given_up() {
        let stalled = Body::from_stream(stream::pending::<io::Result<Bytes>>());
        let terms = Terms { length: None, most: 6 };
        let collected = collect(limited(watched(stalled)), terms, Error::BlobTooLarge).await;
        assert!(matches!(collected, Err(Error::BodyIdle)), "{collected:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_waits_for_what_it_may_have_does_not_stall() {
        let begun = Instant::now();
        let body = watched(Body::from(vec![0; 400 * 1024]));
        let terms = Terms { length: None, most: 1024 * 1024 };
        let collected = collect(limited(body), terms, Error::BlobTooLarge).await;
        assert_eq!(collected.unwrap().len(), 400 * 1024);
        assert!(begun.elapsed() > IDLE_MAX, "{:?}", begun.elapsed());
    }

    /// `body`, of which 4 KiB may come in a second.
    fn limited(body: Body) -> Body {
        let client = std::net::IpAddr::from([10, 0, 0, 1]).into();
        Throughput::new(4, 0).limit(client, None, body)
    }
}
