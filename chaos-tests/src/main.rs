//! `chaos-tests`: runs simulated clusters from seeds.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to whoever runs it")]

mod cli;
#[allow(unsafe_code, reason = "two functions of the C library are replaced")]
mod interpose;

use std::process::ExitCode;

/// A run makes and drops some millions of small things.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::main()
}
