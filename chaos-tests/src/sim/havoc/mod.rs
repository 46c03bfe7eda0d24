//! Havoc makes the world as the faults want it that are under way, and ends them. It decides none:
//! the [nemesis](super::nemesis) begins them by chance, or a story does.

mod faults;
mod network;

use std::time::Duration;

use turmoil::Sim;

pub(crate) use self::faults::{Conditions, Fault, Faults, Token};
use self::network::Network;
use super::chronicle::Chronicle;
use super::machine::{Machine, Order};
use super::plan::Plan;
use super::store::Store;

/// What makes the world as the faults want it.
pub(crate) struct Havoc {
    faults: Faults,
    chronicle: Chronicle,
    network: Network,
    /// The longest that a disk takes to sync while nothing is wrong.
    sync: Duration,
    /// What is wrong in the world because of the faults.
    wrong: Conditions,
}

impl Havoc {
    pub(crate) fn new(plan: &Plan, chronicle: Chronicle) -> Self {
        let network = Network::new(plan.node_names(), plan.latency);
        let (faults, wrong) = (Faults::default(), Conditions::default());
        Self { faults, chronicle, network, sync: plan.sync, wrong }
    }

    /// The faults, to begin and end them.
    pub(crate) fn faults(&self) -> Faults {
        self.faults.clone()
    }

    /// Ends the faults whose time has come, and makes the world as those want it that are left.
    pub(crate) fn act(&mut self, sim: &mut Sim<'_>, machines: &[Machine], store: &Store) {
        for machine in machines.iter().filter(|machine| machine.disk.take_crash()) {
            self.kill(sim, machine);
            self.start(sim, machine);
        }
        for machine in machines.iter().filter(|machine| machine.take_end()) {
            // What a process has left behind ends with it.
            sim.crash(machine.name.as_str());
            sim.bounce(machine.name.as_str());
        }
        self.faults.end_until(sim.elapsed());
        if let Some(wanted) = self.faults.changed() {
            self.apply(wanted, sim, machines, store);
        }
    }

    /// Mends everything: from the next step on nothing is wrong.
    pub(crate) fn end(&self, machines: &[Machine]) {
        self.chronicle.note("all faults end");
        self.faults.end_all();
        for machine in machines {
            machine.disk.mend();
        }
    }

    fn apply(
        &mut self,
        wanted: Conditions,
        sim: &mut Sim<'_>,
        machines: &[Machine],
        store: &Store,
    ) {
        let before = std::mem::replace(&mut self.wrong, wanted.clone());
        for (number, machine) in machines.iter().enumerate() {
            let order = if wanted.stopped.contains(&number) { Order::Stop } else { Order::Run };
            let had_to_stop = before.stopped.contains(&number);
            if had_to_stop && order == Order::Run && machine.status().is_some() {
                self.chronicle.note(format_args!("{} has not stopped in time", machine.name));
                self.kill(sim, machine);
            }
            machine.order(order);
            if wanted.down.contains(&number) {
                self.kill(sim, machine);
            } else {
                self.start(sim, machine);
            }
            machine.disk.fill(wanted.full.contains(&number));
            machine.disk.set_sync(wanted.sync.get(&number).copied().unwrap_or(self.sync));
            machine.disk.rot(wanted.rotten.contains(&number));
            machine.skew(wanted.skew.get(&number).copied().unwrap_or(0));
        }
        self.network.apply(sim, &before, &wanted);
        let is_whole = |conditions: &Conditions| {
            conditions.cuts.is_empty()
                && conditions.held.is_empty()
                && conditions.latency.is_none()
                && !conditions.is_lossy
        };
        if is_whole(&wanted) && !is_whole(&before) {
            self.chronicle.note("the network is whole");
        }
        store.apply(&wanted);
    }

    fn kill(&self, sim: &mut Sim<'_>, machine: &Machine) {
        if sim.is_host_running(machine.name.as_str()) {
            self.chronicle.note(format_args!("{} is killed", machine.name));
            self.chronicle.count("faults: node killed");
            machine.forget();
            sim.crash(machine.name.as_str());
        }
    }

    fn start(&self, sim: &mut Sim<'_>, machine: &Machine) {
        if !sim.is_host_running(machine.name.as_str()) {
            self.chronicle.note(format_args!("{} is started", machine.name));
            sim.bounce(machine.name.as_str());
        }
    }
}
