//! The token to join a cluster with: in the configuration, or in a file, as secrets are handed to
//! containers.

use std::fs;
use std::path::PathBuf;

use proto::JoinToken;

use super::{ConfigError, Source};

/// What `source` says. The file is read only when it is there: the token in it is needed once, and
/// whoever joins without one is told so.
pub(super) fn read(source: &mut Source) -> Result<Option<JoinToken>, ConfigError> {
    let token = source.take_optional("cluster.token")?;
    let file: Option<PathBuf> = source.take_optional("cluster.token_file")?;
    let Some(path) = file else { return Ok(token) };
    if token.is_some() {
        let sentence = "cluster.token and cluster.token_file are both set: leave one away";
        return Err(ConfigError::conflict(sentence.to_owned()));
    }
    let Ok(text) = fs::read_to_string(&path) else { return Ok(None) };
    let token = text.trim().parse().map_err(|error| {
        ConfigError::conflict(format!(
            "{}, which cluster.token_file names, has no join token: {error}",
            path.display()
        ))
    });
    token.map(Some)
}
