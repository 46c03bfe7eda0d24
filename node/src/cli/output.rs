//! Words for the person at the terminal.

use std::fmt::Display;
use std::io::{self, Write as _};

/// Writes a line to standard output. Nobody reading it is no failure: `roadstead ... | head` ends
/// well.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// Writes to standard error why the program ends: a line, or as many as what it says has.
pub(super) fn complain(failure: impl Display) {
    let failure = failure.to_string();
    let lines: Vec<String> = failure.split('\n').map(plain).collect();
    let _ = writeln!(io::stderr().lock(), "roadstead: {}", lines.join("\n"));
}

/// What others have written, as a part of a line that a terminal shows: anybody may describe a key
/// of their account, and what moves the cursor there would hide it from an administrator.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character.is_control() {
            true => plain.extend(character.escape_default()),
            false => plain.push(character),
        }
    }
    plain
}
