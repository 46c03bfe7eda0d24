//! What a crash or a disk leaves of the write-ahead log: cut anywhere, or damaged anywhere.

use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use tempfile::{TempDir, tempdir};

use super::super::{Batch, Kv as _, KvRead as _, RocksKv, Space};
use super::{newest_wal, put, sync};

/// Bytes of the blocks that RocksDB's log is made of: a longer record is in several of them.
const BLOCK_BYTES: usize = 32 * 1024;
/// Places at which a log is torn, for each way to tear it: to open a store takes a tenth of a
/// second.
const PLACES: usize = 40;

/// The types of records of logs whose files are used again, which these are not. RocksDB 11.8 reads
/// one of them in such a log for ever (`Reader::ReadPhysicalRecord`), so that no damage here may
/// look like one; that opening takes long is all that can be said then.
const RECYCLED: [u8; 6] = [5, 6, 7, 8, 11, 131];

/// Batches, and how long the write-ahead log was when each had been written.
struct Written {
    folder: TempDir,
    batches: Vec<Vec<(Vec<u8>, Vec<u8>)>>,
    ends: Vec<usize>,
    /// How many of them were in the log when it was synced last.
    synced: usize,
}

impl Written {
    /// Writes a series of batches and syncs some, and leaves the folder as it is then: the store is
    /// never closed before it is copied.
    fn new(seed: u64) -> Self {
        let mut dice = fastrand::Rng::with_seed(seed);
        let dir = tempdir().unwrap();
        let store = RocksKv::open(dir.path()).unwrap();
        let (mut batches, mut ends, mut synced) = (Vec::new(), Vec::new(), 0);
        for number in 0..60_u32 {
            let longest = if number % 10 == 9 { 2 * BLOCK_BYTES } else { 400 };
            let pairs: Vec<_> = (0..dice.u8(1..6))
                .map(|pair| {
                    let key = [&number.to_be_bytes()[..], &[pair]].concat();
                    (key, vec![dice.u8(..); dice.usize(0..longest)])
                })
                .collect();
            let mut batch = Batch::new();
            pairs.iter().for_each(|(key, value)| batch.put(key.clone(), value.clone()));
            store.write(Space::Log, batch).unwrap();
            batches.push(pairs);
            ends.push(
                usize::try_from(fs::metadata(newest_wal(dir.path())).unwrap().len()).unwrap(),
            );
            if dice.u8(0..8) == 0 {
                sync(&store).unwrap();
                synced = batches.len();
            }
        }
        assert!(ends.is_sorted_by(|a, b| a < b), "each batch reaches the file: {ends:?}");
        assert!(synced > 0, "some were synced");
        let folder = tempdir().unwrap();
        copy(dir.path(), folder.path());
        Self { folder, batches, ends, synced }
    }

    /// The log, whole.
    fn log(&self) -> Vec<u8> {
        fs::read(newest_wal(self.folder.path())).unwrap()
    }

    /// How many batches are whole within the first `bytes` of the log.
    fn whole(&self, bytes: usize) -> usize {
        self.ends.iter().filter(|end| **end <= bytes).count()
    }

    /// Opens a copy of the folder with `log` in place of its log, and answers how many batches are
    /// there: the first ones, each whole, and nothing else. What is written then stays.
    fn recovered(&self, log: &[u8]) -> usize {
        let dir = tempdir().unwrap();
        copy(self.folder.path(), dir.path());
        fs::write(newest_wal(dir.path()), log).unwrap();
        let store = RocksKv::open(dir.path()).unwrap();
        let mut found = pairs(&store);
        let count = found
            .last()
            .map_or(0, |(key, _)| u32::from_be_bytes(key[..4].try_into().unwrap()) as usize + 1);
        assert!(found == self.batches[..count].concat(), "no prefix of {count} batches");

        let more = (vec![0xff; 5], b"goes on".to_vec());
        put(&store, Space::Log, &more.0, &more.1).unwrap();
        sync(&store).unwrap();
        drop(store);
        found.push(more);
        assert!(pairs(&RocksKv::open(dir.path()).unwrap()) == found, "another after {count}");
        count
    }

    /// Places in the log, drawn: about ends of batches and of blocks, in the last batches, and
    /// anywhere.
    fn places(&self, dice: &mut fastrand::Rng) -> BTreeSet<usize> {
        let length = self.log().len();
        let last = self.ends[self.ends.len() - 3];
        let draw = |kind: usize| match kind % 4 {
            0 => self.ends[dice.usize(0..self.ends.len())] + dice.usize(0..8),
            1 => dice.usize(0..=length / BLOCK_BYTES) * BLOCK_BYTES + dice.usize(0..8),
            2 => dice.usize(last..=length),
            _ => dice.usize(0..=length),
        };
        let drawn: Vec<usize> = (0..PLACES).map(draw).collect();
        let edges = self.ends.iter().rev().take(2).flat_map(|end| [end - 1, *end]);
        drawn.into_iter().chain(edges).filter(|place| *place <= length).collect()
    }
}

#[test]
fn a_log_that_is_cut_anywhere_keeps_the_batches_before_the_cut() {
    let written = Written::new(1);
    let log = written.log();
    for cut in written.places(&mut fastrand::Rng::with_seed(2)) {
        let kept = written.recovered(&log[..cut]);
        assert_eq!(kept, written.whole(cut), "of a log that is cut after {cut} bytes");
    }
    let all = written.recovered(&log);
    assert!(all == written.batches.len() && written.synced <= all);
}

#[test]
fn a_log_whose_end_was_never_written_keeps_the_batches_before_it() {
    let written = Written::new(3);
    let mut dice = fastrand::Rng::with_seed(4);
    for torn in written.places(&mut dice) {
        // What a file system shows of blocks that it had promised and not yet filled: nothing, or
        // what was there before.
        let mut log = written.log();
        let is_blank = dice.bool();
        log[torn..].fill_with(|| match dice.u8(..) {
            byte if is_blank || RECYCLED.contains(&byte) => 0,
            byte => byte,
        });
        let kept = written.recovered(&log);
        assert_eq!(kept, written.whole(torn), "of a log that is torn after {torn} bytes");
    }
}

#[test]
fn a_log_with_a_bit_flipped_keeps_the_batches_before_it_and_none_that_is_damaged() {
    let written = Written::new(5);
    let mut dice = fastrand::Rng::with_seed(6);
    for place in written.places(&mut dice) {
        let mut log = written.log();
        let Some(byte) = log.get_mut(place) else { continue };
        *byte ^= 1 << dice.u8(0..8);
        if RECYCLED.contains(byte) {
            continue;
        }
        let kept = written.recovered(&log);
        // The rest of a block that the next record did not fit into is of no use to anybody.
        let is_unused = kept == written.batches.len();
        assert!(kept == written.whole(place) || is_unused, "{kept} with byte {place} damaged");
    }
}

/// All that is in the log's space.
fn pairs(store: &RocksKv) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut pairs = Vec::new();
    let collect = &mut |key: &[u8], value: &[u8]| {
        pairs.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    };
    store.scan(Space::Log, &[], &[0xff; 6], collect).unwrap();
    pairs
}

/// Copies the files of one folder to another, which is there.
pub(super) fn copy(from: &Path, to: &Path) {
    let files = fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path());
    for file in files.collect::<Vec<PathBuf>>() {
        fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}
