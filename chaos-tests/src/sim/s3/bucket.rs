//! What a bucket of the simulated store holds: objects, and uploads in parts, each with what it was
//! a moment ago, for lists that are late.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32c, Md5};
use s3s::dto::ETagCondition;
use s3s::{S3Result, s3_error};

use crate::sim::rot::Rot;

/// The smallest part of an upload but its last, in bytes.
const PART_MIN: usize = 5 * 1024 * 1024;
/// How long it is known what is gone: longer than any list is late.
const MEMORY: Duration = Duration::from_secs(20);

/// A time by the store's clock, since 1970.
pub(super) type Moment = Duration;

/// An object.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) bytes: Bytes,
    /// The store's name for this content, without quotes.
    pub(super) etag: String,
    /// The CRC32C of all bytes, in base64.
    pub(super) checksum: String,
    /// When it was written; for one in parts, when its upload began.
    pub(super) written: Moment,
}

/// An upload in parts.
#[derive(Clone, Debug, Default)]
pub(super) struct Multipart {
    pub(super) begun: Moment,
    parts: BTreeMap<i32, Object>,
}

/// A part, as the request that completes an upload names it.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) number: i32,
    pub(super) etag: String,
    pub(super) checksum: Option<String>,
}

/// A name and what was under it from when until when.
#[derive(Clone, Debug)]
struct Past<K, T> {
    name: K,
    thing: T,
    since: Moment,
    until: Moment,
}

/// Things under names, and what they were before.
#[derive(Clone, Debug)]
struct Shelf<K, T> {
    now: BTreeMap<K, (T, Moment)>,
    /// In the order in which it ended.
    past: VecDeque<Past<K, T>>,
}

impl<K, T> Default for Shelf<K, T> {
    fn default() -> Self {
        Self { now: BTreeMap::new(), past: VecDeque::new() }
    }
}

impl<K: Ord + Clone, T: Clone> Shelf<K, T> {
    fn put(&mut self, name: K, thing: T, now: Moment) {
        self.take(&name, now);
        self.now.insert(name, (thing, now));
    }

    fn take(&mut self, name: &K, now: Moment) -> Option<T> {
        while self.past.front().is_some_and(|past| past.until + MEMORY < now) {
            self.past.pop_front();
        }
        let (thing, since) = self.now.remove(name)?;
        self.past.push_back(Past { name: name.clone(), thing: thing.clone(), since, until: now });
        Some(thing)
    }

    /// What there was at `moment`, in the order of the names.
    fn at(&self, moment: Moment) -> BTreeMap<&K, &T> {
        let past = self.past.iter().rev().take_while(|past| moment < past.until);
        let past = past.filter(|past| past.since <= moment);
        let now = self.now.iter().filter(|(_, (_, since))| *since <= moment);
        past.map(|past| (&past.name, &past.thing))
            .chain(now.map(|(name, (thing, _))| (name, thing)))
            .collect()
    }
}

/// What a bucket holds.
#[derive(Clone, Debug, Default)]
pub(super) struct Bucket {
    objects: Shelf<String, Object>,
    /// By the names of their objects and their own.
    uploads: Shelf<(String, String), Multipart>,
    /// How many uploads there were.
    begun: u64,
    /// What has become of objects, by their names.
    rotten: BTreeMap<String, Rot>,
}

impl Bucket {
    /// The object under `name`.
    pub(super) fn get(&self, name: &str) -> S3Result<&Object> {
        let found = self.objects.now.get(name);
        found.map(|(object, _)| object).ok_or_else(|| s3_error!(NoSuchKey))
    }

    /// The object under `name`, as it is given to a reader: under the checksum of what was written,
    /// whatever has become of it.
    pub(super) fn read(&self, name: &str) -> S3Result<Object> {
        let object = self.get(name)?.clone();
        Ok(match self.rotten.get(name) {
            Some(rot) => Object { bytes: rot.of(&object.bytes), ..object },
            None => object,
        })
    }

    /// Whether something has become of an object: it stays so.
    pub(super) fn is_rotten(&self, name: &str) -> bool {
        self.rotten.contains_key(name)
    }

    /// Has an object rot.
    pub(super) fn rot(&mut self, name: &str, rot: Rot) {
        self.rotten.insert(name.to_owned(), rot);
    }

    /// Gives everything back as it was written.
    pub(super) fn mend(&mut self) {
        self.rotten.clear();
    }

    /// All objects.
    pub(super) fn objects(&self) -> impl Iterator<Item = (&str, &Object)> {
        self.objects.now.iter().map(|(name, (object, _))| (name.as_str(), object))
    }

    /// All uploads: the names of their objects.
    pub(super) fn uploads(&self) -> impl Iterator<Item = &str> {
        self.uploads.now.keys().map(|(name, _)| name.as_str())
    }

    /// Writes an object, if what is there now is as the conditions say.
    pub(super) fn put(
        &mut self,
        name: &str,
        bytes: Bytes,
        [matches, matches_none]: [Option<&ETagCondition>; 2],
        now: Moment,
    ) -> S3Result<Object> {
        let found = self.objects.now.get(name).map(|(object, _)| object);
        if let Some(matches) = matches {
            let found = found.ok_or_else(|| s3_error!(NoSuchKey))?;
            check(found.is(matches))?;
        }
        if let Some(matches_none) = matches_none {
            check(!found.is_some_and(|found| found.is(matches_none)))?;
        }
        let object = Object::of(bytes, now);
        self.objects.put(name.to_owned(), object.clone(), now);
        Ok(object)
    }

    /// Removes an object, if it is there.
    pub(super) fn delete(&mut self, name: &str, now: Moment) {
        self.objects.take(&name.to_owned(), now);
    }

    /// Leaves what `rot` leaves of an object, and no object when that is nothing.
    pub(super) fn damage(&mut self, name: &str, rot: Rot, now: Moment) {
        let Some(object) = self.objects.take(&name.to_owned(), now) else { return };
        let bytes = rot.of(&object.bytes);
        if !bytes.is_empty() {
            self.objects.put(name.to_owned(), Object::of(bytes, object.written), now);
        }
    }

    /// Begins an upload; answers its name.
    pub(super) fn begin(&mut self, name: &str, now: Moment) -> String {
        self.begun += 1;
        let id = format!("upload-{}", self.begun);
        let upload = Multipart { begun: now, parts: BTreeMap::new() };
        self.uploads.put((name.to_owned(), id.clone()), upload, now);
        id
    }

    /// Adds a part to an upload, or replaces it.
    pub(super) fn add(
        &mut self,
        name: &str,
        id: &str,
        number: i32,
        bytes: Bytes,
        now: Moment,
    ) -> S3Result<Object> {
        let upload = self.uploads.now.get_mut(&(name.to_owned(), id.to_owned()));
        let (upload, _) = upload.ok_or_else(|| s3_error!(NoSuchUpload))?;
        let part = Object::of(bytes, now);
        upload.parts.insert(number, part.clone());
        Ok(part)
    }

    /// Makes the parts of an upload its object.
    pub(super) fn complete(
        &mut self,
        name: &str,
        id: &str,
        named: &[Named],
        now: Moment,
    ) -> S3Result<String> {
        let key = (name.to_owned(), id.to_owned());
        let (upload, _) = self.uploads.now.get(&key).ok_or_else(|| s3_error!(NoSuchUpload))?;
        if named.is_empty() || !named.is_sorted_by(|one, next| one.number < next.number) {
            return Err(s3_error!(InvalidPartOrder));
        }
        let (mut bytes, mut digests) = (BytesMut::new(), Vec::new());
        for (at, part) in named.iter().enumerate() {
            let found = upload.parts.get(&part.number).filter(|found| found.is_named(part));
            let found = found.ok_or_else(|| s3_error!(InvalidPart))?;
            if found.bytes.len() < PART_MIN && at + 1 < named.len() {
                return Err(s3_error!(EntityTooSmall));
            }
            bytes.extend_from_slice(&found.bytes);
            digests.extend_from_slice(found.etag.as_bytes());
        }
        let mut object = Object::of(bytes.freeze(), upload.begun);
        object.etag = format!("{}-{}", md5(&digests), named.len());
        let etag = object.etag.clone();
        self.uploads.take(&key, now);
        self.objects.put(key.0, object, now);
        Ok(etag)
    }

    /// Ends an upload without an object.
    pub(super) fn abort(&mut self, name: &str, id: &str, now: Moment) -> S3Result<()> {
        let ended = self.uploads.take(&(name.to_owned(), id.to_owned()), now);
        ended.map(|_| ()).ok_or_else(|| s3_error!(NoSuchUpload))
    }

    /// The objects that there were at `moment` whose names begin with `prefix` and come after
    /// `after`, in order, one more than `most` at most.
    pub(super) fn list(
        &self,
        prefix: &str,
        after: &str,
        most: usize,
        moment: Moment,
    ) -> Vec<(&String, &Object)> {
        let all = self.objects.at(moment).into_iter();
        let listed = all.filter(|(name, _)| name.starts_with(prefix) && name.as_str() > after);
        listed.take(most + 1).collect()
    }

    /// The uploads that there were at `moment`, as in [`Bucket::list`].
    pub(super) fn list_uploads(
        &self,
        prefix: &str,
        after: (&str, &str),
        most: usize,
        moment: Moment,
    ) -> Vec<(&(String, String), &Multipart)> {
        let all = self.uploads.at(moment).into_iter();
        let listed = all.filter(|((name, id), _)| {
            name.starts_with(prefix) && (name.as_str(), id.as_str()) > after
        });
        listed.take(most + 1).collect()
    }
}

impl Object {
    fn of(bytes: Bytes, written: Moment) -> Self {
        let checksum = checksum(&bytes);
        Self { etag: md5(&bytes), checksum, bytes, written }
    }

    /// Whether it is what a condition names.
    pub(super) fn is(&self, condition: &ETagCondition) -> bool {
        condition.as_etag().is_none_or(|etag| etag.as_strong() == Some(&self.etag))
    }

    fn is_named(&self, part: &Named) -> bool {
        let is_sum = |sum: &String| *sum == self.checksum;
        part.etag == self.etag && part.checksum.as_ref().is_none_or(is_sum)
    }
}

/// The CRC32C of `bytes`, in base64.
pub(super) fn checksum(bytes: &[u8]) -> String {
    let mut hasher = ChecksumHasher { crc32c: Some(Crc32c::new()), ..ChecksumHasher::default() };
    hasher.update(bytes);
    hasher.finalize().checksum_crc32c.unwrap_or_default()
}

fn md5(bytes: &[u8]) -> String {
    format!("{:032x}", u128::from_be_bytes(Md5::checksum(bytes)))
}

/// The refusal of a condition that does not hold.
pub(super) fn check(holds: bool) -> S3Result<()> {
    if holds { Ok(()) } else { Err(s3_error!(PreconditionFailed)) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use s3s::S3ErrorCode;
    use s3s::dto::ETag;

    use super::*;

    const ALWAYS: [Option<&ETagCondition>; 2] = [None, None];

    const fn at(seconds: u64) -> Moment {
        Duration::from_secs(seconds)
    }

    fn names(listed: Vec<(&String, &Object)>) -> Vec<String> {
        listed.into_iter().map(|(name, _)| name.clone()).collect()
    }

    #[test]
    fn of_two_writers_under_a_condition_one_wins() {
        let mut bucket = Bucket::default();
        let absent = [None, Some(&ETagCondition::Any)];
        let first = bucket.put("a", Bytes::from("1"), absent, at(1)).unwrap();
        let refused = bucket.put("a", Bytes::from("2"), absent, at(1)).unwrap_err();
        assert_eq!(refused.code(), &S3ErrorCode::PreconditionFailed);
        let unchanged = ETagCondition::ETag(ETag::Strong(first.etag));
        let unchanged = [Some(&unchanged), None];
        bucket.put("a", Bytes::from("2"), unchanged, at(1)).unwrap();
        let refused = bucket.put("a", Bytes::from("3"), unchanged, at(1)).unwrap_err();
        assert_eq!(refused.code(), &S3ErrorCode::PreconditionFailed);
        let refused = bucket.put("b", Bytes::from("3"), unchanged, at(1)).unwrap_err();
        assert_eq!(refused.code(), &S3ErrorCode::NoSuchKey);
        assert_eq!(bucket.get("a").unwrap().bytes, "2");
    }

    #[test]
    fn a_late_list_shows_what_there_was() {
        let mut bucket = Bucket::default();
        bucket.put("a", Bytes::from("1"), ALWAYS, at(1)).unwrap();
        bucket.put("b", Bytes::from("1"), ALWAYS, at(2)).unwrap();
        bucket.delete("a", at(3));
        bucket.put("c", Bytes::from("1"), ALWAYS, at(4)).unwrap();
        assert_eq!(names(bucket.list("", "", 9, at(4))), ["b", "c"]);
        assert_eq!(names(bucket.list("", "", 9, at(2))), ["a", "b"]);
        assert_eq!(names(bucket.list("", "", 9, at(1))), ["a"]);
        assert_eq!(names(bucket.list("", "a", 9, at(2))), ["b"]);
        assert_eq!(names(bucket.list("c", "", 9, at(4))), ["c"]);
        assert_eq!(names(bucket.list("", "", 1, at(4))), ["b", "c"], "one more than asked for");
    }

    #[test]
    fn an_upload_is_an_object_once_all_its_parts_are_named() {
        let mut bucket = Bucket::default();
        let id = bucket.begin("a", at(1));
        let parts = [Bytes::from(vec![1; PART_MIN]), Bytes::from("2")];
        let named: Vec<Named> = (1..)
            .zip(&parts)
            .map(|(number, bytes)| {
                let part = bucket.add("a", &id, number, bytes.clone(), at(2)).unwrap();
                Named { number, etag: part.etag, checksum: Some(part.checksum) }
            })
            .collect();
        assert!(bucket.get("a").is_err());
        let twisted: Vec<Named> = named.iter().rev().cloned().collect();
        assert!(bucket.complete("a", &id, &twisted, at(3)).is_err());
        let mut other = named.clone();
        other[0].checksum = other[1].checksum.clone();
        assert!(bucket.complete("a", &id, &other, at(3)).is_err());
        bucket.complete("a", &id, &named, at(3)).unwrap();
        let object = bucket.get("a").unwrap();
        assert_eq!((object.bytes.len(), object.written), (PART_MIN + 1, at(1)));
        let again = bucket.complete("a", &id, &named, at(3)).unwrap_err();
        assert_eq!(again.code(), &S3ErrorCode::NoSuchUpload);
        assert_eq!(bucket.uploads().count(), 0);
        assert_eq!(bucket.list_uploads("", ("", ""), 9, at(2)).len(), 1);
    }

    #[test]
    fn small_parts_are_refused_but_the_last() {
        let mut bucket = Bucket::default();
        let id = bucket.begin("a", at(1));
        let named: Vec<Named> = (1..=2)
            .map(|number| {
                let part = bucket.add("a", &id, number, Bytes::from("1"), at(2)).unwrap();
                Named { number, etag: part.etag, checksum: None }
            })
            .collect();
        let refused = bucket.complete("a", &id, &named, at(3)).unwrap_err();
        assert_eq!(refused.code(), &S3ErrorCode::EntityTooSmall);
        bucket.abort("a", &id, at(3)).unwrap();
        assert!(bucket.add("a", &id, 3, Bytes::new(), at(4)).is_err());
    }
}
