//! A node's disk for what it alone keeps: a [`Kv`] that forgets in a crash what was not synced,
//! takes its time, runs full and breaks.
//!
//! Syncs go one after the other, as a write-ahead log's do: those that wait while one is under way
//! share the next, and are answered in the order in which they came.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use raft::Fingerprint;
use storage::kv::{MemoryKv, Synced, Visitor, Write};
use storage::{Batch, Kv, KvError, KvRead, Space};

use super::chronicle::Chronicle;
use super::dice::Dice;
use super::invariants::SameState;

/// A disk that outlives the processes that use it. Clones are the same disk.
#[derive(Clone)]
pub(crate) struct SimDisk {
    state: Arc<Mutex<State>>,
    chronicle: Chronicle,
    same_state: SameState,
    node: String,
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
    /// The longest that a sync takes, in milliseconds.
    sync_millis: u64,
    is_full: bool,
    /// Whether it is broken, for the process that uses it now.
    condition: Condition,
    /// Whoever waits for the next sync, in the order in which they came.
    waiting: Vec<Synced>,
    /// Whether a sync is under way.
    is_syncing: bool,
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
        sync_millis: u64,
        chronicle: Chronicle,
        same_state: SameState,
    ) -> Self {
        let state = State {
            durable: MemoryKv::new(),
            unsynced_log: VecDeque::new(),
            unsynced_catalog: VecDeque::new(),
            log_written: 0,
            process: 0,
            dice,
            sync_millis,
            is_full: false,
            condition: Condition::Sound,
            waiting: Vec::new(),
            is_syncing: false,
        };
        Self { state: Arc::new(Mutex::new(state)), chronicle, same_state, node }
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
        OpenDisk {
            disk: self.clone(),
            process: state.process,
            live,
            fingerprint: Mutex::new(fingerprint),
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

    /// Takes back what [`SimDisk::break_now`] did, if nobody has noticed: once a process was told
    /// that the disk failed, it stays so for that process.
    pub(crate) fn mend(&self) {
        let mut state = self.state();
        if state.condition == Condition::Breaks {
            state.condition = Condition::Sound;
        }
    }

    /// Sets the longest that a sync takes, in milliseconds.
    pub(crate) fn set_sync(&self, millis: u64) {
        self.state().sync_millis = millis;
    }
}

/// The disk as one process uses it.
pub(crate) struct OpenDisk {
    disk: SimDisk,
    process: u64,
    /// What the process reads: everything that it wrote.
    live: MemoryKv,
    fingerprint: Mutex<Fingerprint>,
}

impl OpenDisk {
    fn usable(&self) -> Result<MutexGuard<'_, State>, KvError> {
        let mut state = self.disk.state();
        state.check(self.process)?;
        Ok(state)
    }

    /// Follows a batch of the catalog, and shows the watch what the state is after it.
    fn follow(&self, batch: &Batch) -> Vec<(Vec<u8>, Option<Bytes>)> {
        let mut before = Vec::new();
        for write in batch.writes() {
            match write {
                Write::Put { key, .. } | Write::Delete { key } => {
                    let old = self.live.get(Space::Catalog, key).ok().flatten();
                    before.push((key.clone(), old));
                }
                Write::DeleteRange { from, to } => {
                    let _ = self.live.scan(Space::Catalog, from, to, &mut |key, value| {
                        before.push((key.to_vec(), Some(Bytes::copy_from_slice(value))));
                        ControlFlow::Continue(())
                    });
                }
            }
        }
        before.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        before.dedup_by(|one, other| one.0 == other.0);
        before
    }

    fn show(&self, before: Vec<(Vec<u8>, Option<Bytes>)>) {
        let mut fingerprint = self.fingerprint.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, old) in before {
            let new = self.live.get(Space::Catalog, &key).ok().flatten();
            fingerprint.follow(&key, old.as_deref(), new.as_deref());
        }
        match fingerprint.of_current(Arc::new(self.live.clone())) {
            Ok(Some((index, state))) => self.disk.same_state.observe(&self.disk.node, index, state),
            Ok(None) => {}
            Err(error) => self.disk.chronicle.violated(
                "I22 local corruption",
                format_args!("{}: the catalog cannot be read: {error}", self.disk.node),
            ),
        }
    }
}

impl Kv for OpenDisk {
    fn write(&self, space: Space, batch: Batch) -> Result<(), KvError> {
        let mut state = self.usable()?;
        if state.is_full {
            return Err(KvError::Full("no space left on device (simulated)".to_owned()));
        }
        match space {
            Space::Log => {
                state.log_written += 1;
                state.unsynced_log.push_back(batch.clone());
            }
            Space::Catalog => {
                let after = state.log_written;
                state.unsynced_catalog.push_back((after, batch.clone()));
            }
        }
        drop(state);
        if space == Space::Log {
            return self.live.write(space, batch);
        }
        let before = self.follow(&batch);
        self.live.write(space, batch)?;
        self.show(before);
        Ok(())
    }

    fn sync(&self, synced: Synced) {
        {
            let mut state = self.disk.state();
            if state.process == self.process {
                state.waiting.push(synced);
                if state.is_syncing {
                    return;
                }
                state.is_syncing = true;
            } else {
                drop(state);
                return synced(Err(failed()));
            }
        }
        tokio::spawn(sync_all(self.disk.clone(), self.process));
    }

    fn flush(&self) -> Result<(), KvError> {
        let mut state = self.usable()?;
        if state.is_full {
            return Err(KvError::Full("no space left on device (simulated)".to_owned()));
        }
        let batches = std::mem::take(&mut state.unsynced_catalog);
        if let Some((after, _)) = batches.back() {
            state.sync_log(*after);
        }
        for (_, batch) in batches {
            state.durable.write(Space::Catalog, batch)?;
        }
        Ok(())
    }

    fn freeze(&self) -> Arc<dyn KvRead> {
        self.live.freeze()
    }
}

/// Syncs for as long as somebody waits: each sync covers all that was written before it began.
async fn sync_all(disk: SimDisk, process: u64) {
    loop {
        let (group, until, takes) = {
            let mut state = disk.state();
            if state.process != process {
                return;
            }
            let group = std::mem::take(&mut state.waiting);
            if group.is_empty() {
                state.is_syncing = false;
                return;
            }
            let longest = state.sync_millis;
            (group, state.log_written, state.dice.millis(0..=longest))
        };
        tokio::time::sleep(takes).await;
        let outcome = {
            let mut state = disk.state();
            state.check(process).map(|()| state.sync_log(until))
        };
        if group.len() > 1 {
            disk.chronicle.count("syncs that were shared");
        }
        for synced in group {
            synced(outcome.clone());
        }
    }
}

fn failed() -> KvError {
    KvError::Failed("input/output error (simulated)".to_owned())
}

impl State {
    /// Whether `process` may use the disk.
    fn check(&mut self, process: u64) -> Result<(), KvError> {
        if self.process != process {
            return Err(failed());
        }
        if self.condition == Condition::Sound {
            return Ok(());
        }
        self.condition = Condition::Failed;
        Err(failed())
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

impl KvRead for OpenDisk {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, KvError> {
        self.live.get(space, key)
    }

    fn scan(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        visit: &mut Visitor<'_>,
    ) -> Result<(), KvError> {
        self.live.scan(space, from, to, visit)
    }

    fn last(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
    ) -> Result<Option<(Bytes, Bytes)>, KvError> {
        self.live.last(space, from, to)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;
    use crate::sim::invariants::SameState;

    fn disk(sync_millis: u64) -> SimDisk {
        let chronicle = Chronicle::default();
        let same_state = SameState::new(chronicle.clone());
        SimDisk::new("node-1".to_owned(), Dice::new(1, "disk"), sync_millis, chronicle, same_state)
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
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
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
                let same_state = SameState::new(chronicle.clone());
                let dice = Dice::new(seed, "disk");
                SimDisk::new("node-1".to_owned(), dice, 0, chronicle, same_state).open()
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
}
