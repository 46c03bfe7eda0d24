//! Blobs whose bytes are no longer those that were pushed.
//!
//! What is pulled whole is compared with the checksum of what was pushed, on its way. When it is
//! another, the connection breaks before the last bytes are sent, so that no client takes it for
//! the blob, and the node reads the object again, to know the store from the line. An object that
//! is damaged is treated as one that is gone: the blob is absent, and the next push heals it.

use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{StreamExt as _, stream};
use lru::LruCache;
use proto::{Checksum, Digest, Mutant, ObjectKey};
use raft::Blob;
use storage::ByteStream;
use tokio::time::Instant;

use crate::error::Error;
use crate::registry::Registry;

/// Most objects that a node remembers as damaged.
const FINDINGS_MAX: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();
/// After what time an object that was found damaged is read again when it is asked for: the store
/// may have mended it.
const EXAMINED_AGAIN_AFTER: Duration = Duration::from_secs(10 * 60);

/// The objects that this node has found damaged.
pub(crate) struct Damage(Mutex<LruCache<ObjectKey, Finding>>);

/// What is known of an object that did not come back as it was pushed.
#[derive(Clone, Copy, Debug)]
struct Finding {
    is_damaged: bool,
    is_examined: bool,
    /// When it was last found damaged.
    at: Instant,
}

impl Damage {
    /// Nothing is damaged.
    pub(crate) fn none() -> Self {
        Self(Mutex::new(LruCache::new(FINDINGS_MAX)))
    }

    fn findings(&self) -> MutexGuard<'_, LruCache<ObjectKey, Finding>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `object` was found damaged; and whether to read it again now, of which the caller
    /// must then [tell](Self::found) the outcome.
    fn look(&self, object: ObjectKey) -> (bool, bool) {
        let mut findings = self.findings();
        let Some(finding) = findings.get_mut(&object) else { return (false, false) };
        let is_due = !finding.is_examined && finding.at.elapsed() >= EXAMINED_AGAIN_AFTER;
        finding.is_examined |= is_due;
        (finding.is_damaged, is_due)
    }

    /// Notes that `object` did not come back as it was pushed. Answers whether to read it again:
    /// nobody else does.
    fn suspect(&self, object: ObjectKey) -> bool {
        let mut findings = self.findings();
        let fresh = || Finding { is_damaged: false, is_examined: false, at: Instant::now() };
        let finding = findings.get_or_insert_mut(object, fresh);
        !std::mem::replace(&mut finding.is_examined, true)
    }

    /// Notes how `object` was found when it was read again; `None`: it could not be read.
    fn found(&self, object: ObjectKey, is_damaged: Option<bool>) {
        let mut findings = self.findings();
        let was_damaged = findings.peek(&object).is_some_and(|finding| finding.is_damaged);
        if is_damaged.unwrap_or(was_damaged) {
            let at = Instant::now();
            findings.put(object, Finding { is_damaged: true, is_examined: false, at });
        } else {
            findings.pop(&object);
        }
    }
}

impl Registry {
    /// Whether this node has found that `blob` has other bytes than were pushed.
    pub(crate) fn is_damaged(&self, digest: &Digest, blob: Blob) -> bool {
        let (is_damaged, is_due) = self.damage.look(blob.object);
        if is_due {
            self.examine(digest.clone(), blob);
        }
        is_damaged
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
        let bytes = self.read(blob.object, range).await?;
        let Some(checksum) =
            blob.checksum.filter(|_| is_all && !Mutant::ChecksumIgnored.is_active())
        else {
            return Ok(bytes);
        };
        let (registry, digest) = (self.outliving(), digest.clone());
        Ok(checked(bytes, blob.size, checksum, move || {
            if registry.damage.suspect(blob.object) {
                registry.examine(digest, blob);
            }
        }))
    }

    /// Reads `blob` again, beside all else, to find out whether its object is damaged.
    fn examine(&self, digest: Digest, blob: Blob) {
        let registry = self.outliving();
        tokio::spawn(async move {
            let Blob { size, object, .. } = blob;
            registry.blobs.forget(object).await;
            let found = match registry.hash(object, size, digest.algorithm()).await {
                Ok(hasher) => Some(hasher.checksum()) != blob.checksum || hasher.finish() != digest,
                Err(error) => {
                    tracing::warn!(%digest, %object, %error, "what may be damaged cannot be read");
                    return registry.damage.found(object, None);
                }
            };
            registry.damage.found(object, Some(found));
            if found {
                registry.metrics.found_damaged();
                tracing::error!(
                    %digest, %object,
                    "the bytes of a blob are not those that were pushed: a push of it heals it"
                );
            } else {
                tracing::warn!(%digest, %object, "a blob came damaged once, and is whole");
            }
        });
    }
}

/// What `bytes` gives, unless all `size` of them have another checksum: then `differ` is called,
/// and the last piece is withheld.
fn checked(
    bytes: ByteStream,
    size: u64,
    expected: Checksum,
    differ: impl FnOnce() + Send + 'static,
) -> ByteStream {
    let state = (bytes, size, Checksum::EMPTY, Some(differ));
    let checked =
        stream::try_unfold(state, move |(mut bytes, left, mut checksum, mut differ)| async move {
            let Some(piece) = bytes.next().await.transpose()? else { return Ok(None) };
            checksum.extend(&piece);
            let left = left.saturating_sub(piece.len() as u64);
            if left == 0 && checksum != expected {
                if let Some(differ) = differ.take() {
                    differ();
                }
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

    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use bytes::Bytes;

    use super::*;

    /// What comes of these pieces where `pushed` is expected, and whether the difference was told.
    async fn pulled(pieces: &[&'static str], pushed: &str) -> (Vec<Result<Bytes, String>>, bool) {
        let mut checksum = Checksum::EMPTY;
        checksum.extend(pushed.as_bytes());
        let pieces: Vec<_> =
            pieces.iter().map(|piece| Ok(Bytes::from_static(piece.as_bytes()))).collect();
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
        let (same, is_told) = pulled(&["some ", "", "bytes"], "some bytes").await;
        assert_eq!((same.iter().flatten().count(), same.len(), is_told), (3, 3, false));
        for others in [&["some ", "Bytes"][..], &["Some ", "bytes"]] {
            let (pieces, is_told) = pulled(others, "some bytes").await;
            assert!(pieces[0].is_ok() && pieces[1].is_err() && pieces.len() == 2, "{pieces:?}");
            assert!(is_told);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_found_damaged_is_read_again_later_by_one() {
        let (damage, object) = (Damage::none(), ObjectKey::from_random(1));
        assert_eq!(damage.look(object), (false, false));
        assert!(damage.suspect(object), "the first reads it again");
        assert!(!damage.suspect(object), "and no other");
        assert_eq!(damage.look(object), (false, false), "a suspicion is no finding");
        damage.found(object, Some(true));
        assert_eq!(damage.look(object), (true, false));
        tokio::time::advance(EXAMINED_AGAIN_AFTER).await;
        assert_eq!(damage.look(object), (true, true));
        assert_eq!(damage.look(object), (true, false), "it is being read");
        damage.found(object, None);
        assert_eq!(damage.look(object), (true, false), "as long as nobody knows better");
        damage.found(object, Some(false));
        assert_eq!(damage.look(object), (false, false));
        assert!(damage.suspect(object));
    }
}
