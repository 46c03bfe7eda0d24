//! The files of certificates and keys.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use proto::limits::PEM_BYTES_MAX;

use super::TlsError;
use super::material::Material;
use crate::config;

/// Where certificates and keys are.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    pub(super) client_ca: Option<PathBuf>,
}

impl From<&config::Tls> for Files {
    fn from(settings: &config::Tls) -> Self {
        Self {
            certificate: settings.certificate.clone(),
            key: settings.key.clone(),
            client_ca: settings.client_ca.clone(),
        }
    }
}

impl Files {
    /// What is in them now. Blocks.
    pub(super) fn read(&self) -> Result<Material, TlsError> {
        let client_ca = self.client_ca.as_deref();
        Ok(Material {
            certificate: content("tls.certificate", &self.certificate)?,
            key: content("tls.key", &self.key)?,
            client_ca: client_ca.map(|path| content("tls.client_ca", path)).transpose()?,
        })
    }
}

/// What is in the file at `path`, which `setting` names.
pub(super) fn content(setting: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let read = || {
        let mut content = Vec::new();
        File::open(path)?.take(PEM_BYTES_MAX + 1).read_to_end(&mut content)?;
        if content.len() as u64 > PEM_BYTES_MAX {
            return Err(io::Error::other("it is too long for a file of certificates or keys"));
        }
        Ok(content)
    };
    read().map_err(|reason| TlsError::Unreadable { setting, path: path.to_owned(), reason })
}
