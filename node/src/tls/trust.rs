//! Whom the command line trusts to be a node.

use std::path::Path;

use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};

use super::files::content;
use super::material::certificates;
use super::{TlsError, provider};

/// The CAs that servers' certificates are to be signed by.
pub(crate) struct Trust(RootCertStore);

impl Trust {
    /// Those of the system, and those in the file at `ca`.
    ///
    /// # Errors
    /// [`TlsError::Unreadable`], [`TlsError::Empty`] and [`TlsError::Certificate`], about that
    /// file. A system without CAs has none.
    pub(crate) fn with(ca: Option<&Path>) -> Result<Self, TlsError> {
        let setting = "--ca";
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = ca {
            for certificate in certificates(setting, path, &content(setting, path)?)? {
                roots.add(certificate).map_err(|error| TlsError::Certificate {
                    setting,
                    path: path.to_owned(),
                    reason: error.to_string(),
                })?;
            }
        }
        Ok(Self(roots))
    }

    /// How clients that trust them speak TLS.
    ///
    /// # Errors
    /// [`TlsError::Versions`], which the cryptography that is used here gives no reason for.
    pub(crate) fn client(self) -> Result<ClientConfig, TlsError> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(TlsError::Versions)?;
        Ok(builder.with_root_certificates(self.0).with_no_client_auth())
    }
}
