//! Finding what nothing was written to for long, and removing what no fact could ever name.
//!
//! A fact may name an upload by its key, or an object: one with an index, or one of one piece. It
//! names none of the pieces that only an index or a cursor names, and those alone tell which bytes
//! are such pieces. All that they name is found first; what is listed after that, is old, and was
//! not named, is an object of its own.
//!
//! No needed bytes can slip through, whatever happens meanwhile. What is older than the cutoff was
//! named before the look began, or never will be: what writes bytes names them before `age` has
//! passed since it began, which is when S3 says that an object of several parts was written. An
//! upload's bytes are named by its cursor until it is settled or abandoned: each cursor names all
//! that the one before it did, unless another history won, and then nobody needs what the loser
//! wrote. So a cursor that is found names them; and one that is gone when cursors are read was
//! settled, before which the index of what it became was written: indexes are read after cursors,
//! so that index is found, unless it was deleted, and the bytes are not needed. Bytes that are an
//! object of one piece may be named by nothing; then they are looked for in the catalog by their
//! own key, as all that is found here.
//!
//! For the same reason the index of an object is deleted alone: which of its pieces another index
//! names, or the catalog by their own key, is known here only. What was not named any more comes up
//! the next time.
//!
//! Pieces that were not named in time, since a node stood still for days, may be found and given
//! up; then [`Store::seal`] misses them.

use std::io;
use std::sync::Once;
use std::time::Duration;

use futures::{Stream, StreamExt as _, TryStreamExt as _, future, stream};
use proto::ObjectKey;

use super::bucket::{Bucket, Condition};
use super::client::Patience;
use super::cursor::{Cursor, decode_index, keys};
use super::error::date;
use super::keys::Keys;
use super::list::{Entry, Moment};
use super::{Store, fresh};
use crate::blob::{BlobsError, Stale};

/// Cursors and indexes that are read at once.
const AT_ONCE: usize = 8;
/// How far the clock of the answers of a store may be ahead of that of its objects: what is in
/// front of it may give answers another time.
const DOUBT: Duration = Duration::from_secs(60 * 60);

impl Store {
    /// See [`crate::Blobs::sweep`].
    pub(super) fn sweep(
        &self,
        age: Duration,
    ) -> impl Stream<Item = Result<Stale, BlobsError>> + Send + '_ {
        let bucket = &*self.bucket;
        let found = async move {
            let cutoff = cutoff(bucket, age).await?;
            tidy(bucket, cutoff).await;
            let mut names = Names::default();
            let uploads = names.read_cursors(bucket, cutoff).await?;
            let indexed = names.read_indexes(bucket, cutoff).await?;
            let names = names.sorted();
            let mut found: Vec<_> = uploads.into_iter().map(Stale::Upload).map(Ok).collect();
            found.extend(indexed.into_iter().filter_map(|key| names.unless_named(key)).map(Ok));
            let pages = bucket.list(bucket.keys.objects()).map_ok(move |page| {
                let old = page.iter().filter(|entry| entry.written <= cutoff);
                let keys = old.filter_map(|entry| Keys::key_of(&entry.name));
                let found: Vec<_> =
                    keys.filter_map(|key| names.unless_named(key)).map(Ok).collect();
                stream::iter(found)
            });
            Ok(stream::iter(found).chain(pages.try_flatten()))
        };
        stream::once(found).try_flatten()
    }
}

/// What to do with something under `uploads/` or `indexes/` that cannot be understood.
const REMEDY: &str = "upgrade this node if another one is newer; else put back what was there, or \
                      delete it: an upload is begun again then, and a blob is pushed again";

/// The time `age` ago.
async fn cutoff(bucket: &Bucket, age: Duration) -> Result<Moment, BlobsError> {
    let now = match clock(bucket).await {
        // What makes room goes on.
        Err(BlobsError::Full) => told(bucket).await?.saturating_sub_unsigned(DOUBT.as_nanos()),
        now => now?,
    };
    Ok(now.saturating_sub_unsigned(age.as_nanos()))
}

/// What the clock says that the times of all objects come from: those in a list.
async fn clock(bucket: &Bucket) -> Result<Moment, BlobsError> {
    let name = bucket.keys.probe(fresh()?);
    bucket.put(&name, "probe", Condition::Always, Patience::Question).await?;
    let page = bucket.list(name.clone()).boxed().try_next().await?.unwrap_or_default();
    bucket.delete(&name).await?;
    let now = page.first().map(|entry| entry.written);
    now.ok_or_else(|| {
        let reason = "the store does not list what was just written to it";
        BlobsError::Unavailable(io::Error::other(reason))
    })
}

/// What a store that is full says the time is, as it says that something is not there.
async fn told(bucket: &Bucket) -> Result<Moment, BlobsError> {
    let absent = bucket.client.head_object().bucket(&bucket.name).key(bucket.keys.probe(fresh()?));
    let answer = absent.send().await;
    let date = answer.as_ref().err().and_then(date);
    date.map(|date| date.as_nanos()).ok_or(BlobsError::Full)
}

/// Removes what no fact can name and nothing will: multipart uploads that nobody goes on with, and
/// what nodes left that died as they tried the store out. It is tried again the next time.
async fn tidy(bucket: &Bucket, cutoff: Moment) {
    let aborted = bucket.begun_before(cutoff).try_for_each(|page| {
        stream::iter(page).map(Ok).try_for_each_concurrent(AT_ONCE, |multipart| async move {
            tracing::info!(object = %multipart.key, "ending an upload that nobody goes on with");
            bucket.abort(&multipart).await
        })
    });
    let probes = bucket.list(bucket.keys.probes()).try_for_each(|page| {
        let old = page.into_iter().filter(|entry| entry.written <= cutoff);
        stream::iter(old).map(Ok).try_for_each_concurrent(AT_ONCE, |entry| async move {
            bucket.delete(&entry.name).await
        })
    });
    for outcome in [aborted.await, probes.await] {
        if let Err(error) = outcome {
            tracing::warn!(%error, "what is left of uploads could not be removed");
        }
    }
}

/// What is named by a cursor or an index. Held are 16 bytes for each piece: those of an upload in
/// one request are one, of an upload in chunks one for each 5 MiB or more, so that 1 TiB that was
/// all pushed in chunks takes 3 MiB. For each cursor it is 16 bytes more, and 16 for each chunk
/// that was written anew: a million uploads of one byte that nobody ended take 32 MB.
#[derive(Debug, Default)]
struct Names(Vec<ObjectKey>);

impl Names {
    /// Adds what cursors name. Answers the uploads that were last written to by `cutoff`.
    async fn read_cursors(
        &mut self,
        bucket: &Bucket,
        cutoff: Moment,
    ) -> Result<Vec<ObjectKey>, BlobsError> {
        self.read(bucket, bucket.keys.uploads(), cutoff, |bytes| {
            let cursor = Cursor::decode(bytes)?;
            // Until it is settled, the upload stands for what it may be sealed as.
            let mut named = vec![cursor.object()];
            named.extend(keys(&cursor.segments).chain(keys(&cursor.replaced)));
            Ok(named)
        })
        .await
    }

    /// Adds what indexes name. Answers the objects whose index was written by `cutoff`.
    async fn read_indexes(
        &mut self,
        bucket: &Bucket,
        cutoff: Moment,
    ) -> Result<Vec<ObjectKey>, BlobsError> {
        let read = |bytes: &[u8]| Ok(keys(&decode_index(bytes)?).collect());
        self.read(bucket, bucket.keys.indexes(), cutoff, read).await
    }

    /// Adds what `read` finds in everything under `prefix` that a node can have written. One that
    /// cannot be understood, or is there in a list only, ends the look: what it names must not be
    /// taken for something that nothing names.
    async fn read(
        &mut self,
        bucket: &Bucket,
        prefix: String,
        cutoff: Moment,
        read: impl Fn(&[u8]) -> Result<Vec<ObjectKey>, BlobsError>,
    ) -> Result<Vec<ObjectKey>, BlobsError> {
        let mut old = Vec::new();
        let pages = bucket.list(prefix);
        let pages = pages.map_ok(|page| stream::iter(page.into_iter().filter(is_ours).map(Ok)));
        let texts = pages.try_flatten().map_ok(|entry: Entry| async move {
            match bucket.get(&entry.name).await? {
                Some(found) => Ok(Some((entry, found.bytes))),
                None if is_listed(bucket, &entry.name).await? => Err(contradiction(&entry.name)),
                None => Ok(None),
            }
        });
        // What is gone meanwhile names nothing any more.
        let texts = texts.try_buffer_unordered(AT_ONCE).try_filter_map(future::ok);
        let mut texts = std::pin::pin!(texts);
        while let Some((entry, text)) = texts.try_next().await? {
            let named = read(&text).inspect_err(|error| {
                tracing::error!(name = entry.name, %error, "nothing can be swept: {REMEDY}");
            });
            self.0.extend(named?);
            old.extend(Keys::key_of(&entry.name).filter(|_| entry.written <= cutoff));
        }
        Ok(old)
    }

    fn sorted(mut self) -> Self {
        self.0.sort_unstable();
        self.0.dedup();
        self
    }

    /// The object `key`, unless it is a piece of another, or what an upload may become.
    fn unless_named(&self, key: ObjectKey) -> Option<Stale> {
        self.0.binary_search(&key).is_err().then_some(Stale::Object(key))
    }
}

/// Whether a node can have written it. What others make, such as the empty object that stands for a
/// folder in a console, names nothing.
fn is_ours(entry: &Entry) -> bool {
    static TOLD: Once = Once::new();
    let is_ours = Keys::key_of(&entry.name).is_some();
    if !is_ours {
        TOLD.call_once(|| {
            tracing::warn!(
                name = entry.name,
                "the bucket holds what no node wrote; it is left alone"
            );
        });
    }
    is_ours
}

/// Whether a list shows what has this `name`.
async fn is_listed(bucket: &Bucket, name: &str) -> Result<bool, BlobsError> {
    let page = bucket.list(name.to_owned()).boxed().try_next().await?.unwrap_or_default();
    Ok(page.iter().any(|entry| entry.name == name))
}

/// The error when the store shows in lists what it does not find.
fn contradiction(name: &str) -> BlobsError {
    let reason = format!("the store lists {name} but does not find it: nothing is swept meanwhile");
    BlobsError::Unavailable(io::Error::other(reason))
}
