//! The administrator of a playground in which nobody may do anything that is not granted.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use api::ADMINISTRATOR;
use proto::Hex;

use super::PlaygroundError;
use crate::cli::Login;

/// The file that holds the administrator's password, in the playground's folder.
pub(super) fn file(dir: &Path) -> PathBuf {
    dir.join("administrator-password")
}

/// Draws a password, and keeps it where only its owner reads it: the nodes take it from there.
pub(super) fn draw(dir: &Path) -> Result<(), PlaygroundError> {
    let path = file(dir);
    let mut options = OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(&path);
    let mut file = opened.map_err(PlaygroundError::file(&path))?;
    let password = password().map_err(PlaygroundError::file(&path))?;
    writeln!(file, "{password}").map_err(PlaygroundError::file(&path))
}

/// The administrator.
pub(super) fn login(dir: &Path) -> Result<Login, PlaygroundError> {
    let path = file(dir);
    let text = fs::read_to_string(&path).map_err(PlaygroundError::file(&path))?;
    Ok(Login::new(ADMINISTRATOR.to_owned(), text.trim().to_owned()))
}

#[expect(clippy::disallowed_methods, reason = "the one function that draws chance here")]
fn password() -> io::Result<String> {
    let mut bytes = [0; 12];
    getrandom::fill(&mut bytes)?;
    Ok(Hex(&bytes).to_string())
}
