//! One run, of a seed or of a scenario.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;

use super::chronicle::Violation;
use super::coverage::{idle, missing};
use super::plan::Plan;
use super::scenario::Scenario;
use super::simulation::Simulation;

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

/// Runs the plan: work under faults, healing, audit. `on_tick` is told simulated time since the
/// start before each step, so that what stands in for the system's clock can follow.
///
/// # Errors
/// When the simulation cannot be set up, or itself fails.
pub fn run(plan: &Plan, on_tick: impl Fn(Duration)) -> Result<Report> {
    let mut simulation = Simulation::new(plan)?;
    // What happened by then: the end has pushes and pulls of its own.
    let worked = simulation.work(&on_tick)?;
    let mut report = simulation.end(&on_tick)?;
    report.idle = idle(&worked);
    Ok(report)
}

/// Plays a scenario: its story, healing, audit. For `on_tick` see [`run`].
///
/// # Errors
/// When the simulation cannot be set up, or itself fails.
pub fn play(scenario: &Scenario, seed: u64, on_tick: impl Fn(Duration)) -> Result<Report> {
    let mut simulation = Simulation::new(&Plan { seed, ..scenario.plan.clone() })?;
    // What happened in the story: the end takes a node down, too.
    let told = simulation.tell(scenario.story, &on_tick)?;
    let mut report = simulation.end(&on_tick)?;
    report.idle = missing(&told, scenario.must_happen);
    Ok(report)
}
