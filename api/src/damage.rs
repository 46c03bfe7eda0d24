//! Blobs whose bytes are no longer those that were pushed, or cannot be read.
//!
//! What is pulled whole is compared with the checksum of what was pushed, on its way. When it is
//! another, the connection breaks before the last bytes are sent, so that no client takes it for
//! the blob, and the node reads the object again, to know the store from the line. So it does when
//! a pull breaks off. An object that is damaged is treated as one that is gone: the blob is absent,
//! and the next push heals it.

use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use lru::LruCache;
use proto::{Checksum, Digest, Mutant, ObjectKey};
use raft::Blob;
use storage::{BlobsError, ByteStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use crate::client::Client;
use crate::error::Error;
use crate::registry::Registry;

/// Most objects that a node remembers as damaged.
const FINDINGS_MAX: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
/// After what time an object that was found damaged is read again when it is asked for: the store
/// may have mended it.
const EXAMINED_AGAIN_AFTER: Duration = Duration::from_secs(10 * 60);
/// Objects that are examined at once. Others are when they are next asked for: while a store is
/// away, each pull breaks off.
const EXAMINED_AT_ONCE: usize = 16;
/// How often in a row an object must fail to be read, while another that was just written is read,
/// before that is taken for damage of it and not for an outage of the store.
const FAILURES_MIN: u32 = 4;
/// The pause between two of these: all together last for a minute.
const FAILURE_PAUSE: Duration = Duration::from_secs(20);
/// Largest blob that is read while its client waits, because it pushes what is there, in bytes: a
/// few seconds for most stores.
const COMPARED_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// How long that may take where the store is slow. With all else that a push waits for, it is less
/// than the minute after which proxies give up on an answer.
const COMPARED_WITHIN: Duration = Duration::from_secs(45);

/// The objects that this node has found damaged.
pub(crate) struct Damage {
    findings: Mutex<LruCache<ObjectKey, Finding>>,
    /// What is left of [`EXAMINED_AT_ONCE`].
    turns: Arc<Semaphore>,
}

/// What is known of an object that is not simply taken for whole.
#[derive(Clone, Copy, Debug)]
enum Finding {
    /// It may be damaged, and is being read again.
    InDoubt,
    /// It was damaged when it was last read, at this time.
    Damaged(Instant),
    /// It was damaged, and is being read again.
    DamagedAndInDoubt,
}

/// What whoever wants an object is told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// It is taken for whole.
    Whole,
    /// It was found damaged.
    Damaged,
    /// It was found damaged, and is to be read again now: whoever was told so must
    /// [tell](Damage::found) the outcome.
    DamagedLongAgo,
}

/// What came of reading an object again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Whole,
    Damaged,
    /// That could not be told.
    Nothing,
}

/// Why an object is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// It did not come back as it was pushed.
    CameDamaged,
    /// It is pushed again: whoever does that may know why.
    PushedAgain,
}

impl Damage {
    /// Nothing is damaged.
    pub(crate) fn none() -> Self {
        let turns = Arc::new(Semaphore::new(EXAMINED_AT_ONCE));
        Self { findings: Mutex::new(LruCache::new(FINDINGS_MAX)), turns }
    }

    fn findings(&self) -> MutexGuard<'_, LruCache<ObjectKey, Finding>> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of `object`.
    fn look(&self, object: ObjectKey) -> Look {
        let mut findings = self.findings();
        let Some(finding) = findings.get_mut(&object) else { return Look::Whole };
        match *finding {
            Finding::InDoubt => Look::Whole,
            Finding::Damaged(at) if at.elapsed() >= EXAMINED_AGAIN_AFTER => {
                *finding = Finding::DamagedAndInDoubt;
                Look::DamagedLongAgo
            }
            Finding::Damaged(_) | Finding::DamagedAndInDoubt => Look::Damaged,
        }
    }

    /// Notes that `object` may be damaged. Answers whether to read it again: nobody else does.
    fn suspect(&self, object: ObjectKey) -> bool {
        let mut findings = self.findings();
        let suspected = match findings.get(&object) {
            None => Finding::InDoubt,
            Some(Finding::Damaged(_)) => Finding::DamagedAndInDoubt,
            Some(Finding::InDoubt | Finding::DamagedAndInDoubt) => return false,
        };
        findings.put(object, suspected);
        true
    }

    /// Notes how `object` was found when it was read again.
    fn found(&self, object: ObjectKey, found: Found) {
        let mut findings = self.findings();
        let was_damaged = matches!(
            findings.peek(&object),
            Some(Finding::Damaged(_) | Finding::DamagedAndInDoubt)
        );
        if found == Found::Damaged || found == Found::Nothing && was_damaged {
            findings.put(object, Finding::Damaged(Instant::now()));
        } else {
            findings.pop(&object);
        }
    }
}

impl Registry {
    /// Whether this node has found that `blob` has other bytes than were pushed.
    pub(crate) fn is_damaged(&self, digest: &Digest, blob: Blob) -> bool {
        let look = self.damage.look(blob.object);
        if look == Look::DamagedLongAgo {
            self.examine(digest.clone(), blob, Cause::CameDamaged);
        }
        look != Look::Whole
    }

    /// Whether the bytes of `blob` are there, as far as can be told without reading them.
    pub(crate) async fn is_whole(&self, digest: &Digest, blob: Blob) -> Result<bool, Error> {
        if blob.size == 0 {
            return Ok(true);
        }
        Ok(!self.is_damaged(digest, blob) && self.extent(blob.object).await? >= blob.size)
    }

    /// The bytes of `blob` in `range`. A stream of all of them fails before its end when they are
    /// not those that were pushed.
    pub(crate) async fn bytes(
        &self,
        digest: &Digest,
        blob: Blob,
        range: Range<u64>,
    ) -> Result<ByteStream, Error> {
        let is_all = range == (0..blob.size);
        let bytes = match self.read(blob.object, range).await {
            Ok(bytes) => bytes,
            Err(error) => {
                if !is_missing(&error) {
                    self.doubt(digest, blob, Cause::CameDamaged);
                }
                return Err(error);
            }
        };
        let (registry, digest) = (self.outliving(), digest.clone());
        let doubt = move || registry.doubt(&digest, blob, Cause::CameDamaged);
        match blob.checksum.filter(|_| is_all && !Mutant::ChecksumIgnored.is_active()) {
            Some(checksum) => Ok(checked(bytes, blob.size, checksum, doubt)),
            None => Ok(bytes.inspect_err(move |_| doubt()).boxed()),
        }
    }

    /// Whether `blob`, which `client` pushes although it is there, comes back from the store as it
    /// was pushed. What is too large, or comes too slowly, or while too much is being read, is
    /// taken for whole, and read beside all else: then the next push heals it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) async fn comes_whole(
        &self,
        digest: &Digest,
        blob: Blob,
        client: Client,
    ) -> Result<bool, Error> {
        if blob.size <= COMPARED_BYTES_MAX
            && let Ok(_share) = self.reading(client).await
            && let Ok(compared) = timeout(COMPARED_WITHIN, self.check(digest, blob)).await
        {
            return compared;
        }
        self.doubt(digest, blob, Cause::PushedAgain);
        Ok(true)
    }

    /// Whether `blob` comes back as it was pushed. It is noted when it does not.
    async fn check(&self, digest: &Digest, blob: Blob) -> Result<bool, Error> {
        match self.compare(digest, blob).await {
            Ok(true) => return Ok(true),
            Ok(false) => self.condemn(digest, blob.object),
            Err(error) if is_missing(&error) => {}
            Err(error) => {
                self.doubt(digest, blob, Cause::CameDamaged);
                return Err(error);
            }
        }
        Ok(false)
    }

    /// Notes that `blob` may be damaged, for `cause`, and reads it again, unless somebody does.
    fn doubt(&self, digest: &Digest, blob: Blob, cause: Cause) {
        if self.damage.suspect(blob.object) {
            self.examine(digest.clone(), blob, cause);
        }
    }

    /// Reads `blob` again, beside all else, to find out whether its object is damaged.
    fn examine(&self, digest: Digest, blob: Blob, cause: Cause) {
        let object = blob.object;
        let Ok(turn) = Arc::clone(&self.damage.turns).try_acquire_owned() else {
            return self.damage.found(object, Found::Nothing);
        };
        let registry = self.outliving();
        tokio::spawn(async move {
            let _turn = turn;
            match registry.judge(&digest, blob).await {
                Found::Whole => {
                    registry.damage.found(object, Found::Whole);
                    if cause == Cause::CameDamaged {
                        tracing::warn!(%digest, %object, "a blob came damaged once, and is whole");
                    }
                }
                Found::Damaged => registry.condemn(&digest, object),
                Found::Nothing => registry.damage.found(object, Found::Nothing),
            }
        });
    }

    /// Whether `blob` is as it was pushed.
    async fn judge(&self, digest: &Digest, blob: Blob) -> Found {
        let object = blob.object;
        for failures in 0..FAILURES_MIN {
            if failures > 0 {
                sleep(FAILURE_PAUSE).await;
            }
            match self.compare(digest, blob).await {
                Ok(true) => return Found::Whole,
                Ok(false) => return Found::Damaged,
                Err(error) => {
                    tracing::warn!(%digest, %object, %error, "what may be damaged cannot be read");
                    // That it is gone is seen without reading it. And what ails the store is no
                    // damage of what it holds.
                    if is_missing(&error) || self.try_out().await.is_err() {
                        return Found::Nothing;
                    }
                }
            }
        }
        Found::Damaged
    }

    /// Whether the store itself gives the bytes of `blob` as they were pushed, at once or when asked
    /// again: once only the way from it may have changed them.
    async fn compare(&self, digest: &Digest, blob: Blob) -> Result<bool, Error> {
        for _ in 0..2 {
            self.blobs.forget(blob.object).await;
            let hasher = self.hash(blob.object, blob.size, digest.algorithm()).await?;
            let is_same = blob.checksum.is_none_or(|checksum| checksum == hasher.checksum());
            if is_same && hasher.finish() == *digest {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Notes that `object` is damaged.
    fn condemn(&self, digest: &Digest, object: ObjectKey) {
        self.damage.found(object, Found::Damaged);
        self.metrics.found_damaged();
        tracing::error!(
            %digest, %object,
            "the bytes of a blob are not those that were pushed, or cannot be read: a push of it \
             heals it"
        );
    }
}

/// Whether the store says that an object is not there.
const fn is_missing(error: &Error) -> bool {
    matches!(error, Error::Blobs(BlobsError::Missing(_)))
}

/// What `bytes` gives, unless it breaks off, or all `size` of them have another checksum: then
/// `differ` is called, and the last piece is withheld.
fn checked(
    bytes: ByteStream,
    size: u64,
    expected: Checksum,
    differ: impl Fn() + Send + 'static,
) -> ByteStream {
    let state = (bytes, size, Checksum::EMPTY, differ);
    let checked =
        stream::try_unfold(state, move |(mut bytes, left, mut checksum, differ)| async move {
            let Some(piece) = bytes.next().await else { return Ok(None) };
            let piece = piece.inspect_err(|_| differ())?;
            checksum.extend(&piece);
            let left = left.saturating_sub(piece.len() as u64);
            if left == 0 && checksum != expected {
                differ();
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "these are not the bytes that were pushed",
                ));
            }
            Ok(Some((piece, (bytes, left, checksum, differ))))
        });
    Box::pin(checked)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use std::sync::atomic::{AtomicBool, Ordering};

    use bytes::Bytes;

    use super::*;

    fn pieces(texts: &[&'static str]) -> Vec<io::Result<Bytes>> {
        texts.iter().map(|text| Ok(Bytes::from_static(text.as_bytes()))).collect()
    }

    /// What comes of these pieces where `pushed` is expected, and whether the difference was told.
    async fn pulled(
        pieces: Vec<io::Result<Bytes>>,
        pushed: &str,
    ) -> (Vec<Result<Bytes, String>>, bool) {
        let mut checksum = Checksum::EMPTY;
        checksum.extend(pushed.as_bytes());
        let told = Arc::new(AtomicBool::new(false));
        let tell = Arc::clone(&told);
        let differ = move || tell.store(true, Ordering::Relaxed);
        let bytes = Box::pin(stream::iter(pieces));
        let all = checked(bytes, pushed.len() as u64, checksum, differ);
        let all = all.map(|piece| piece.map_err(|error| error.to_string())).collect().await;
        (all, told.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn the_last_piece_is_withheld_when_the_bytes_are_others() {
        let (same, is_told) = pulled(pieces(&["some ", "", "bytes"]), "some bytes").await;
        assert_eq!((same.iter().flatten().count(), same.len(), is_told), (3, 3, false));
        for others in [&["some ", "Bytes"][..], &["Some ", "bytes"]] {
            let (found, is_told) = pulled(pieces(others), "some bytes").await;
            assert!(found[0].is_ok() && found[1].is_err() && found.len() == 2, "{found:?}");
            assert!(is_told);
        }
    }

    #[tokio::test]
    async fn that_it_breaks_off_is_told_too() {
        let mut broken = pieces(&["some "]);
        broken.push(Err(io::Error::other("a bad sector")));
        let (found, is_told) = pulled(broken, "some bytes").await;
        assert!(found[0].is_ok() && found[1].is_err() && found.len() == 2, "{found:?}");
        assert!(is_told);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_found_damaged_is_read_again_later_by_one() {
        let (damage, object) = (Damage::none(), ObjectKey::from_random(1));
        assert_eq!(damage.look(object), Look::Whole);
        assert!(damage.suspect(object), "the first reads it again");
        assert!(!damage.suspect(object), "and no other");
        assert_eq!(damage.look(object), Look::Whole, "a suspicion is no finding");
        damage.found(object, Found::Damaged);
        assert_eq!(damage.look(object), Look::Damaged);
        tokio::time::advance(EXAMINED_AGAIN_AFTER).await;
        assert_eq!(damage.look(object), Look::DamagedLongAgo);
        assert_eq!(damage.look(object), Look::Damaged, "it is being read");
        assert!(!damage.suspect(object), "by one");
        damage.found(object, Found::Nothing);
        assert_eq!(damage.look(object), Look::Damaged, "as long as nobody knows better");
        damage.found(object, Found::Whole);
        assert_eq!(damage.look(object), Look::Whole);
        assert!(damage.suspect(object));
        damage.found(object, Found::Nothing);
        assert_eq!(damage.look(object), Look::Whole, "nobody has found it damaged");
    }
}
