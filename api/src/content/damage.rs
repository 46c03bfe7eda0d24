//! Blobs whose bytes are no longer those that were pushed, or cannot be read.
//!
//! A blob that is pulled whole is compared, on its way, with the checksum of what was pushed. When
//! they differ, the connection breaks before the last bytes are sent, so that no client takes them
//! for the blob, and the node reads the object again, to tell a bad store from a bad line. It reads
//! it again, too, when a pull breaks off.
//!
//! A damaged object counts as gone: the blob is absent, and the next push heals it. An object that
//! cannot be read counts as gone for pushes only. A pull of it is still tried, because it may
//! become readable at any moment.

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
/// The same of one that could not be read: what ails a store passes more often.
const TRIED_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// Objects that are examined at once. Others are when they are next asked for: while a store is
/// away, each pull breaks off.
const EXAMINED_AT_ONCE: usize = 16;
/// How often in a row an object must fail to be read, while another that was just written is read,
/// before that is taken for a fault of it and not for an outage of the store.
const FAILURES_MIN: u32 = 4;
/// The pause between two of these: all together last for a minute.
const FAILURE_PAUSE: Duration = Duration::from_secs(20);
/// Largest blob that is read while its client waits, because it pushes what is there, in bytes: a
/// few seconds for most stores.
const COMPARED_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// How long that may take where the store is slow. With a cluster that agrees at once, and a store
/// that is quick in all else, it ends within the minute after which proxies give up on an answer.
const COMPARED_WITHIN: Duration = Duration::from_secs(45);

/// The objects that this node does not simply take for whole.
pub(crate) struct Damage {
    findings: Mutex<LruCache<ObjectKey, Finding>>,
    /// What is left of [`EXAMINED_AT_ONCE`].
    turns: Arc<Semaphore>,
}

/// What is known of such an object.
#[derive(Clone, Copy, Debug)]
struct Finding {
    /// How it was when it was last read.
    state: State,
    /// When that was.
    at: Instant,
    /// Whether it is being read again.
    is_in_doubt: bool,
}

/// How an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It is taken for whole.
    Whole,
    /// It could not be read, while another was.
    Unreadable,
    /// It had other bytes than were pushed.
    Damaged,
}

impl State {
    /// After what time an object that was found so is read again when it is asked for.
    const fn lasts(self) -> Duration {
        match self {
            Self::Whole => Duration::ZERO,
            Self::Unreadable => TRIED_AGAIN_AFTER,
            Self::Damaged => EXAMINED_AGAIN_AFTER,
        }
    }
}

/// Why an object is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// It did not come back as it was pushed.
    CameDamaged,
    /// It is pushed again: the client that does that may know why.
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

    /// How `object` is, as far as is known.
    fn look(&self, object: ObjectKey) -> State {
        self.findings().get(&object).map_or(State::Whole, |finding| finding.state)
    }

    /// Notes that `object` may not be as it is taken for. Answers whether to read it again: nobody
    /// else does, or did just now.
    fn suspect(&self, object: ObjectKey) -> bool {
        let unknown = || Finding { state: State::Whole, at: Instant::now(), is_in_doubt: false };
        let mut findings = self.findings();
        let finding = findings.get_or_insert_mut(object, unknown);
        let is_due = !finding.is_in_doubt && finding.at.elapsed() >= finding.state.lasts();
        finding.is_in_doubt |= is_due;
        is_due
    }

    /// Notes how `object` was when it was read again. Answers how it was before.
    fn found(&self, object: ObjectKey, state: State) -> State {
        let mut findings = self.findings();
        let before = match state {
            State::Whole => findings.pop(&object),
            _ => findings.put(object, Finding { state, at: Instant::now(), is_in_doubt: false }),
        };
        before.map_or(State::Whole, |finding| finding.state)
    }

    /// Notes that nothing was learnt of `object`, and nobody reads it any more.
    fn learnt_nothing(&self, object: ObjectKey) {
        let mut findings = self.findings();
        match findings.peek_mut(&object) {
            Some(finding) if finding.state != State::Whole => finding.is_in_doubt = false,
            _ => {
                findings.pop(&object);
            }
        }
    }
}

impl Registry {
    /// Whether this node has found that `blob` has other bytes than were pushed.
    pub(crate) fn is_damaged(&self, digest: &Digest, blob: Blob) -> bool {
        self.state(digest, blob) == State::Damaged
    }

    /// How `blob` is, as far as this node knows. What was not whole is read again now and then.
    fn state(&self, digest: &Digest, blob: Blob) -> State {
        let state = self.damage.look(blob.object);
        if state != State::Whole {
            self.doubt(digest, blob, Cause::CameDamaged);
        }
        state
    }

    /// Whether the bytes of `blob` are there and can be read, as far as can be told without doing
    /// that.
    pub(crate) async fn is_whole(&self, digest: &Digest, blob: Blob) -> Result<bool, Error> {
        if blob.size > 0 && self.state(digest, blob) != State::Whole {
            return Ok(false);
        }
        self.is_there(digest, blob).await
    }

    /// Whether the store has as many bytes of `blob` as were pushed.
    pub(crate) async fn is_there(&self, digest: &Digest, blob: Blob) -> Result<bool, Error> {
        if blob.size == 0 {
            return Ok(true);
        }
        match self.extent(blob.object).await {
            Ok(extent) => Ok(extent >= blob.size),
            Err(error) => {
                self.doubt(digest, blob, Cause::CameDamaged);
                Err(error)
            }
        }
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
        let (registry, digest) = (self.clone(), digest.clone());
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
            Ok(false) => self.condemn(digest, blob.object, State::Damaged),
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
            return self.damage.learnt_nothing(object);
        };
        let registry = self.clone();
        tokio::spawn(async move {
            let _turn = turn;
            match registry.judge(&digest, blob).await {
                Some(State::Whole) => {
                    registry.damage.found(object, State::Whole);
                    if cause == Cause::CameDamaged {
                        tracing::warn!(%digest, %object, "a blob came damaged once, and is whole");
                    }
                }
                Some(state) => registry.condemn(&digest, object, state),
                None => registry.damage.learnt_nothing(object),
            }
        });
    }

    /// How `blob` is when it is read now; `None` when that cannot be told.
    async fn judge(&self, digest: &Digest, blob: Blob) -> Option<State> {
        let object = blob.object;
        let failures_min = match self.damage.look(object) {
            State::Unreadable => 1,
            State::Whole | State::Damaged => FAILURES_MIN,
        };
        for failures in 0..failures_min {
            if failures > 0 {
                sleep(FAILURE_PAUSE).await;
            }
            match self.compare(digest, blob).await {
                Ok(true) => return Some(State::Whole),
                Ok(false) => return Some(State::Damaged),
                Err(error) => {
                    tracing::warn!(%digest, %object, %error, "what may be damaged cannot be read");
                    // That an object is gone shows without reading it. And a store that fails for
                    // all objects says nothing of this one.
                    if is_missing(&error) || self.try_out().await.is_err() {
                        return None;
                    }
                }
            }
        }
        Some(State::Unreadable)
    }

    /// Whether the store itself gives the bytes of `blob` as they were pushed, in one of two reads:
    /// a single read may have been changed on its way from the store.
    async fn compare(&self, digest: &Digest, blob: Blob) -> Result<bool, Error> {
        if blob.size > 0 {
            // While the store cannot say how long the object is, every push of the blob fails: so
            // it counts as one that cannot be read.
            self.extent(blob.object).await?;
        }
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

    /// Notes that `object` is not whole. That is logged and counted once, for as long as it lasts.
    fn condemn(&self, digest: &Digest, object: ObjectKey, state: State) {
        if self.damage.found(object, state) != State::Whole {
            return;
        }
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
    async fn what_was_not_whole_is_read_again_later_by_one() {
        let (damage, object) = (Damage::none(), ObjectKey::from_random(1));
        assert_eq!(damage.look(object), State::Whole);
        assert!(damage.suspect(object), "the first reads it again");
        assert!(!damage.suspect(object), "and no other");
        assert_eq!(damage.look(object), State::Whole, "a suspicion is no finding");
        damage.learnt_nothing(object);
        assert!(damage.suspect(object));
        for state in [State::Unreadable, State::Damaged] {
            assert_eq!(damage.found(object, state), State::Whole);
            assert_eq!(damage.found(object, state), state, "that is no news");
            assert!(!damage.suspect(object), "it was read just now");
            tokio::time::advance(state.lasts()).await;
            assert!(damage.suspect(object));
            assert!(!damage.suspect(object), "it is being read, by one");
            assert_eq!(damage.look(object), state);
            damage.learnt_nothing(object);
            assert_eq!(damage.look(object), state, "as long as nobody knows better");
            assert!(damage.suspect(object), "and nobody has read it since");
            damage.found(object, State::Whole);
            assert_eq!(damage.look(object), State::Whole);
        }
    }
}
