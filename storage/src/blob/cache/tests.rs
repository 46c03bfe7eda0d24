//! The cache before a store that counts its reads, waits and breaks off when it is told to.
#![allow(clippy::unwrap_used, reason = "a failed test panics")]

use std::fs::File;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use futures::future::join_all;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use rustix::fs::FallocateFlags;
use tempfile::TempDir;
use tokio::sync::Notify;

use super::*;
use crate::blob::MemoryBlobs;
use crate::blob::reserve::reserve;
use crate::child::{child_dir, on_small_disk};
use crate::conformance::blobs::{self, Races};

/// Bytes of a frame of the far store.
const FRAME: usize = 1000;

#[derive(Default)]
struct Far {
    store: MemoryBlobs,
    reads: AtomicUsize,
    /// Reads wait after their first frame until they are told to go on.
    is_slow: AtomicBool,
    go_on: Notify,
    /// Reads end in an error after their first frame.
    is_broken: AtomicBool,
    /// How many streams are open.
    open: Arc<AtomicUsize>,
    forgotten: Mutex<Vec<ObjectKey>>,
}

/// Counts a stream as open until it is dropped.
struct Opened(Arc<AtomicUsize>);

impl Drop for Opened {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Blobs for Arc<Far> {
    async fn trim(&self, object: ObjectKey, size: u64) -> Result<(), BlobsError> {
        self.store.trim(object, size).await
    }

    async fn claim(&self, cluster: ClusterId, unclaimed: Unclaimed) -> Result<(), ClaimError> {
        self.store.claim(cluster, unclaimed).await
    }

    async fn append(
        &self,
        upload: ObjectKey,
        at: Position,
        body: ByteStream,
    ) -> Result<Position, BlobsError> {
        self.store.append(upload, at, body).await
    }

    async fn position(&self, upload: ObjectKey) -> Result<Position, BlobsError> {
        self.store.position(upload).await
    }

    async fn seal(&self, upload: ObjectKey, at: Position) -> Result<ObjectKey, BlobsError> {
        self.store.seal(upload, at).await
    }

    async fn settle(
        &self,
        upload: ObjectKey,
        object: ObjectKey,
        kept: ObjectKey,
    ) -> Result<(), BlobsError> {
        self.store.settle(upload, object, kept).await
    }

    async fn abandon(&self, upload: ObjectKey) -> Result<(), BlobsError> {
        self.store.abandon(upload).await
    }

    async fn extent(&self, object: ObjectKey) -> Result<u64, BlobsError> {
        self.store.extent(object).await
    }

    async fn read(&self, object: ObjectKey, range: Range<u64>) -> Result<ByteStream, BlobsError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let whole: Vec<Bytes> = self.store.read(object, range).await?.try_collect().await.unwrap();
        let whole = Bytes::from(whole.concat());
        let frames: Vec<Bytes> = whole.chunks(FRAME).map(|frame| whole.slice_ref(frame)).collect();
        self.open.fetch_add(1, Ordering::SeqCst);
        let (far, opened) = (Arc::clone(self), Opened(Arc::clone(&self.open)));
        let frames = stream::iter(frames).enumerate().then(move |(nth, frame)| {
            let (far, _opened) = (Arc::clone(&far), &opened);
            async move {
                if nth > 0 && far.is_broken.load(Ordering::SeqCst) {
                    return Err(io::Error::other("it broke off"));
                }
                if nth > 0 && far.is_slow.load(Ordering::SeqCst) {
                    far.go_on.notified().await;
                }
                Ok(frame)
            }
        });
        Ok(frames.boxed())
    }

    async fn forget(&self, object: ObjectKey) {
        self.forgotten.lock().unwrap().push(object);
    }

    async fn delete(&self, object: ObjectKey) -> Result<(), BlobsError> {
        self.store.delete(object).await
    }

    fn sweep(&self, age: Duration) -> BoxStream<'_, Result<Stale, BlobsError>> {
        self.store.sweep(age)
    }

    async fn probe(&self) -> Result<(), BlobsError> {
        self.store.probe().await
    }
}

struct World {
    far: Arc<Far>,
    cache: CachedBlobs,
    folder: TempDir,
}

impl World {
    fn new(bytes_max: u64) -> Self {
        Self::within(&std::env::temp_dir(), bytes_max)
    }

    fn within(dir: &Path, bytes_max: u64) -> Self {
        let (far, folder) = (Arc::new(Far::default()), tempfile::tempdir_in(dir).unwrap());
        let cache =
            CachedBlobs::open(Arc::new(Arc::clone(&far)), folder.path().into(), bytes_max).unwrap();
        Self { far, cache, folder }
    }

    /// An object of `length` bytes that are not like those of another.
    async fn object(&self, number: u8, length: usize) -> (ObjectKey, Bytes) {
        let content: Bytes = (0..=250).cycle().map(|byte| byte ^ number).take(length).collect();
        let key = ObjectKey::from_random(u128::from(number));
        let body = Box::pin(stream::iter([Ok(content.clone())]));
        let (object, _) = self.cache.put(key, body).await.unwrap();
        (object, content)
    }

    async fn read(&self, object: ObjectKey, range: Range<u64>) -> Bytes {
        let bytes = self.cache.read(object, range).await.unwrap();
        Bytes::from(bytes.try_collect::<Vec<_>>().await.unwrap().concat())
    }

    fn counts(&self) -> CacheCounts {
        self.cache.cached().unwrap()
    }

    fn reads(&self) -> usize {
        self.far.reads.load(Ordering::SeqCst)
    }

    /// How many files there are once there are `count`.
    async fn has_files(&self, count: usize) {
        eventually(|| fs::read_dir(self.folder.path()).unwrap().count() == count).await;
    }
}

async fn eventually(holds: impl Fn() -> bool) {
    let begun = tokio::time::Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it never holds");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_cached_store_does_what_every_store_does() {
    let world = World::new(1 << 20);
    blobs::all(&world.cache).await;
    blobs::shared(&world.cache, &world.cache.clone(), Races::OneWins).await;
}

#[tokio::test]
async fn however_many_ask_at_once_the_far_store_is_read_once() {
    let world = World::new(1 << 20);
    world.far.is_slow.store(true, Ordering::SeqCst);
    let (object, content) = world.object(1, 100 * FRAME).await;
    let length = content.len() as u64;
    let readers = join_all((0..200).map(|_| world.read(object, 0..length)));
    let feeding = async {
        loop {
            world.far.go_on.notify_one();
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        all = readers => assert!(all.iter().all(|bytes| *bytes == content)),
        () = feeding => {}
    }
    assert_eq!(world.reads(), 1);
    assert_eq!(world.read(object, 5..2 * FRAME as u64).await, content.slice(5..2 * FRAME));
    assert_eq!(world.reads(), 1, "a part is read from here, too");
    assert_eq!(world.counts(), CacheCounts { hits: 200, misses: 1, bytes: length });
}

#[tokio::test]
async fn a_part_alone_is_read_from_the_far_store_and_not_kept() {
    let world = World::new(1 << 20);
    let (object, content) = world.object(1, 5 * FRAME).await;
    for reads in 1..=2 {
        assert_eq!(world.read(object, 7..2007).await, content.slice(7..2007));
        assert_eq!((world.reads(), world.counts().bytes), (reads, 0));
    }
    // What begins at the start may be all of it: a longer read takes its place.
    assert_eq!(world.read(object, 0..10).await, content.slice(..10));
    assert_eq!(world.read(object, 0..5000).await, content);
    assert_eq!((world.reads(), world.counts().bytes), (4, 5000));
    world.has_files(1).await;
}

#[tokio::test]
async fn what_was_read_least_recently_makes_room_unless_it_is_still_read() {
    let world = World::new(100_000);
    let [(first, content), (second, _), (third, _), (fourth, _), (fifth, _)] = [
        world.object(1, 25_000).await,
        world.object(2, 25_000).await,
        world.object(3, 25_000).await,
        world.object(4, 25_000).await,
        world.object(5, 25_000).await,
    ];
    for object in [second, first, third, fourth, second] {
        world.read(object, 0..25_000).await;
    }
    world.has_files(4).await;
    let mut reader = world.cache.read(first, 0..25_000).await.unwrap();
    for object in [third, fourth, second, fifth] {
        world.read(object, 0..25_000).await;
    }
    assert_eq!((world.reads(), world.counts().bytes), (5, 100_000));
    let mut read = Vec::new();
    while let Some(frame) = reader.next().await {
        read.extend_from_slice(&frame.unwrap());
    }
    assert_eq!((Bytes::from(read), world.reads()), (content, 5));
    drop(reader);
    world.has_files(4).await;
    let (large, content) = world.object(6, 25_001).await;
    assert_eq!(world.read(large, 0..25_001).await, content);
    assert_eq!(world.counts().bytes, 100_000, "it would put out too much");
}

/// Its file is there until then, whether it can still be found or not.
#[tokio::test]
async fn what_is_read_takes_its_room_until_its_last_reader_is_gone() {
    let world = World::new(100_000);
    let mut readers = Vec::new();
    for number in 1..=4 {
        let (object, content) = world.object(number, 25_000).await;
        assert_eq!(world.read(object, 0..25_000).await, content);
        readers.push((world.cache.read(object, 0..25_000).await.unwrap(), content));
        if number % 2 == 0 {
            world.cache.forget(object).await;
        }
    }
    let (fifth, content) = world.object(5, 25_000).await;
    for reads in 5..=6 {
        assert_eq!(world.read(fifth, 0..25_000).await, content);
        assert_eq!((world.reads(), world.counts().bytes), (reads, 100_000), "it is not kept");
    }
    world.has_files(4).await;
    let (forgotten, whole) = readers.pop().unwrap();
    assert_eq!(forgotten.try_collect::<Vec<_>>().await.unwrap().concat(), whole);
    assert_eq!((world.reads(), world.counts().bytes), (6, 75_000));
    for _ in 0..2 {
        assert_eq!(world.read(fifth, 0..25_000).await, content);
        assert_eq!((world.reads(), world.counts().bytes), (7, 100_000), "there is room for it");
    }
    drop(readers);
    // The first, the third and the fifth.
    assert_eq!(world.counts().bytes, 75_000);
    world.has_files(3).await;
}

/// A file takes 4 KiB, however few bytes it has.
#[tokio::test]
async fn many_small_objects_take_no_more_of_the_disk_than_large_ones() {
    let world = World::new(10 * 4096);
    for number in 0..30 {
        let (object, content) = world.object(number, 10).await;
        assert_eq!(world.read(object, 0..10).await, content);
    }
    assert_eq!(world.counts().bytes, 10 * 4096);
    world.has_files(10).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_store_keeps_nobody_waiting_for_a_mebibyte() {
    let world = World::new(64 << 20);
    let (object, content) = world.object(1, 2 << 20).await;
    world.far.is_slow.store(true, Ordering::SeqCst);
    let mut bytes = world.cache.read(object, 0..2 << 20).await.unwrap();
    let first = bytes.next().await.unwrap().unwrap();
    assert_eq!(first, content.slice(..FRAME));
}

#[tokio::test]
async fn what_breaks_off_on_its_way_is_gone_on_with_by_each_reader() {
    let world = World::new(1 << 20);
    let (object, content) = world.object(1, 3 * FRAME).await;
    world.far.is_broken.store(true, Ordering::SeqCst);
    let bytes = world.cache.read(object, 0..3000).await.unwrap();
    world.far.is_broken.store(false, Ordering::SeqCst);
    let read = bytes.try_collect::<Vec<_>>().await;
    // Whether it met the break depends on how far it was.
    assert!(read.is_err() || read.is_ok_and(|read| read.concat() == content));
    eventually(|| world.counts().bytes == 0).await;
    assert_eq!(world.read(object, 0..3000).await, content);
    world.has_files(1).await;
}

#[tokio::test]
async fn what_nobody_waits_for_is_not_fetched_further() {
    let world = World::new(64 << 20);
    let length = 4 << 20;
    let (object, _) = world.object(1, length).await;
    world.far.is_slow.store(true, Ordering::SeqCst);
    let reader = world.cache.read(object, 0..length as u64).await.unwrap();
    assert_eq!(world.far.open.load(Ordering::SeqCst), 1);
    drop(reader);
    world.far.is_slow.store(false, Ordering::SeqCst);
    world.far.go_on.notify_one();
    eventually(|| world.far.open.load(Ordering::SeqCst) == 0).await;
    eventually(|| world.counts().bytes == 0).await;
    world.has_files(0).await;
}

#[tokio::test]
async fn files_that_somebody_takes_away_or_cuts_fail_nobody() {
    let world = World::new(1 << 20);
    let (object, content) = world.object(1, 5 * FRAME).await;
    assert_eq!(world.read(object, 0..5000).await, content);
    let files = || fs::read_dir(world.folder.path()).unwrap().map(|entry| entry.unwrap().path());
    for file in files() {
        fs::OpenOptions::new().write(true).open(file).unwrap().set_len(2000).unwrap();
    }
    assert_eq!(world.read(object, 0..5000).await, content);
    for file in files() {
        fs::remove_file(file).unwrap();
    }
    assert_eq!(world.read(object, 0..5000).await, content);
    assert_eq!(world.reads(), 3);
}

#[test]
fn a_cache_takes_nothing_of_the_reserve_of_its_disk() {
    on_small_disk("size=16m", "blob::cache::tests::leaves_the_reserve");
}

#[tokio::test]
#[ignore = "the child process of another test"]
async fn leaves_the_reserve() {
    let world = World::within(&child_dir(), 1 << 30);
    let (object, content) = world.object(1, 1000 * FRAME).await;
    let length = content.len() as u64;
    let disk = rustix::fs::statvfs(child_dir()).unwrap();
    let reserve = reserve(disk.f_blocks * disk.f_frsize);
    let ballast = File::create(child_dir().join("ballast")).unwrap();
    // There is room for a part of it, and then for nothing: the far store is not asked in vain.
    for (left, reads) in [(reserve + length / 3, 2), (reserve - 4096, 3)] {
        let taken = disk.f_bavail * disk.f_frsize - left;
        rustix::fs::fallocate(&ballast, FallocateFlags::empty(), 0, taken).unwrap();
        assert_eq!(world.read(object, 0..length).await, content);
        assert_eq!(world.reads(), reads);
        world.has_files(0).await;
        eventually(|| world.counts().bytes == 0).await;
    }
    ballast.set_len(0).unwrap();
    for _ in 0..2 {
        assert_eq!(world.read(object, 0..length).await, content);
        assert_eq!(world.reads(), 4, "it is kept");
    }
    assert_eq!(world.counts().bytes, length);
}

/// It may take long over the rest.
#[tokio::test]
async fn whoever_goes_on_at_the_far_store_takes_no_room_here() {
    let world = World::new(1 << 20);
    let (object, content) = world.object(1, 5 * FRAME).await;
    assert_eq!(world.read(object, 0..5000).await, content);
    for file in fs::read_dir(world.folder.path()).unwrap() {
        fs::OpenOptions::new().write(true).open(file.unwrap().path()).unwrap().set_len(0).unwrap();
    }
    let mut reader = world.cache.read(object, 0..5000).await.unwrap();
    let first = reader.next().await.unwrap().unwrap();
    assert_eq!((first, world.reads()), (content.slice(..FRAME), 2));
    world.cache.forget(object).await;
    eventually(|| world.counts().bytes == 0).await;
    let rest = reader.try_collect::<Vec<_>>().await.unwrap().concat();
    assert_eq!(Bytes::from(rest), content.slice(FRAME..));
}

/// A disk that changes bytes would change those of a new file as well.
#[tokio::test]
async fn the_next_read_of_what_is_forgotten_is_of_the_far_store_itself() {
    let world = World::new(1 << 20);
    let (object, content) = world.object(1, 5 * FRAME).await;
    assert_eq!(world.read(object, 0..5000).await, content);
    for file in fs::read_dir(world.folder.path()).unwrap() {
        fs::write(file.unwrap().path(), [0; 5 * FRAME]).unwrap();
    }
    assert_ne!(world.read(object, 0..5000).await, content);
    world.cache.forget(object).await;
    let bytes = world.cache.read(object, 0..5000).await.unwrap();
    world.has_files(0).await;
    assert_eq!(Bytes::from(bytes.try_collect::<Vec<_>>().await.unwrap().concat()), content);
    assert_eq!((world.reads(), world.counts().bytes), (2, 0));
    for _ in 0..2 {
        assert_eq!(world.read(object, 0..5000).await, content);
        assert_eq!((world.reads(), world.counts().bytes), (3, 5000), "it is kept again");
    }
    world.has_files(1).await;
}

#[tokio::test]
async fn what_is_forgotten_or_deleted_is_read_from_the_far_store() {
    let world = World::new(1 << 20);
    let (object, content) = world.object(1, 100).await;
    assert_eq!(world.read(object, 0..100).await, content);
    world.cache.forget(object).await;
    assert_eq!(*world.far.forgotten.lock().unwrap(), [object]);
    assert_eq!(world.read(object, 0..100).await, content);
    assert_eq!(world.reads(), 2);
    world.cache.delete(object).await.unwrap();
    let read = world.cache.read(object, 0..100).await;
    assert!(matches!(read.err(), Some(BlobsError::Missing(missing)) if missing == object));
    eventually(|| world.counts().bytes == 0).await;
}

#[test]
fn a_folder_is_made_and_cleared_of_what_a_cache_has_left_and_of_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("new/cache");
    let far: Arc<dyn Blobs> = Arc::new(MemoryBlobs::new());
    CachedBlobs::open(Arc::clone(&far), place.clone(), 1).unwrap();
    for name in ["object-x.cached", "notes.txt"] {
        fs::write(place.join(name), "x").unwrap();
    }
    CachedBlobs::open(Arc::clone(&far), place.clone(), 1).unwrap();
    let names = fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["notes.txt"]);
    let is_no_folder = CachedBlobs::open(far, place.join("notes.txt"), 1);
    assert!(is_no_folder.is_err());
}
