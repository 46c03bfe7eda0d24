//! The end of all that is wrong: everything is mended, and the cluster heals.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use proto::NodeId;
use raft::Status;

use super::{RESUMING_MAX, Simulation};
use crate::sim::havoc::Fault;
use crate::sim::invariant::Invariant;
use crate::sim::invariants::has_healed;
use crate::sim::machine::Machine;

/// How long a node is away that is started again.
const RESTART: Duration = Duration::from_millis(100);

impl Simulation<'_> {
    /// Gives everything back as it was written, and answers whether the cluster has healed of that,
    /// too. An operator who mends a store starts the nodes again, which remember for minutes what
    /// was damaged.
    pub(super) fn mend(&mut self, on_tick: &impl Fn(Duration)) -> Result<bool> {
        if !self.rotting.is_begun() {
            return Ok(true);
        }
        for number in 0..self.machines.len() {
            let soon = self.sim.elapsed() + RESTART;
            self.havoc.faults().begin(soon, Fault::Down(number));
        }
        self.step(on_tick)?;
        self.store.mend();
        self.records.ledger.mended();
        Ok(self.heal(on_tick)?.is_some())
    }

    /// Waits until the cluster has healed. Answers how long that took since all nodes were members
    /// and stayed so: who was removed comes back as another.
    pub(super) fn heal(&mut self, on_tick: &impl Fn(Duration)) -> Result<Option<Duration>> {
        let begun = self.sim.elapsed();
        let (mut start, mut since) = (begun, begun);
        loop {
            self.step(on_tick)?;
            if !self.goes_on() {
                return Ok(None);
            }
            let now = self.sim.elapsed();
            if self.records.is_removing.get() {
                start = now;
            }
            let stays = self.all_belong();
            if stays.is_err() {
                since = now;
            }
            let took = now - begun;
            let is_late = now - start > RESUMING_MAX || now - since > self.plan.healing_max();
            let statuses: Vec<_> = self
                .machines
                .iter()
                .map(|machine| (machine.name.clone(), machine.status()))
                .collect();
            match stays.and_then(|()| has_healed(&statuses, self.plan.voters)) {
                Ok(()) => {
                    self.records.removals.check_members(members(&statuses));
                    self.chronicle.note(format_args!("healed after {took:?}"));
                    return Ok(Some(now - since));
                }
                Err(missing) if is_late => {
                    let evidence = format!("{took:?} after the last fault: {missing}");
                    self.chronicle.violated(Invariant::Healed, evidence);
                    return Ok(None);
                }
                Err(_) => {}
            }
        }
    }

    /// Whether all nodes are members and stay so, as far as any of them knows.
    fn all_belong(&self) -> Result<(), String> {
        if self.records.is_removing.get() {
            return Err("a node is being removed".to_owned());
        }
        let machines = || self.machines.iter();
        if let Some(node) = machines().find_map(Machine::leaver) {
            return Err(format!("node {node} was removed, and is still a member"));
        }
        if let Some(machine) = machines().find(|machine| machine.is_vacant()) {
            return Err(format!("{} has no new node yet", machine.name));
        }
        let statuses: Vec<_> = machines().filter_map(Machine::status).collect();
        let newest = statuses.iter().max_by_key(|status| (status.term, status.applied));
        let members = newest.map_or(&[][..], |status| &status.members);
        let is_member = |node| members.iter().any(|member| member.node == node);
        match statuses.iter().find(|status| !is_member(status.node)) {
            Some(status) => Err(format!("node {} is no member", status.node)),
            None => Ok(()),
        }
    }
}

/// The nodes that run, and the members of their cluster as any of them knows it.
fn members(statuses: &[(String, Option<Status>)]) -> BTreeSet<NodeId> {
    let running = || statuses.iter().filter_map(|(_, status)| status.as_ref());
    let members = running().flat_map(|status| &status.members).map(|member| member.node);
    members.chain(running().map(|status| status.node)).collect()
}
