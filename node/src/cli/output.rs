//! Words for the person at the terminal.

use std::fmt::Display;
use std::io::{self, Write as _};

/// Writes a line to standard output. Nobody reading it is no failure: `roadstead ... | head` ends
/// well.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// Writes a line to standard error that says why the program ends.
pub(super) fn complain(failure: impl Display) {
    let _ = writeln!(io::stderr().lock(), "roadstead: {failure}");
}
