//! Certificates for a first try: a CA of one's own, and a server's certificate by it.

use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proto::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _,
    date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_cert::der::{Decode as _, Encode as _};

use super::host::Host;
use super::names;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the CA is good for: it is in the hands of clients, which are slow to change.
const CA_LIFETIME: Duration = DAY.saturating_mul(3650);
/// How long a server's certificate is good for: no client takes issue with that.
const SERVER_LIFETIME: Duration = DAY.saturating_mul(397);
/// How far the clocks of clients may be behind.
const CLOCK_MARGIN: Duration = Duration::from_secs(60 * 60);

const CA: &str = "ca.pem";
const CA_KEY: &str = "ca-key.pem";
const CERTIFICATE: &str = "cert.pem";
const KEY: &str = "key.pem";

/// A server's certificate, and the CA that has signed it. In PEM.
pub(crate) struct SelfSigned {
    /// The CA and its key, where it is new.
    ca: Option<(String, String)>,
    certificate: String,
    key: String,
}

impl SelfSigned {
    /// A certificate for `hosts` by a new CA, good from `now` on.
    pub(crate) fn make(hosts: &[Host], now: Timestamp) -> Result<Self, SelfSignedError> {
        let mut ca = params(now, CA_LIFETIME);
        // The time tells two of them apart in lists of what a machine trusts.
        let name = format!("Roadstead CA {}", now.as_millis() / 1000);
        ca.distinguished_name.push(DnType::CommonName, name);
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;
        let (certificate, key) = sign(hosts, now, &ca)?;
        Ok(Self { ca: Some((ca.pem(), ca.key().serialize_pem())), certificate, key })
    }

    /// A certificate for `hosts` by the CA that was made in `folder`, good from `now` on.
    pub(crate) fn by(
        folder: &Path,
        hosts: &[Host],
        now: Timestamp,
    ) -> Result<Self, SelfSignedError> {
        let ca = open(folder).map_err(|reason| SelfSignedError::Ca {
            path: folder.to_owned(),
            reason: reason.to_string(),
        })?;
        let (certificate, key) = sign(hosts, now, &ca)?;
        Ok(Self { ca: None, certificate, key })
    }

    /// Writes it into `folder`, where none of it may be yet. Keys can be read by their owner alone.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), SelfSignedError> {
        let mut files =
            vec![(KEY, self.key.as_str(), 0o600), (CERTIFICATE, self.certificate.as_str(), 0o644)];
        if let Some((ca, key)) = &self.ca {
            files.extend([(CA_KEY, key.as_str(), 0o600), (CA, ca.as_str(), 0o644)]);
        }
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |reason: io::Error| match reason.kind() {
                io::ErrorKind::AlreadyExists => SelfSignedError::Exists(path),
                _ => SelfSignedError::Write { path, reason },
            }
        };
        fs::create_dir_all(folder).map_err(failed(folder))?;
        // Looked for first, so that what is refused leaves nothing behind.
        if let Some((name, ..)) = files.iter().find(|(name, ..)| folder.join(name).exists()) {
            return Err(SelfSignedError::Exists(folder.join(name)));
        }
        for (name, text, mode) in files {
            let path = folder.join(name);
            let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path);
            let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
            written.map_err(failed(&path))?;
        }
        Ok(())
    }
}

/// The CA that was made in `folder`.
fn open(folder: &Path) -> Result<Issuer<'static, KeyPair>, Box<dyn Error>> {
    let certificate = CertificateDer::from_pem_file(folder.join(CA))?;
    let certificate = x509_cert::Certificate::from_der(&certificate)?;
    let key = KeyPair::from_pem(&fs::read_to_string(folder.join(CA_KEY))?)?;
    let subject = certificate.tbs_certificate().subject_public_key_info();
    if subject.to_der()? != key.subject_public_key_info() {
        return Err(format!("the key in {CA_KEY} is not that of the certificate in {CA}").into());
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let name = names::common(&certificate).unwrap_or_default();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(Issuer::new(params, key))
}

/// A certificate for `hosts` by `ca`, and its key.
fn sign(
    hosts: &[Host],
    now: Timestamp,
    ca: &Issuer<'_, KeyPair>,
) -> Result<(String, String), SelfSignedError> {
    let key = KeyPair::generate()?;
    let mut server = params(now, SERVER_LIFETIME);
    let names: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    server.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
    if let Some(first) = hosts.first() {
        server.distinguished_name.push(DnType::CommonName, first.to_string());
    }
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    Ok((server.signed_by(&key, ca)?.pem(), key.serialize_pem()))
}

/// What all certificates have, good from `now` on for `lifetime`.
fn params(now: Timestamp, lifetime: Duration) -> CertificateParams {
    let epoch = date_time_ymd(1970, 1, 1);
    let at = |time: Timestamp| epoch + Duration::from_secs(time.as_millis() / 1000);
    let mut params = CertificateParams::default();
    params.not_before = at(now.minus(CLOCK_MARGIN));
    params.not_after = at(now.plus(lifetime));
    params.distinguished_name = DistinguishedName::new();
    params
}

/// Why certificates for a first try are not made.
#[derive(Debug, thiserror::Error)]
pub enum SelfSignedError {
    /// There is something already.
    #[error("{} is there already, and stays as it is: name another --out", .0.display())]
    Exists(PathBuf),
    /// A file cannot be written.
    #[error("{} cannot be written: {reason}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// The CA cannot be used.
    #[error("there is no CA of `roadstead tls self-signed` in {}: {reason}", path.display())]
    Ca {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A certificate cannot be made.
    #[error("a certificate cannot be made: {0}")]
    Make(#[from] rcgen::Error),
}
