//! The authority of a cluster, as the catalog and its founder keep it.

use super::{DecodeError, bytes, bytes32};
use crate::Authority;
use crate::pb::catalog as pb;

impl From<&Authority> for pb::Authority {
    fn from(authority: &Authority) -> Self {
        Self { certificate: authority.certificate.clone(), key: bytes(&authority.key) }
    }
}

impl TryFrom<pb::Authority> for Authority {
    type Error = DecodeError;

    fn try_from(message: pb::Authority) -> Result<Self, DecodeError> {
        let key = bytes32("key of the authority", &message.key)?;
        Ok(Self { certificate: message.certificate, key })
    }
}
