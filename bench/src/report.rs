//! What a run has come to.

use std::fmt;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::process::ProcessReport;
use crate::schedule::approximate;

/// What a run has come to: for people by its `Display`, for programs as JSON.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What was done.
    pub workload: String,
    /// The nodes that were asked.
    pub servers: Vec<String>,
    /// How many clients worked at a time.
    pub clients: u32,
    /// Operations that were due in a second; `None` in a closed loop.
    pub rate: Option<f64>,
    /// From which all content and all names follow.
    pub seed: u64,
    /// Sizes of blobs in bytes, and their weights.
    pub sizes: String,
    /// How long the run took, in seconds, to the end of the last operation.
    pub seconds: f64,
    /// Operations that succeeded.
    pub succeeded: u64,
    /// Operations that failed.
    pub failed: u64,
    /// Of these, the answers 429 (too many requests).
    pub too_many_requests: u64,
    /// And the answers 503 (service unavailable).
    pub unavailable: u64,
    /// Operations of an open loop that were due and never began.
    pub missed: u64,
    /// Operations that succeeded, in a second.
    pub operations_per_second: f64,
    /// Bytes of the bodies of requests that succeeded.
    pub bytes_sent: u64,
    /// Bytes of the bodies of answers.
    pub bytes_received: u64,
    /// Of both, in a second.
    pub bytes_per_second: f64,
    /// How long operations took that succeeded.
    pub latency: Latency,
    /// The failures, by kind.
    pub errors: Vec<ErrorCount>,
    /// What the first failure said.
    pub first_error: Option<String>,
    /// The servers' processes.
    pub processes: Vec<ProcessReport>,
    /// The run, a quarter of a second after the other.
    pub moments: Vec<Moment>,
}

/// How long operations took, in milliseconds; 0 when there were none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Their mean.
    pub mean_ms: f64,
    /// Half of them took no longer.
    pub p50_ms: f64,
    /// 90 % of them took no longer.
    pub p90_ms: f64,
    /// 99 % of them took no longer.
    pub p99_ms: f64,
    /// 99.9 % of them took no longer.
    pub p999_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// How often something failed in one way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ErrorCount {
    /// The HTTP status; 0 when there was no answer.
    pub status: u16,
    /// The OCI error code, or what happened instead of an answer.
    pub code: String,
    /// How often.
    pub count: u64,
}

/// A quarter of a second of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Moment {
    /// When it began, in seconds.
    pub seconds: f64,
    /// Operations that ended in it and succeeded.
    pub succeeded: u64,
    /// Operations that ended in it and failed.
    pub failed: u64,
    /// Bytes that the former moved.
    pub bytes: u64,
    /// How long the former took.
    pub latency: Latency,
}

impl Latency {
    /// What `latencies`, in microseconds, come to.
    pub(crate) fn of(latencies: &Histogram<u64>) -> Self {
        if latencies.is_empty() {
            return Self::default();
        }
        let at = |quantile| approximate(latencies.value_at_quantile(quantile)) / 1e3;
        Self {
            mean_ms: latencies.mean() / 1e3,
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: approximate(latencies.max()) / 1e3,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workload, clients, seconds, seed, .. } = self;
        let servers = self.servers.join(", ");
        writeln!(f, "{workload} on {servers}: {clients} clients, {seconds:.2} s, seed {seed}")?;
        let rate = self.operations_per_second;
        writeln!(f, "  succeeded  {} ({rate:.1}/s)", self.succeeded)?;
        let (refused, busy) = (self.too_many_requests, self.unavailable);
        writeln!(f, "  failed     {} ({refused} by 429, {busy} by 503)", self.failed)?;
        if self.rate.is_some() {
            writeln!(f, "  missed     {} (due, and never begun)", self.missed)?;
        }
        let speed = self.bytes_per_second / 1e6;
        let (sent, received) = (self.bytes_sent, self.bytes_received);
        writeln!(f, "  bytes      {sent} sent, {received} received ({speed:.1} MB/s)")?;
        let Latency { mean_ms, p50_ms, p90_ms, p99_ms, p999_ms, max_ms } = self.latency;
        write!(f, "  latency    mean {mean_ms:.2} ms, p50 {p50_ms:.2}, p90 {p90_ms:.2}")?;
        write!(f, ", p99 {p99_ms:.2}, p99.9 {p999_ms:.2}, max {max_ms:.2}")?;
        for ErrorCount { status, code, count } in &self.errors {
            write!(f, "\n  error      {count} x {status} {code}")?;
        }
        if let Some(error) = &self.first_error {
            write!(f, "\n  the first  {error}")?;
        }
        for process in &self.processes {
            let ProcessReport { pid, name, cpu_seconds, .. } = process;
            let (before, peak) = (process.resident_before >> 20, process.resident_peak >> 20);
            write!(f, "\n  process    {pid} {name}: {cpu_seconds:.2} CPU seconds, ")?;
            write!(f, "{before} MiB resident before, {peak} at most")?;
        }
        Ok(())
    }
}
