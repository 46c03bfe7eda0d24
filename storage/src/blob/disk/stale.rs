//! Finding what nothing was written to for long: folder after folder, by the clock of the file
//! system.

use std::collections::BTreeMap;
use std::fs::{self, DirEntry};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use proto::ObjectKey;

use super::folder::{Folder, remove};
use super::parts::owner;
use crate::blob::error::failure;
use crate::blob::{BlobsError, Stale};

/// See [`crate::Blobs::sweep`]. A thread is taken for one folder at a time, and the keys of one are
/// held: 1/256 of all.
pub(super) fn sweep(
    folder: &Arc<Folder>,
    age: Duration,
) -> impl Stream<Item = Result<Stale, BlobsError>> + Send + use<> {
    let folder = Arc::clone(folder);
    let found = async move {
        let remove = move |folder: &Folder| remove_abandoned(folder, age).map_err(failure);
        let cutoff = folder.blocking(remove).await?;
        // Nothing is as old as that.
        let shards = cutoff.map(|cutoff| folder.shards().map(move |shard| (shard, cutoff)));
        let shards = stream::iter(shards.into_iter().flatten()).then(move |(shard, cutoff)| {
            let folder = Arc::clone(&folder);
            async move { folder.blocking(move |_| Ok(resting_or_none(&shard, cutoff))).await }
        });
        let objects = shards.map_ok(|objects| stream::iter(objects.into_iter().map(Ok)));
        Ok(objects.try_flatten().map_ok(Stale::Object))
    };
    stream::once(found).try_flatten()
}

/// Removes the temporary files that nobody has written to for `age`. Answers since when that is;
/// `None` when there is no such time.
pub(super) fn remove_abandoned(folder: &Folder, age: Duration) -> io::Result<Option<SystemTime>> {
    let Some(cutoff) = folder.clock()?.checked_sub(age) else { return Ok(None) };
    for entry in fs::read_dir(folder.tmp())? {
        let entry = entry?;
        if written(&entry)?.is_some_and(|written| written <= cutoff) {
            remove(&entry.path())?;
        }
    }
    Ok(Some(cutoff))
}

/// What [`resting`] finds. A shard that cannot be read keeps nobody from the others.
fn resting_or_none(shard: &Path, cutoff: SystemTime) -> Vec<ObjectKey> {
    resting(shard, cutoff).unwrap_or_else(|error| {
        tracing::warn!(shard = %shard.display(), %error, "a folder of blobs cannot be swept");
        Vec::new()
    })
}

/// The objects of which there are files in `shard`, none of them written to after `cutoff`. Also
/// those whose files belong to no object, since what comes before them is gone: the catalog, and
/// not what the disk happens to show, decides what is removed.
fn resting(shard: &Path, cutoff: SystemTime) -> io::Result<Vec<ObjectKey>> {
    let mut objects = BTreeMap::new();
    for entry in fs::read_dir(shard)? {
        let entry = entry?;
        let Some(object) = owner(&entry.file_name()) else { continue };
        let Some(written) = written(&entry)? else { continue };
        *objects.entry(object).or_insert(true) &= written <= cutoff;
    }
    Ok(objects.into_iter().filter_map(|(object, rests)| rests.then_some(object)).collect())
}

/// When a file was last written to; `None` when it is there no longer.
fn written(entry: &DirEntry) -> io::Result<Option<SystemTime>> {
    match entry.metadata().and_then(|metadata| metadata.modified()) {
        Ok(modified) => Ok(Some(modified)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
