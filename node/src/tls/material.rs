//! What files of certificates and keys contain, and what comes of it.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{Error, InconsistentKeys, RootCertStore, ServerConfig};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use super::{Files, TlsError, WorldTime, provider};

/// What is spoken within TLS, as ALPN names it (RFC 7301), the favourite first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The content of [`Files`], as it was at one time.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Material {
    pub(super) certificate: Vec<u8>,
    pub(super) key: Vec<u8>,
    pub(super) client_ca: Option<Vec<u8>>,
}

/// How TLS is offered.
pub(super) struct Offer {
    pub(super) config: Arc<ServerConfig>,
    /// Who checks clients' certificates, where any are asked for.
    pub(super) clients: Option<Arc<dyn ClientCertVerifier>>,
}

impl Material {
    /// How TLS is offered with it at `time`; `files` are where it comes from.
    pub(super) fn offer(&self, files: &Files, time: &WorldTime) -> Result<Offer, TlsError> {
        let provider = provider();
        let certified = self.certified(files, time, &provider)?;
        let builder =
            ServerConfig::builder_with_details(Arc::clone(&provider), Arc::new(time.clone()))
                .with_protocol_versions(&[&TLS13, &TLS12])
                .map_err(TlsError::Versions)?;
        let clients = self.clients(files, &provider)?;
        let builder = match clients.clone() {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        if clients.is_some() {
            // A session that is resumed would make a certificate live longer than it says.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Offer { config: Arc::new(config), clients })
    }

    /// The certificate with its key.
    fn certified(
        &self,
        files: &Files,
        time: &WorldTime,
        provider: &CryptoProvider,
    ) -> Result<CertifiedKey, TlsError> {
        let setting = "tls.certificate";
        let chain = certificates(setting, &files.certificate, &self.certificate)?;
        // There is at least one.
        check_end(&files.certificate, &chain[0], time)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| TlsError::Empty {
            setting: "tls.key",
            path: files.key.clone(),
            what: "private key",
        })?;
        CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::Mismatch {
                certificate: files.certificate.clone(),
                key: files.key.clone(),
            },
            Error::InvalidCertificate(error) => TlsError::Certificate {
                setting,
                path: files.certificate.clone(),
                reason: error.to_string(),
            },
            _ => TlsError::Key { path: files.key.clone() },
        })
    }

    /// Who checks clients' certificates, when any are asked for.
    fn clients(
        &self,
        files: &Files,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
        let setting = "tls.client_ca";
        let (Some(path), Some(content)) = (&files.client_ca, &self.client_ca) else {
            return Ok(None);
        };
        let refuse = |reason: String| TlsError::Certificate { setting, path: path.clone(), reason };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(setting, path, content)? {
            roots.add(certificate).map_err(|error| refuse(error.to_string()))?;
        }
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
                .allow_unauthenticated()
                .build();
        verifier.map(Some).map_err(|error| refuse(error.to_string()))
    }
}

/// The certificates in `content`, at least one.
pub(super) fn certificates(
    setting: &'static str,
    path: &Path,
    content: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(content).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(TlsError::Empty { setting, path: path.to_owned(), what: "certificate" }),
        Err(error) => {
            let reason = error.to_string();
            Err(TlsError::Certificate { setting, path: path.to_owned(), reason })
        }
    }
}

/// Checks that `certificate`, from the file at `path`, is still good at `time`. Whether it is good
/// already is left to clients, whose clocks decide that.
fn check_end(
    path: &Path,
    certificate: &CertificateDer<'_>,
    time: &WorldTime,
) -> Result<(), TlsError> {
    let parsed = Certificate::from_der(certificate).map_err(|error| TlsError::Certificate {
        setting: "tls.certificate",
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    let end = parsed.tbs_certificate().validity().not_after;
    if time.now().as_secs() < end.to_unix_duration().as_secs() {
        return Ok(());
    }
    Err(TlsError::Expired { path: path.to_owned(), end: end.to_date_time().to_string() })
}
