//! One seed, in this process.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use chaos_tests::sim::{self, Plan, Report};
use serde_json::json;

use super::One;
use super::log::log;
use crate::interpose;

/// Exit code of a run in which an invariant was violated.
pub(super) const VIOLATED: u8 = 1;
/// Exit code of a run in which too little happened.
pub(super) const IDLE: u8 = 2;

/// Runs a seed and prints what became of it: the last line, if as JSON.
pub(super) fn run(one: One, trace: bool, json: bool) -> Result<ExitCode> {
    let report = simulate(one, trace)?;
    if json {
        println!("{}", to_json(&report));
    } else {
        print(&report, &reproduce(one));
    }
    Ok(exit_code(&report))
}

/// Runs a seed and prints what happened.
pub(super) fn explain(one: One) -> Result<ExitCode> {
    let report = simulate(one, false)?;
    timeline(&report);
    print(&report, &reproduce(one));
    Ok(exit_code(&report))
}

/// Prints what happened when.
pub(super) fn timeline(report: &Report) {
    for (when, event) in &report.timeline {
        println!("{:>9.3} s  {event}", when.as_secs_f64());
    }
    println!();
}

fn simulate(one: One, trace: bool) -> Result<Report> {
    let panicked = prepare(one.seed, trace);
    let plan = Plan::of(one.seed, Duration::from_secs(one.seconds));
    let mut report = sim::run(&plan, interpose::set_elapsed)?;
    panicked.add_to(&mut report);
    Ok(report)
}

/// Makes this process one that simulates: from here on all chance comes from `seed`.
pub(super) fn prepare(seed: u64, trace: bool) -> Panics {
    interpose::simulate(seed);
    fastrand::seed(seed);
    let panicked = Panics::watch();
    log(trace);
    panicked
}

pub(super) fn exit_code(report: &Report) -> ExitCode {
    match (&report.violation, report.idle) {
        (Some(_), _) => ExitCode::from(VIOLATED),
        (None, Some(_)) => ExitCode::from(IDLE),
        (None, None) => ExitCode::SUCCESS,
    }
}

/// Prints what came of a run, which `command` shows again.
pub(super) fn print(report: &Report, command: &str) {
    let plan = &report.plan;
    println!(
        "seed {}: {} nodes, {} voters, {} clients, {} tags, {:.1} simulated seconds",
        plan.seed,
        plan.nodes,
        plan.voters,
        plan.clients,
        plan.tags,
        report.simulated.as_secs_f64()
    );
    for (what, count) in &report.coverage {
        println!("{count:>7}  {what}");
    }
    if let Some(healed_in) = report.healed_in {
        println!("healed in {:.3} s", healed_in.as_secs_f64());
    }
    if let Some((index, fingerprint)) = report.end {
        println!("entry {index}, catalog {fingerprint:032x}");
    }
    if let Some(idle) = report.idle {
        println!("INVALID: {idle}");
    }
    match &report.violation {
        None => println!("no violation"),
        Some(violation) => {
            println!("VIOLATION of {violation}");
            println!("to see it again: {command}");
        }
    }
}

/// What to type to see a run again.
pub(super) fn reproduce(one: One) -> String {
    format!("cargo run -p chaos-tests -- explain --seed {} --seconds {}", one.seed, one.seconds)
}

pub(super) fn to_json(report: &Report) -> serde_json::Value {
    json!({
        "seed": report.plan.seed,
        "violation": report.violation.as_ref().map(ToString::to_string),
        "idle": report.idle,
        "coverage": report.coverage,
        "simulated_seconds": report.simulated.as_secs_f64(),
        "healed_in_seconds": report.healed_in.map(|time| time.as_secs_f64()),
        "entry": report.end.map(|(index, _)| index),
        "catalog": report.end.map(|(_, fingerprint)| format!("{fingerprint:032x}")),
    })
}

/// Panics of tasks, which their runtime swallows.
pub(super) struct Panics(Arc<Mutex<Option<sim::Violation>>>);

impl Panics {
    fn watch() -> Self {
        let first = Arc::new(Mutex::new(None));
        let found = Arc::clone(&first);
        std::panic::set_hook(Box::new(move |panic| {
            eprintln!("{panic}");
            let evidence = panic.to_string();
            let violation = sim::Violation { invariant: sim::Invariant::NoPanic, evidence };
            found.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(violation);
        }));
        Self(first)
    }

    /// Takes the first of them, if there was one, for a violation.
    pub(super) fn add_to(&self, report: &mut Report) {
        if let Some(panic) = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            report.violation.get_or_insert(panic);
        }
    }
}
