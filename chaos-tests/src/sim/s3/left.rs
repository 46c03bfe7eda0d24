//! What of a bucket nobody needs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use proto::ObjectKey;

use super::SimS3;
use super::bucket::{Bucket, Moment};

/// How long what a node tries the store out with may be there: it comes and goes all the time.
const PROBE_MAX: Duration = Duration::from_secs(5);

impl SimS3 {
    /// The names of what is there that no fact needs, where `is_named` says which objects the
    /// catalog names: bytes, indexes, cursors of uploads, and uploads in parts.
    pub(crate) fn left(&self, is_named: impl Fn(ObjectKey) -> bool) -> Vec<String> {
        left(&self.bucket(), is_named, self.now())
    }

    /// All bytes of each object, of one piece or of several.
    pub(crate) fn contents(&self) -> BTreeMap<ObjectKey, Bytes> {
        contents(&self.bucket())
    }
}

fn left(bucket: &Bucket, is_named: impl Fn(ObjectKey) -> bool, now: Moment) -> Vec<String> {
    let is_named_by = |name: &str| key(name).is_some_and(&is_named);
    let mut needed = BTreeSet::new();
    for (name, object) in bucket.objects() {
        if name.starts_with("indexes/") && is_named_by(name) {
            needed.extend(segments(&object.bytes));
        }
    }
    let is_needed = |name: &str, written: Moment| match name.split('/').next() {
        Some("cluster") => true,
        Some("objects") => is_named_by(name) || key(name).is_some_and(|key| needed.contains(&key)),
        Some("indexes") => is_named_by(name),
        Some("probes") => now < written + PROBE_MAX,
        _ => false,
    };
    let objects = bucket.objects().filter(|(name, object)| !is_needed(name, object.written));
    let objects = objects.map(|(name, _)| name.to_owned());
    objects.chain(bucket.uploads().map(|name| format!("parts of {name}"))).collect()
}

fn contents(bucket: &Bucket) -> BTreeMap<ObjectKey, Bytes> {
    let of_kind = |kind: &'static str| {
        let objects = bucket.objects().filter(move |(name, _)| name.starts_with(kind));
        objects.filter_map(|(name, object)| Some((key(name)?, object.bytes.clone())))
    };
    let pieces: BTreeMap<ObjectKey, Bytes> = of_kind("objects/").collect();
    let wholes: BTreeMap<ObjectKey, Bytes> = of_kind("indexes/")
        .map(|(key, index)| {
            let pieces = segments(&index).filter_map(|piece| pieces.get(&piece));
            let mut whole = BytesMut::new();
            pieces.for_each(|piece| whole.extend_from_slice(piece));
            (key, whole.freeze())
        })
        .collect();
    pieces.into_iter().chain(wholes).collect()
}

/// The names of the objects that hold all bytes of a blob, where `is_named` says which objects have
/// one.
pub(super) fn blobs(
    bucket: &Bucket,
    is_named: impl Fn(ObjectKey) -> bool,
) -> impl Iterator<Item = &str> {
    let names = bucket.objects().map(|(name, _)| name);
    names.filter(move |name| name.starts_with("objects/") && key(name).is_some_and(&is_named))
}

/// The names of all that has the bytes under `name`: its own, and those of the indexes with it.
pub(super) fn wholes(bucket: &Bucket, name: &str) -> Vec<String> {
    let piece = key(name);
    let indexes = bucket.objects().filter(|(index, object)| {
        index.starts_with("indexes/") && segments(&object.bytes).any(|key| Some(key) == piece)
    });
    let indexes = indexes.map(|(index, _)| index.to_owned());
    indexes.chain([name.to_owned()]).collect()
}

/// The key at the end of a name.
fn key(name: &str) -> Option<ObjectKey> {
    name.rsplit('/').next()?.parse().ok()
}

/// The keys that an index names, one in each line but the first.
fn segments(index: &[u8]) -> impl Iterator<Item = ObjectKey> {
    let text = std::str::from_utf8(index).unwrap_or_default();
    text.lines().skip(1).filter_map(|line| line.split(' ').next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use bytes::Bytes;

    use super::*;

    fn put(bucket: &mut Bucket, name: &str, text: &str) {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        bucket.put(name, bytes, [None, None], Duration::ZERO).unwrap();
    }

    #[test]
    fn bytes_are_needed_by_their_own_name_or_by_an_index_that_is() {
        let keys = [1, 2, 3, 4].map(ObjectKey::from_random);
        let [linked, indexed, segment, lost] = keys;
        let mut bucket = Bucket::default();
        put(&mut bucket, "cluster", "1");
        for key in [linked, segment, lost] {
            put(&mut bucket, &format!("objects/00/{key}"), "bytes");
        }
        let index = format!("indexes/00/{indexed}");
        put(&mut bucket, &index, &format!("roadstead object 1\n{segment} 5\n"));
        put(&mut bucket, "probes/1", "probe");
        let named = [linked, indexed];
        let now = Duration::from_secs(1);
        let left_of = |bucket: &Bucket, named: &[ObjectKey], now| {
            left(bucket, |key| named.contains(&key), now)
        };
        assert_eq!(left_of(&bucket, &named, now), [format!("objects/00/{lost}")]);
        let unindexed = left_of(&bucket, &named[..1], now);
        assert_eq!(
            unindexed,
            [index, format!("objects/00/{segment}"), format!("objects/00/{lost}")]
        );
        assert!(left_of(&bucket, &named, now + PROBE_MAX).contains(&"probes/1".to_owned()));
        put(&mut bucket, "uploads/1", "cursor");
        bucket.begin("objects/00/1", now);
        let left = left_of(&bucket, &named, now);
        assert!(left.contains(&"uploads/1".to_owned()));
        assert!(left.contains(&"parts of objects/00/1".to_owned()));
    }

    #[test]
    fn an_object_with_an_index_has_the_bytes_of_its_pieces() {
        let [whole, first, second] = [1, 2, 3].map(ObjectKey::from_random);
        let mut bucket = Bucket::default();
        let index = format!("roadstead object 1\n{first} 4\n{second} 2\n");
        put(&mut bucket, &format!("indexes/00/{whole}"), &index);
        put(&mut bucket, &format!("objects/00/{first}"), "some");
        put(&mut bucket, &format!("objects/00/{second}"), "de");
        let contents = contents(&bucket);
        let of = |key| contents.get(&key).map(Bytes::as_ref);
        assert_eq!(of(whole), Some(&b"somede"[..]));
        assert_eq!(of(second), Some(&b"de"[..]));
    }

    #[test]
    fn a_piece_is_a_part_of_what_has_an_index_with_it() {
        let [whole, piece, other] = [1, 2, 3].map(ObjectKey::from_random);
        let mut bucket = Bucket::default();
        let index = format!("indexes/00/{whole}");
        put(&mut bucket, &index, &format!("roadstead object 1\n{piece} 5\n"));
        let [piece, other] = [piece, other].map(|key| format!("objects/00/{key}"));
        assert_eq!(wholes(&bucket, &piece), [index, piece.clone()]);
        assert_eq!(wholes(&bucket, &other), std::slice::from_ref(&other));
    }
}
