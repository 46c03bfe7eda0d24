//! What goes wrong, and when.

use std::time::Duration;

use turmoil::Sim;

use super::chronicle::Chronicle;
use super::dice::Dice;
use super::machine::Machine;
use super::objects::SimObjects;
use super::plan::Plan;

/// An hour, in milliseconds: how wrong a clock can be.
const HOUR: i64 = 60 * 60 * 1000;

/// Breaks things and mends them again, each at its time.
pub(crate) struct Nemesis {
    plan: Plan,
    dice: Dice,
    chronicle: Chronicle,
    next: Duration,
    /// What to mend, and when.
    mending: Vec<(Duration, Mending)>,
}

#[derive(Clone, Copy, Debug)]
enum Mending {
    Start(usize),
    Network,
    Disk(usize),
    Objects,
    Clock(usize),
}

impl Nemesis {
    pub(crate) fn new(plan: &Plan, chronicle: Chronicle) -> Self {
        let mut dice = Dice::new(plan.seed, "nemesis");
        // The cluster gets a moment to form, not always enough.
        let next = dice.millis(500..=5000);
        Self { plan: plan.clone(), dice, chronicle, next, mending: Vec::new() }
    }

    /// Does what is to be done at the simulation's time.
    pub(crate) fn act(&mut self, sim: &mut Sim<'_>, machines: &[Machine], objects: &SimObjects) {
        let now = sim.elapsed();
        while let Some(due) = self.mending.iter().position(|(when, _)| *when <= now) {
            let (_, mending) = self.mending.remove(due);
            self.mend(mending, sim, machines, objects);
        }
        if now < self.next {
            return;
        }
        let calm = u64::try_from(self.plan.calm.as_millis()).unwrap_or(u64::MAX);
        self.next = now + self.dice.millis(calm / 2..=calm * 3 / 2);
        self.strike(now, sim, machines, objects);
    }

    /// Mends everything at once: from here on nothing is wrong.
    pub(crate) fn end(&mut self, sim: &mut Sim<'_>, machines: &[Machine], objects: &SimObjects) {
        self.chronicle.note("all faults end");
        self.mending.clear();
        for number in 0..machines.len() {
            self.mend(Mending::Start(number), sim, machines, objects);
            self.mend(Mending::Disk(number), sim, machines, objects);
            machines[number].disk.mend();
            self.mend(Mending::Clock(number), sim, machines, objects);
        }
        self.mend(Mending::Network, sim, machines, objects);
        self.mend(Mending::Objects, sim, machines, objects);
    }

    fn mend(
        &mut self,
        mending: Mending,
        sim: &mut Sim<'_>,
        machines: &[Machine],
        objects: &SimObjects,
    ) {
        match mending {
            Mending::Start(number) => {
                let machine = &machines[number];
                if !sim.is_host_running(machine.name.as_str()) {
                    self.chronicle.note(format_args!("{} is started", machine.name));
                    sim.bounce(machine.name.as_str());
                }
            }
            Mending::Network => {
                for (index, one) in machines.iter().enumerate() {
                    for other in &machines[index + 1..] {
                        sim.repair(one.name.as_str(), other.name.as_str());
                    }
                }
                sim.set_fail_rate(0.0);
                sim.set_max_message_latency(Duration::from_millis(self.plan.latency));
                self.chronicle.note("the network is whole");
            }
            Mending::Disk(number) => {
                machines[number].disk.fill(false);
                machines[number].disk.set_sync(self.plan.sync);
            }
            Mending::Objects => {
                objects.set_away(false);
                objects.set_failing(0);
            }
            Mending::Clock(number) => machines[number].skew(0),
        }
    }

    /// One more fault, processes and the network more often than what they need.
    fn strike(
        &mut self,
        now: Duration,
        sim: &mut Sim<'_>,
        machines: &[Machine],
        objects: &SimObjects,
    ) {
        let until = now + self.dice.millis(100..=6000);
        let number = self.victim(machines);
        let mending = match self.dice.number(0..=99) {
            0..=24 => {
                self.kill(number, sim, machines);
                Some(Mending::Start(number))
            }
            25..=29 => {
                self.kill_all(now, sim, machines);
                None
            }
            30..=49 => {
                self.cut_off(number, sim, machines);
                Some(Mending::Network)
            }
            50..=59 => Some(self.trouble_network(sim)),
            60..=79 => self.trouble_disk(number, &machines[number]),
            80..=92 => Some(self.trouble_objects(objects)),
            _ => Some(self.trouble_clock(number, &machines[number])),
        };
        self.mending.extend(mending.map(|mending| (until, mending)));
    }

    fn trouble_network(&mut self, sim: &mut Sim<'_>) -> Mending {
        if self.dice.one_in(2) {
            let slow = self.dice.number(100..=1000);
            self.chronicle.note(format_args!("messages take up to {slow} ms"));
            self.chronicle.count("faults: slow network");
            sim.set_max_message_latency(Duration::from_millis(slow));
        } else {
            self.chronicle.note("messages get lost");
            self.chronicle.count("faults: lossy network");
            sim.set_fail_rate(0.01);
        }
        Mending::Network
    }

    /// A broken disk is mended by the restart of its node, which breaks with it.
    fn trouble_disk(&mut self, number: usize, machine: &Machine) -> Option<Mending> {
        let name = &machine.name;
        match self.dice.number(0..=2) {
            0 => {
                let slow = self.dice.number(50..=1500);
                self.chronicle.note(format_args!("the disk of {name} takes up to {slow} ms"));
                self.chronicle.count("faults: slow disk");
                machine.disk.set_sync(slow);
                Some(Mending::Disk(number))
            }
            1 => {
                self.chronicle.note(format_args!("the disk of {name} is full"));
                self.chronicle.count("faults: full disk");
                machine.disk.fill(true);
                Some(Mending::Disk(number))
            }
            _ => {
                self.chronicle.note(format_args!("the disk of {name} breaks until a restart"));
                self.chronicle.count("faults: broken disk");
                machine.disk.break_now();
                None
            }
        }
    }

    fn trouble_objects(&mut self, objects: &SimObjects) -> Mending {
        if self.dice.one_in(2) {
            self.chronicle.note("the object store is away");
            self.chronicle.count("faults: object store away");
            objects.set_away(true);
        } else {
            let one_in = self.dice.number(2..=20);
            self.chronicle.note(format_args!("1 in {one_in} calls to the object store fails"));
            self.chronicle.count("faults: object store failing");
            objects.set_failing(one_in);
        }
        Mending::Objects
    }

    fn trouble_clock(&mut self, number: usize, machine: &Machine) -> Mending {
        let skew = self.dice.number(0..=2 * HOUR.unsigned_abs()).cast_signed() - HOUR;
        self.chronicle.note(format_args!("the clock of {} is {skew} ms off", machine.name));
        self.chronicle.count("faults: wrong clock");
        machine.skew(skew);
        Mending::Clock(number)
    }

    /// A node to harm: the leader as often as all others together.
    fn victim(&mut self, machines: &[Machine]) -> usize {
        let leads = |machine: &Machine| {
            machine.status().is_some_and(|status| status.role == raft::Role::Leader)
        };
        let any = self.dice.index(machines.len());
        if self.dice.one_in(2) { machines.iter().position(leads).unwrap_or(any) } else { any }
    }

    fn kill_all(&mut self, now: Duration, sim: &mut Sim<'_>, machines: &[Machine]) {
        self.chronicle.note("all nodes are killed");
        self.chronicle.count("faults: all nodes killed");
        for number in 0..machines.len() {
            self.kill(number, sim, machines);
            let after = self.dice.millis(50..=2000);
            self.mending.push((now + after, Mending::Start(number)));
        }
    }

    fn kill(&self, number: usize, sim: &mut Sim<'_>, machines: &[Machine]) {
        let machine = &machines[number];
        if sim.is_host_running(machine.name.as_str()) {
            self.chronicle.note(format_args!("{} is killed", machine.name));
            self.chronicle.count("faults: node killed");
            machine.forget();
            sim.crash(machine.name.as_str());
        }
    }

    /// Cuts a node, or a group of them, off from the others, in one direction or in both.
    fn cut_off(&mut self, number: usize, sim: &Sim<'_>, machines: &[Machine]) {
        let is_group = self.dice.one_in(3);
        let mut inside = Vec::new();
        for other in 0..machines.len() {
            if other == number || (is_group && self.dice.one_in(2)) {
                inside.push(other);
            }
        }
        let way = self.dice.number(0..=3);
        for one in &inside {
            for other in (0..machines.len()).filter(|other| !inside.contains(other)) {
                let (one, other) = (machines[*one].name.as_str(), machines[other].name.as_str());
                match way {
                    0 => sim.partition_oneway(one, other),
                    1 => sim.partition_oneway(other, one),
                    _ => sim.partition(one, other),
                }
            }
        }
        let names: Vec<&str> = inside.iter().map(|one| machines[*one].name.as_str()).collect();
        let way = ["cannot send to", "cannot hear", "are cut off from", "are cut off from"]
            [usize::try_from(way).unwrap_or(3)];
        self.chronicle.note(format_args!("{} {way} the other nodes", names.join(", ")));
        self.chronicle.count("faults: network cut");
    }
}
