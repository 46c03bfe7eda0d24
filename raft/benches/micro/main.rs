//! What the rules, the rows and the log cost, each by itself, and a proposal as a whole.
#![allow(clippy::unwrap_used, reason = "a failed benchmark panics")]

mod catalog;
mod log;
mod propose;
mod sample;

use divan::AllocProfiler;
use mimalloc::MiMalloc;

/// The allocator of the program. What it is asked for is counted: unlike times, those figures are
/// the same on a busy machine.
#[global_allocator]
static ALLOCATOR: AllocProfiler<MiMalloc> = AllocProfiler::new(MiMalloc);

fn main() {
    divan::main();
}
