//! Who a client is by the certificate that it showed.

use std::sync::Arc;

/// The names in the certificate of a request's client, which a CA of `tls.client_ca` has signed and
/// whose key the client has. The listener puts it into the request's extensions; a client without
/// a certificate has none. Clones share the names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    names: Arc<[CertificateName]>,
}

impl ClientCertificate {
    /// A certificate with these names.
    pub fn new(names: impl IntoIterator<Item = CertificateName>) -> Self {
        Self { names: names.into_iter().collect() }
    }

    /// The names, the subject's before the alternative ones.
    pub fn names(&self) -> &[CertificateName] {
        &self.names
    }

    /// The first name of this kind.
    pub(crate) fn name(&self, kind: NameKind) -> Option<&str> {
        self.names.iter().find_map(|name| match (kind, name) {
            (NameKind::Common, CertificateName::Common(name))
            | (NameKind::Email, CertificateName::Email(name))
            | (NameKind::Dns, CertificateName::Dns(name))
            | (NameKind::Uri, CertificateName::Uri(name)) => Some(name.as_str()),
            _ => None,
        })
    }
}

/// Which name in a certificate is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameKind {
    /// The common name of the subject.
    #[default]
    Common,
    /// An email address.
    Email,
    /// The name of a host.
    Dns,
    /// A URI.
    Uri,
}

/// A name in a certificate. The kinds are told apart, because CAs that check one kind may let
/// anybody choose another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateName {
    /// The common name of the subject (RFC 5280, section 4.1.2.6).
    Common(String),
    /// An alternative name that is an email address (section 4.2.1.6).
    Email(String),
    /// An alternative name that is the name of a host.
    Dns(String),
    /// An alternative name that is a URI.
    Uri(String),
}
