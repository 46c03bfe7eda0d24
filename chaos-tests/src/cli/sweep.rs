//! Many seeds, each in a process of its own.

use std::collections::BTreeMap;
use std::env;
use std::num::NonZeroUsize;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::One;
use super::run::reproduce;

/// What all runs together showed.
#[derive(Default)]
struct Totals {
    runs: u64,
    simulated_seconds: f64,
    healed_in_max: f64,
    coverage: BTreeMap<String, u64>,
    failures: Vec<String>,
    idle: Vec<String>,
}

/// Runs `count` seeds from `from` on, `jobs` at a time.
pub(super) fn sweep(from: u64, count: u64, jobs: NonZeroUsize, seconds: u64) -> Result<ExitCode> {
    let started = Instant::now();
    let (next, totals) = (AtomicU64::new(from), Mutex::new(Totals::default()));
    let end = from + count;
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.get())
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= end {
                            return Ok(());
                        }
                        let one = One { seed, seconds };
                        let outcome = run(one);
                        let mut totals = totals.lock().unwrap_or_else(|e| e.into_inner());
                        totals.add(one, outcome);
                        totals.progress(count, started);
                    }
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| {
            worker.join().map_err(|_| anyhow::anyhow!("a worker panicked"))?
        })
    })?;
    let totals = totals.into_inner().unwrap_or_else(|e| e.into_inner());
    totals.print(started);
    Ok(if totals.failures.is_empty() && totals.idle.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn run(one: One) -> Result<Value> {
    let output = Command::new(env::current_exe()?)
        .args(["run", "--json"])
        .args(["--seed", &one.seed.to_string(), "--seconds", &one.seconds.to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()?;
    serde_json::from_slice(&output.stdout).with_context(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!("{}: {}", output.status, said.lines().last().unwrap_or_default())
    })
}

impl Totals {
    fn add(&mut self, one: One, outcome: Result<Value>) {
        self.runs += 1;
        let result = match outcome {
            Ok(result) => result,
            Err(error) => return self.fail(one, &format!("{error:#}")),
        };
        self.simulated_seconds += result["simulated_seconds"].as_f64().unwrap_or_default();
        let healed_in = result["healed_in_seconds"].as_f64().unwrap_or_default();
        self.healed_in_max = self.healed_in_max.max(healed_in);
        for (what, count) in result["coverage"].as_object().into_iter().flatten() {
            *self.coverage.entry(what.clone()).or_default() += count.as_u64().unwrap_or_default();
        }
        if let Some(idle) = result["idle"].as_str() {
            self.idle.push(format!("seed {}: {idle}", one.seed));
        }
        if let Some(violation) = result["violation"].as_str() {
            self.fail(one, violation);
        }
    }

    fn fail(&mut self, one: One, reason: &str) {
        let failure = format!("seed {}: {reason}\n  {}", one.seed, reproduce(one));
        println!("{failure}");
        self.failures.push(failure);
    }

    fn progress(&self, count: u64, started: Instant) {
        if !self.runs.is_multiple_of(10) && self.runs != count {
            return;
        }
        let elapsed = started.elapsed().as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "for a progress line")]
        let rate = self.runs as f64 / elapsed;
        #[allow(clippy::cast_precision_loss, reason = "for a progress line")]
        let left = (count - self.runs) as f64 / rate;
        println!(
            "{} of {count} seeds, {} failed, {:.0} a minute, {left:.0} s left",
            self.runs,
            self.failures.len(),
            rate * 60.0
        );
    }

    fn print(&self, started: Instant) {
        println!();
        for (what, count) in &self.coverage {
            println!("{count:>9}  {what}");
        }
        let elapsed = started.elapsed().as_secs_f64();
        println!(
            "{:.0} simulated seconds in {elapsed:.0} s; the slowest healed in {:.3} s",
            self.simulated_seconds, self.healed_in_max
        );
        for idle in &self.idle {
            println!("INVALID: {idle}");
        }
        for failure in &self.failures {
            println!("{failure}");
        }
        let failed = self.failures.len() + self.idle.len();
        println!("{} passed, {failed} failed", self.runs.saturating_sub(failed as u64));
    }
}
