//! What the servers' processes cost, as Linux counts it in `/proc`.

use std::fs;
use std::time::Duration;

use serde::Serialize;

/// Ticks of the clock in `/proc/PID/stat` in a second: USER_HZ, which is 100 wherever Roadstead
/// runs.
const TICKS_PER_SECOND: u64 = 100;

/// A process that is watched during a run.
#[derive(Debug)]
pub(crate) struct Process {
    pid: u32,
    began: Usage,
    peak: u64,
}

/// What one process has cost during a run.
#[derive(Clone, Debug, Serialize)]
pub struct ProcessReport {
    /// Its id.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// CPU seconds, user and system.
    pub cpu_seconds: f64,
    /// Resident memory when the run began, in bytes.
    pub resident_before: u64,
    /// The most resident memory that was seen, in bytes.
    pub resident_peak: u64,
}

#[derive(Clone, Debug)]
struct Usage {
    name: String,
    cpu: Duration,
    resident: u64,
}

impl Process {
    /// Begins to watch process `pid`.
    ///
    /// # Errors
    /// [`ProcessError`] when there is none that can be watched.
    pub(crate) fn watch(pid: u32) -> Result<Self, ProcessError> {
        let began = Usage::of(pid).ok_or(ProcessError { pid })?;
        Ok(Self { pid, peak: began.resident, began })
    }

    /// Looks at its memory.
    pub(crate) fn sample(&mut self) {
        if let Some(resident) = resident(self.pid) {
            self.peak = self.peak.max(resident);
        }
    }

    /// What it has cost; nothing when it is no more.
    pub(crate) fn report(&mut self) -> ProcessReport {
        self.sample();
        let cpu = Usage::of(self.pid)
            .map_or(Duration::ZERO, |now| now.cpu.saturating_sub(self.began.cpu));
        ProcessReport {
            pid: self.pid,
            name: self.began.name.clone(),
            cpu_seconds: cpu.as_secs_f64(),
            resident_before: self.began.resident,
            resident_peak: self.peak,
        }
    }
}

impl Usage {
    fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (name, ticks) = read_stat(&stat)?;
        let cpu = Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND);
        Some(Self { name, cpu, resident: resident(pid)? })
    }
}

/// The name and the ticks of the line in `/proc/PID/stat` (see proc_pid_stat(5)): the name stands
/// in parentheses and may hold some itself; utime and stime are the 14th and 15th field.
fn read_stat(stat: &str) -> Option<(String, u64)> {
    let (before, fields) = stat.rsplit_once(')')?;
    let (_, name) = before.split_once('(')?;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    let (user, system) = (times.next()?.ok()?, times.next()?.ok()?);
    Some((name.to_owned(), user + system))
}

/// The resident memory of process `pid`, in bytes.
fn resident(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes << 10)
}

/// There is no process with this id, or its `/proc` cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("process {pid} cannot be watched: /proc/{pid}/stat cannot be read")]
pub struct ProcessError {
    pid: u32,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "a failed test panics")]

    use super::*;

    #[test]
    fn names_with_parentheses_do_not_shift_the_times() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 9";
        assert_eq!(read_stat(stat), Some(("a) b (c".to_owned(), 200)));
        assert_eq!(read_stat("7 (a"), None);
    }

    #[test]
    fn a_process_that_works_is_seen_to() {
        let mut process = Process::watch(std::process::id()).expect("this one runs");
        let mut sum = 0_u64;
        while process.report().cpu_seconds == 0.0 {
            sum = (0..1_000_000).fold(sum, u64::wrapping_add);
        }
        let report = process.report();
        assert!(report.resident_before > 0 && report.resident_peak >= report.resident_before);
        assert!(sum > 0);
    }
}
