//! An authority of the operator's own, as files hand it to the node that founds a cluster.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{fs, io};

use proto::{Authority, Timestamp};
use raft::PeerName;
use rcgen::{KeyPair, PKCS_ED25519};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::BasicConstraints;

use crate::config::AuthorityFiles;
use crate::tls::{WorldTime, provider};

/// Where the algorithm stands in a key in PKCS#8 (RFC 5958, section 2), after its version.
const ALGORITHM_AT: usize = 5;
/// Ed25519, and what comes before the seed (RFC 8410, section 7).
const ALGORITHM: [u8; 11] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
/// Bytes of a seed.
const SEED: usize = 32;

/// Why an authority cannot be that of a cluster, as a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file cannot be read.
    #[error("{setting} names {}, which cannot be read: {reason}", path.display())]
    Unreadable {
        /// The key that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// The certificate is of no use.
    #[error("{}, which cluster.ca_certificate names, {reason}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The key is of no use.
    #[error(
        "{}, which cluster.ca_key names, {reason}: `openssl genpkey -algorithm ed25519` makes a \
         key that can sign for a cluster",
        path.display()
    )]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// The authority whose certificate and key `files` name, as it is good at `time`.
pub(crate) fn read(files: &AuthorityFiles, time: &WorldTime) -> Result<Authority, AuthorityError> {
    let refuse = |reason| {
        let path = files.certificate.clone();
        AuthorityError::Certificate { path, reason }
    };
    let text = content("cluster.ca_certificate", &files.certificate)?;
    let certificate =
        CertificateDer::from_pem_slice(&text).map_err(|_| refuse("has no certificate in PEM"))?;
    let parsed = Certificate::from_der(&certificate)
        .map_err(|_| refuse("has a certificate that is none"))?;
    let parsed = parsed.tbs_certificate();
    let constraints = parsed.get_extension::<BasicConstraints>();
    let signs = matches!(constraints, Ok(Some((_, BasicConstraints { ca: true, .. }))));
    if !signs {
        return Err(refuse("has a certificate that is no CA's: only those sign others"));
    }
    if time.now().as_secs() >= parsed.validity().not_after.to_unix_duration().as_secs() {
        return Err(refuse("has a certificate that has expired"));
    }
    let key = key(&files.key)?;
    let public = parsed.subject_public_key_info().subject_public_key.raw_bytes();
    if public != key.public {
        return Err(AuthorityError::Key {
            path: files.key.clone(),
            reason: "is not the key of the certificate that cluster.ca_certificate names",
        });
    }
    let authority = Authority { certificate: certificate.to_vec().into(), key: key.seed };
    match is_believed(&authority, certificate, time) {
        Ok(()) => Ok(authority),
        Err(error) => {
            tracing::debug!(%error, "what the authority signs is not believed");
            Err(refuse(UNBELIEVED))
        }
    }
}

const UNBELIEVED: &str = "has a CA whose certificates for nodes nobody would believe: its subject \
                          must have one value of each kind, and constraints to names must leave \
                          room for *.roadstead";

/// Checks a certificate that `authority` signs, as nodes check those of others: what is wrong would
/// else show when the first node joins.
fn is_believed(
    authority: &Authority,
    anchor: CertificateDer<'static>,
    time: &WorldTime,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let now = Timestamp::from_millis(time.now().as_secs() * 1000);
    let sample = CertificateDer::from(raft::sample(authority, now)?.to_vec());
    let mut roots = RootCertStore::empty();
    roots.add(anchor)?;
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider()).build()?;
    let name = PeerName::common(PeerName::SAMPLE.cluster).try_into()?;
    verifier.verify_server_cert(&sample, &[], &name, &[], time.now())?;
    Ok(())
}

/// A key of Ed25519.
struct Key {
    seed: [u8; SEED],
    public: Vec<u8>,
}

fn key(path: &Path) -> Result<Key, AuthorityError> {
    let refuse = |reason| AuthorityError::Key { path: path.to_owned(), reason };
    let text = content("cluster.ca_key", path)?;
    let der = PrivatePkcs8KeyDer::from_pem_slice(&text)
        .map_err(|_| refuse("has no private key of PKCS#8 in PEM"))?;
    let pair = KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ED25519)
        .map_err(|_| refuse("has a key that is not one of Ed25519"))?;
    let seed = der
        .secret_pkcs8_der()
        .get(ALGORITHM_AT..)
        .and_then(|rest| rest.strip_prefix(&ALGORITHM)?.first_chunk().copied());
    let seed = seed.ok_or_else(|| refuse("has a key that is not written as RFC 8410 says"))?;
    Ok(Key { seed, public: pair.public_key_raw().to_vec() })
}

fn content(setting: &'static str, path: &Path) -> Result<Vec<u8>, AuthorityError> {
    fs::read(path).map_err(|reason| {
        let path = path.to_owned();
        AuthorityError::Unreadable { setting, path, reason }
    })
}
