//! Tests that need a process of their own, or a small disk.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a failed test panics, and one that is skipped says so"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::tempdir;

/// Tells a child process of a test which folder to work in.
const CHILD_DIR: &str = "ROADSTEAD_TEST_CHILD_DIR";
/// What this machine surely lets tests have, in the words of `tools/capabilities`.
const NOT_SKIPPED: &str = "TESTS_NOT_SKIPPED";
/// What is said once the small disk is there, before anything else.
const MOUNTED: &str = "mounted\n";

/// The command that runs the ignored test `name` of this binary, with its path, in a process of its
/// own.
pub(crate) fn child(name: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--ignored", "--nocapture"]).env(CHILD_DIR, dir);
    command
}

/// The folder that a child process was told to work in.
pub(crate) fn child_dir() -> PathBuf {
    std::env::var_os(CHILD_DIR).expect("runs only as a child of another test").into()
}

/// Runs the ignored test `name` in a file system of its own, in memory and with `options` of
/// `mount`, for which it needs a user namespace; where there is none it says so and passes, unless
/// the machine is known to have some.
pub(crate) fn on_small_disk(options: &str, name: &str) {
    let dir = tempdir().unwrap();
    let mount = format!("mount -t tmpfs -o {options} tmpfs \"$0\" && echo mounted && exec \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &mount]).arg(dir.path());
    let test = child(name, dir.path());
    command.arg(test.get_program()).args(test.get_args()).env(CHILD_DIR, dir.path());
    let (said, complaint) = match command.output() {
        Ok(Output { stdout, stderr, .. }) => (text(stdout), text(stderr)),
        Err(error) => (String::new(), error.to_string()),
    };
    if said.starts_with(MOUNTED) {
        assert!(said.contains("1 passed"), "{said}{complaint}");
        return;
    }
    let known = std::env::var(NOT_SKIPPED).unwrap_or_default();
    let is_known = known.split_whitespace().any(|word| word == "mounts");
    assert!(!is_known, "this machine lets tests have mounts, but: {said}{complaint}");
    eprintln!("SKIPPED: this machine lets nobody mount a file system: {complaint}");
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}
