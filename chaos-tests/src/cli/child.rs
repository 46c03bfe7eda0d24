//! A run of a seed in a process of its own, which gets a limited time.

use std::env;
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::One;

/// How long a run may take whatever it simulates.
pub(super) const PATIENCE_MIN: Duration = Duration::from_secs(120);
/// What it may take beyond that for each second that it simulates: fifty times what it needs on a
/// machine that does nothing else.
const PATIENCE_PER_SECOND: Duration = Duration::from_secs(5);
/// Between two looks whether it has ended.
const GLANCE: Duration = Duration::from_millis(10);

/// A run came to no end within the time that it had: the one error of a child that can be due to
/// what it runs, and not to the machine or to how it was called.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("it hangs: no end within {} s", .0.as_secs())]
pub(super) struct Hangs(pub(super) Duration);

/// Runs a seed and answers its report.
///
/// # Errors
/// When it gives none; [`Hangs`] when it takes too long.
pub(super) fn run(one: One) -> Result<Value> {
    run_with(one, &[])
}

/// Runs a seed with further `arguments`, such as which fault the program is to have.
///
/// # Errors
/// See [`run`].
pub(super) fn run_with(one: One, arguments: &[&str]) -> Result<Value> {
    let seconds = u32::try_from(one.seconds).unwrap_or(u32::MAX);
    let patience = PATIENCE_MIN + PATIENCE_PER_SECOND.saturating_mul(seconds);
    let (seed, seconds) = (one.seed.to_string(), one.seconds.to_string());
    let run = ["run", "--json", "--seed", &seed, "--seconds", &seconds];
    report(&[&run[..], arguments].concat(), patience)
}

/// Runs this program with `arguments`, and answers the report that it prints.
///
/// # Errors
/// See [`run`].
pub(super) fn report(arguments: &[&str], patience: Duration) -> Result<Value> {
    let mut command = Command::new(env::current_exe()?);
    command.args(arguments);
    let (status, said, complaints) = within(patience, &mut command)?;
    serde_json::from_str(&said)
        .with_context(|| format!("{status}: {}", complaints.lines().last().unwrap_or_default()))
}

/// Runs a command to its end; answers how it ended and what it wrote to its two outputs.
fn within(patience: Duration, command: &mut Command) -> Result<(ExitStatus, String, String)> {
    // Files, since a full pipe would hold up the child that writes.
    let (mut output, mut errors) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(errors.try_clone()?);
    let mut child = command.spawn()?;
    let ended = wait(&mut child, patience)?;
    let (said, complaints) = (whole(&mut output)?, whole(&mut errors)?);
    let status = ended.ok_or(Hangs(patience))?;
    Ok((status, said, complaints))
}

/// Waits for the child to end; ends it when that takes too long.
fn wait(child: &mut Child, patience: Duration) -> Result<Option<ExitStatus>> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if started.elapsed() > patience {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::park_timeout(GLANCE);
    }
}

fn whole(file: &mut File) -> Result<String> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;

    #[test]
    fn a_run_that_hangs_is_ended_and_said_to_hang() {
        let mut hangs = Command::new("sleep");
        let error = within(Duration::from_millis(50), hangs.arg("600")).unwrap_err();
        assert!(error.is::<Hangs>() && error.to_string().contains("it hangs"), "{error}");
        let mut ends = Command::new("sh");
        let ended = within(Duration::from_secs(60), ends.args(["-c", "echo a; echo b >&2"]));
        let (status, said, complaints) = ended.unwrap();
        assert!(status.success());
        assert_eq!((said.as_str(), complaints.as_str()), ("a\n", "b\n"));
    }
}
