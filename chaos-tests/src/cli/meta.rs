//! One seed twice: the same events, byte by byte.

use std::env;
use std::io::{self, BufRead, BufReader, Read as _};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use super::One;
use super::run::{IDLE, VIOLATED};

/// Fewest lines of a trace: a cluster that founds itself writes thousands.
const LINES_MIN: u64 = 1000;

/// Runs a seed in two processes and compares all that they write.
pub(super) fn meta(one: One) -> Result<ExitCode> {
    let mut children = [start(one)?, start(one)?];
    let mut outputs = Vec::new();
    for child in &mut children {
        outputs.push(BufReader::new(child.stdout.take().context("standard output is piped")?));
    }
    let compared = compare(&mut outputs)?;
    if matches!(compared, Compared::Differs { .. }) {
        // Whoever still writes must not wait for a reader.
        for output in &mut outputs {
            io::copy(&mut output.by_ref(), &mut io::sink())?;
        }
    }
    let [first, second] = [children[0].wait()?, children[1].wait()?];
    match compared {
        Compared::Differs { line, first, second } => {
            println!("seed {}: line {line} differs:\n  {first}\n  {second}", one.seed);
            Ok(ExitCode::FAILURE)
        }
        Compared::Same { lines, bytes } => {
            ensure!(first == second, "the exit codes differ: {first} and {second}");
            worth_something(first, lines)?;
            println!("seed {}: {lines} lines, {bytes} bytes, the same twice", one.seed);
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What two outputs are to each other.
#[derive(Debug, PartialEq, Eq)]
enum Compared {
    Same { lines: u64, bytes: u64 },
    Differs { line: u64, first: String, second: String },
}

fn compare(outputs: &mut [impl BufRead]) -> io::Result<Compared> {
    let (mut lines, mut bytes) = (0_u64, 0_u64);
    loop {
        let mut pair = [Vec::new(), Vec::new()];
        for (output, line) in outputs.iter_mut().zip(&mut pair) {
            output.read_until(b'\n', line)?;
        }
        let [first, second] = &pair;
        if first != second {
            let text = |line: &[u8]| String::from_utf8_lossy(line).trim_end().to_owned();
            let (first, second) = (text(first), text(second));
            return Ok(Compared::Differs { line: lines + 1, first, second });
        }
        if first.is_empty() {
            return Ok(Compared::Same { lines, bytes });
        }
        lines += 1;
        bytes += first.len() as u64;
    }
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

fn start(one: One) -> Result<Child> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["run", "--trace"]);
    command.args(["--seed", &one.seed.to_string(), "--seconds", &one.seconds.to_string()]);
    Ok(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[test]
    fn the_first_line_that_differs_is_found() {
        let mut same = ["a\nb\n".as_bytes(), "a\nb\n".as_bytes()];
        assert_eq!(compare(&mut same).unwrap(), Compared::Same { lines: 2, bytes: 4 });
        let mut differs = ["a\nb\n".as_bytes(), "a\nc\n".as_bytes()];
        let (first, second) = ("b".to_owned(), "c".to_owned());
        assert_eq!(compare(&mut differs).unwrap(), Compared::Differs { line: 2, first, second });
        let mut shorter = ["a\nb\n".as_bytes(), "a\n".as_bytes()];
        assert!(matches!(compare(&mut shorter).unwrap(), Compared::Differs { line: 2, .. }));
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
