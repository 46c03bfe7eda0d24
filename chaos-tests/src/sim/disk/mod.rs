//! A node's disk for what it alone keeps: a key-value store that forgets in a crash what was not
//! synced, takes its time, runs full and breaks.
//!
//! Syncs go one after the other, as a write-ahead log's do: those that wait while one is under way
//! share the next, and are answered in the order in which they came.

mod open;
mod surface;

use std::collections::{BTreeSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use raft::Fingerprint;
use storage::kv::{MemoryKv, Synced, Write};
use storage::{Batch, Kv as _, KvError, KvRead as _, Space};

pub(crate) use self::open::OpenDisk;
use super::chronicle::Chronicle;
use super::dice::Dice;
use super::invariants::{Log, Logs, SameState};

/// A disk that outlives the processes that use it. Clones are the same disk.
#[derive(Clone)]
pub(crate) struct SimDisk {
    state: Arc<Mutex<State>>,
    chronicle: Chronicle,
    watch: Watch,
    node: String,
}

/// Who looks at what is written, on any disk.
#[derive(Clone)]
pub(crate) struct Watch {
    same_state: SameState,
    logs: Logs,
}

impl Watch {
    pub(crate) fn new(chronicle: &Chronicle) -> Self {
        let same_state = SameState::new(chronicle.clone());
        Self { same_state, logs: Logs::new(chronicle.clone()) }
    }

    /// The last index that any catalog had applied, and the catalog's fingerprint there.
    pub(crate) fn last(&self) -> Option<(u64, u128)> {
        self.same_state.last()
    }
}

struct State {
    /// What survives a crash for sure.
    durable: MemoryKv,
    /// Batches of the log after that, in order: a crash keeps some of the first of them.
    unsynced_log: VecDeque<Batch>,
    /// Those of the catalog, each with what `log_written` was when it came: a crash keeps none
    /// without the batches of the log before it.
    unsynced_catalog: VecDeque<(u64, Batch)>,
    /// How many batches were ever written to the log.
    log_written: u64,
    /// Which process uses the disk: what an earlier one asked for has no effect any more.
    process: u64,
    dice: Dice,
    /// The longest that a sync takes.
    sync_max: Duration,
    is_full: bool,
    /// Whether it is broken, for the process that uses it now.
    condition: Condition,
    /// Rows of which a bit has flipped since they were written: a checksum tells so when they are
    /// read.
    rotten: BTreeSet<(Space, Vec<u8>)>,
    /// What becomes of the process that uses the disk, and when.
    after: Option<After>,
    /// Whether the process that uses it was told that it is broken, or read what had flipped.
    has_refused: bool,
    /// For what it found no room, and has written nothing since.
    without_room: BTreeSet<Space>,
    /// Whether the process has died of [`Blow::Crash`], and the machine does not know it yet.
    has_crashed: bool,
    /// The writers that wait for the next sync, in the order in which they came.
    waiting: Vec<Synced>,
    /// Whether a sync is under way.
    is_syncing: bool,
}

/// What comes with a certain write.
#[derive(Clone, Copy, Debug)]
struct After {
    /// How many others come before.
    writes: u64,
    /// Whether those to the log count, and not those to the catalog alone.
    counts_log: bool,
    blow: Blow,
}

/// What comes with a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blow {
    /// The process dies.
    Crash,
    /// The disk breaks.
    Failure,
}

/// How far a disk is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Sound,
    /// The next use fails.
    Breaks,
    /// A use has failed: so does every further one of the same process (see [`KvError`]).
    Failed,
}

impl SimDisk {
    pub(crate) fn new(
        node: String,
        dice: Dice,
        sync_max: Duration,
        chronicle: Chronicle,
        watch: Watch,
    ) -> Self {
        let state = State {
            durable: MemoryKv::new(),
            unsynced_log: VecDeque::new(),
            unsynced_catalog: VecDeque::new(),
            log_written: 0,
            process: 0,
            dice,
            sync_max,
            is_full: false,
            condition: Condition::Sound,
            rotten: BTreeSet::new(),
            after: None,
            has_refused: false,
            without_room: BTreeSet::new(),
            has_crashed: false,
            waiting: Vec::new(),
            is_syncing: false,
        };
        Self { state: Arc::new(Mutex::new(state)), chronicle, watch, node }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the disk for a process, after the one before it has died: a random number of the
    /// batches that were not synced is lost, the last ones first.
    pub(crate) fn open(&self) -> OpenDisk {
        let mut state = self.state();
        state.process += 1;
        state.condition = Condition::Sound;
        state.has_refused = false;
        state.without_room.clear();
        state.waiting.clear();
        state.is_syncing = false;
        if state.crash() {
            self.chronicle.count("crashes that lost unsynced writes");
        }
        let live = state.durable.fork();
        let mut fingerprint = Fingerprint::default();
        let everything = (&[][..], &[u8::MAX; 64][..]);
        let _ = live.scan(Space::Catalog, everything.0, everything.1, &mut |key, value| {
            fingerprint.follow(key, None, Some(value));
            ControlFlow::Continue(())
        });
        let mut log = Log::default();
        let _ = live.scan(Space::Log, everything.0, everything.1, &mut |key, value| {
            log.find(key, value);
            ControlFlow::Continue(())
        });
        OpenDisk {
            disk: self.clone(),
            process: state.process,
            live,
            fingerprint: Mutex::new(fingerprint),
            log: Mutex::new(log),
            readers: Arc::default(),
        }
    }

    /// Sets whether the disk is full.
    pub(crate) fn fill(&self, is_full: bool) {
        self.state().is_full = is_full;
    }

    /// Breaks the disk for the process that uses it: every use fails until it is opened again.
    pub(crate) fn break_now(&self) {
        let mut state = self.state();
        if state.condition == Condition::Sound {
            state.condition = Condition::Breaks;
        }
    }

    /// Takes back what is still to come, and what [`SimDisk::break_now`] did, if nobody has
    /// noticed: once a process was told that the disk failed, it stays so for that process.
    pub(crate) fn mend(&self) {
        let mut state = self.state();
        state.after = None;
        if state.condition == Condition::Breaks {
            state.condition = Condition::Sound;
        }
    }

    /// Lets the process that uses the disk, or the next one when none does, die with the write to
    /// the catalog, or the flush of it, that comes after so many others. To the disk it is dead at
    /// once: nothing that it writes later has an effect.
    pub(crate) fn crash_after(&self, writes: u64) {
        self.state().after = Some(After { writes, counts_log: false, blow: Blow::Crash });
    }

    /// Breaks the disk for the node that uses it, with the write to the catalog, or the flush of
    /// it, that comes after so many others.
    pub(crate) fn fail_after(&self, writes: u64) {
        self.state().after = Some(After { writes, counts_log: false, blow: Blow::Failure });
    }

    /// Strikes the process that uses the disk with the write to the catalog or the log,
    /// or the flush, that comes after so many others.
    pub(crate) fn strike_after(&self, writes: u64, blow: Blow) {
        self.state().after = Some(After { writes, counts_log: true, blow });
    }

    /// Whether the process that uses the disk was told that it has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.state().is_failed()
    }

    /// Flips a bit of some row that is on the disk, or puts back all that were flipped, as a disk
    /// does that has a good copy.
    pub(crate) fn rot(&self, is_rotten: bool) {
        let mut state = self.state();
        if !is_rotten {
            state.rotten.clear();
        } else if state.rotten.is_empty() {
            let space = *state.dice.pick(&[Space::Log, Space::Catalog]);
            let mut keys = Vec::new();
            let _ = state.durable.scan(space, &[], &[u8::MAX; 64], &mut |key, _| {
                keys.push(key.to_vec());
                ControlFlow::Continue(())
            });
            if !keys.is_empty() {
                let key = state.dice.pick(&keys).clone();
                state.rotten.insert((space, key));
            }
        }
    }

    /// Whether the process has died with a write of its own since this was last asked.
    pub(crate) fn take_crash(&self) -> bool {
        std::mem::take(&mut self.state().has_crashed)
    }

    /// What is on the disk for sure.
    pub(crate) fn copy(&self) -> MemoryKv {
        self.state().durable.fork()
    }

    /// Takes all that is on the disk, which no process uses.
    pub(crate) fn empty(&self) {
        self.put_back(&MemoryKv::new());
    }

    /// Has the disk, which no process uses, hold what `copy` does and nothing else.
    pub(crate) fn put_back(&self, copy: &MemoryKv) {
        let mut state = self.state();
        state.durable = copy.fork();
        state.unsynced_log.clear();
        state.unsynced_catalog.clear();
        state.rotten.clear();
    }

    /// Sets the longest that a sync takes.
    pub(crate) fn set_sync(&self, longest: Duration) {
        self.state().sync_max = longest;
    }
}

fn failed() -> KvError {
    KvError::Failed("input/output error (simulated)".to_owned())
}

impl State {
    /// Whether the process that uses the disk was told that it has failed.
    fn is_failed(&self) -> bool {
        self.condition == Condition::Failed
    }

    /// Whether `process` may use the disk.
    fn check(&mut self, process: u64) -> Result<(), KvError> {
        if self.process != process {
            return Err(failed());
        }
        if self.condition == Condition::Sound {
            return Ok(());
        }
        self.condition = Condition::Failed;
        self.has_refused = true;
        Err(failed())
    }

    /// Whether there is room for more of `space`.
    fn check_room(&mut self, space: Space) -> Result<(), KvError> {
        if self.is_full {
            self.without_room.insert(space);
            return Err(KvError::Full("no space left on device (simulated)".to_owned()));
        }
        self.without_room.remove(&space);
        Ok(())
    }

    /// Whether `process` may read the row of `key`.
    fn check_row(&mut self, process: u64, space: Space, key: &[u8]) -> Result<(), KvError> {
        self.check(process)?;
        if self.rotten.is_empty() || !self.rotten.contains(&(space, key.to_vec())) {
            return Ok(());
        }
        self.condition = Condition::Failed;
        self.has_refused = true;
        Err(KvError::Failed("a checksum is wrong (simulated)".to_owned()))
    }

    /// What is written anew has all its bits, and what is gone has none.
    fn heal(&mut self, space: Space, batch: &Batch) {
        let touches = |write: &Write, key: &Vec<u8>| match write {
            Write::Put { key: written, .. } | Write::Delete { key: written } => key == written,
            Write::DeleteRange { from, to } => key >= from && key < to,
        };
        self.rotten.retain(|(of, key)| {
            *of != space || !batch.writes().iter().any(|write| touches(write, key))
        });
    }

    /// How many batches of the log are durable or lost.
    fn log_settled(&self) -> u64 {
        self.log_written - self.unsynced_log.len() as u64
    }

    /// Makes the log durable up to the `until`th batch that was ever written to it.
    fn sync_log(&mut self, until: u64) {
        for _ in self.log_settled()..until {
            if let Some(batch) = self.unsynced_log.pop_front() {
                // Memory takes everything.
                let _ = self.durable.write(Space::Log, batch);
            }
        }
    }

    /// Loses some of what was not synced. Answers whether anything was lost.
    fn crash(&mut self) -> bool {
        let kept = self.dice.number(0..=self.unsynced_log.len() as u64);
        let log_kept = self.log_settled() + kept;
        self.sync_log(log_kept);
        let kept = self.dice.number(0..=self.unsynced_catalog.len() as u64);
        let is_kept = |after: u64, number: u64| number < kept && after <= log_kept;
        let catalog = std::mem::take(&mut self.unsynced_catalog);
        let lost = catalog.len();
        let kept = (0..).zip(catalog).take_while(|(number, (after, _))| is_kept(*after, *number));
        let kept: Vec<Batch> = kept.map(|(_, (_, batch))| batch).collect();
        let lost = lost - kept.len() + self.unsynced_log.len();
        for batch in kept {
            let _ = self.durable.write(Space::Catalog, batch);
        }
        self.unsynced_log.clear();
        lost > 0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;

    fn disk(sync_millis: u64) -> SimDisk {
        let sync_max = Duration::from_millis(sync_millis);
        let chronicle = Chronicle::default();
        let watch = Watch::new(&chronicle);
        SimDisk::new("node-1".to_owned(), Dice::new(1, "disk"), sync_max, chronicle, watch)
    }

    fn entry(number: u8) -> Batch {
        let mut batch = Batch::new();
        batch.put([number], [number]);
        batch
    }

    fn note(answers: &Arc<Mutex<Vec<u8>>>, number: u8) -> Synced {
        let answers = Arc::clone(answers);
        Box::new(move |outcome| {
            outcome.unwrap();
            answers.lock().unwrap().push(number);
        })
    }

    #[tokio::test(start_paused = true)]
    async fn syncs_are_answered_in_order_and_what_they_covered_survives() {
        for sync_millis in [0, 1, 500] {
            let (disk, answers) = (disk(sync_millis), Arc::default());
            let open = disk.open();
            for number in 0..20 {
                open.write(Space::Log, entry(number)).unwrap();
                open.sync(note(&answers, number));
                let pause = disk.state().dice.millis(0..=20);
                tokio::time::sleep(pause).await;
            }
            while answers.lock().unwrap().len() < 20 {
                tokio::task::yield_now().await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(*answers.lock().unwrap(), (0..20).collect::<Vec<_>>());
            let reopened = disk.open();
            for number in 0..20 {
                assert!(reopened.get(Space::Log, &[number]).unwrap().is_some());
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_crash_keeps_what_it_must_and_nothing_of_the_catalog_before_its_log() {
        for seed in 0..50 {
            let fresh = || {
                let chronicle = Chronicle::default();
                let (watch, dice) = (Watch::new(&chronicle), Dice::new(seed, "disk"));
                SimDisk::new("node-1".to_owned(), dice, Duration::ZERO, chronicle, watch).open()
            };
            storage::conformance::kv::crashing(fresh, |open: OpenDisk| open.disk.open());
        }
    }

    #[test]
    fn a_disk_that_failed_stays_failed_until_it_is_opened_again() {
        let disk = disk(0);
        let open = disk.open();
        disk.break_now();
        disk.mend();
        assert_eq!(open.write(Space::Log, entry(1)), Ok(()), "nobody noticed");
        disk.break_now();
        assert_eq!(open.write(Space::Log, entry(2)), Err(failed()));
        disk.mend();
        assert_eq!(open.write(Space::Log, entry(2)), Err(failed()), "failure is final");
        let reopened = disk.open();
        assert_eq!(reopened.write(Space::Log, entry(2)), Ok(()));
        assert_eq!(open.write(Space::Log, entry(3)), Err(failed()), "of the process before");
    }

    #[test]
    fn a_disk_that_was_full_is_no_reason_to_end_once_it_takes_what_it_refused() {
        let disk = disk(0);
        let open = disk.open();
        disk.fill(true);
        assert!(!open.has_refused());
        assert!(open.write(Space::Log, entry(1)).is_err());
        disk.fill(false);
        assert!(open.has_refused(), "it has not written since");
        assert_eq!(open.write(Space::Catalog, entry(1)), Ok(()));
        assert!(open.has_refused(), "whoever writes the log may have given up");
        assert_eq!(open.write(Space::Log, entry(1)), Ok(()));
        assert!(!open.has_refused());
    }

    #[test]
    fn a_disk_that_failed_cannot_be_read_either() {
        let disk = disk(0);
        let open = disk.open();
        open.write(Space::Log, entry(1)).unwrap();
        let frozen = open.freeze();
        disk.break_now();
        assert_eq!(frozen.get(Space::Log, &[1]), Err(failed()), "what is frozen is on it too");
        assert_eq!(open.get(Space::Log, &[1]), Err(failed()));
        assert!(disk.has_failed());
    }

    #[test]
    fn what_is_frozen_counts_until_nobody_can_read_it() {
        let open = disk(0).open();
        let frozen = open.freeze();
        let again = Arc::clone(&frozen);
        assert_eq!(open.get(Space::Log, &[1]), Ok(None));
        assert_eq!(open.frozen(), 1, "who only looks keeps nothing");
        drop(frozen);
        assert_eq!(open.frozen(), 1);
        drop(again);
        assert_eq!(open.frozen(), 0);
    }

    #[tokio::test]
    async fn a_flipped_bit_is_found_by_who_reads_the_row_until_it_is_written_anew() {
        let disk = disk(0);
        let open = disk.open();
        open.write(Space::Catalog, entry(1)).unwrap();
        open.write(Space::Log, entry(1)).unwrap();
        open.flush().unwrap();
        disk.rot(true);
        let outcomes = [Space::Log, Space::Catalog].map(|space| {
            // What has failed fails for good, so each look is that of a process of its own.
            let open = disk.open();
            open.scan(space, &[0], &[9], &mut |_, _| ControlFlow::Continue(())).is_err()
        });
        assert_eq!(outcomes.iter().filter(|has_failed| **has_failed).count(), 1);
        let open = disk.open();
        open.write(Space::Catalog, entry(1)).unwrap();
        open.write(Space::Log, entry(1)).unwrap();
        for space in [Space::Log, Space::Catalog] {
            assert!(open.get(space, &[1]).is_ok());
        }
    }
}
