//! The authority of a cluster: who signs the certificates by which its nodes know each other.

use std::fmt;

use bytes::Bytes;

use crate::Thumbprint;

/// The certificate of a cluster's authority with its key, which all of its nodes have.
#[derive(Clone, PartialEq, Eq)]
pub struct Authority {
    /// The certificate, in DER.
    pub certificate: Bytes,
    /// The key: the seed of Ed25519 (RFC 8032). Its text is never shown.
    pub key: [u8; 32],
}

impl Authority {
    /// By what it is known to nodes that join.
    pub fn thumbprint(&self) -> Thumbprint {
        Thumbprint::of(&self.certificate)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({}, secret)", self.thumbprint())
    }
}
