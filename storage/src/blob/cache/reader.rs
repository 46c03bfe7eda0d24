//! Reading an object of the cache, while it is fetched or after that.

use std::fmt;
use std::io;
use std::mem;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use tokio::sync::watch::{self, error::RecvError};
use tokio::time::timeout;

use super::object::{CachedObject, Progress};
use crate::blob::{Blobs, BlobsError, ByteStream};

/// Bytes that a reader goes on with at once while the object is fetched.
const STEP_BYTES: u64 = 1024 * 1024;
/// How long it waits for them, when there are some.
const STEP_MAX: Duration = Duration::from_secs(1);

/// Whoever reads a range of an object. What cannot be read here is read from the far store.
pub(super) struct Reader {
    object: Arc<CachedObject>,
    progress: watch::Receiver<Progress>,
    /// What is left to read.
    range: Range<u64>,
    far: Arc<dyn Blobs>,
    source: Source,
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
        let progress = object.progress();
        Self { object, progress, range, far, source: Source::Nowhere }
    }

    /// The bytes, once there are some.
    ///
    /// # Errors
    /// As [`Blobs::read`] of the far store.
    pub(super) async fn begin(mut self) -> Result<ByteStream, BlobsError> {
        let has_begun = |progress: &Progress| *progress != Progress::Asked;
        let progress = self.progress.wait_for(has_begun).await.map(|progress| *progress);
        // It can still be said that the object is gone: no byte was sent.
        if progress.is_ok_and(|progress| progress == Progress::GivenUp) {
            return self.far.read(self.object.key(), self.range).await;
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
        // As much at once as is worth to open the file for, or all that is left.
        let enough = (self.range.start + STEP_BYTES).min(self.range.end);
        // A store that is slow keeps nobody waiting for all of that.
        let progress = match timeout(STEP_MAX, self.filled_to(enough)).await {
            Ok(progress) => progress,
            Err(_) => self.filled_to(self.range.start + 1).await,
        };
        let Ok(Progress::Filled(end)) = progress else { return self.far().await };
        match self.object.open(self.range.start..end.min(self.range.end)).await {
            Ok(bytes) => Ok(Source::File(bytes)),
            Err(error) => {
                self.complain(&error);
                self.far().await
            }
        }
    }

    /// How far the object is once it has `enough` bytes, or is given up.
    async fn filled_to(&mut self, enough: u64) -> Result<Progress, RecvError> {
        let has_enough = |progress: &Progress| match progress {
            Progress::Filled(end) => *end >= enough,
            Progress::Asked => false,
            Progress::GivenUp => true,
        };
        self.progress.wait_for(has_enough).await.map(|progress| *progress)
    }

    /// Says that what is here cannot be read, so that the far store is asked.
    fn complain(&self, error: &dyn fmt::Display) {
        tracing::warn!(object = %self.object.key(), %error, "the cache cannot be read");
    }

    /// The rest, from the far store.
    fn far(&self) -> impl Future<Output = io::Result<Source>> + Send + use<> {
        let (far, key, range) = (Arc::clone(&self.far), self.object.key(), self.range.clone());
        async move { far.read(key, range).await.map(Source::Far).map_err(io::Error::other) }
    }
}
