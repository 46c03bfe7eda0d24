//! The faults that are under way, and what is wrong because of them all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Something that is wrong for a while. Machines have their indices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A machine is down.
    Down(usize),
    /// The node of a machine is told to stop, in order. Where it has not stopped when that ends, it
    /// is killed; then it is started again.
    Stopped(usize),
    /// Nothing gets from the first to the second machine of each pair.
    Cut(BTreeSet<(usize, usize)>),
    /// Messages take up to this.
    SlowNetwork(Duration),
    /// Messages get lost.
    LossyNetwork,
    /// The disk of a machine takes up to this to sync.
    SlowDisk(usize, Duration),
    /// The disk of a machine is full.
    FullDisk(usize),
    /// A bit has flipped on the disk of a machine.
    FlippedBit(usize),
    /// What is sent between these machines, in both directions, is held back, and comes when that
    /// ends.
    Held(BTreeSet<(usize, usize)>),
    /// The object store does not answer.
    ObjectsAway,
    /// The object store refuses all requests: the nodes have no right to it.
    ObjectsDenied,
    /// One in so many calls to the object store fails.
    ObjectsFailing(u64),
    /// Answers of the object store take up to so many milliseconds.
    SlowObjects(u64),
    /// Lists of what is in the object store are up to so many milliseconds late.
    LateLists(u64),
    /// The clock of a machine is so many milliseconds off.
    WrongClock(usize, i64),
}

/// Names a fault, so that its end ends no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Token(u64);

/// The faults that are under way, each until its own time. Clones are the same faults.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults(Arc<Mutex<Active>>);

#[derive(Debug, Default)]
struct Active {
    next: u64,
    faults: BTreeMap<Token, (Duration, Fault)>,
    /// Whether there are others than when somebody last asked.
    has_changed: bool,
}

impl Faults {
    fn active(&self) -> MutexGuard<'_, Active> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a fault that ends at `until`.
    pub(crate) fn begin(&self, until: Duration, fault: Fault) -> Token {
        let mut active = self.active();
        let token = Token(active.next);
        active.next += 1;
        active.faults.insert(token, (until, fault));
        active.has_changed = true;
        token
    }

    /// Ends a fault before its time.
    pub(crate) fn end(&self, token: Token) {
        let mut active = self.active();
        active.has_changed |= active.faults.remove(&token).is_some();
    }

    /// Ends the faults whose time has come by `now`.
    pub(crate) fn end_until(&self, now: Duration) {
        let mut active = self.active();
        let before = active.faults.len();
        active.faults.retain(|_, (until, _)| *until > now);
        active.has_changed |= active.faults.len() < before;
    }

    /// Ends all faults.
    pub(crate) fn end_all(&self) {
        let mut active = self.active();
        active.faults.clear();
        active.has_changed = true;
    }

    /// What is wrong now.
    pub(crate) fn conditions(&self) -> Conditions {
        let mut conditions = Conditions::default();
        for (_, fault) in self.active().faults.values() {
            conditions.add(fault);
        }
        conditions
    }

    /// What is wrong now, if other faults are under way than when this was last asked.
    pub(crate) fn changed(&self) -> Option<Conditions> {
        let has_changed = std::mem::take(&mut self.active().has_changed);
        has_changed.then(|| self.conditions())
    }
}

/// What is wrong, whatever it comes from: where two faults are about the same thing, the worse one
/// counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    /// Machines that are down.
    pub(crate) down: BTreeSet<usize>,
    /// Machines whose nodes are to stop in order.
    pub(crate) stopped: BTreeSet<usize>,
    /// The ways that are cut.
    pub(crate) cuts: BTreeSet<(usize, usize)>,
    /// The longest that messages travel, where that is not as planned.
    pub(crate) latency: Option<Duration>,
    /// Whether messages get lost.
    pub(crate) is_lossy: bool,
    /// The longest that a disk takes to sync, where that is not as planned.
    pub(crate) sync: BTreeMap<usize, Duration>,
    /// Machines whose disks are full.
    pub(crate) full: BTreeSet<usize>,
    /// Machines on whose disks a bit has flipped.
    pub(crate) rotten: BTreeSet<usize>,
    /// Pairs of machines between which everything is held back.
    pub(crate) held: BTreeSet<(usize, usize)>,
    /// Whether the object store does not answer.
    pub(crate) is_store_away: bool,
    /// Whether the object store refuses all requests.
    pub(crate) is_store_denied: bool,
    /// One in how many calls to the object store fails.
    pub(crate) store_fails: Option<u64>,
    /// The longest that an answer of the object store takes, in milliseconds, where that is not as
    /// usual.
    pub(crate) store_takes: Option<u64>,
    /// By how many milliseconds lists of what is in the object store may be late.
    pub(crate) store_lists_late: Option<u64>,
    /// By how many milliseconds clocks are off.
    pub(crate) skew: BTreeMap<usize, i64>,
}

impl Conditions {
    fn add(&mut self, fault: &Fault) {
        match *fault {
            Fault::Down(machine) => {
                self.down.insert(machine);
            }
            Fault::Stopped(machine) => {
                self.stopped.insert(machine);
            }
            Fault::Cut(ref ways) => self.cuts.extend(ways),
            Fault::SlowNetwork(longest) => self.latency = self.latency.max(Some(longest)),
            Fault::LossyNetwork => self.is_lossy = true,
            Fault::SlowDisk(machine, longest) => {
                let other = self.sync.entry(machine).or_default();
                *other = longest.max(*other);
            }
            Fault::FullDisk(machine) => {
                self.full.insert(machine);
            }
            Fault::FlippedBit(machine) => {
                self.rotten.insert(machine);
            }
            Fault::Held(ref pairs) => self.held.extend(pairs),
            Fault::ObjectsAway => self.is_store_away = true,
            Fault::ObjectsDenied => self.is_store_denied = true,
            Fault::ObjectsFailing(one_in) => {
                let other = self.store_fails.unwrap_or(u64::MAX);
                self.store_fails = Some(one_in.min(other));
            }
            Fault::SlowObjects(millis) => {
                self.store_takes = self.store_takes.max(Some(millis));
            }
            Fault::LateLists(millis) => {
                self.store_lists_late = self.store_lists_late.max(Some(millis));
            }
            // The younger one: tokens are in the order of their faults.
            Fault::WrongClock(machine, millis) => {
                self.skew.insert(machine, millis);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_end_of_a_fault_ends_no_other() {
        let faults = Faults::default();
        faults.begin(at(5), Fault::Cut(BTreeSet::from([(0, 1), (0, 2)])));
        faults.begin(at(9), Fault::Cut(BTreeSet::from([(0, 1), (1, 0)])));
        faults.begin(at(5), Fault::FullDisk(2));
        faults.begin(at(9), Fault::SlowDisk(2, at(700)));
        assert!(faults.changed().is_some());
        faults.end_until(at(4));
        assert_eq!(faults.changed(), None);
        assert_eq!(faults.conditions().cuts, BTreeSet::from([(0, 1), (0, 2), (1, 0)]));
        faults.end_until(at(5));
        let left = faults.changed().unwrap_or_default();
        assert_eq!(left.cuts, BTreeSet::from([(0, 1), (1, 0)]));
        assert_eq!((left.full, left.sync), (BTreeSet::new(), BTreeMap::from([(2, at(700))])));
        faults.end_all();
        assert_eq!(faults.conditions(), Conditions::default());
    }

    #[test]
    fn an_older_outage_does_not_start_a_machine_that_has_died_again() {
        let faults = Faults::default();
        faults.begin(at(3), Fault::Down(1));
        let younger = faults.begin(at(8), Fault::Down(1));
        faults.end_until(at(3));
        assert!(faults.conditions().down.contains(&1));
        faults.end(younger);
        assert!(faults.conditions().down.is_empty());
    }

    #[test]
    fn of_two_faults_about_the_same_thing_the_worse_counts() {
        let faults = Faults::default();
        for fault in [
            Fault::SlowNetwork(at(900)),
            Fault::SlowNetwork(at(100)),
            Fault::ObjectsFailing(2),
            Fault::ObjectsFailing(20),
            Fault::WrongClock(0, -7),
            Fault::WrongClock(0, 3),
        ] {
            faults.begin(at(1), fault);
        }
        let conditions = faults.conditions();
        assert_eq!((conditions.latency, conditions.store_fails), (Some(at(900)), Some(2)));
        assert_eq!(conditions.skew, BTreeMap::from([(0, 3)]));
    }
}
