//! The names in a certificate.

use api::{CertificateName, ClientCertificate};
use rustls::pki_types::CertificateDer;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// What `certificate`, which a client has proved to be its own, calls that client. Names that are
/// not text are left away.
pub(super) fn of_client(certificate: &CertificateDer<'_>) -> ClientCertificate {
    let Ok(certificate) = Certificate::from_der(certificate) else {
        return ClientCertificate::new([]);
    };
    let common = common(&certificate).map(CertificateName::Common);
    let alternative = certificate.tbs_certificate().get_extension::<SubjectAltName>();
    let (_, SubjectAltName(names)) = alternative.ok().flatten().unwrap_or_default();
    let alternative = names.into_iter().filter_map(|name| match name {
        GeneralName::Rfc822Name(name) => Some(CertificateName::Email(name.to_string())),
        GeneralName::DnsName(name) => Some(CertificateName::Dns(name.to_string())),
        GeneralName::UniformResourceIdentifier(name) => {
            Some(CertificateName::Uri(name.to_string()))
        }
        _ => None,
    });
    ClientCertificate::new(common.into_iter().chain(alternative))
}

/// The names of hosts among the alternative names of `certificate`.
pub(crate) fn hosts(certificate: &CertificateDer<'_>) -> Vec<String> {
    let names = of_client(certificate);
    let hosts = names.names().iter().filter_map(|name| match name {
        CertificateName::Dns(host) => Some(host.clone()),
        _ => None,
    });
    hosts.collect()
}

/// The common name of the subject of `certificate`.
pub(super) fn common(certificate: &Certificate) -> Option<String> {
    let name = certificate.tbs_certificate().subject().common_name().ok().flatten()?;
    Some(name.value().into_owned())
}
