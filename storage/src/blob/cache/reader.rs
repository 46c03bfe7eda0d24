//! Reading an object of the cache, while it is fetched or after that.

use std::fmt;
use std::io;
use std::mem;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use proto::ObjectKey;
use tokio::sync::watch;
use tokio::time::timeout;

use super::object::{CachedObject, Progress};
use crate::blob::{Blobs, BlobsError, ByteStream};

/// Bytes that a reader goes on with at once while the object is fetched.
const STEP_BYTES: u64 = 1024 * 1024;
/// How long it waits for them, when there are some.
const STEP_MAX: Duration = Duration::from_secs(1);

/// A reader of a range of an object. What cannot be read here is read from the far store.
pub(super) struct Reader {
    key: ObjectKey,
    /// What is here, until the far store is asked instead: then its room is for others.
    here: Option<Here>,
    /// What is left to read.
    range: Range<u64>,
    far: Arc<dyn Blobs>,
    source: Source,
}

/// An object of the cache, and how far it is.
struct Here {
    object: Arc<CachedObject>,
    progress: watch::Receiver<Progress>,
}

/// Where the next bytes come from.
enum Source {
    Nowhere,
    /// The file, as far as it was filled.
    File(ByteStream),
    /// The far store.
    Far(ByteStream),
}

impl Reader {
    /// Reads `range`, which `object` [will serve](CachedObject::will_serve).
    pub(super) fn of(object: Arc<CachedObject>, range: Range<u64>, far: Arc<dyn Blobs>) -> Self {
        let (key, progress) = (object.key(), object.progress());
        let here = Some(Here { object, progress });
        Self { key, here, range, far, source: Source::Nowhere }
    }

    /// The bytes, once there are some.
    ///
    /// # Errors
    /// As [`Blobs::read`] of the far store.
    pub(super) async fn begin(mut self) -> Result<ByteStream, BlobsError> {
        if let Some(here) = &mut self.here
            && here.progress(|progress| progress != Progress::Asked).await == Progress::GivenUp
        {
            self.here = None;
            // It can still be said that the object is gone: no byte was sent.
            return self.far.read(self.key, self.range).await;
        }
        Ok(stream::try_unfold(self, Self::next).boxed())
    }

    /// The next frame, if there is one.
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        while !self.range.is_empty() {
            self.source = match mem::replace(&mut self.source, Source::Nowhere) {
                Source::Nowhere => self.open().await?,
                Source::File(mut bytes) => match bytes.next().await {
                    Some(Ok(frame)) => return Ok(Some(self.pass(frame, Source::File(bytes)))),
                    Some(Err(error)) => {
                        self.complain(&error);
                        self.far().await?
                    }
                    None => Source::Nowhere,
                },
                Source::Far(mut bytes) => match bytes.next().await {
                    Some(frame) => return Ok(Some(self.pass(frame?, Source::Far(bytes)))),
                    None => return Err(io::ErrorKind::UnexpectedEof.into()),
                },
            };
        }
        Ok(None)
    }

    fn pass(mut self, frame: Bytes, source: Source) -> (Bytes, Self) {
        self.range.start += frame.len() as u64;
        self.source = source;
        (frame, self)
    }

    /// Where to go on, once there is something.
    async fn open(&mut self) -> io::Result<Source> {
        let Some(here) = &mut self.here else { return self.far().await };
        // As much at once as is worth to open the file for, or all that is left.
        let enough = (self.range.start + STEP_BYTES).min(self.range.end);
        // A store that is slow keeps nobody waiting for all of that.
        let progress = match timeout(STEP_MAX, here.filled_to(enough)).await {
            Ok(progress) => progress,
            Err(_) => here.filled_to(self.range.start + 1).await,
        };
        let Progress::Filled(end) = progress else { return self.far().await };
        match here.object.open(self.range.start..end.min(self.range.end)).await {
            Ok(bytes) => Ok(Source::File(bytes)),
            Err(error) => {
                self.complain(&error);
                self.far().await
            }
        }
    }

    /// Says that what is here cannot be read, so that the far store is asked.
    fn complain(&self, error: &dyn fmt::Display) {
        tracing::warn!(object = %self.key, %error, "the cache cannot be read");
    }

    /// The rest, from the far store.
    fn far(&mut self) -> impl Future<Output = io::Result<Source>> + Send + use<> {
        self.here = None;
        let (far, key, range) = (Arc::clone(&self.far), self.key, self.range.clone());
        async move { far.read(key, range).await.map(Source::Far).map_err(io::Error::other) }
    }
}

impl Here {
    /// How far the object is once that is `enough`. It says so for as long as it is held here.
    async fn progress(&mut self, enough: impl Fn(Progress) -> bool) -> Progress {
        let progress = self.progress.wait_for(|progress| enough(*progress)).await;
        progress.map_or(Progress::GivenUp, |progress| *progress)
    }

    /// How far the object is once it has `enough` bytes, or is given up.
    async fn filled_to(&mut self, enough: u64) -> Progress {
        let has_enough = |progress| match progress {
            Progress::Filled(end) => end >= enough,
            Progress::Asked => false,
            Progress::GivenUp => true,
        };
        self.progress(has_enough).await
    }
}
