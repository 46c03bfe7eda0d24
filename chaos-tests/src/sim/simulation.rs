//! A simulated world with the cluster in it, step by step: work, healing, audit.

mod healing;
mod rest;
mod resuming;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use anyhow::{Result, anyhow};
use proto::ObjectKey;
use turmoil::Sim;

use super::access::Guest;
use super::audit::audit;
use super::chronicle::Chronicle;
use super::dice::Dice;
use super::disk::{SimDisk, Watch};
use super::havoc::Havoc;
use super::invariant::Invariant;
use super::invariants::{OneLeader, Stopped, check_rights, check_tags, dangling};
use super::ledger::Kind;
use super::machine::Machine;
use super::nemesis::Nemesis;
use super::people;
use super::plan::Plan;
use super::records::Records;
use super::rot::Rotting;
use super::run::Report;
use super::s3;
use super::scenario::{Stage, Story};
use super::store::Store;
use super::sweeping::Sweeping;
use super::witness;
use super::world::EPOCH_MILLIS;

/// How long something may take of a cluster that has healed: a push through each node, of many
/// requests that may have to be repeated; a sweep of a store that takes its time; the first answer
/// to an audit. The same holds for healing with all that an operator had begun.
const RESUMING_MAX: Duration = Duration::from_secs(15);
/// How long after the last fault anything may have its effect that was asked for before: a node
/// tries for some seconds, whether its client still waits or not, and what was held back comes
/// then.
const SETTLING: Duration = Duration::from_secs(20);
/// How long an audit may take.
const AUDIT_MAX: Duration = Duration::from_secs(600);
/// How long the pushes may be tried with which it is tried whether writes go on.
const PUSHES_MAX: Duration = Duration::from_secs(120);
/// How long a story may take.
const STORY_MAX: Duration = Duration::from_secs(600);
/// The longest that a message travels in an audit, which is about what is there and not about how
/// long it takes.
const AUDIT_LATENCY: Duration = Duration::from_millis(2);
/// Segments that may be on their way on a connection, each of as many bytes as were written at
/// once: turmoil panics at one more.
const TCP_CAPACITY: usize = 1024;

/// What is simulated.
pub(super) struct Simulation<'a> {
    plan: Plan,
    sim: Sim<'a>,
    machines: Vec<Machine>,
    store: Store,
    havoc: Havoc,
    one_leader: OneLeader,
    watch: Watch,
    stopped: Stopped,
    rotting: Rotting,
    records: Records,
    /// When all will be well, if it has healed: by then connections that have died without a word
    /// are found out.
    well_at: Option<Duration>,
    /// The number of the next client.
    next_client: usize,
    chronicle: Chronicle,
}

impl Simulation<'_> {
    pub(super) fn new(plan: &Plan) -> Result<Self> {
        let chronicle = Chronicle::default();
        let watch = Watch::new(&chronicle);
        let sweeping = Sweeping::after(plan.sweep_after, plan.sweep_pause);
        let records = Records::new(chronicle.clone(), sweeping);
        let store = Store::of(plan, &chronicle);
        let mut sim = turmoil::Builder::new()
            .rng_seed(plan.seed)
            .epoch(SystemTime::UNIX_EPOCH + Duration::from_millis(EPOCH_MILLIS))
            .tick_duration(plan.tick)
            .simulation_duration(Duration::MAX)
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(plan.latency)
            .tcp_capacity(TCP_CAPACITY)
            .enable_random_order()
            .build();
        let mut machines = Vec::new();
        for (index, name) in plan.node_names().into_iter().enumerate() {
            let dice = Dice::new(plan.seed, &format!("disk of {name}"));
            let disk =
                SimDisk::new(name.clone(), dice, plan.sync, chronicle.clone(), watch.clone());
            let configs = [plan.config(index + 1)?, plan.config_anew(index + 1)?];
            let machine = Machine::new(name.clone(), configs, disk, store.clone(), &records);
            machines.push(machine.clone());
            sim.host(name, move || machine.clone().run());
        }
        if let Store::S3(s3) = &store {
            s3::connect(&mut sim, s3, plan.node_names());
        }
        people::let_in(&mut sim, plan, &machines, &records);
        Ok(Self {
            havoc: Havoc::new(plan, chronicle.clone()),
            one_leader: OneLeader::new(chronicle.clone()),
            plan: plan.clone(),
            sim,
            machines,
            store,
            watch,
            stopped: Stopped::new(chronicle.clone()),
            rotting: Rotting::new(plan.seed, chronicle.clone()),
            records,
            well_at: None,
            next_client: plan.clients,
            chronicle,
        })
    }

    /// Lets clients work while things go wrong, and answers how often each thing happened by then.
    pub(super) fn work(
        &mut self,
        on_tick: &impl Fn(Duration),
    ) -> Result<BTreeMap<&'static str, u64>> {
        let faults = self.havoc.faults();
        let mut nemesis = Nemesis::new(&self.plan, faults, self.chronicle.clone());
        while self.sim.elapsed() < self.plan.working && self.goes_on() {
            let now = self.sim.elapsed();
            nemesis.act(now, &self.machines);
            self.rotting.act(now, &self.machines, &self.store, &self.records.ledger);
            self.step(on_tick)?;
        }
        Ok(self.chronicle.coverage())
    }

    /// Lets a story happen, and answers how often each thing has happened in it.
    pub(super) fn tell(
        &mut self,
        story: Story,
        on_tick: &impl Fn(Duration),
    ) -> Result<BTreeMap<&'static str, u64>> {
        let stage = Stage::new(
            &self.plan,
            self.machines.clone(),
            self.havoc.faults(),
            self.store.clone(),
            self.records.clone(),
        );
        let told = self.accompany("story", STORY_MAX, story(stage), on_tick)?;
        match told {
            Some(Err(unmet)) => self.chronicle.violated(Invariant::Story, unmet),
            // What it has damaged it has also seen healed.
            Some(Ok(())) => self.records.ledger.mended(),
            None => {}
        }
        Ok(self.coverage())
    }

    /// How often each thing has happened by now.
    fn coverage(&self) -> BTreeMap<&'static str, u64> {
        let mut coverage = self.chronicle.coverage();
        coverage.extend(witness::seen());
        coverage
    }

    /// Ends all faults, lets the cluster heal, and looks for everything.
    pub(super) fn end(mut self, on_tick: &impl Fn(Duration)) -> Result<Report> {
        let mut healed_in = None;
        if self.goes_on() {
            self.havoc.end(&self.machines);
            self.store.end();
            let ended = (self.sim.elapsed(), self.chronicle.next());
            healed_in = self.heal(on_tick)?;
            if healed_in.is_some() && self.mend(on_tick)? {
                self.finish(ended, on_tick)?;
            }
        }
        check_tags(&self.records.history, &self.chronicle);
        check_rights(&self.records.rights, &self.chronicle);
        let coverage = self.coverage();
        Ok(Report {
            plan: self.plan,
            violation: self.chronicle.violation(),
            idle: None,
            coverage,
            simulated: self.sim.elapsed(),
            healed_in,
            end: self.watch.last(),
            timeline: self.chronicle.timeline(),
        })
    }

    fn goes_on(&self) -> bool {
        self.chronicle.violation().is_none()
    }

    fn step(&mut self, on_tick: &impl Fn(Duration)) -> Result<()> {
        self.chronicle.tick(self.sim.elapsed());
        on_tick(self.sim.elapsed());
        self.havoc.act(&mut self.sim, &self.machines, &self.store);
        if self.well_at.take_if(|at| *at <= self.sim.elapsed()).is_some() {
            self.records.all_is_well(true);
        }
        self.sim.step().map_err(|error| anyhow!("the simulation failed: {error}"))?;
        for machine in &self.machines {
            if let Some((life, status)) = machine.word() {
                self.one_leader.observe(&machine.name, life, &status);
            }
            let has_failed = machine.disk.has_failed();
            // One that is told to stop ends anyway.
            let goes_on = machine.status().is_some() && !machine.is_told_to_stop();
            self.stopped.observe(&machine.name, self.sim.elapsed(), goes_on, has_failed);
        }
        Ok(())
    }

    /// What follows when the cluster has healed: writes go on through every node, and also while
    /// one is down; then everything is looked for. All faults have `ended`, and when.
    fn finish(&mut self, ended: (Duration, u64), on_tick: &impl Fn(Duration)) -> Result<()> {
        let nodes = self.plan.node_names();
        self.well_at = Some(self.sim.elapsed() + self.plan.healing_max());
        if self.plan.is_closed {
            self.look_at_rights(on_tick)?;
        }
        self.push_through_all(on_tick)?;
        self.well_at = None;
        self.records.all_is_well(false);
        if self.goes_on() {
            self.lose_one(on_tick)?;
        }
        if self.goes_on() && self.heal(on_tick)?.is_some() {
            self.well_at = Some(self.sim.elapsed() + self.plan.healing_max());
            self.sweep(on_tick)?;
        }
        while self.goes_on() && self.sim.elapsed() < ended.0 + SETTLING {
            self.step(on_tick)?;
        }
        if self.goes_on() {
            self.records.ledger.settle(ended.1);
            self.records.history.settle(ended.1);
            self.sim.set_max_message_latency(AUDIT_LATENCY);
            let audit = audit(nodes, self.plan.tags, RESUMING_MAX, self.records.clone());
            self.accompany("auditor", AUDIT_MAX, audit, on_tick)?;
        }
        if self.goes_on() && self.plan.rests {
            self.rest(on_tick)?;
        }
        Ok(())
    }

    /// Looks at all rights through every node, once all accounts are made.
    fn look_at_rights(&mut self, on_tick: &impl Fn(Duration)) -> Result<()> {
        let (nodes, records) = (self.plan.node_names(), self.records.clone());
        let dice = Dice::new(self.plan.seed, "last guest");
        let guest = Guest::new(nodes, dice, records.clone());
        let looking = async move {
            records.pass.given().await;
            guest.look_everywhere().await;
        };
        self.accompany("last guest", PUSHES_MAX, looking, on_tick)?;
        Ok(())
    }

    /// Has everything swept that nobody needs: then nothing of it is left, and all else is there.
    fn sweep(&mut self, on_tick: &impl Fn(Duration)) -> Result<()> {
        self.records.sweeping.sweep_all();
        let start = self.sim.elapsed();
        loop {
            self.step(on_tick)?;
            let left = self.garbage();
            let lacking = if left.is_empty() { self.lacking() } else { Vec::new() };
            let took = self.sim.elapsed() - start;
            if left.is_empty() && lacking.is_empty() || !self.goes_on() {
                self.chronicle.note(format_args!("everything is swept after {took:?}"));
                return Ok(());
            }
            if took > RESUMING_MAX && left.is_empty() {
                let evidence = format!("the store does not have {lacking:?}, which are named");
                self.chronicle.violated(Invariant::NeededKept, evidence);
                return Ok(());
            }
            if took > RESUMING_MAX {
                let evidence = format!("{} objects are left after {took:?}: {left:?}", left.len());
                self.chronicle.violated(Invariant::GarbageSwept, evidence);
                return Ok(());
            }
        }
    }

    /// What the object store holds that the leader's catalog does not name.
    fn garbage(&self) -> Vec<String> {
        let leader = self.leader();
        self.store.left(|object| leader.is_some_and(|leader| leader.names(object)))
    }

    /// Which blobs, by their objects, the leader's catalog names and the object store does not have
    /// as they were pushed.
    fn lacking(&self) -> Vec<ObjectKey> {
        let Some(leader) = self.leader() else { return Vec::new() };
        let ledger = &self.records.ledger;
        let blobs = ledger.items().into_iter().filter(|item| item.kind == Kind::Blob);
        let named =
            blobs.filter_map(|blob| Some((leader.object_of(&blob)?, ledger.content(&blob.digest))));
        dangling(named, &self.store.contents())
    }

    fn leader(&self) -> Option<&Machine> {
        let leads = |machine: &&Machine| {
            machine.status().is_some_and(|status| status.role == raft::Role::Leader)
        };
        self.machines.iter().find(leads)
    }

    /// Steps until a client has done `work`, and answers what came of it; `None` when something was
    /// violated before.
    fn accompany<T: 'static>(
        &mut self,
        name: &str,
        most: Duration,
        work: impl Future<Output = T> + 'static,
        on_tick: &impl Fn(Duration),
    ) -> Result<Option<T>> {
        let result = Rc::new(RefCell::new(None));
        let done = Rc::clone(&result);
        self.sim.client(name, async move {
            let outcome = work.await;
            *done.borrow_mut() = Some(outcome);
            Ok(())
        });
        let start = self.sim.elapsed();
        while result.borrow().is_none() && self.goes_on() {
            self.step(on_tick)?;
            if self.sim.elapsed() - start > most {
                self.chronicle
                    .violated(Invariant::Healed, format_args!("{name} takes over {most:?}"));
            }
        }
        Ok(result.take())
    }
}
