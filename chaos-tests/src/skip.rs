//! Tests that not every machine can run.

use std::fmt::Display;

use anyhow::{Result, ensure};

/// What this machine surely lets tests have, in the words of `tools/capabilities`.
const NOT_SKIPPED: &str = "TESTS_NOT_SKIPPED";

/// Says that a test is skipped, since this machine does not let it have `what`, for `reason`.
///
/// # Errors
/// When the machine is known to let it.
#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
pub fn skip(what: &str, reason: impl Display) -> Result<()> {
    let known = std::env::var(NOT_SKIPPED).unwrap_or_default();
    let is_known = known.split_whitespace().any(|word| word == what);
    ensure!(!is_known, "this machine lets tests have {what}, but: {reason}");
    println!("SKIPPED: this machine does not let tests have {what}: {reason}");
    Ok(())
}
