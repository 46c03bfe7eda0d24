//! The node's own store: point reads as the catalog makes them, and batches of the log, each of
//! which has to be on the disk before anybody is answered.

use std::ops::ControlFlow;
use std::sync::mpsc::channel;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use storage::kv::RocksKv;
use storage::{Batch, Kv, KvRead, Space};
use tempfile::TempDir;

/// Rows of the catalog that is read: more than RocksDB keeps in memory.
const ROWS: usize = 200_000;

/// A row of the catalog has some hundred bytes.
const ROW: [u8; 300] = [7; 300];

/// An entry of the log that pushes a manifest has some thousand.
const ENTRY: [u8; 2048] = [7; 2048];

/// A store in a folder of its own, which outlives it.
struct Fixture {
    kv: RocksKv,
    _folder: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        Self { kv: RocksKv::open(folder.path()).unwrap(), _folder: folder }
    }

    /// With [`ROWS`] on the disk.
    fn filled() -> Self {
        let fixture = Self::new();
        for begin in (0..ROWS).step_by(100) {
            let mut batch = Batch::new();
            (begin..begin + 100).for_each(|number| batch.put(key(number), ROW));
            fixture.kv.write(Space::Catalog, batch).unwrap();
        }
        fixture.kv.flush().unwrap();
        fixture
    }

    /// Waits until what was written is durable.
    fn sync(&self) {
        let (done, durable) = channel();
        self.kv.sync(Box::new(move |synced| done.send(synced).unwrap()));
        durable.recv().unwrap().unwrap();
    }
}

/// As long as the keys of links and manifests are.
fn key(number: usize) -> Vec<u8> {
    format!("team/app/sha256:{number:064}").into_bytes()
}

fn any_key() -> Vec<u8> {
    key(fastrand::usize(..ROWS))
}

#[divan::bench]
fn get(bencher: Bencher<'_, '_>) {
    let fixture = Fixture::filled();
    bencher
        .with_inputs(any_key)
        .bench_refs(|key| fixture.kv.get(Space::Catalog, key).unwrap().unwrap());
}

/// What is read again and again: one tag, or a blob that everybody pulls.
#[divan::bench]
fn get_the_same(bencher: Bencher<'_, '_>) {
    let fixture = Fixture::filled();
    let key = key(ROWS / 2);
    bencher.bench(|| fixture.kv.get(Space::Catalog, black_box(&key)).unwrap().unwrap());
}

#[divan::bench]
fn get_what_is_not_there(bencher: Bencher<'_, '_>) {
    let fixture = Fixture::filled();
    let absent = || [any_key(), b"?".to_vec()].concat();
    bencher
        .with_inputs(absent)
        .bench_refs(|key| assert!(fixture.kv.get(Space::Catalog, key) == Ok(None)));
}

/// As a request reads: from a view that is frozen after the last write.
#[divan::bench]
fn freeze_and_get_after_a_write(bencher: Bencher<'_, '_>) {
    let fixture = Fixture::filled();
    let written = || {
        let mut batch = Batch::new();
        batch.put(any_key(), ROW);
        fixture.kv.write(Space::Catalog, batch).unwrap();
        any_key()
    };
    let get = |key: &mut Vec<u8>| fixture.kv.freeze().get(Space::Catalog, key).unwrap().unwrap();
    bencher.with_inputs(written).bench_local_refs(get);
}

/// A page of a list.
#[divan::bench]
fn scan_100(bencher: Bencher<'_, '_>) {
    let fixture = Fixture::filled();
    let range = || {
        let begin = fastrand::usize(..ROWS - 100);
        key(begin)..key(begin + 100)
    };
    bencher.with_inputs(range).counter(ItemsCount::new(100_usize)).bench_refs(|range| {
        let mut bytes = 0;
        let mut visit = |_: &[u8], value: &[u8]| {
            bytes += value.len();
            ControlFlow::Continue(())
        };
        fixture.kv.scan(Space::Catalog, &range.start, &range.end, &mut visit).unwrap();
        bytes
    });
}

/// What one entry of the log writes: some rows, none of which is synced.
#[divan::bench]
fn write_12_rows(bencher: Bencher<'_, '_>) {
    let fixture = Fixture::filled();
    let batch = || {
        let mut batch = Batch::new();
        (0..12).for_each(|_| batch.put(any_key(), ROW));
        batch
    };
    let write = |batch| fixture.kv.write(Space::Catalog, batch).unwrap();
    bencher.with_inputs(batch).counter(ItemsCount::new(12_usize)).bench_values(write);
}

/// The entries of one append, until they are durable; with more threads, until each thread's are,
/// which share the syncs.
#[divan::bench(args = [1, 16, 64], threads = [1, 16])]
fn write_and_sync_entries(bencher: Bencher<'_, '_>, entries: usize) {
    let fixture = Fixture::new();
    let batch = || {
        let mut batch = Batch::new();
        let first = fastrand::u64(..1 << 40);
        (first..).take(entries).for_each(|index| batch.put(index.to_be_bytes(), ENTRY));
        batch
    };
    bencher.with_inputs(batch).counter(ItemsCount::new(entries)).bench_values(|batch| {
        fixture.kv.write(Space::Log, batch).unwrap();
        fixture.sync();
    });
}
