//! Scenarios: one in this process, or all, each in a process of its own.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use chaos_tests::scenarios::ALL;
use chaos_tests::sim::{Report, Scenario, play};

use super::child;
use super::run::{exit_code, prepare, print, timeline, to_json};
use crate::interpose;

/// Says which scenarios there are.
pub(super) fn list() -> ExitCode {
    for Scenario { name, about, .. } in ALL {
        println!("{name:<34} {about}");
    }
    ExitCode::SUCCESS
}

/// Plays the scenario of this name, and prints what happened in it.
pub(super) fn one(name: &str, seed: u64, trace: bool, json: bool) -> Result<ExitCode> {
    let Some(scenario) = ALL.iter().find(|scenario| scenario.name == name) else {
        bail!("there is no scenario {name}; `chaos-tests scenario` lists them");
    };
    let panicked = prepare(seed, trace);
    let mut report = play(scenario, seed, interpose::set_elapsed)?;
    panicked.add_to(&mut report);
    if json {
        println!("{}", to_json(&report));
    } else {
        tell(scenario, &report);
    }
    Ok(exit_code(&report))
}

fn tell(scenario: &Scenario, report: &Report) {
    let Scenario { name, about, .. } = scenario;
    println!("{name}: {about}\n");
    timeline(report);
    let seed = report.plan.seed;
    print(report, &format!("cargo run -p chaos-tests -- scenario {name} --seed {seed}"));
}

/// Plays all scenarios, one after the other.
pub(super) fn all(seed: u64) -> Result<ExitCode> {
    let started = Instant::now();
    let mut failed = 0;
    for Scenario { name, .. } in ALL {
        let arguments = ["scenario", name, "--json", "--seed", &seed.to_string()];
        let outcome = match child::report(&arguments, child::PATIENCE_MIN) {
            Ok(report) => match (report["violation"].as_str(), report["idle"].as_str()) {
                (Some(violation), _) => Some(format!("VIOLATION of {violation}")),
                (None, Some(idle)) => Some(format!("INVALID: never happened: {idle}")),
                (None, None) => None,
            },
            Err(error) => Some(format!("{error:#}")),
        };
        match outcome {
            None => println!("{name:<34} holds"),
            Some(reason) => {
                failed += 1;
                println!("{name:<34} {reason}");
                println!(
                    "  to see it again: cargo run -p chaos-tests -- scenario {name} --seed {seed}"
                );
            }
        }
    }
    let passed = ALL.len() - failed;
    println!("{} s; {passed} passed, {failed} failed", started.elapsed().as_secs());
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
