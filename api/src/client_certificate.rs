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
