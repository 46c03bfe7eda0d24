//! What only RocksDB can get wrong: crashes, locks, full disks, and sharing syncs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a failed test panics; a child process reports through its output"
)]

mod torn;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use tempfile::tempdir;

use super::*;
use crate::child::{child, child_dir, on_small_disk};
use crate::conformance;

#[test]
fn rocksdb_does_all_that_a_store_must() {
    let root = tempdir().unwrap();
    let stores = std::cell::Cell::new(0);
    conformance::kv::all(|| {
        stores.set(stores.get() + 1);
        RocksKv::open(root.path().join(stores.get().to_string())).unwrap()
    });
}

#[test]
fn a_store_is_for_its_owner_alone_wherever_it_is() {
    let root = tempdir().unwrap();
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    drop(RocksKv::open(root.path().join("kv")).unwrap());
    let mode = fs::metadata(root.path().join("kv")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_store_keeps_what_is_durable() {
    let dir = tempdir().unwrap();
    conformance::kv::reopening(|| RocksKv::open(dir.path()).unwrap());
}

/// What a crash may lose is what was written to the newest write-ahead log and not synced; the ones
/// before it, RocksDB has synced before it wrote memory to a table.
#[test]
fn no_batch_of_the_catalog_outlives_the_log_before_it() {
    let root = tempdir().unwrap();
    let stores = std::cell::Cell::new(0);
    let folder = |number: u32| root.path().join(number.to_string());
    let fresh = || {
        stores.set(stores.get() + 2);
        RocksKv::open(folder(stores.get())).unwrap()
    };
    conformance::kv::crashing(fresh, |store| {
        let (from, to) = (folder(stores.get()), folder(stores.get() + 1));
        let was_synced = store.syncs() > 0;
        fs::create_dir(&to).unwrap();
        torn::copy(&from, &to);
        if !was_synced {
            fs::File::create(newest_wal(&to)).unwrap();
        }
        drop(store);
        RocksKv::open(to).unwrap()
    });
}

#[test]
fn syncs_that_wait_together_are_shared() {
    let dir = tempdir().unwrap();
    let store = RocksKv::open(dir.path()).unwrap();
    let (release, held) = channel::<()>();
    let (busy, is_busy) = channel();
    // The first answer keeps the flusher busy until all the others wait.
    store.sync(Box::new(move |_| {
        busy.send(()).unwrap();
        held.recv().unwrap();
    }));
    is_busy.recv().unwrap();
    let (answers, answered) = channel();
    for _ in 0..100 {
        put(&store, Space::Log, b"k", b"v").unwrap();
        let answers = answers.clone();
        store.sync(Box::new(move |result| answers.send(result).unwrap()));
    }
    release.send(()).unwrap();
    drop(answers);
    assert_eq!(answered.iter().collect::<Vec<_>>(), vec![Ok(()); 100]);
    assert_eq!(store.syncs(), 2);
}

#[test]
fn a_folder_in_use_is_refused_with_one_sentence() {
    let dir = tempdir().unwrap();
    let first = RocksKv::open(dir.path()).unwrap();
    let sentence = format!("another process uses the folder {}", dir.path().display());
    assert_eq!(RocksKv::open(dir.path()).unwrap_err(), KvError::Failed(sentence.clone()));

    let child = child("kv::rocks::tests::opens_a_folder", dir.path())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stderr).into_owned();
    assert!(said.contains(&sentence), "{said}");
    drop(first);
    RocksKv::open(dir.path()).unwrap();
}

#[test]
#[ignore = "the child process of another test"]
fn opens_a_folder() {
    match RocksKv::open(child_dir()) {
        Ok(_) => eprintln!("opened"),
        Err(error) => eprintln!("{error}"),
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_refused() {
    let dir = tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = RocksKv::open(file.join("store")).unwrap_err();
    assert!(matches!(refused, KvError::Failed(ref text) if text.contains("cannot be made")));
}

#[test]
fn whoever_freezes_between_two_writes_shares_a_snapshot() {
    let dir = tempdir().unwrap();
    let store = RocksKv::open(dir.path()).unwrap();
    for value in [b"1", b"2"] {
        let before = store.freeze();
        put(&store, Space::Catalog, b"k", value).unwrap();
        let (one, other) = (store.freeze(), store.freeze());
        assert!(Arc::ptr_eq(&one, &other) && !Arc::ptr_eq(&one, &before));
        assert_eq!(one.get(Space::Catalog, b"k").unwrap().as_deref(), Some(&value[..]));
    }
}

#[test]
fn a_failed_store_refuses_all_that_comes_after() {
    refuses_all(|store| store.engine.fail("fsync: input/output error".into()));
}

#[test]
fn a_store_of_which_readers_say_that_it_failed_refuses_all_that_comes_after() {
    refuses_all(|store| store.fail("a row is damaged".into()));
    refuses_all(|store| store.freeze().fail("a row is damaged".into()));
}

fn refuses_all(fail: impl FnOnce(&RocksKv) -> KvError) {
    let dir = tempdir().unwrap();
    let store = RocksKv::open(dir.path()).unwrap();
    put(&store, Space::Log, b"k", b"v").unwrap();
    let failure = fail(&store);
    assert!(matches!(failure, KvError::Failed(_)), "{failure}");
    for space in [Space::Log, Space::Catalog] {
        assert_eq!(put(&store, space, b"k", b"w"), Err(failure.clone()));
    }
    assert_eq!(sync(&store), Err(failure.clone()));
    assert_eq!(store.flush(), Err(failure));
    assert_eq!(store.get(Space::Log, b"k").unwrap().as_deref(), Some(&b"v"[..]));
}

#[test]
fn whatever_was_synced_or_flushed_survives_kill_9() {
    let dir = tempdir().unwrap();
    let mut next = 0_u32;
    for _ in 0..4 {
        let mut child = child("kv::rocks::tests::writes_until_killed", dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let durable = kill_after(&mut child, 300);
        let store = RocksKv::open(dir.path()).unwrap();
        let log = numbers(&store, Space::Log);
        let catalog = numbers(&store, Space::Catalog);
        assert!(log.len() > durable.log && catalog.len() > durable.catalog);
        assert!(log.len() > next as usize, "the child made no progress");
        next = u32::try_from(log.len()).unwrap();
    }
}

#[test]
#[ignore = "the child process of another test"]
fn writes_until_killed() {
    let store = RocksKv::open(child_dir()).unwrap();
    let log = numbers(&store, Space::Log).len();
    let catalog = numbers(&store, Space::Catalog).len();
    for number in log.min(catalog).. {
        let key = u32::try_from(number).unwrap().to_be_bytes();
        put(&store, Space::Log, &key, &[7; 2000]).unwrap();
        put(&store, Space::Catalog, &key, &[7; 2000]).unwrap();
        if number % 3 == 0 {
            sync(&store).unwrap();
            println!("log {number}");
        }
        if number % 50 == 0 {
            store.flush().unwrap();
            println!("catalog {number}");
        }
        std::io::stdout().flush().unwrap();
    }
}

#[test]
fn a_folder_with_a_damaged_file_is_refused_with_what_to_do() {
    let dir = tempdir().unwrap();
    drop(RocksKv::open(dir.path()).unwrap());
    fs::write(dir.path().join("CURRENT"), "damaged").unwrap();
    let refused = RocksKv::open(dir.path()).err().map(|error| error.to_string());
    let is_told = |error: &str| error.contains("make a new node of this one");
    assert!(refused.as_deref().is_some_and(is_told), "{refused:?}");
}

#[test]
fn a_full_disk_refuses_writes_until_there_is_space() {
    on_small_disk("size=128m", "kv::rocks::tests::fills_its_disk");
}

#[test]
#[ignore = "the child process of another test"]
fn fills_its_disk() {
    let dir = child_dir();
    let store = RocksKv::open(dir.join("store")).unwrap();
    let ballast = dir.join("ballast");

    // Seen coming: nothing reaches RocksDB.
    put(&store, Space::Log, b"a", b"before").unwrap();
    fs::write(&ballast, vec![0; 80 << 20]).unwrap();
    for space in [Space::Log, Space::Catalog] {
        assert!(matches!(put(&store, space, b"b", b"refused"), Err(KvError::Full(_))));
        // As a purge of the log does, and each removal of rows that are not needed any more.
        let mut batch = Batch::new();
        batch.put(b"purged", b"b");
        batch.delete_range(b"b", b"c");
        store.write(space, batch).unwrap();
        assert!(store.get(space, b"purged").unwrap().is_some());
    }
    sync(&store).unwrap();
    fs::remove_file(&ballast).unwrap();
    put(&store, Space::Log, b"b", b"after").unwrap();

    // Not seen coming: the space went between the look and the write.
    let full = fs::write(&ballast, vec![0; 200 << 20]);
    assert_eq!(full.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    // The write-ahead log has some space of its own, and takes what fits there.
    let refused = (0..32).find_map(|key| {
        let mut batch = Batch::new();
        batch.put([b'c', key], vec![0; 1 << 20]);
        store.engine.write_unchecked(Space::Log, batch).err()
    });
    assert!(matches!(refused, Some(KvError::Full(_))), "{refused:?}");
    assert!(matches!(put(&store, Space::Log, b"d", b"refused"), Err(KvError::Full(_))));
    fs::remove_file(&ballast).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while let Err(error) = put(&store, Space::Log, b"d", b"after") {
        assert!(matches!(error, KvError::Full(_)), "{error}");
        assert!(Instant::now() < deadline, "RocksDB does not resume: {error}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    sync(&store).unwrap();
    drop(store);
    let store = RocksKv::open(dir.join("store")).unwrap();
    for key in ["a", "b", "c\0", "d"] {
        assert!(store.get(Space::Log, key.as_bytes()).unwrap().is_some());
    }
}

fn put(store: &RocksKv, space: Space, key: &[u8], value: &[u8]) -> Result<(), KvError> {
    let mut batch = Batch::new();
    batch.put(key, value);
    store.write(space, batch)
}

fn sync(store: &RocksKv) -> Result<(), KvError> {
    let (answer, answered) = channel();
    store.sync(Box::new(move |result| answer.send(result).unwrap()));
    answered.recv().unwrap()
}

/// The numbers that are the keys of `space`, checked to be 0, 1, 2 and so on.
fn numbers(store: &RocksKv, space: Space) -> Vec<u32> {
    let mut numbers = Vec::new();
    let collect = &mut |key: &[u8], _: &[u8]| {
        numbers.push(u32::from_be_bytes(key.try_into().unwrap()));
        std::ops::ControlFlow::Continue(())
    };
    store.scan(space, &[], &[0xff; 5], collect).unwrap();
    assert!(numbers.iter().copied().eq(0..u32::try_from(numbers.len()).unwrap()), "{space:?}");
    numbers
}

/// What a killed child had said to be durable.
#[derive(Default)]
struct Durable {
    log: usize,
    catalog: usize,
}

/// Kills `child` after so many lines; what it said until its end counts.
fn kill_after(child: &mut Child, lines: usize) -> Durable {
    let mut durable = Durable::default();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
    for (count, line) in said.by_ref().map_while(Result::ok).enumerate() {
        match line.split_once(' ') {
            Some(("log", number)) => durable.log = number.parse().unwrap(),
            Some(("catalog", number)) => durable.catalog = number.parse().unwrap(),
            _ => {}
        }
        if count == lines {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    durable
}

fn newest_wal(dir: &Path) -> PathBuf {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|ext| ext == "log")).max().unwrap()
}
