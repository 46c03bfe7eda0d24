//! The keys that name an authority of the operator's own, which belong together.

use std::path::PathBuf;

use super::{ConfigError, Source};

/// The files of an authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityFiles {
    /// The file with its certificate.
    pub certificate: PathBuf,
    /// The file with its key.
    pub key: PathBuf,
}

/// What `source` says. `None` when the cluster makes its own.
pub(super) fn read(source: &mut Source) -> Result<Option<AuthorityFiles>, ConfigError> {
    let certificate = source.take_optional("cluster.ca_certificate")?;
    let key = source.take_optional("cluster.ca_key")?;
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some(AuthorityFiles { certificate, key })),
        (None, None) => Ok(None),
        _ => Err(ConfigError::conflict(
            "cluster.ca_certificate and cluster.ca_key belong together: set both, or neither"
                .to_owned(),
        )),
    }
}
