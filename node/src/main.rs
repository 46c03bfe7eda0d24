//! The roadstead program.

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

/// Keeps its memory flat under many small, short-lived allocations on many threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How often what is free is given back to the system.
const GIVE_BACK_EVERY: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    // Without it the program only takes more memory, which is no reason to not run.
    let _ = thread::Builder::new().name("memory".to_owned()).spawn(give_back);
    #[cfg(feature = "mutants")]
    take_fault();
    match node::cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            node::cli::complain(&failure);
            ExitCode::FAILURE
        }
    }
}

/// Gives the program the fault that the environment names: a node that is a process of its own is
/// told in no other way. Where that is the name of none, nothing is wrong, which the test that
/// looks for the fault finds out.
#[cfg(feature = "mutants")]
fn take_fault() {
    let name = std::env::var("CHAOS_MUTANT").unwrap_or_default();
    if let Some(mutant) = proto::Mutant::named(&name) {
        mutant.activate();
    }
}

/// Gives back what has been free for a while. The allocator does so by itself, but only when it
/// frees more, which never happens on a node that nobody asks for anything: it would keep what it
/// needed when it had the most to do.
#[allow(unsafe_code, reason = "the allocator has no other door")]
#[allow(clippy::disallowed_methods, reason = "it blocks a thread of its own")]
fn give_back() {
    loop {
        thread::sleep(GIVE_BACK_EVERY);
        // SAFETY: any thread may ask for it at any time.
        unsafe { libmimalloc_sys::mi_collect(false) };
    }
}
