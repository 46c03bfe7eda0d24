//! One run: work under faults, healing, audit.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use anyhow::{Result, anyhow};
use turmoil::Sim;

use super::chronicle::{Chronicle, Violation};
use super::client::{Client, client_name};
use super::dice::Dice;
use super::disk::SimDisk;
use super::history::History;
use super::invariants::{OneLeader, SameState, audit_tags, check_tags, has_healed};
use super::machine::Machine;
use super::nemesis::Nemesis;
use super::objects::SimObjects;
use super::plan::Plan;
use super::world::EPOCH_MILLIS;

/// How far time moves at once.
const TICK: Duration = Duration::from_millis(1);
/// How long the cluster may take to heal, once nothing is wrong any more: a restart, an election
/// that may be split, and the transfer of a catalog.
const HEALING_MAX: Duration = Duration::from_secs(15);
/// How long an audit may take.
const AUDIT_MAX: Duration = Duration::from_secs(120);
/// Bytes that may be on their way on a connection.
const TCP_CAPACITY: usize = 1024;

/// What became of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Its plan.
    pub plan: Plan,
    /// The first invariant that did not hold.
    pub violation: Option<Violation>,
    /// What did not happen, although a run in which it does not shows nothing.
    pub idle: Option<&'static str>,
    /// How often each thing happened.
    pub coverage: BTreeMap<&'static str, u64>,
    /// Simulated time that passed.
    pub simulated: Duration,
    /// How long the cluster took to heal.
    pub healed_in: Option<Duration>,
    /// The last applied index, and the fingerprint of the catalog there.
    pub end: Option<(u64, u128)>,
    /// What happened when.
    pub timeline: Vec<(Duration, String)>,
}

/// Runs the plan. `on_tick` is told simulated time since the start before each step, so that
/// whoever stands in for the system's clock can follow.
///
/// # Errors
/// When the simulation cannot be set up, or itself fails.
pub fn run(plan: &Plan, on_tick: impl Fn(Duration)) -> Result<Report> {
    Simulation::new(plan)?.run(on_tick)
}

struct Simulation<'a> {
    plan: Plan,
    sim: Sim<'a>,
    machines: Vec<Machine>,
    objects: SimObjects,
    nemesis: Nemesis,
    one_leader: OneLeader,
    same_state: SameState,
    history: History,
    chronicle: Chronicle,
}

impl Simulation<'_> {
    fn new(plan: &Plan) -> Result<Self> {
        let chronicle = Chronicle::default();
        let same_state = SameState::new(chronicle.clone());
        let history = History::new(chronicle.clone());
        let objects = SimObjects::new(Dice::new(plan.seed, "objects"), chronicle.clone());
        let mut sim = turmoil::Builder::new()
            .rng_seed(plan.seed)
            .epoch(SystemTime::UNIX_EPOCH + Duration::from_millis(EPOCH_MILLIS))
            .tick_duration(TICK)
            .simulation_duration(Duration::MAX)
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(Duration::from_millis(plan.latency))
            .tcp_capacity(TCP_CAPACITY)
            .enable_random_order()
            .build();
        let mut machines = Vec::new();
        for (index, name) in plan.node_names().into_iter().enumerate() {
            let dice = Dice::new(plan.seed, &format!("disk of {name}"));
            let disk =
                SimDisk::new(name.clone(), dice, plan.sync, chronicle.clone(), same_state.clone());
            let config = plan.config(index + 1)?;
            let machine =
                Machine::new(name.clone(), config, disk, objects.clone(), chronicle.clone());
            machines.push(machine.clone());
            sim.host(name, move || machine.clone().run());
        }
        for number in 0..plan.clients {
            let name = client_name(number);
            let dice = Dice::new(plan.seed, &name);
            let nodes = plan.node_names();
            let client =
                Client::new(number, nodes, plan.tags, dice, history.clone(), chronicle.clone());
            let working = plan.working;
            sim.client(name, async move {
                client.work(working).await;
                Ok(())
            });
        }
        Ok(Self {
            nemesis: Nemesis::new(plan, chronicle.clone()),
            one_leader: OneLeader::new(chronicle.clone()),
            plan: plan.clone(),
            sim,
            machines,
            objects,
            same_state,
            history,
            chronicle,
        })
    }

    fn run(mut self, on_tick: impl Fn(Duration)) -> Result<Report> {
        while self.sim.elapsed() < self.plan.working && self.goes_on() {
            self.nemesis.act(&mut self.sim, &self.machines, &self.objects);
            self.step(&on_tick)?;
        }
        let mut healed_in = None;
        if self.goes_on() {
            healed_in = self.heal(&on_tick)?;
        }
        if healed_in.is_some() && self.goes_on() {
            self.audit(&on_tick)?;
        }
        check_tags(&self.history, &self.chronicle);
        let coverage = self.chronicle.coverage();
        Ok(Report {
            plan: self.plan,
            violation: self.chronicle.violation(),
            idle: idle(&coverage),
            coverage,
            simulated: self.sim.elapsed(),
            healed_in,
            end: self.same_state.last(),
            timeline: self.chronicle.timeline(),
        })
    }

    fn goes_on(&self) -> bool {
        self.chronicle.violation().is_none()
    }

    fn step(&mut self, on_tick: &impl Fn(Duration)) -> Result<()> {
        self.chronicle.tick(self.sim.elapsed());
        on_tick(self.sim.elapsed());
        self.sim.step().map_err(|error| anyhow!("the simulation failed: {error}"))?;
        for machine in &self.machines {
            self.one_leader.observe(&machine.name, machine.status().as_ref());
        }
        Ok(())
    }

    /// Ends all faults and waits until the cluster has healed. Answers how long that took.
    fn heal(&mut self, on_tick: &impl Fn(Duration)) -> Result<Option<Duration>> {
        self.nemesis.end(&mut self.sim, &self.machines, &self.objects);
        let start = self.sim.elapsed();
        loop {
            self.step(on_tick)?;
            if !self.goes_on() {
                return Ok(None);
            }
            let took = self.sim.elapsed() - start;
            let statuses: Vec<_> = self
                .machines
                .iter()
                .map(|machine| (machine.name.clone(), machine.status()))
                .collect();
            match has_healed(&statuses) {
                Ok(()) => {
                    self.chronicle.note(format_args!("healed after {took:?}"));
                    return Ok(Some(took));
                }
                Err(missing) if took > HEALING_MAX => {
                    let evidence = format!("{took:?} after the last fault: {missing}");
                    self.chronicle.violated("I19 healed", evidence);
                    return Ok(None);
                }
                Err(_) => {}
            }
        }
    }

    fn audit(&mut self, on_tick: &impl Fn(Duration)) -> Result<()> {
        let is_done = Rc::new(Cell::new(false));
        let audit = audit_tags(
            self.plan.node_names(),
            self.plan.tags,
            HEALING_MAX,
            self.history.clone(),
            self.chronicle.clone(),
        );
        let done = Rc::clone(&is_done);
        self.sim.client("auditor", async move {
            audit.await;
            done.set(true);
            Ok(())
        });
        let start = self.sim.elapsed();
        while !is_done.get() && self.goes_on() {
            self.step(on_tick)?;
            if self.sim.elapsed() - start > AUDIT_MAX {
                self.chronicle.violated("I19 healed", "an audit takes too long");
            }
        }
        Ok(())
    }
}

/// What did not happen in a run that shows nothing without it.
fn idle(coverage: &BTreeMap<&'static str, u64>) -> Option<&'static str> {
    let happened = |what: &str| coverage.get(what).copied().unwrap_or(0) > 0;
    if !happened("leaders") {
        return Some("no node ever led");
    }
    if !happened("manifests acknowledged") {
        return Some("no push was ever acknowledged");
    }
    if !happened("tags read") {
        return Some("no tag was ever read");
    }
    if !coverage.keys().any(|what| what.starts_with("faults: ")) {
        return Some("nothing ever went wrong");
    }
    None
}
