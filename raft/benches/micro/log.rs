//! The log: appending entries, each a push of an image, until they are durable, and reading them as
//! for another node. Reached as the catalog is, through [`raft::BareLog`].

use std::cell::RefCell;

use divan::Bencher;
use divan::counter::ItemsCount;
use proto::Stamped;
use raft::BareLog;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::sample::{Engine, push, stamped, tag};

/// Entries after which the log is purged.
const ENTRIES_MAX: u64 = 10_000;

/// A log, and the folder of its store.
struct Fixture {
    runtime: Runtime,
    log: RefCell<BareLog>,
    _folder: Option<TempDir>,
}

impl Fixture {
    fn new(engine: Engine) -> Self {
        let (kv, folder) = engine.open();
        let log = RefCell::new(BareLog::new(kv).unwrap());
        Self { runtime: Runtime::new().unwrap(), log, _folder: folder }
    }

    fn append(&self, entries: Vec<Stamped>) {
        self.runtime.block_on(self.log.borrow_mut().append(entries)).unwrap();
    }
}

fn entries(count: usize) -> Vec<Stamped> {
    (0..).take(count).map(|number| stamped(number, push(number, tag(number)))).collect()
}

fn append(bencher: Bencher<'_, '_>, engine: Engine, count: usize) {
    let fixture = Fixture::new(engine);
    let sample = entries(count);
    let mut purged = 0;
    let inputs = || {
        let mut log = fixture.log.borrow_mut();
        if log.next() >= purged + ENTRIES_MAX {
            purged = log.next();
            fixture.runtime.block_on(log.purge()).unwrap();
        }
        sample.clone()
    };
    let bencher = bencher.with_inputs(inputs).counter(ItemsCount::new(count));
    bencher.bench_local_values(|entries| fixture.append(entries));
}

#[divan::bench(args = Engine::ALL)]
fn append_1(bencher: Bencher<'_, '_>, engine: Engine) {
    append(bencher, engine, 1);
}

#[divan::bench(args = Engine::ALL)]
fn append_64(bencher: Bencher<'_, '_>, engine: Engine) {
    append(bencher, engine, 64);
}

#[divan::bench(args = Engine::ALL)]
fn read_64(bencher: Bencher<'_, '_>, engine: Engine) {
    let fixture = Fixture::new(engine);
    fixture.append(entries(1_000));
    let mut log = fixture.log.borrow_mut();
    let bencher = bencher.counter(ItemsCount::new(64_usize));
    bencher.bench_local(|| fixture.runtime.block_on(log.read(500..564)).unwrap());
}
