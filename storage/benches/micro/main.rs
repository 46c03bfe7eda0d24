//! What a node's own store and a folder of blobs cost, without what asks them.
#![allow(clippy::unwrap_used, reason = "a failed benchmark panics")]

mod disk;
mod rocks;

use divan::AllocProfiler;
use mimalloc::MiMalloc;

/// The allocator of the program. What it is asked for is counted: unlike times, those figures are
/// the same on a busy machine.
#[global_allocator]
static ALLOCATOR: AllocProfiler<MiMalloc> = AllocProfiler::new(MiMalloc);

fn main() {
    divan::main();
}
