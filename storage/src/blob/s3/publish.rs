//! Moving the cursor of an upload: of several that do so at once, one wins.

use std::io;

use proto::ObjectKey;
use tokio::sync::{Mutex, OnceCell};

use super::bucket::{Bucket, Condition, Found, Written};
use super::client::Patience;
use super::cursor::Cursor;
use super::error::lacking;
use super::fresh;
use crate::blob::{BlobsError, Tip};

/// How often a write is tried that met another at the same time.
const ATTEMPTS: usize = 3;
/// Locks among which uploads are spread, where the store has no conditional writes.
const LOCKS: usize = 64;

/// Publishes cursors.
#[derive(Debug)]
pub(super) struct Publisher {
    /// Whether the store heeds `If-Match` and `If-None-Match` when it writes; not all do.
    conditional: OnceCell<bool>,
    locks: [Mutex<()>; LOCKS],
}

impl Default for Publisher {
    fn default() -> Self {
        Self { conditional: OnceCell::new(), locks: std::array::from_fn(|_| Mutex::new(())) }
    }
}

impl Publisher {
    /// Makes `cursor` that of `upload`, if `before` still is. Answers whether it is: an error
    /// leaves that open.
    pub(super) async fn publish(
        &self,
        bucket: &Bucket,
        upload: ObjectKey,
        cursor: &Cursor,
        before: Option<&Found>,
    ) -> Result<bool, BlobsError> {
        let key = bucket.keys.upload(upload);
        if self.is_conditional(bucket).await? {
            replace(bucket, &key, cursor, before).await
        } else {
            let _turn = self.locks[lock_of(upload)].lock().await;
            look_and_replace(bucket, &key, cursor, before).await
        }
    }

    /// Whether the store heeds conditions, which is found out once.
    pub(super) async fn is_conditional(&self, bucket: &Bucket) -> Result<bool, BlobsError> {
        self.conditional.get_or_try_init(|| find_out(bucket)).await.copied()
    }
}

/// The lock of `upload`: keys are random, so that the first digits tell uploads apart.
fn lock_of(upload: ObjectKey) -> usize {
    usize::from_str_radix(&upload.shard(), 16).unwrap_or_default() % LOCKS
}

/// Writes where both conditions must hold, and where each must not.
async fn find_out(bucket: &Bucket) -> Result<bool, BlobsError> {
    let key = bucket.keys.probe(fresh()?);
    let put = |condition| bucket.put(&key, "probe", condition, Patience::Question);
    let first = put(Condition::Absent).await?;
    let conditional = match first {
        Written::Unsupported => false,
        _ => {
            put(Condition::Absent).await? == Written::Conflict
                && put(Condition::Unchanged("\"00000000000000000000000000000000\"")).await?
                    == Written::Conflict
        }
    };
    bucket.delete(&key).await?;
    if !conditional {
        tracing::info!(
            bucket = bucket.name,
            "the store has no conditional writes: of two appends to one upload through two nodes \
             at the same moment, the earlier may have to be repeated"
        );
    }
    Ok(conditional)
}

async fn replace(
    bucket: &Bucket,
    key: &str,
    cursor: &Cursor,
    before: Option<&Found>,
) -> Result<bool, BlobsError> {
    let condition = match before {
        Some(Found { etag: Some(etag), .. }) => Condition::Unchanged(etag),
        Some(Found { etag: None, .. }) => return Err(lacking("GET", "ETag")),
        None => Condition::Absent,
    };
    for _ in 0..ATTEMPTS {
        if bucket.put(key, cursor.encode(), condition, Patience::Question).await? == Written::Yes {
            return Ok(true);
        }
        // Perhaps it was an earlier attempt of this very write that came first.
        let now = bucket.get(key).await?;
        if is_cursor(now.as_ref(), cursor)? {
            return Ok(true);
        }
        if !is_same(now.as_ref(), before)? {
            return Ok(false);
        }
    }
    Err(BlobsError::Unavailable(io::Error::other("the store kept refusing to move a cursor")))
}

/// Without conditions the window between looking and writing stays open to other nodes. A writer
/// that came through it is seen by looking once more, unless it is slow; then its cursor counts,
/// and the tip of this one is the upload's no longer.
async fn look_and_replace(
    bucket: &Bucket,
    key: &str,
    cursor: &Cursor,
    before: Option<&Found>,
) -> Result<bool, BlobsError> {
    if !is_same(bucket.get(key).await?.as_ref(), before)? {
        return Ok(false);
    }
    bucket.put(key, cursor.encode(), Condition::Always, Patience::Question).await?;
    is_cursor(bucket.get(key).await?.as_ref(), cursor)
}

fn is_same(now: Option<&Found>, before: Option<&Found>) -> Result<bool, BlobsError> {
    Ok(tip(now)? == tip(before)?)
}

fn is_cursor(now: Option<&Found>, cursor: &Cursor) -> Result<bool, BlobsError> {
    Ok(tip(now)? == Some(cursor.tip))
}

/// The tip of the cursor that was found, which no other has.
fn tip(found: Option<&Found>) -> Result<Option<Tip>, BlobsError> {
    found.map(|found| Ok(Cursor::decode(&found.bytes)?.tip)).transpose()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn uploads_are_spread_over_all_locks() {
        let uploads = (0..256).map(|first| ObjectKey::from_random(first << 120));
        assert_eq!(uploads.map(lock_of).collect::<BTreeSet<_>>(), (0..LOCKS).collect());
    }
}
