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
use x509_cert::Certificate;
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
        let (made, key) = sign(hosts, now, &ca)?;
        let ca = Some((ca.pem(), ca.key().serialize_pem()));
        Ok(Self { ca, certificate: made.pem(), key })
    }

    /// A certificate for `hosts` by the CA that was made in `folder`, good from `now` on.
    pub(crate) fn by(
        folder: &Path,
        hosts: &[Host],
        now: Timestamp,
    ) -> Result<Self, SelfSignedError> {
        let refuse = |reason: Box<dyn Error>| SelfSignedError::Ca {
            path: folder.to_owned(),
            reason: reason.to_string(),
        };
        let (ca, issuer) = open(folder, now).map_err(refuse)?;
        let (made, key) = sign(hosts, now, &issuer)?;
        check_issuer(&made, &ca).map_err(refuse)?;
        Ok(Self { ca: None, certificate: made.pem(), key })
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

/// The CA that was made in `folder`, which is good at `now`, and what signs as it.
fn open(
    folder: &Path,
    now: Timestamp,
) -> Result<(Certificate, Issuer<'static, KeyPair>), Box<dyn Error>> {
    let certificate = CertificateDer::from_pem_file(folder.join(CA))?;
    let certificate = Certificate::from_der(&certificate)?;
    let key = KeyPair::from_pem(&fs::read_to_string(folder.join(CA_KEY))?)?;
    let about = certificate.tbs_certificate();
    if about.subject_public_key_info().to_der()? != key.subject_public_key_info() {
        return Err(format!("the key in {CA_KEY} is not that of the certificate in {CA}").into());
    }
    let end = about.validity().not_after;
    if end.to_unix_duration().as_millis() <= u128::from(now.as_millis()) {
        return Err(format!("that in {CA} has expired, on {}", end.to_date_time()).into());
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let name = names::common(&certificate).unwrap_or_default();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok((certificate, Issuer::new(params, key)))
}

/// Checks that `made` says that `ca` has signed it: of another program's CA, whose name has more
/// parts, it does not, and no client would believe it.
fn check_issuer(made: &rcgen::Certificate, ca: &Certificate) -> Result<(), Box<dyn Error>> {
    let made = Certificate::from_der(made.der())?;
    if made.tbs_certificate().issuer() == ca.tbs_certificate().subject() {
        return Ok(());
    }
    Err(format!("that in {CA} is another program's: {}", ca.tbs_certificate().subject()).into())
}

/// A certificate for `hosts` by `ca`, and its key.
fn sign(
    hosts: &[Host],
    now: Timestamp,
    ca: &Issuer<'_, KeyPair>,
) -> Result<(rcgen::Certificate, String), SelfSignedError> {
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
    Ok((server.signed_by(&key, ca)?, key.serialize_pem()))
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;

    #[test]
    fn a_ca_that_no_client_would_believe_signs_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let hosts = ["localhost".parse::<Host>().unwrap()];
        let now = Timestamp::from_millis(1_800_000_000_000);
        SelfSigned::make(&hosts, now).unwrap().write(folder.path()).unwrap();
        let by = |now| SelfSigned::by(folder.path(), &hosts, now).map(drop);
        by(now.plus(CA_LIFETIME - DAY)).unwrap();
        let refusal = by(now.plus(CA_LIFETIME)).unwrap_err().to_string();
        assert!(refusal.contains("that in ca.pem has expired, on "), "{refusal}");

        let key = KeyPair::from_pem(&fs::read_to_string(folder.path().join(CA_KEY)).unwrap());
        let mut other = params(now, CA_LIFETIME);
        other.distinguished_name.push(DnType::OrganizationName, "Example");
        other.distinguished_name.push(DnType::CommonName, "Example CA");
        other.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let other = other.self_signed(&key.unwrap()).unwrap();
        fs::write(folder.path().join(CA), other.pem()).unwrap();
        let refusal = by(now).unwrap_err().to_string();
        assert!(refusal.contains("that in ca.pem is another program's: "), "{refusal}");
        assert!(refusal.contains("O=Example"), "{refusal}");
    }
}
