//! The object store that all nodes share, with what object stores do: they take their time, are
//! away for a while, and fail although they have done what was asked.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::future::ready;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use proto::{ClusterId, ObjectKey};
use storage::blob::{BlobsError, ClaimError, MemoryBlobs, Position, Stale, Unclaimed};
use storage::{Blobs, ByteStream};

use super::chronicle::Chronicle;
use super::dice::Dice;
use super::rot::Rot;

/// A store of objects in memory that answers late, or not. Clones are the same store.
#[derive(Clone)]
pub(crate) struct SimObjects {
    objects: MemoryBlobs,
    mood: Arc<Mutex<Mood>>,
    chronicle: Chronicle,
}

struct Mood {
    dice: Dice,
    is_away: bool,
    /// One in how many calls fails; 0: none.
    fails_one_in: u64,
    rotten: BTreeMap<ObjectKey, Rot>,
}

/// What becomes of one call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Done,
    /// Nothing is done.
    Refused,
    /// It is done, but the answer is lost.
    DoneUnheard,
}

impl SimObjects {
    pub(crate) fn new(dice: Dice, chronicle: Chronicle) -> Self {
        let mood = Mood { dice, is_away: false, fails_one_in: 0, rotten: BTreeMap::new() };
        Self { objects: MemoryBlobs::new(), mood: Arc::new(Mutex::new(mood)), chronicle }
    }

    fn mood(&self) -> MutexGuard<'_, Mood> {
        self.mood.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets whether the store answers at all.
    pub(crate) fn set_away(&self, is_away: bool) {
        self.mood().is_away = is_away;
    }

    /// Sets that one in `fails_one_in` calls fails; 0: none.
    pub(crate) fn set_failing(&self, fails_one_in: u64) {
        self.mood().fails_one_in = fails_one_in;
    }

    /// Leaves what `rot` leaves of each object that has one of these `contents`, and no object
    /// where that is nothing, as a store that loses what it holds would. Answers how many those
    /// were.
    pub(crate) async fn damage(&self, contents: &[Bytes], rot: Rot) -> usize {
        let mut damaged = 0;
        for key in self.keys().await {
            let Some(content) = self.content(key).await else { continue };
            if !contents.contains(&content) || self.objects.delete(key).await.is_err() {
                continue;
            }
            let rest: ByteStream = Box::pin(stream::iter([Ok(rot.of(&content))]));
            let kept = self.objects.append(key, Position::START, rest).await;
            damaged += usize::from(kept.is_ok());
        }
        damaged
    }

    /// Has an object rot, one of those that `is_named` says a blob has. Answers what it held, and
    /// what became of it.
    pub(crate) async fn rot(
        &self,
        dice: &mut Dice,
        is_named: impl Fn(ObjectKey) -> bool,
    ) -> Option<(Bytes, Rot)> {
        let mut keys = self.keys().await;
        keys.retain(|key| is_named(*key) && !self.mood().rotten.contains_key(key));
        let key = (!keys.is_empty()).then(|| *dice.pick(&keys))?;
        let content = self.content(key).await?;
        let rot = Rot::any(dice, content.len())?;
        self.mood().rotten.insert(key, rot);
        Some((content, rot))
    }

    /// Gives everything back as it was written.
    pub(crate) fn mend(&self) {
        self.mood().rotten.clear();
    }

    /// What it holds.
    pub(crate) async fn keys(&self) -> Vec<ObjectKey> {
        let all = self.objects.sweep(Duration::ZERO).filter_map(|found| ready(found.ok()));
        all.map(|(Stale::Upload(key) | Stale::Object(key))| key).collect().await
    }

    /// All bytes of each object.
    pub(crate) async fn contents(&self) -> BTreeMap<ObjectKey, Bytes> {
        let mut contents = BTreeMap::new();
        for key in self.keys().await {
            contents.extend(self.content(key).await.map(|content| (key, content)));
        }
        contents
    }

    /// All bytes of an object.
    async fn content(&self, object: ObjectKey) -> Option<Bytes> {
        let extent = self.objects.extent(object).await.ok()?;
        let bytes = self.objects.read(object, 0..extent).await.ok()?;
        let bytes: BytesMut = bytes.try_collect().await.ok()?;
        Some(bytes.freeze())
    }

    /// The time that a call takes passes; then its fate is known.
    async fn fate(&self) -> Fate {
        let (takes, fate) = {
            let mut mood = self.mood();
            let takes = mood.dice.millis(0..=20);
            let fails = mood.fails_one_in > 0 && {
                let one_in = mood.fails_one_in;
                mood.dice.one_in(one_in)
            };
            let fate = match (mood.is_away, fails) {
                (true, _) => Fate::Refused,
                (false, false) => Fate::Done,
                (false, true) if mood.dice.one_in(2) => Fate::DoneUnheard,
                (false, true) => Fate::Refused,
            };
            (takes, fate)
        };
        tokio::time::sleep(takes).await;
        if fate != Fate::Done {
            self.chronicle.count("calls to the object store that failed");
        }
        fate
    }

    async fn call<T>(
        &self,
        work: impl Future<Output = Result<T, BlobsError>> + Send,
    ) -> Result<T, BlobsError> {
        let fate = self.fate().await;
        if fate == Fate::Refused {
            return Err(unavailable());
        }
        let done = work.await?;
        if fate == Fate::DoneUnheard { Err(unavailable()) } else { Ok(done) }
    }
}

fn unavailable() -> BlobsError {
    BlobsError::Unavailable(io::Error::other("503 SlowDown (simulated)"))
}

#[async_trait]
impl Blobs for SimObjects {
    async fn claim(&self, cluster: ClusterId, unclaimed: Unclaimed) -> Result<(), ClaimError> {
        if self.fate().await == Fate::Refused {
            return Err(ClaimError::Store(unavailable()));
        }
        self.objects.claim(cluster, unclaimed).await
    }

    async fn append(
        &self,
        upload: ObjectKey,
        at: Position,
        body: ByteStream,
    ) -> Result<Position, BlobsError> {
        self.call(self.objects.append(upload, at, body)).await
    }

    async fn position(&self, upload: ObjectKey) -> Result<Position, BlobsError> {
        self.call(self.objects.position(upload)).await
    }

    async fn seal(&self, upload: ObjectKey, at: Position) -> Result<ObjectKey, BlobsError> {
        self.call(self.objects.seal(upload, at)).await
    }

    async fn settle(
        &self,
        upload: ObjectKey,
        object: ObjectKey,
        kept: ObjectKey,
    ) -> Result<(), BlobsError> {
        self.call(self.objects.settle(upload, object, kept)).await
    }

    async fn abandon(&self, upload: ObjectKey) -> Result<(), BlobsError> {
        self.call(self.objects.abandon(upload)).await
    }

    async fn extent(&self, object: ObjectKey) -> Result<u64, BlobsError> {
        let extent = self.call(self.objects.extent(object)).await?;
        let rot = self.mood().rotten.get(&object).copied();
        Ok(match rot {
            Some(Rot::Shorter(left)) => extent.min(left as u64),
            Some(Rot::Changed(_)) | None => extent,
        })
    }

    async fn read(&self, object: ObjectKey, range: Range<u64>) -> Result<ByteStream, BlobsError> {
        let rot = self.mood().rotten.get(&object).copied();
        let Some(rot) = rot else {
            return self.call(self.objects.read(object, range)).await;
        };
        self.call(async {
            let content = self.content(object).await.ok_or(BlobsError::Missing(object))?;
            let left = rot.of(&content);
            let asked = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
            let asked = asked.filter(|(_, end)| *end <= left.len());
            let (start, end) = asked.ok_or(BlobsError::Missing(object))?;
            Ok(stream::iter([Ok(left.slice(start..end))]).boxed())
        })
        .await
    }

    async fn delete(&self, object: ObjectKey) -> Result<(), BlobsError> {
        self.call(self.objects.delete(object)).await
    }

    async fn trim(&self, object: ObjectKey, size: u64) -> Result<(), BlobsError> {
        self.call(self.objects.trim(object, size)).await
    }

    fn sweep(&self, age: Duration) -> BoxStream<'_, Result<Stale, BlobsError>> {
        let found = self.call(async move { Ok(self.objects.sweep(age)) });
        stream::once(found).try_flatten().boxed()
    }

    async fn probe(&self) -> Result<(), BlobsError> {
        self.call(self.objects.probe()).await
    }
}
