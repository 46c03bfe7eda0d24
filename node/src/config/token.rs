//! The token to join a cluster with: in the configuration, or in a file, as secrets are handed to
//! containers.

use std::fs;
use std::io;
use std::path::PathBuf;

use proto::JoinToken;

use super::{ConfigError, Source};

/// What `source` says. The file may be gone: the token in it is needed once, and whoever joins
/// without one is told so.
pub(super) fn read(source: &mut Source) -> Result<Option<JoinToken>, ConfigError> {
    let token = source.take_optional("cluster.token")?;
    let file: Option<PathBuf> = source.take_optional("cluster.token_file")?;
    let Some(path) = file else { return Ok(token) };
    if token.is_some() {
        let sentence = "cluster.token and cluster.token_file are both set: leave one out";
        return Err(ConfigError::conflict(sentence.to_owned()));
    }
    let refuse = |reason: String| {
        let path = path.display();
        ConfigError::conflict(format!("{path}, which cluster.token_file names, {reason}"))
    };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refuse(format!("cannot be read: {error}"))),
    };
    if text.trim().is_empty() {
        // Somebody is about to write it.
        return Ok(None);
    }
    let token = text.trim().parse();
    token.map(Some).map_err(|error| refuse(format!("has no join token: {error}")))
}
