//! What only a folder can get wrong.

#![allow(clippy::disallowed_methods, reason = "a test ages files by hand")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed test panics")]

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, future, stream};
use proto::limits::UPLOAD_PARTS_MAX;
use rustix::fs::inotify;
use tempfile::tempdir;

use super::*;
use crate::blob::reserve::{LOOK_BYTES, reserve};
use crate::child::{child_dir, on_small_disk};
use crate::conformance::{self, blobs::Races};

const CLUSTER: ClusterId = ClusterId::from_bytes([7; 16]);
const OBJECT: ObjectKey = ObjectKey::from_random(0x3f62 << 112);

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_does_all_that_an_object_store_must() {
    let dir = tempdir().unwrap();
    let one = DiskBlobs::open(dir.path()).unwrap();
    let other = DiskBlobs::open(dir.path()).unwrap();
    conformance::blobs::all(&one).await;
    conformance::blobs::shared(&one, &other, Races::OneWins).await;
    conformance::blobs::bounded(&one.with_parts_max(12), 12).await;
    until_tmp_is_empty(dir.path()).await;
}

#[tokio::test]
async fn an_object_outlives_the_store_that_wrote_it() {
    let dir = tempdir().unwrap();
    open(dir.path()).append(OBJECT, Position::START, body("abc")).await.unwrap();
    assert_eq!(open(dir.path()).extent(OBJECT).await.unwrap(), 3);
}

#[tokio::test]
async fn nothing_is_missing_where_the_folder_is_not_mounted() {
    let dir = tempdir().unwrap();
    let (path, elsewhere) = (dir.path().join("store"), dir.path().join("elsewhere"));
    let blobs = open(&path);
    blobs.append(OBJECT, Position::START, body("abc")).await.unwrap();
    let unmount = || fs::rename(&path, &elsewhere).unwrap();
    let mount = || fs::rename(&elsewhere, &path).unwrap();

    unmount();
    let refused = [blobs.read(OBJECT, 0..3).await.err(), blobs.extent(OBJECT).await.err()];
    for error in refused.map(Option::unwrap) {
        assert!(error.to_string().contains("is it still mounted?"), "{error}");
    }

    // The first look comes too early, or the second too late.
    let mut looks = 0;
    let found = blobs.folder.surely(OBJECT, || {
        looks += 1;
        let is_there = fs::exists(path.join("objects"))?;
        if looks == 1 {
            mount();
        }
        Ok(is_there.then_some(looks))
    });
    assert_eq!(found.unwrap(), Some(2));
    let mut looks = 0;
    let found = blobs.folder.surely::<()>(OBJECT, || {
        looks += 1;
        if looks == 2 {
            unmount();
        }
        Ok(None)
    });
    assert!(found.is_err());
    mount();
    assert_eq!(blobs.folder.surely::<()>(OBJECT, || Ok(None)).unwrap(), None);
    assert_eq!(blobs.extent(OBJECT).await.unwrap(), 3);
}

#[tokio::test]
async fn what_lies_there_while_the_folder_is_not_mounted_is_not_the_store() {
    // Of another cluster, or of a node that was started before its folder was mounted.
    for has_owner in [true, false] {
        let dir = tempdir().unwrap();
        let [path, mounted, beneath] = ["store", "aside", "beneath"].map(|it| dir.path().join(it));
        let other = DiskBlobs::open(&beneath).unwrap();
        other.claim(ClusterId::from_bytes([8; 16]), Unclaimed::Bind).await.unwrap();
        if !has_owner {
            fs::remove_file(beneath.join("cluster")).unwrap();
        }
        let blobs = open(&path);
        let end = blobs.append(OBJECT, Position::START, body("abc")).await.unwrap();
        let unmount = {
            let (path, mounted, beneath) = (path.clone(), mounted.clone(), beneath.clone());
            move || {
                fs::rename(&path, &mounted).unwrap();
                fs::rename(&beneath, &path).unwrap();
            }
        };
        let mount = || {
            fs::rename(&path, &beneath).unwrap();
            fs::rename(&mounted, &path).unwrap();
        };

        unmount();
        let refused = [
            blobs.append(OBJECT, end, body("def")).await.err(),
            blobs.append(OBJECT, Position::START, body("def")).await.err(),
            blobs.extent(OBJECT).await.err(),
            blobs.position(OBJECT).await.err(),
            blobs.read(OBJECT, 0..3).await.err(),
            blobs.probe().await.err(),
        ];
        for error in refused.map(Option::unwrap) {
            assert!(error.to_string().contains("is it still mounted?"), "{error}");
        }
        mount();
        let (late, first) = (ObjectKey::from_random((0x3f62 << 112) + 1), Bytes::from("abc"));
        let bytes = stream::once(async move {
            unmount();
            Ok(first)
        });
        let refused = blobs.append(late, Position::START, bytes.boxed()).await;
        assert!(matches!(refused, Err(BlobsError::Unavailable(_))), "{refused:?}");
        assert_eq!(fs::read_dir(path.join("objects/3f")).unwrap().count(), 0);
        mount();
        assert_eq!(blobs.append(OBJECT, end, body("def")).await.unwrap().extent, 6);
    }
}

#[tokio::test]
async fn a_folder_stays_as_it_is_until_a_store_may_be_made_in_it() {
    let dir = tempdir().unwrap();
    let blobs = DiskBlobs::open(dir.path()).unwrap();
    assert!(matches!(blobs.claim(CLUSTER, Unclaimed::Refuse).await, Err(ClaimError::Empty)));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);

    fs::write(dir.path().join("thesis.tex"), "").unwrap();
    let refused = blobs.claim(CLUSTER, Unclaimed::Bind).await.unwrap_err();
    assert!(refused.to_string().contains("holds other files"), "{refused}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    fs::remove_file(dir.path().join("thesis.tex")).unwrap();
    blobs.claim(CLUSTER, Unclaimed::Bind).await.unwrap();
    blobs.append(OBJECT, Position::START, body("abc")).await.unwrap();
}

/// There is no NFS here, whose system goes by what it remembers of a folder until that is opened.
#[tokio::test]
async fn nothing_is_gone_before_the_folder_was_opened_that_it_was_not_seen_in() {
    let dir = tempdir().unwrap();
    let blobs = open(dir.path());
    let [missing, present] = [0, 1].map(|low| ObjectKey::from_random((0x3f62 << 112) + low));
    blobs.append(present, Position::START, body("abc")).await.unwrap();
    let watch = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
    inotify::add_watch(&watch, blobs.folder.shard(OBJECT), inotify::WatchFlags::OPEN).unwrap();
    // Since the last time.
    let was_opened = || rustix::io::read(&watch, &mut [0; 4096]).is_ok();

    for (object, extent) in [(missing, 0), (present, 3)] {
        assert_eq!(blobs.extent(object).await.unwrap(), extent);
        assert!(was_opened(), "before {object} was said to end at {extent}");
    }
    let mut looks = 0;
    let found = blobs.folder.surely(OBJECT, || {
        looks += 1;
        Ok(was_opened().then_some(looks))
    });
    assert_eq!(found.unwrap(), Some(2), "before the second look");
}

#[tokio::test]
async fn a_part_lies_where_the_format_says() {
    let dir = tempdir().unwrap();
    let blobs = open(dir.path());
    blobs.append(OBJECT, Position::START, body("abc")).await.unwrap();
    blobs.append(OBJECT, Position::at(3), body("def")).await.unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("roadstead-blobs")).unwrap(), "1\n");
    let shard = dir.path().join("objects/3f");
    let first = "3f620000000000000000000000000000.00000000000000000000";
    let second = "3f620000000000000000000000000000.00000000000000000003";
    assert_eq!(fs::read_to_string(shard.join(first)).unwrap(), "abc");
    assert_eq!(fs::read_to_string(shard.join(second)).unwrap(), "def");
    assert_eq!(fs::read_dir(shard).unwrap().count(), 2);
}

#[tokio::test]
async fn an_object_has_a_bounded_number_of_parts() {
    let dir = tempdir().unwrap();
    let blobs = open(dir.path());
    for offset in 1..UPLOAD_PARTS_MAX as u64 {
        fs::write(blobs.folder.part(OBJECT, offset - 1), "x").unwrap();
    }
    let end = UPLOAD_PARTS_MAX as u64;
    let append = |offset| blobs.append(OBJECT, Position::at(offset), body("x"));
    assert_eq!(append(end - 1).await.unwrap().extent, end, "the last one");
    let refused = append(end).await;
    assert!(matches!(refused, Err(BlobsError::TooManyParts)), "{refused:?}");
    assert_eq!(blobs.extent(OBJECT).await.unwrap(), end);
}

#[tokio::test]
async fn a_dropped_append_removes_its_file() {
    let dir = tempdir().unwrap();
    let blobs = open(dir.path());
    let endless = stream::repeat_with(|| Ok(Bytes::from(vec![7; 300_000])));
    let append = blobs.append(OBJECT, Position::START, endless.boxed());
    tokio::time::timeout(Duration::from_millis(50), append).await.unwrap_err();
    until_tmp_is_empty(dir.path()).await;
    assert_eq!(blobs.extent(OBJECT).await.unwrap(), 0);
}

#[test]
fn a_foreign_folder_is_refused() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("thesis.tex"), "").unwrap();
    let refused = DiskBlobs::open(dir.path()).unwrap_err();
    let sentence = format!(
        "the folder {} holds other files: an object store needs an empty folder or its own",
        dir.path().display()
    );
    assert_eq!(refused.to_string(), sentence);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was made in it");
}

#[test]
fn a_new_file_system_is_not_foreign() {
    let dir = tempdir().unwrap();
    fs::create_dir(dir.path().join("lost+found")).unwrap();
    open(dir.path());
}

#[test]
fn a_folder_of_another_format_is_refused() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("roadstead-blobs"), "2\n").unwrap();
    let refused = DiskBlobs::open(dir.path()).unwrap_err();
    assert!(matches!(refused, OpenError::Version { ref found, .. } if found == "2\n"));
}

#[test]
fn nodes_may_make_a_store_of_an_empty_folder_at_once() {
    for _ in 0..10 {
        let dir = tempdir().unwrap();
        std::thread::scope(|scope| {
            let nodes: Vec<_> = (0..4).map(|_| scope.spawn(|| open(dir.path()))).collect();
            for node in nodes {
                node.join().unwrap();
            }
        });
    }
}

#[test]
fn only_files_of_appends_that_died_long_ago_are_removed() {
    let dir = tempdir().unwrap();
    open(dir.path());
    let [old, recent] = ["old", "recent"].map(|name| dir.path().join("tmp").join(name));
    let day = Duration::from_secs(24 * 60 * 60);
    let minute = Duration::from_secs(60);
    for (path, age) in [(&old, day + minute), (&recent, day - minute)] {
        File::create(path).unwrap().set_modified(SystemTime::now() - age).unwrap();
    }
    open(dir.path());
    assert!(!old.exists() && recent.exists());
}

#[tokio::test]
async fn an_object_is_as_old_as_its_newest_part_and_strays_are_found_like_one() {
    let dir = tempdir().unwrap();
    let blobs = open(dir.path());
    let [resting, growing, stray] = [1, 2, 3].map(ObjectKey::from_random);
    let age = Duration::from_secs(60 * 60);
    for (object, offset, is_old) in
        [(resting, 0, true), (resting, 1, true), (growing, 0, true), (growing, 1, false)]
            .into_iter()
            .chain([(stray, 7, true), (stray, 9, true)])
    {
        let path = blobs.folder.part(object, offset);
        fs::write(&path, "x").unwrap();
        let written = SystemTime::now() - if is_old { 2 * age } else { Duration::ZERO };
        File::options().write(true).open(path).unwrap().set_modified(written).unwrap();
    }
    fs::write(dir.path().join("objects/00/notes.txt"), "").unwrap();
    let stale = || blobs.sweep(age).try_collect::<Vec<_>>();
    assert_eq!(stale().await.unwrap(), [resting, stray].map(Stale::Object));
    blobs.delete(stray).await.unwrap();
    assert_eq!(stale().await.unwrap(), [Stale::Object(resting)]);
    assert_eq!(blobs.extent(growing).await.unwrap(), 2);
    assert_eq!(blobs.sweep(Duration::MAX).try_collect::<Vec<_>>().await.unwrap(), []);
}

#[tokio::test]
async fn a_shard_that_cannot_be_read_keeps_nobody_from_what_is_stale_in_others() {
    let dir = tempdir().unwrap();
    let blobs = open(dir.path());
    let object = ObjectKey::from_random(u128::MAX);
    blobs.append(object, Position::START, body("abc")).await.unwrap();
    let shard = dir.path().join("objects/00");
    fs::remove_dir(&shard).unwrap();
    fs::write(&shard, "no folder").unwrap();
    let stale: Vec<_> = blobs.sweep(Duration::ZERO).try_collect().await.unwrap();
    assert_eq!(stale, [Stale::Object(object)]);
}

#[tokio::test]
async fn an_empty_file_in_the_place_of_a_part_is_in_nobodys_way() {
    let dir = tempdir().unwrap();
    let blobs = open(dir.path());
    let shard = blobs.folder.shard(OBJECT);
    for before in ["", "abc"] {
        let start = blobs.append(OBJECT, Position::START, body(before)).await.unwrap();
        File::create(blobs.folder.part(OBJECT, start.extent)).unwrap();
        assert_eq!(blobs.position(OBJECT).await.unwrap(), start);
        let racers = [1, 2, 3].map(|n| blobs.append(OBJECT, start, body(&"x".repeat(n))));
        let ends = future::join_all(racers).await.into_iter().filter_map(Result::ok);
        let [end] = ends.collect::<Vec<_>>().try_into().expect("one wins");
        assert_eq!(blobs.position(OBJECT).await.unwrap(), end);
        File::create(blobs.folder.part(OBJECT, end.extent)).unwrap();
        blobs.delete(OBJECT).await.unwrap();
        assert_eq!(fs::read_dir(&shard).unwrap().count(), 0);
    }
    File::create(blobs.folder.part(OBJECT, 0)).unwrap();
    blobs.abandon(OBJECT).await.unwrap();
    assert_eq!(fs::read_dir(&shard).unwrap().count(), 0);
    until_tmp_is_empty(dir.path()).await;
}

#[tokio::test]
async fn a_part_that_vanishes_or_shrinks_is_an_error_and_not_an_end() {
    let dir = tempdir().unwrap();
    let blobs = open(dir.path());
    for damage in [|path: PathBuf| fs::remove_file(path).unwrap(), shorten] {
        let mut at = Position::START;
        for _ in 0..20 {
            at = blobs.append(OBJECT, at, body(&"x".repeat(300_000))).await.unwrap();
        }
        let extent = at.extent;
        let stream = blobs.read(OBJECT, 0..extent).await.unwrap();
        damage(blobs.folder.part(OBJECT, 15 * 300_000));
        let read: Vec<_> = stream.collect().await;
        let (last, before) = read.split_last().unwrap();
        assert!(last.is_err() && before.iter().all(Result::is_ok));

        let missing = blobs.read(OBJECT, 0..extent).await.map(drop);
        assert!(matches!(missing, Err(BlobsError::Missing(OBJECT))));
        let before = blobs.read(OBJECT, 0..15 * 300_000).await.unwrap();
        before.try_collect::<Vec<_>>().await.unwrap();
        fs::remove_dir_all(dir.path().join("objects/3f")).unwrap();
        fs::create_dir(dir.path().join("objects/3f")).unwrap();
    }
}

#[tokio::test]
async fn what_is_read_is_the_same_from_memory_and_from_the_disk() {
    let dir = tempdir().unwrap();
    let blobs = open(dir.path());
    let content: Vec<u8> = (0..3_000_000u32).map(|at| (at % 251) as u8).collect();
    let mut at = Position::START;
    for part in content.chunks(1_700_000) {
        let part = stream::iter([Ok(Bytes::copy_from_slice(part))]).boxed();
        at = blobs.append(OBJECT, at, part).await.unwrap();
    }
    for range in [0..3_000_000, 1..2_999_999, 1_699_999..1_700_001, 2_000_000..2_300_000] {
        let expected = &content[range.clone()];
        let range = range.start as u64..range.end as u64;
        for forgotten in [&[][..], &[0], &[0, 1_700_000]] {
            forgotten.iter().for_each(|start| forget(&blobs.folder.part(OBJECT, *start)));
            let read = blobs.read(OBJECT, range.clone()).await.unwrap();
            let read: Vec<Bytes> = read.try_collect().await.unwrap();
            assert!(read.concat() == expected, "{range:?} with {forgotten:?} on the disk alone");
        }
    }
}

#[tokio::test]
async fn a_store_that_lost_its_folder_says_so() {
    let dir = tempdir().unwrap();
    let blobs = open(dir.path());
    blobs.probe().await.unwrap();
    fs::remove_dir_all(dir.path().join("tmp")).unwrap();
    assert!(matches!(blobs.probe().await, Err(BlobsError::Unavailable(_))));
    let refused = blobs.append(OBJECT, Position::START, body("abc")).await;
    assert!(matches!(refused, Err(BlobsError::Unavailable(_))));
}

#[test]
fn a_store_takes_nothing_of_the_reserve_of_its_disk() {
    on_small_disk("size=256m", "blob::disk::tests::fills_its_disk");
}

#[tokio::test]
#[ignore = "the child process of another test"]
async fn fills_its_disk() {
    let dir = child_dir();
    let store = dir.join("store");
    let blobs = open(&store);
    let disk = rustix::fs::statvfs(&dir).unwrap();
    let reserve = reserve(disk.f_blocks * disk.f_frsize);
    let free = move || {
        let disk = rustix::fs::statvfs(&dir).unwrap();
        disk.f_bavail * disk.f_frsize
    };
    let empty = free();

    // What is more than there is room for: seen while it arrives.
    let least = Arc::new(AtomicU64::new(u64::MAX));
    let endless = {
        let (least, free, frame) = (Arc::clone(&least), free.clone(), vec![7; 1 << 20]);
        let frame = Bytes::from(frame);
        stream::repeat_with(move || {
            least.fetch_min(free(), Ordering::Relaxed);
            Ok(frame.clone())
        })
    };
    let refused = blobs.append(OBJECT, Position::START, endless.boxed()).await;
    assert!(matches!(refused, Err(BlobsError::Full)), "{refused:?}");
    let least = least.load(Ordering::Relaxed);
    assert!((reserve - LOOK_BYTES - (4 << 20)..reserve).contains(&least), "{least}");
    until("what came of it is removed", || free() >= empty).await;

    // What there would be room for: seen before it is taken.
    let ballast = File::create(store.join("ballast")).unwrap();
    let flags = rustix::fs::FallocateFlags::empty();
    rustix::fs::fallocate(&ballast, flags, 0, free() - reserve + 4096).unwrap();
    let refused = blobs.append(OBJECT, Position::START, body("abc")).await;
    assert!(matches!(refused, Err(BlobsError::Full)), "{refused:?}");
    assert!(matches!(blobs.probe().await, Err(BlobsError::Full)));
    let stale: Vec<_> = blobs.sweep(Duration::ZERO).try_collect().await.unwrap();
    assert_eq!(stale, [], "what makes room goes on");
    ballast.set_len(0).unwrap();
    blobs.probe().await.unwrap();
    assert_eq!(blobs.append(OBJECT, Position::START, body("abc")).await.unwrap().extent, 3);
}

#[test]
fn a_store_that_can_take_nothing_is_opened_and_gives_what_it_has() {
    on_small_disk("size=8m,nr_inodes=300", "blob::disk::tests::can_take_nothing");
}

#[tokio::test]
#[ignore = "the child process of another test"]
async fn can_take_nothing() {
    let dir = child_dir();
    let store = dir.join("store");
    open(&store).append(OBJECT, Position::START, body("abc")).await.unwrap();
    let full = (0..300).find_map(|file| File::create(dir.join(file.to_string())).err());
    assert_eq!(full.unwrap().kind(), io::ErrorKind::StorageFull);
    for is_read_only in [false, true] {
        if is_read_only {
            let remount = ["-o", "remount,ro"];
            assert!(Command::new("mount").args(remount).arg(&dir).status().unwrap().success());
        }
        let blobs = DiskBlobs::open(&store).unwrap();
        blobs.claim(CLUSTER, Unclaimed::Refuse).await.unwrap();
        let bytes = blobs.read(OBJECT, 0..3).await.unwrap();
        assert_eq!(bytes.try_collect::<Vec<_>>().await.unwrap().concat(), b"abc");
        match blobs.append(OBJECT, Position::at(3), body("def")).await {
            Err(BlobsError::Full) if !is_read_only => {}
            Err(BlobsError::Unavailable(_)) if is_read_only => {}
            outcome => panic!("{outcome:?}"),
        }
    }
}

#[test]
fn a_full_disk_is_told_from_a_broken_one() {
    use rustix::io::Errno;
    for errno in [Errno::NOSPC, Errno::DQUOT] {
        assert!(matches!(failure(errno.into()), BlobsError::Full));
    }
    for errno in [Errno::ACCESS, Errno::ROFS, Errno::IO, Errno::STALE] {
        assert!(matches!(failure(errno.into()), BlobsError::Unavailable(_)));
    }
}

/// The store in `dir`, which is made where there is none.
fn open(dir: &Path) -> DiskBlobs {
    let blobs = DiskBlobs::open(dir).unwrap();
    assert_eq!(blobs.folder.claim(CLUSTER, Unclaimed::Bind).unwrap(), Some(CLUSTER));
    blobs
}

fn body(text: &str) -> ByteStream {
    stream::iter([Ok(Bytes::from(text.to_owned()))]).boxed()
}

fn shorten(path: PathBuf) {
    File::options().write(true).open(path).unwrap().set_len(100_000).unwrap();
}

/// Has the system take a file out of its memory, where it does that.
fn forget(path: &PathBuf) {
    let file = File::open(path).unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
}

/// What was dropped is removed by the thread that was writing it, a little later.
async fn until_tmp_is_empty(dir: &Path) {
    until("no temporary file is left", || fs::read_dir(dir.join("tmp")).unwrap().count() == 0)
        .await;
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::task::yield_now().await;
    }
}
