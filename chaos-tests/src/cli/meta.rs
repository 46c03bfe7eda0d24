//! One seed twice: the same events, byte by byte.

use std::env;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::One;

/// Runs a seed in two processes and compares all that they write.
pub(super) fn meta(one: One) -> Result<ExitCode> {
    let mut children = [start(one)?, start(one)?];
    let mut outputs = Vec::new();
    for child in &mut children {
        outputs.push(BufReader::new(child.stdout.take().context("standard output is piped")?));
    }
    let (mut lines, mut bytes) = (0_u64, 0_u64);
    loop {
        let mut pair = [Vec::new(), Vec::new()];
        for (output, line) in outputs.iter_mut().zip(&mut pair) {
            output.read_until(b'\n', line)?;
        }
        let [first, second] = &pair;
        lines += 1;
        if first != second {
            println!("seed {}: line {lines} differs:", one.seed);
            println!("  {}", String::from_utf8_lossy(first).trim_end());
            println!("  {}", String::from_utf8_lossy(second).trim_end());
            // Whoever still writes must not wait for a reader.
            for output in &mut outputs {
                std::io::copy(&mut output.by_ref(), &mut std::io::sink())?;
            }
            for child in &mut children {
                child.wait()?;
            }
            return Ok(ExitCode::FAILURE);
        }
        bytes += first.len() as u64;
        if first.is_empty() {
            break;
        }
    }
    let [first, second] = [children[0].wait()?, children[1].wait()?];
    ensure!(first == second, "the exit codes differ: {first} and {second}");
    println!("seed {}: {} lines, {bytes} bytes, the same twice", one.seed, lines - 1);
    Ok(ExitCode::SUCCESS)
}

fn start(one: One) -> Result<Child> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["run", "--trace"]);
    command.args(["--seed", &one.seed.to_string(), "--seconds", &one.seconds.to_string()]);
    Ok(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?)
}
