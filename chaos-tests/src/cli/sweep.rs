//! Many seeds, each in a process of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Result;
use chaos_tests::sim::too_seldom;
use serde_json::Value;

use super::One;
use super::child;
use super::run::reproduce;

/// In so many seeds all happens that should, also what happens in one of eight only.
const COVERING: u64 = 50;

/// Of so many runs one may show nothing: so much went wrong in it that nobody could push.
const ONE_IDLE_OF: u64 = 100;

/// What all runs together showed.
#[derive(Default)]
struct Totals {
    runs: u64,
    simulated_seconds: f64,
    healed_in_max: f64,
    coverage: BTreeMap<String, u64>,
    /// What was wrong, and with which seeds.
    failures: Vec<String>,
    failed: BTreeSet<u64>,
    /// The seeds that showed nothing.
    idle: BTreeSet<u64>,
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
                        let outcome = child::run(one);
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
    // Of fewer seeds nothing is asked.
    let times = count / COVERING;
    let missing = too_seldom(&totals.coverage, times);
    let is_covered = missing.is_empty();
    if !is_covered {
        let missing = missing.join("; ");
        println!("INVALID: in {count} seeds these happened fewer than {times} times: {missing}");
    }
    if !totals.is_busy() {
        println!("INVALID: more than one run of {ONE_IDLE_OF} showed nothing");
    }
    let is_good = totals.failures.is_empty() && is_covered && totals.is_busy();
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
        // What is violated explains why little happened.
        if let Some(violation) = result["violation"].as_str() {
            self.fail(one, violation);
        } else if let Some(idle) = result["idle"].as_str() {
            println!("seed {} shows nothing: {idle}\n  to see it: {}", one.seed, reproduce(one));
            self.idle.insert(one.seed);
        }
    }

    fn fail(&mut self, one: One, reason: &str) {
        let failure = format!("seed {}: {reason}\n  to see it again: {}", one.seed, reproduce(one));
        println!("{failure}");
        self.failures.push(failure);
        self.failed.insert(one.seed);
    }

    /// Whether few enough of the runs showed nothing.
    fn is_busy(&self) -> bool {
        self.idle.len() as u64 <= self.runs / ONE_IDLE_OF
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
            self.failed.len(),
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
        for failure in &self.failures {
            println!("{failure}");
        }
        let failed = self.failed.len() as u64;
        let idle = self.idle.len() as u64;
        let passed = self.runs.saturating_sub(failed + idle);
        println!("{passed} passed, {failed} failed, {idle} showed nothing");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_that_shows_nothing_is_passed_over_only_where_it_is_one_of_a_hundred() {
        let mut totals = Totals::default();
        let mut end = |seed, idle: Option<&str>| {
            totals.add(One { seed, seconds: 60 }, Ok(json!({ "violation": null, "idle": idle })));
            (totals.is_busy(), totals.idle.len(), totals.failed.len())
        };
        assert_eq!(end(1, Some("nothing was pushed")), (false, 1, 0));
        for seed in 2..100 {
            assert_eq!(end(seed, None), (false, 1, 0));
        }
        assert_eq!(end(100, None), (true, 1, 0));
        assert_eq!(end(101, Some("nothing was pushed")), (false, 2, 0));
    }
}
