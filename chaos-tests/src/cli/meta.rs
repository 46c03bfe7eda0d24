//! One seed twice: the same events, byte by byte; and once without them: the same result.

use std::env;
use std::io::{self, BufRead, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::run::{IDLE, VIOLATED};
use super::{One, child};

/// Fewest lines of a trace: a cluster that founds itself writes thousands.
const LINES_MIN: u64 = 1000;
/// Between two looks at the clock.
const GLANCE: Duration = Duration::from_millis(10);

/// Runs a seed in two processes and compares all that they write; and before that in one that
/// writes only its result, as those of a sweep do, and compares that.
pub(super) fn meta(one: One) -> Result<ExitCode> {
    let seed = one.seed;
    let quiet = child::run(one)?;
    let (lines, bytes, result) = match trace_twice(one)? {
        Compared::Same { lines, bytes, last } => (lines, bytes, last),
        Compared::Differs { line, first, second } => {
            println!("seed {seed}: line {line} differs:\n  {first}\n  {second}");
            return Ok(ExitCode::FAILURE);
        }
    };
    let traced = serde_json::from_str(&result).context("the last line is no result")?;
    if let Compared::Differs { first, second, .. } = compare_results(&quiet, &traced)? {
        println!("seed {seed}: without a trace the result differs:\n  {first}\n  {second}");
        return Ok(ExitCode::FAILURE);
    }
    println!("seed {seed}: {lines} lines, {bytes} bytes, the same twice; the same result without");
    Ok(ExitCode::SUCCESS)
}

/// Traces a seed in two processes.
fn trace_twice(one: One) -> Result<Compared> {
    let (mut first, mut output) = start(one)?;
    // Whatever it has asked of a clock by its first line, the other one asks in another second.
    output.fill_buf()?;
    await_another_second();
    let (mut second, other_output) = start(one)?;
    let mut outputs = [output, other_output];
    let compared = compare(&mut outputs)?;
    if matches!(compared, Compared::Differs { .. }) {
        // A child that still writes must not wait for a reader.
        for output in &mut outputs {
            io::copy(&mut output.by_ref(), &mut io::sink())?;
        }
    }
    let [first, second] = [first.wait()?, second.wait()?];
    if let Compared::Same { lines, .. } = compared {
        ensure!(first == second, "the exit codes differ: {first} and {second}");
        worth_something(first, lines)?;
    }
    Ok(compared)
}

/// What two outputs are to each other.
#[derive(Debug, PartialEq, Eq)]
enum Compared {
    Same { lines: u64, bytes: u64, last: String },
    Differs { line: u64, first: String, second: String },
}

fn compare(outputs: &mut [impl BufRead]) -> io::Result<Compared> {
    let text = |line: &[u8]| String::from_utf8_lossy(line).trim_end().to_owned();
    let (mut lines, mut bytes, mut last) = (0_u64, 0_u64, Vec::new());
    loop {
        let mut pair = [Vec::new(), Vec::new()];
        for (output, line) in outputs.iter_mut().zip(&mut pair) {
            output.read_until(b'\n', line)?;
        }
        let [first, second] = pair;
        if first != second {
            let (first, second) = (text(&first), text(&second));
            return Ok(Compared::Differs { line: lines + 1, first, second });
        }
        if first.is_empty() {
            return Ok(Compared::Same { lines, bytes, last: text(&last) });
        }
        lines += 1;
        bytes += first.len() as u64;
        last = first;
    }
}

/// Compares two results, by what they say of one thing after the other.
fn compare_results(quiet: &Value, traced: &Value) -> io::Result<Compared> {
    let [quiet, traced] = [quiet, traced].map(|result| format!("{result:#}"));
    compare(&mut [quiet.as_bytes(), traced.as_bytes()])
}

/// Two runs that died of the same cause before they had begun are the same too, and show nothing:
/// they must have come to their end, if only to that of finding something wrong, and have told of
/// it.
fn worth_something(ended: ExitStatus, lines: u64) -> Result<()> {
    let known = [0, VIOLATED, IDLE].map(|code| Some(i32::from(code)));
    if !known.contains(&ended.code()) {
        bail!("both runs ended with {ended}");
    }
    ensure!(lines >= LINES_MIN, "both runs wrote no more than {lines} lines");
    Ok(())
}

fn start(one: One) -> Result<(Child, BufReader<ChildStdout>)> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["run", "--trace", "--json"]);
    command.args(["--seed", &one.seed.to_string(), "--seconds", &one.seconds.to_string()]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().context("standard output is piped")?;
    Ok((child, BufReader::new(output)))
}

/// Waits until the system's clock says another second.
fn await_another_second() {
    let begun = second();
    while second() == begun {
        std::thread::park_timeout(GLANCE);
    }
}

/// What the system's clock says, in seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "nothing that is simulated may depend on it")]
fn second() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use std::os::unix::process::ExitStatusExt as _;

    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_line_that_differs_is_found() {
        let mut same = ["a\nb\n".as_bytes(), "a\nb\n".as_bytes()];
        let last = "b".to_owned();
        assert_eq!(compare(&mut same).unwrap(), Compared::Same { lines: 2, bytes: 4, last });
        let mut differs = ["a\nb\n".as_bytes(), "a\nc\n".as_bytes()];
        let (first, second) = ("b".to_owned(), "c".to_owned());
        assert_eq!(compare(&mut differs).unwrap(), Compared::Differs { line: 2, first, second });
        let mut shorter = ["a\nb\n".as_bytes(), "a\n".as_bytes()];
        assert!(matches!(compare(&mut shorter).unwrap(), Compared::Differs { line: 2, .. }));
    }

    #[test]
    fn results_that_differ_are_shown_where_they_do() {
        let [two, three] = [2, 3].map(|times| json!({ "coverage": { "elections": times } }));
        assert!(matches!(compare_results(&two, &two).unwrap(), Compared::Same { .. }));
        let [first, second] = [2, 3].map(|times| format!("    \"elections\": {times}"));
        let differs = Compared::Differs { line: 3, first, second };
        assert_eq!(compare_results(&two, &three).unwrap(), differs);
    }

    #[test]
    fn runs_that_die_alike_or_say_nothing_show_nothing() {
        let exit = |code: i32| ExitStatus::from_raw(code << 8);
        assert!(worth_something(exit(0), LINES_MIN).is_ok());
        assert!(worth_something(exit(VIOLATED.into()), LINES_MIN).is_ok());
        assert!(worth_something(exit(0), 0).is_err(), "no line");
        assert!(worth_something(exit(3), LINES_MIN).is_err(), "a failure of the program");
        assert!(worth_something(exit(101), LINES_MIN).is_err(), "a panic");
        assert!(worth_something(ExitStatus::from_raw(9), LINES_MIN).is_err(), "killed");
    }
}
