//! Who may do what in a cluster whose nodes are closed: an administrator makes accounts, and gives
//! and takes their rights; guests try what the rights are worth, through any node; a stranger has
//! none.

mod administrator;
mod guest;
mod stranger;
mod subject;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

pub(crate) use self::administrator::{Administrator, Others};
pub(crate) use self::guest::Guest;
pub(crate) use self::stranger::Stranger;
pub(crate) use self::subject::{Subjects, Varying};
use super::http::Pass;

/// The first administrator, as every cluster calls it.
const ADMINISTRATOR: &str = "admin";
/// Its password.
const PASSWORD: &str = "correct horse battery staple";

/// What the administrator shows.
fn administrator() -> Pass {
    let pass = Pass::default();
    pass.give(ADMINISTRATOR, PASSWORD);
    pass
}

/// The file in which nodes find the administrator's password: the same for all runs, since its name
/// is a part of what a node is told.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn password_file() -> Result<PathBuf> {
    let path = std::env::temp_dir().join("roadstead-simulated-administrator");
    if fs::read_to_string(&path).is_ok_and(|text| text == PASSWORD) {
        return Ok(path);
    }
    // Others that run beside this one read all of it, or nothing.
    let draft = path.with_extension(std::process::id().to_string());
    write(&draft, &path).with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(path)
}

fn write(draft: &Path, path: &Path) -> std::io::Result<()> {
    fs::write(draft, PASSWORD)?;
    fs::rename(draft, path)
}
