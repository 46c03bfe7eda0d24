//! What a manifest and the bytes of a blob cost wherever they go.
#![allow(clippy::unwrap_used, reason = "a failed benchmark panics")]

mod digest;
mod manifest;

use divan::AllocProfiler;
use mimalloc::MiMalloc;

/// The allocator of the program. What it is asked for is counted: unlike times, those figures are
/// the same on a busy machine.
#[global_allocator]
static ALLOCATOR: AllocProfiler<MiMalloc> = AllocProfiler::new(MiMalloc);

fn main() {
    divan::main();
}
