//! The nemesis decides by chance what goes wrong, and when: it begins faults. What they do to the
//! world, and that they end, is [havoc](super::havoc)'s.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::chronicle::Chronicle;
use super::dice::Dice;
use super::disk::Blow;
use super::havoc::{Fault, Faults};
use super::machine::Machine;
use super::plan::{Plan, StoreKind};

/// An hour, in milliseconds: how wrong a clock can be.
const HOUR: i64 = 60 * 60 * 1000;

/// Breaks things, each for a while.
pub(crate) struct Nemesis {
    plan: Plan,
    dice: Dice,
    chronicle: Chronicle,
    next: Duration,
    /// Machines whose nodes are to be stopped in order, one after the other.
    to_stop: VecDeque<usize>,
    /// When the next of them is.
    next_stop: Duration,
    faults: Faults,
}

impl Nemesis {
    /// A nemesis that begins `faults` by chance.
    pub(crate) fn new(plan: &Plan, faults: Faults, chronicle: Chronicle) -> Self {
        let mut dice = Dice::new(plan.seed, "nemesis");
        // The cluster gets a moment to form, not always enough.
        let next = dice.millis(500..=5000);
        let (to_stop, next_stop) = (VecDeque::new(), Duration::ZERO);
        Self { plan: plan.clone(), dice, chronicle, next, to_stop, next_stop, faults }
    }

    /// Strikes, if it is time to.
    pub(crate) fn act(&mut self, now: Duration, machines: &[Machine]) {
        if now >= self.next_stop
            && let Some(number) = self.to_stop.pop_front()
        {
            let until = now + self.dice.millis(1_000..=5_000);
            self.faults.begin(until, Fault::Stopped(number));
            self.next_stop = until + self.dice.millis(500..=2_000);
        }
        if now >= self.next {
            let calm = u64::try_from(self.plan.calm.as_millis()).unwrap_or(u64::MAX);
            self.next = now + self.dice.millis(calm / 2..=calm * 3 / 2);
            self.strike(now, machines);
        }
    }

    /// One more fault, of processes and the network more often than of what they need.
    fn strike(&mut self, now: Duration, machines: &[Machine]) {
        let until = now + self.dice.millis(100..=6000);
        let number = victim(&mut self.dice, machines);
        // Beside what goes wrong with every store.
        if self.plan.store == StoreKind::S3 && self.dice.one_in(3) {
            let fault = self.trouble_s3();
            self.faults.begin(until, fault);
            return;
        }
        let fault = match self.dice.number(0..=99) {
            0..=14 => Some(Fault::Down(number)),
            15..=19 => {
                self.stop(number, machines.len());
                None
            }
            // One at a time: most of the time a majority is there to work with.
            20..=24 if self.faults.conditions().down.is_empty() => {
                self.kill_for_long(now, number, &machines[number]);
                None
            }
            20..=24 => Some(Fault::Down(number)),
            25..=29 => {
                self.kill_all(now, machines.len());
                None
            }
            30..=49 => Some(self.cut_off(number, machines)),
            50..=55 => Some(self.trouble_network()),
            56..=59 => {
                self.hold(now, number, machines);
                None
            }
            60..=79 => self.trouble_disk(number, &machines[number]),
            80..=92 => Some(self.trouble_objects()),
            _ => Some(self.trouble_clock(number, &machines[number])),
        };
        if let Some(fault) = fault {
            self.faults.begin(until, fault);
        }
    }

    /// Has the node of a machine stopped in order and started again; now and then all of them, one
    /// after the other, as for a new version.
    fn stop(&mut self, number: usize, machines: usize) {
        if self.dice.one_in(4) {
            self.chronicle.note("all nodes will be stopped, one after the other");
            self.chronicle.count("faults: rolling restart");
            self.to_stop.extend(0..machines);
        } else {
            self.to_stop.push_back(number);
        }
    }

    fn trouble_network(&mut self) -> Fault {
        if self.dice.one_in(2) {
            let slow = self.dice.number(100..=1000);
            self.chronicle.note(format_args!("messages take up to {slow} ms"));
            self.chronicle.count("faults: slow network");
            Fault::SlowNetwork(Duration::from_millis(slow))
        } else {
            self.chronicle.note("messages get lost");
            self.chronicle.count("faults: lossy network");
            Fault::LossyNetwork
        }
    }

    /// A broken disk is mended by the restart of its node, which breaks with it.
    fn trouble_disk(&mut self, number: usize, machine: &Machine) -> Option<Fault> {
        let name = &machine.name;
        match self.dice.number(0..=4) {
            0 => {
                let slow = self.dice.number(50..=1500);
                self.chronicle.note(format_args!("the disk of {name} takes up to {slow} ms"));
                self.chronicle.count("faults: slow disk");
                Some(Fault::SlowDisk(number, Duration::from_millis(slow)))
            }
            1 => {
                self.chronicle.note(format_args!("the disk of {name} is full"));
                self.chronicle.count("faults: full disk");
                Some(Fault::FullDisk(number))
            }
            2 => {
                self.chronicle.note(format_args!("a bit flips on the disk of {name}"));
                self.chronicle.count("faults: flipped bit");
                Some(Fault::FlippedBit(number))
            }
            3 => {
                let writes = self.dice.number(0..=30);
                let blow = if self.dice.one_in(2) { Blow::Crash } else { Blow::Failure };
                let what = match blow {
                    Blow::Crash => "dies",
                    Blow::Failure => "has its disk fail",
                };
                self.chronicle.note(format_args!("{name} {what} after {writes} more writes"));
                machine.disk.strike_after(writes, blow);
                None
            }
            _ => {
                self.chronicle.note(format_args!("the disk of {name} breaks until a restart"));
                self.chronicle.count("faults: broken disk");
                machine.disk.break_now();
                None
            }
        }
    }

    fn trouble_objects(&mut self) -> Fault {
        if self.dice.one_in(2) {
            self.chronicle.note("the object store is away");
            self.chronicle.count("faults: object store away");
            Fault::ObjectsAway
        } else {
            self.fail_objects()
        }
    }

    fn fail_objects(&mut self) -> Fault {
        let one_in = self.dice.number(2..=20);
        self.chronicle.note(format_args!("1 in {one_in} calls to the object store fails"));
        self.chronicle.count("faults: object store failing");
        Fault::ObjectsFailing(one_in)
    }

    fn trouble_s3(&mut self) -> Fault {
        match self.dice.number(0..=3) {
            0 => {
                let slow = self.dice.number(200..=3000);
                self.chronicle.note(format_args!("the object store takes up to {slow} ms"));
                self.chronicle.count("faults: slow object store");
                Fault::SlowObjects(slow)
            }
            1 => {
                let late = self.dice.number(100..=5000);
                self.chronicle.note(format_args!("lists of objects are up to {late} ms late"));
                self.chronicle.count("faults: late lists of objects");
                Fault::LateLists(late)
            }
            _ => self.fail_objects(),
        }
    }

    fn trouble_clock(&mut self, number: usize, machine: &Machine) -> Fault {
        let skew = self.dice.number(0..=2 * HOUR.unsigned_abs()).cast_signed() - HOUR;
        self.chronicle.note(format_args!("the clock of {} is {skew} ms off", machine.name));
        self.chronicle.count("faults: wrong clock");
        Fault::WrongClock(number, skew)
    }

    /// Kills a machine for so long that the others have purged from their logs what it lacks, and
    /// give its vote to another.
    fn kill_for_long(&mut self, now: Duration, number: usize, machine: &Machine) {
        self.chronicle.note(format_args!("{} will be away for long", machine.name));
        self.chronicle.count("faults: long outage");
        let until = now + self.dice.millis(8_000..=25_000);
        self.faults.begin(until, Fault::Down(number));
    }

    fn kill_all(&mut self, now: Duration, machines: usize) {
        self.chronicle.note("all nodes are killed");
        self.chronicle.count("faults: all nodes killed");
        for number in 0..machines {
            let after = self.dice.millis(50..=2000);
            self.faults.begin(now + after, Fault::Down(number));
        }
    }

    /// Holds back all that a machine and the others send each other, and lets it come late and all
    /// at once.
    fn hold(&mut self, now: Duration, number: usize, machines: &[Machine]) {
        let longest = if self.dice.one_in(4) { 30_000 } else { 5_000 };
        let until = now + self.dice.millis(100..=longest);
        self.chronicle.note(format_args!("nothing moves to or from {}", machines[number].name));
        self.chronicle.count("faults: messages held back");
        let others = (0..machines.len()).filter(|other| *other != number);
        self.faults.begin(until, Fault::Held(others.map(|other| (number, other)).collect()));
    }

    /// Splits all machines but one into two sides, which that one alone reaches both.
    fn leave_a_bridge(&mut self, bridge: usize, machines: &[Machine]) -> Fault {
        let mut is_left: Vec<bool> = machines.iter().map(|_| self.dice.one_in(2)).collect();
        // Neither side is empty.
        is_left[(bridge + 1) % machines.len()] = true;
        is_left[(bridge + 2) % machines.len()] = false;
        let name = &machines[bridge].name;
        self.chronicle.note(format_args!("two sides reach each other through {name} only"));
        self.chronicle.count("faults: two sides with a bridge");
        Fault::Cut(across(bridge, &is_left))
    }

    /// Cuts a node, or a group of them, off from the others, in one direction or in both. One node
    /// at least stays outside.
    fn cut_off(&mut self, number: usize, machines: &[Machine]) -> Fault {
        if machines.len() >= 3 && self.dice.one_in(6) {
            return self.leave_a_bridge(number, machines);
        }
        let is_group = self.dice.one_in(3);
        let mut inside = BTreeSet::from([number]);
        for other in 0..machines.len() {
            if is_group && self.dice.one_in(2) && inside.len() + 1 < machines.len() {
                inside.insert(other);
            }
        }
        let way = self.dice.number(0..=3);
        let mut ways = BTreeSet::new();
        for one in &inside {
            for other in (0..machines.len()).filter(|other| !inside.contains(other)) {
                if way != 1 {
                    ways.insert((*one, other));
                }
                if way != 0 {
                    ways.insert((other, *one));
                }
            }
        }
        let names: Vec<&str> = inside.iter().map(|one| machines[*one].name.as_str()).collect();
        let way = ["cannot send to", "cannot hear", "are cut off from", "are cut off from"]
            [usize::try_from(way).unwrap_or(3)];
        self.chronicle.note(format_args!("{} {way} the other nodes", names.join(", ")));
        self.chronicle.count(match ways.len() {
            0 => "faults: cut of nothing",
            _ if way == "are cut off from" => "faults: network cut",
            _ => "faults: network cut in one direction",
        });
        Fault::Cut(ways)
    }
}

/// The ways between machines that are on different sides of the one of `bridge`, which alone
/// reaches all of them.
fn across(bridge: usize, is_left: &[bool]) -> BTreeSet<(usize, usize)> {
    let mut ways = BTreeSet::new();
    for one in (0..is_left.len()).filter(|one| *one != bridge) {
        for other in (0..is_left.len()).filter(|other| *other != bridge) {
            if is_left[one] != is_left[other] {
                ways.insert((one, other));
            }
        }
    }
    ways
}

/// A machine to harm: the leader's as often as all others together.
pub(crate) fn victim(dice: &mut Dice, machines: &[Machine]) -> usize {
    let leads = |machine: &Machine| {
        machine.status().is_some_and(|status| status.role == raft::Role::Leader)
    };
    let any = dice.index(machines.len());
    if dice.one_in(2) { machines.iter().position(leads).unwrap_or(any) } else { any }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridge_reaches_both_sides_and_they_not_each_other() {
        let ways = across(1, &[true, true, false, true]);
        assert_eq!(ways, BTreeSet::from([(0, 2), (2, 0), (3, 2), (2, 3)]));
    }
}
