//! The roadstead program.

use std::process::ExitCode;

/// Keeps its memory flat under many small, short-lived allocations on many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match node::cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            node::cli::complain(&failure);
            ExitCode::FAILURE
        }
    }
}
