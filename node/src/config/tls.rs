//! What the API's listener shows its clients: the keys of `[tls]`, and what must hold between them.

use std::path::PathBuf;

use super::{ConfigError, Source};

/// TLS on the API's listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The file with the node's certificate, and those of the CAs between it and the root.
    pub certificate: PathBuf,
    /// The file with its key.
    pub key: PathBuf,
    /// The file with the CAs whose clients are known by their certificates; unset: none are.
    pub client_ca: Option<PathBuf>,
}

impl Tls {
    /// What `source` says. `None` when the API is to be served in the clear.
    pub(super) fn read(source: &mut Source) -> Result<Option<Self>, ConfigError> {
        let certificate = source.take_optional("tls.certificate")?;
        let key = source.take_optional("tls.key")?;
        let client_ca: Option<PathBuf> = source.take_optional("tls.client_ca")?;
        let refusal = match (certificate, key) {
            (Some(certificate), Some(key)) => {
                return Ok(Some(Self { certificate, key, client_ca }));
            }
            (None, None) if client_ca.is_none() => return Ok(None),
            (Some(_), None) => "tls.key must be set, because tls.certificate is",
            (None, Some(_)) => "tls.certificate must be set, because tls.key is",
            (None, None) => "tls.certificate and tls.key must be set, because tls.client_ca is",
        };
        Err(ConfigError::conflict(refusal.to_owned()))
    }
}
