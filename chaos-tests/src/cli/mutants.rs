//! The program with a fault put into it: a simulation is worth something when it finds it.

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};
use chaos_tests::scenarios::ALL;
use chaos_tests::sim::Scenario;
use proto::Mutant;
use serde_json::Value;

use super::{One, child};

/// How a mutant was caught.
struct Caught {
    seed: u64,
    by: String,
}

/// Gives this process the fault of this name, if one is named.
///
/// # Errors
/// When there is none.
pub(super) fn activate(name: Option<&str>) -> Result<()> {
    if let Some(name) = name {
        named(name)?.activate();
    }
    Ok(())
}

fn named(name: &str) -> Result<Mutant> {
    Mutant::named(name).with_context(|| {
        let names: Vec<String> = Mutant::ALL.iter().map(|mutant| format!("{mutant:?}")).collect();
        format!("there is no mutant {name}; these are: {}", names.join(", "))
    })
}

/// Runs seeds, `jobs` at a time, with each mutant, or the one that is named, until it is caught: at
/// most `most` of them. Then says which scenarios catch it too; a mutant that neither finds fails.
pub(super) fn hunt_all(
    name: Option<&str>,
    most: u64,
    jobs: NonZeroUsize,
    seconds: u64,
) -> Result<ExitCode> {
    let mutants = match name {
        Some(name) => vec![named(name)?],
        None => Mutant::ALL.into_iter().filter(|mutant| mutant.is_simulated()).collect(),
    };
    let started = Instant::now();
    let mut alive = 0;
    for mutant in &mutants {
        let name = format!("{mutant:?}");
        let by_chance = hunt(&name, most, jobs, seconds)?;
        let stories = stories(&name);
        match &by_chance {
            Some(Caught { seed, by }) => println!("{name:<24} {seed:>4} seeds  {by}"),
            None => println!("{name:<24} NOT CAUGHT in {most} seeds"),
        }
        for story in &stories {
            println!("{:<24} scenario {story}", "");
        }
        alive += usize::from(by_chance.is_none() && stories.is_empty());
    }
    let caught = mutants.len() - alive;
    println!("{} s; {caught} passed, {alive} failed", started.elapsed().as_secs());
    Ok(if alive == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The first seed that catches the mutant.
fn hunt(name: &str, most: u64, jobs: NonZeroUsize, seconds: u64) -> Result<Option<Caught>> {
    let jobs = jobs.get() as u64;
    for first in (1..=most).step_by(jobs.try_into().unwrap_or(1)) {
        let seeds = first..(first + jobs).min(most + 1);
        let runs = std::thread::scope(|scope| {
            let runs: Vec<_> = seeds
                .map(|seed| {
                    let one = One { seed, seconds };
                    scope.spawn(move || (seed, child::run_with(one, &["--mutant", name])))
                })
                .collect();
            runs.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
        });
        for run in runs {
            let (seed, outcome) = run.map_err(|_| anyhow::anyhow!("a worker panicked"))?;
            if let Some(by) = catch(outcome) {
                return Ok(Some(Caught { seed, by }));
            }
        }
    }
    Ok(None)
}

/// The scenarios that catch the mutant.
fn stories(name: &str) -> Vec<&'static str> {
    let catches = |scenario: &Scenario| {
        let arguments = ["scenario", scenario.name, "--json", "--mutant", name];
        catch(child::report(&arguments, child::PATIENCE_MIN)).is_some()
    };
    ALL.into_iter().filter(catches).map(|scenario| scenario.name).collect()
}

/// What a run found: what is violated, or that it comes to no end. That little happens is no
/// finding.
fn catch(outcome: Result<Value>) -> Option<String> {
    match outcome {
        Ok(report) => {
            let violation = report["violation"].as_str()?;
            Some(violation.lines().next().unwrap_or_default().chars().take(160).collect())
        }
        Err(error) => Some(format!("{error:#}")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use serde_json::json;

    use super::*;

    #[test]
    fn a_violation_catches_a_mutant_and_a_run_without_one_does_not() {
        let violated = json!({ "violation": "I9 equal index, equal state: of node-1\nand more" });
        assert_eq!(catch(Ok(violated)).unwrap(), "I9 equal index, equal state: of node-1");
        assert_eq!(catch(Ok(json!({ "violation": null, "idle": "nothing" }))), None);
        assert!(catch(Err(anyhow::anyhow!("it hangs"))).is_some());
    }

    #[test]
    fn mutants_have_the_names_of_their_variants() {
        assert_eq!(named("AckBeforeFsync").unwrap(), Mutant::AckBeforeFsync);
        assert!(named("Godzilla").is_err());
    }
}
