//! The token to join a cluster with: in the configuration, or in a file, as secrets are handed to
//! containers.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use proto::JoinToken;

use super::{ConfigError, Source};

/// What `source` says, and the file that it names. That may be gone: the token in it is needed
/// once, and whoever joins without one is told so.
pub(super) fn read(
    source: &mut Source,
) -> Result<(Option<JoinToken>, Option<PathBuf>), ConfigError> {
    let token = source.take_optional("cluster.token")?;
    let file: Option<PathBuf> = source.take_optional("cluster.token_file")?;
    match (token, file) {
        (Some(_), Some(_)) => {
            let sentence = "cluster.token and cluster.token_file are both set: leave one out";
            Err(ConfigError::conflict(sentence.to_owned()))
        }
        (None, Some(path)) => Ok((read_file(&path)?, Some(path))),
        (token, None) => Ok((token, None)),
    }
}

/// The token in the file at `path`; `None` when there is none yet, or no longer.
fn read_file(path: &Path) -> Result<Option<JoinToken>, ConfigError> {
    let refuse = |reason: String| {
        let path = path.display();
        ConfigError::conflict(format!("{path}, which cluster.token_file names, {reason}"))
    };
    let text = match fs::read_to_string(path) {
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
