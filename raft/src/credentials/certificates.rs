//! Certificates: those of authorities and of nodes. What comes out depends on what goes in alone,
//! keys and times included, so that a simulation is repeated to the byte.

use std::time::Duration;

use bytes::Bytes;
use proto::limits::{AUTHORITY_LIFETIME, NODE_CERTIFICATE_LIFETIME};
use proto::{Authority, ClusterId, DecodeError, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519, PublicKeyData, SerialNumber,
    SignatureAlgorithm, date_time_ymd,
};

use crate::PeerName;

/// How far the clocks of two nodes may be apart.
pub(crate) const CLOCK_MARGIN: Duration = Duration::from_secs(24 * 60 * 60);
/// What a key of Ed25519 begins with in PKCS#8 (RFC 8410, section 7); its seed follows.
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// A public key of Ed25519.
pub(crate) type PublicKey = [u8; 32];

/// A certificate cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a certificate cannot be made: {0}")]
pub struct CertificateError(String);

impl From<rcgen::Error> for CertificateError {
    fn from(error: rcgen::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<DecodeError> for CertificateError {
    fn from(error: DecodeError) -> Self {
        Self(error.to_string())
    }
}

/// The authority of `cluster` with this key, which signs from `now` on.
pub(crate) fn authority(
    cluster: ClusterId,
    key: [u8; 32],
    now: Timestamp,
) -> Result<Authority, CertificateError> {
    let certificate = authority_params(cluster, now).self_signed(&pair(&key)?)?;
    Ok(Authority { certificate: Bytes::copy_from_slice(certificate.der()), key })
}

/// The certificate of the node that `name` names and `key` is the key of, by `authority`, good from
/// `now` on.
pub(crate) fn sign(
    authority: &Authority,
    name: PeerName,
    key: &PublicKey,
    now: Timestamp,
) -> Result<Bytes, CertificateError> {
    let mut params = params(now, NODE_CERTIFICATE_LIFETIME);
    let names = vec![name.to_string(), PeerName::common(name.cluster)];
    params.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
    params.distinguished_name.push(DnType::CommonName, format!("Roadstead node {}", name.node));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    // A number, of which DER wants no zeros in front (RFC 5280, section 4.1.2.2).
    let serial =
        [[1].as_slice(), &name.node.to_be_bytes(), &now.as_millis().to_be_bytes()].concat();
    params.serial_number = Some(SerialNumber::from(serial));
    let issuer = authority.certificate.as_ref().into();
    let issuer = Issuer::from_ca_cert_der(&issuer, pair(&authority.key)?)?;
    let certificate = params.signed_by(&Ed25519(key), &issuer)?;
    Ok(Bytes::copy_from_slice(certificate.der()))
}

/// A certificate of no node, by which it shows whether those that `authority` signs from `now` on
/// are any good.
///
/// # Errors
/// When it signs none.
pub fn sample(authority: &Authority, now: Timestamp) -> Result<Bytes, CertificateError> {
    sign(authority, PeerName::SAMPLE, &public_key(&authority.key)?, now)
}

/// The public key that belongs to the key with this seed.
pub(crate) fn public_key(key: &[u8; 32]) -> Result<PublicKey, CertificateError> {
    let pair = pair(key)?;
    let public = pair.public_key_raw().try_into();
    public.map_err(|_| CertificateError("a public key of Ed25519 has 32 bytes".to_owned()))
}

/// The key with this seed, in PKCS#8.
pub(crate) fn pkcs8(key: &[u8; 32]) -> Vec<u8> {
    [PKCS8.as_slice(), key].concat()
}

fn pair(key: &[u8; 32]) -> Result<KeyPair, CertificateError> {
    Ok(KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8(key).as_slice().into(), &PKCS_ED25519)?)
}

fn authority_params(cluster: ClusterId, now: Timestamp) -> CertificateParams {
    let mut params = params(now, AUTHORITY_LIFETIME);
    params.distinguished_name.push(DnType::CommonName, format!("Roadstead cluster {cluster}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.serial_number = Some(SerialNumber::from(1_u64));
    params
}

fn params(now: Timestamp, lifetime: Duration) -> CertificateParams {
    let epoch = date_time_ymd(1970, 1, 1);
    let at = |time: Timestamp| epoch + Duration::from_secs(time.as_millis() / 1000);
    let mut params = CertificateParams::default();
    params.not_before = at(now.minus(CLOCK_MARGIN));
    params.not_after = at(now.plus(lifetime));
    params.distinguished_name = DistinguishedName::new();
    params
}

/// A public key that somebody else has the other half of.
struct Ed25519<'a>(&'a PublicKey);

impl PublicKeyData for Ed25519<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ED25519
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;

    #[test]
    fn the_same_keys_at_the_same_time_make_the_same_certificates() {
        let cluster = ClusterId::from_bytes([7; 16]);
        let now = Timestamp::from_millis(1_700_000_000_123);
        let make = || {
            let authority = authority(cluster, [1; 32], now).unwrap();
            let name = PeerName { cluster, node: 17 };
            let certificate = sign(&authority, name, &public_key(&[2; 32]).unwrap(), now).unwrap();
            (authority, certificate)
        };
        assert_eq!(make(), make());
    }
}
