//! The token to join a cluster with: in the configuration, or in a file, as secrets are handed to
//! containers.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use proto::JoinToken;

use super::{ConfigError, Source};

/// Why there is no token in the file that was to have one.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}, which cluster.token_file names, {reason}", path.display())]
pub struct NoToken {
    path: PathBuf,
    reason: String,
}

/// What `source` says, or is in the file that it names. That may be gone, or closed to this node:
/// the token in it is needed once, and a node that joins without one is told so.
pub(super) fn read(source: &mut Source) -> Result<Result<Option<JoinToken>, NoToken>, ConfigError> {
    let token = source.take_optional("cluster.token")?;
    let file: Option<PathBuf> = source.take_optional("cluster.token_file")?;
    match (token, file) {
        (Some(_), Some(_)) => {
            let sentence = "cluster.token and cluster.token_file are both set: leave one out";
            Err(ConfigError::conflict(sentence.to_owned()))
        }
        (None, Some(path)) => Ok(match read_file(&path) {
            Ok(token) => Ok(Some(token)),
            Err(reason) => Err(NoToken { path, reason }),
        }),
        (token, None) => Ok(Ok(token)),
    }
}

/// The token in the file at `path`; else what is wrong with that.
fn read_file(path: &Path) -> Result<JoinToken, String> {
    // One that is empty somebody is about to write.
    let absent = || Err("is not there, or is empty".to_owned());
    match fs::read_to_string(path) {
        Ok(text) if text.trim().is_empty() => absent(),
        Ok(text) => {
            text.trim().parse::<JoinToken>().map_err(|error| format!("has no join token: {error}"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => absent(),
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}
