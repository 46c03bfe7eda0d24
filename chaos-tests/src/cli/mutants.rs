//! The program with a fault put into it: a simulation is worth something when it finds it.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use chaos_tests::scenarios::ALL;
use chaos_tests::sim::Scenario;
use proto::Mutant;
use serde_json::Value;

use super::One;
use super::child::{self, Hangs};

/// Most characters of what a run found that are told.
const FOUND_MAX: usize = 160;

/// How a mutant was caught.
struct Caught {
    seed: u64,
    by: String,
}

/// Gives this process the fault of this name.
///
/// # Errors
/// When there is none.
pub(super) fn activate(name: &str) -> Result<()> {
    named(name)?.activate();
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
///
/// # Errors
/// When a run that catches a mutant fails without it too, or one comes to no report: then it is not
/// known what the others are worth.
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
    let mut controls = Controls::default();
    let mut alive = 0;
    for mutant in &mutants {
        let name = format!("{mutant:?}");
        let by_chance = hunt(&name, most, jobs, seconds, &mut controls)?;
        let stories = stories(&name, &mut controls)?;
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
fn hunt(
    name: &str,
    most: u64,
    jobs: NonZeroUsize,
    seconds: u64,
    controls: &mut Controls,
) -> Result<Option<Caught>> {
    let jobs = jobs.get() as u64;
    for first in (1..=most).step_by(jobs.try_into().unwrap_or(1)) {
        let seeds = first..(first + jobs).min(most + 1);
        let runs = std::thread::scope(|scope| {
            let runs: Vec<_> = seeds
                .map(|seed| {
                    let one = One { seed, seconds };
                    scope.spawn(move || (one, Trial::Seed(one).run(Some(name))))
                })
                .collect();
            runs.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
        });
        for run in runs {
            let (one, outcome) = run.map_err(|_| anyhow::anyhow!("a worker panicked"))?;
            if let Some(by) = controls.catch(Trial::Seed(one), name, outcome)? {
                return Ok(Some(Caught { seed: one.seed, by }));
            }
        }
    }
    Ok(None)
}

/// The scenarios that catch the mutant.
fn stories(name: &str, controls: &mut Controls) -> Result<Vec<&'static str>> {
    let mut catching = Vec::new();
    for Scenario { name: story, .. } in ALL {
        let trial = Trial::Story(story);
        if controls.catch(trial, name, trial.run(Some(name)))?.is_some() {
            catching.push(story);
        }
    }
    Ok(catching)
}

/// What can be run with a mutant and without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trial {
    Seed(One),
    Story(&'static str),
}

impl Trial {
    fn run(self, mutant: Option<&str>) -> Result<Value> {
        let with = mutant.map_or_else(Vec::new, |name| vec!["--mutant", name]);
        match self {
            Self::Seed(one) => child::run_with(one, &with),
            Self::Story(name) => {
                let play = ["scenario", name, "--json"];
                child::report(&[&play[..], &with].concat(), child::PATIENCE_MIN)
            }
        }
    }
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seed(One { seed, .. }) => write!(f, "seed {seed}"),
            Self::Story(name) => write!(f, "scenario {name}"),
        }
    }
}

/// What a run found.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    /// It shows nothing, since this never happened.
    Idle(String),
    /// This is violated, or it comes to no end.
    Wrong(String),
}

impl Found {
    /// What the run found that had this outcome.
    ///
    /// # Errors
    /// When it came to no report, other than by hanging: that says nothing of what was to be found.
    fn by(outcome: Result<Value>) -> Result<Self> {
        let report = match outcome {
            Err(error) if error.is::<Hangs>() => return Ok(Self::Wrong(error.to_string())),
            outcome => outcome?,
        };
        let told = |field: &str| {
            let line = report[field].as_str()?.lines().next().unwrap_or_default();
            Some(line.chars().take(FOUND_MAX).collect::<String>())
        };
        Ok(match (told("violation"), told("idle")) {
            (Some(violation), _) => Self::Wrong(violation),
            (None, Some(missing)) => Self::Idle(missing),
            (None, None) => Self::Nothing,
        })
    }
}

/// The trials that are known to find nothing in the program as it is.
#[derive(Default)]
struct Controls(BTreeSet<Trial>);

impl Controls {
    /// How `trial` caught the mutant `name`, with which it had `outcome`, if it did.
    ///
    /// # Errors
    /// See [`Found::by`] and [`judge`].
    fn catch(
        &mut self,
        trial: Trial,
        name: &str,
        outcome: Result<Value>,
    ) -> Result<Option<String>> {
        Found::by(outcome)
            .and_then(|found| judge(found, || self.found(trial)))
            .with_context(|| format!("{trial} with {name}"))
    }

    /// What `trial` finds without a mutant.
    fn found(&mut self, trial: Trial) -> Result<Found> {
        if self.0.contains(&trial) {
            return Ok(Found::Nothing);
        }
        let found = Found::by(trial.run(None))?;
        if found == Found::Nothing {
            self.0.insert(trial);
        }
        Ok(found)
    }
}

/// How a run that `found` this with a mutant caught it, if it did: that little happens is no
/// finding.
///
/// # Errors
/// When the same run `without` the mutant does not pass: what it finds is not the mutant's then.
fn judge(found: Found, without: impl FnOnce() -> Result<Found>) -> Result<Option<String>> {
    let Found::Wrong(by) = found else { return Ok(None) };
    match without().context("without the mutant")? {
        Found::Nothing => Ok(Some(by)),
        Found::Idle(why) | Found::Wrong(why) => bail!("it fails without the mutant too: {why}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use std::time::Duration;

    use anyhow::anyhow;
    use serde_json::json;

    use super::*;

    fn wrong(why: &str) -> Found {
        Found::Wrong(why.to_owned())
    }

    #[test]
    fn a_violation_is_found_and_that_a_run_hangs_and_no_other_error() {
        let violation = "I9 equal index, equal state: of node-1";
        let violated = json!({ "violation": format!("{violation}\nand more"), "idle": "nothing" });
        assert_eq!(Found::by(Ok(violated)).unwrap(), wrong(violation));
        let idle = json!({ "violation": null, "idle": "nothing" });
        assert_eq!(Found::by(Ok(idle)).unwrap(), Found::Idle("nothing".to_owned()));
        let passed = json!({ "violation": null, "idle": null });
        assert_eq!(Found::by(Ok(passed)).unwrap(), Found::Nothing);
        let hangs = Hangs(Duration::from_secs(120));
        assert_eq!(Found::by(Err(hangs.into())).unwrap(), wrong("it hangs: no end within 120 s"));
        assert!(Found::by(Err(anyhow!("exit status: 3: no space left on device"))).is_err());
    }

    #[test]
    fn a_mutant_is_caught_by_what_is_not_found_without_it() {
        let caught = judge(wrong("I1"), || Ok(Found::Nothing)).unwrap();
        assert_eq!(caught.as_deref(), Some("I1"));
        for without in [wrong("I1"), wrong("I2"), Found::Idle("no leader".to_owned())] {
            assert!(judge(wrong("I1"), || Ok(without)).is_err());
        }
        assert!(judge(wrong("I1"), || Err(anyhow!("out of memory"))).is_err());
        for nothing in [Found::Nothing, Found::Idle("no leader".to_owned())] {
            let caught = judge(nothing, || Err(anyhow!("there is nothing to compare"))).unwrap();
            assert_eq!(caught, None);
        }
    }

    #[test]
    fn a_trial_that_passed_without_a_mutant_is_not_run_so_again() {
        // There is no such scenario, so that running it would be an error.
        let trial = Trial::Story("godzilla");
        let mut controls = Controls(BTreeSet::from([trial]));
        let violated = json!({ "violation": "I1" });
        let caught = controls.catch(trial, "AckBeforeFsync", Ok(violated)).unwrap();
        assert_eq!(caught.as_deref(), Some("I1"));
    }

    #[test]
    fn mutants_have_the_names_of_their_variants() {
        assert_eq!(named("AckBeforeFsync").unwrap(), Mutant::AckBeforeFsync);
        assert!(named("Godzilla").is_err());
    }
}
