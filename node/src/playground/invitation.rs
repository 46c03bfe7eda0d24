//! The token with which the nodes of a playground join its first one.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

use proto::limits::TOKEN_LIFETIME;

use super::PlaygroundError;
use super::layout::Layout;
use super::readiness::Readiness;
use crate::cli::{ServerError, issue};

/// Has the first node, which runs, issue a token, and writes it where the others look for it.
pub(super) async fn write(layout: &Layout) -> Result<(), PlaygroundError> {
    let admin = format!("http://{}", layout.place(1)?.admin()).parse();
    let admin = admin.map_err(|error: ServerError| PlaygroundError::Refused(error.to_string()))?;
    let client = Readiness::new()?.client();
    let token = issue(&client, &admin, TOKEN_LIFETIME, false).await;
    let token = token.map_err(|error| PlaygroundError::Refused(error.to_string()))?;
    let path = layout.token();
    // Anew, so that a process that could read the one from before cannot read this one.
    let _ = fs::remove_file(&path);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    let written = file.and_then(|mut file| writeln!(file, "{token}"));
    written.map_err(PlaygroundError::file(path))
}
