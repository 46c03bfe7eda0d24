//! The command line.

mod child;
mod log;
mod meta;
#[cfg(feature = "mutants")]
mod mutants;
mod run;
mod scenario;
mod sweep;

use std::num::NonZeroUsize;
use std::process::ExitCode;

use anyhow::Result;
#[cfg(not(feature = "mutants"))]
use anyhow::bail;
use chaos_tests::sim::Invariant;
use clap::{Args, Parser, Subcommand};

/// Simulates clusters that fail, each from a seed.
#[derive(Debug, Parser)]
#[command(name = "chaos-tests", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs one seed, and says which invariant it violates, if one.
    Run {
        #[command(flatten)]
        one: One,
        /// Write every event of every library to standard output.
        #[arg(long)]
        trace: bool,
        /// Write the result as JSON, on a line of its own.
        #[arg(long)]
        json: bool,
        /// Put a fault into the program, which must be built for that.
        #[arg(long)]
        mutant: Option<String>,
    },
    /// Runs one seed, and tells what happened in it, in order.
    Explain {
        #[command(flatten)]
        one: One,
    },
    /// Runs many seeds, each in a process of its own.
    Sweep {
        /// The first seed.
        #[arg(long, default_value_t = 1)]
        from: u64,
        /// How many seeds.
        #[arg(long, default_value_t = 50)]
        count: u64,
        /// How many run at a time.
        #[arg(long, default_value_t = NonZeroUsize::MIN)]
        jobs: NonZeroUsize,
        /// For how many simulated seconds clients work and things go wrong.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Plays a scenario, and tells what happened in it, in order; without a name, lists them.
    Scenario {
        /// Which one.
        #[arg(conflicts_with = "all")]
        name: Option<String>,
        /// Play all of them, each in a process of its own.
        #[arg(long)]
        all: bool,
        /// The seed.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Write every event of every library to standard output.
        #[arg(long, requires = "name")]
        trace: bool,
        /// Write the result as JSON.
        #[arg(long, requires = "name", conflicts_with = "trace")]
        json: bool,
        /// Put a fault into the program, which must be built for that.
        #[arg(long, requires = "name")]
        mutant: Option<String>,
    },
    /// Puts faults into the program, one after the other, and runs seeds until each is found.
    #[cfg(feature = "mutants")]
    Mutants {
        /// One fault instead of all.
        #[arg(long)]
        mutant: Option<String>,
        /// How many seeds may pass until a fault is found.
        #[arg(long, default_value_t = 200)]
        count: u64,
        /// How many run at a time.
        #[arg(long, default_value_t = NonZeroUsize::MIN)]
        jobs: NonZeroUsize,
        /// For how many simulated seconds clients work and things go wrong.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Runs one seed twice, and compares every event of every library, byte by byte; and once
    /// without them, and compares the result.
    Meta {
        #[command(flatten)]
        one: One,
    },
    /// Says what runs can violate: a table in Markdown.
    Invariants,
}

/// One run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Args)]
struct One {
    /// The seed.
    #[arg(long)]
    seed: u64,
    /// For how many simulated seconds clients work and things go wrong.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

pub(crate) fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run { one, trace, json, mutant } => {
            activate(mutant.as_deref()).and_then(|()| run::run(one, trace, json))
        }
        #[cfg(feature = "mutants")]
        Command::Mutants { mutant, count, jobs, seconds } => {
            mutants::hunt_all(mutant.as_deref(), count, jobs, seconds)
        }
        Command::Scenario { name: Some(name), seed, trace, json, mutant, .. } => {
            activate(mutant.as_deref()).and_then(|()| scenario::one(&name, seed, trace, json))
        }
        Command::Scenario { name: None, all: true, seed, .. } => scenario::all(seed),
        Command::Scenario { .. } => Ok(scenario::list()),
        Command::Explain { one } => run::explain(one),
        Command::Sweep { from, count, jobs, seconds } => sweep::sweep(from, count, jobs, seconds),
        Command::Meta { one } => meta::meta(one),
        Command::Invariants => {
            print!("{}", Invariant::table());
            Ok(ExitCode::SUCCESS)
        }
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("chaos-tests: {error:#}");
        ExitCode::from(3)
    })
}

/// Gives this process the fault of this name, if one is named.
///
/// # Errors
/// When there is none of this name, or the program cannot have any.
fn activate(name: Option<&str>) -> Result<()> {
    match name {
        #[cfg(feature = "mutants")]
        Some(name) => mutants::activate(name),
        #[cfg(not(feature = "mutants"))]
        Some(name) => {
            bail!("to have the fault {name}, the program is built with --features mutants")
        }
        None => Ok(()),
    }
}
