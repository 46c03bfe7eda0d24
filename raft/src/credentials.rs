//! What a node has to show: a token while it is new, its certificate from then on.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use proto::limits::NODE_CERTIFICATE_LIFETIME;
use proto::pb::raft as pb;
use proto::{Authority, DecodeError, JoinToken, Timestamp};
use storage::{Batch, Kv, Space};

use crate::certificates::{self, CertificateError};
use crate::identity::{Identity, write};
use crate::log::keys;
use crate::{PeerName, StartError, random};

/// What a node shows to those that it dials, and to those that dial it.
#[derive(Clone, Debug)]
pub enum Papers {
    /// It is new: it knows its cluster by this token, and shows nothing before it has asked to
    /// join.
    Token(JoinToken),
    /// It is a node of its cluster.
    Credentials(Credentials),
}

/// A node's certificate, its key, and who has signed it. All in DER.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Who it is.
    pub name: PeerName,
    /// The certificate of the cluster's authority.
    pub authority: Bytes,
    /// The node's certificate.
    pub certificate: Bytes,
    /// When it was signed.
    issued: Timestamp,
    key: [u8; 32],
}

impl Credentials {
    /// Those that `authority` signs at `now`, for the node that `name` names and this key.
    pub(crate) fn by(
        authority: &Authority,
        name: PeerName,
        key: [u8; 32],
        now: Timestamp,
    ) -> Result<Self, CertificateError> {
        let public_key = certificates::public_key(&key)?;
        let certificate = certificates::sign(authority, name, &public_key, now)?;
        Ok(Self { name, authority: authority.certificate.clone(), certificate, issued: now, key })
    }

    /// Those that another node has sent.
    pub(crate) const fn received(
        name: PeerName,
        authority: Bytes,
        certificate: Bytes,
        key: [u8; 32],
        now: Timestamp,
    ) -> Self {
        Self { name, authority, certificate, issued: now, key }
    }

    /// Others by `authority`, with a new key.
    pub(crate) fn renewed(
        &self,
        authority: &Authority,
        now: Timestamp,
    ) -> Result<Self, CertificateError> {
        Self::by(authority, self.name, random::bytes(), now)
    }

    /// Whether it is time for others at `now`.
    pub(crate) fn are_due(&self, now: Timestamp) -> bool {
        now.since(self.issued) >= NODE_CERTIFICATE_LIFETIME / 3 * 2
    }

    /// The key of the certificate, in PKCS#8.
    pub fn key(&self) -> Vec<u8> {
        certificates::pkcs8(&self.key)
    }

    /// What `kv` remembers of the node that `identity` names.
    pub(crate) fn load(kv: &dyn Kv, identity: Identity) -> Result<Option<Self>, StartError> {
        let Some(value) = kv.get(Space::Log, keys::CREDENTIALS)? else { return Ok(None) };
        let damaged = |reason: &dyn fmt::Display| DecodeError::new("credentials", reason);
        let message = pb::Credentials::decode(value).map_err(|error| damaged(&error))?;
        let key = message.key.as_ref().try_into();
        let key = key.map_err(|_| damaged(&"the key has not 32 bytes"))?;
        let issued = Timestamp::from_millis(message.issued_millis);
        let name = identity.into();
        let (authority, certificate) = (message.authority, message.certificate);
        Ok(Some(Self { name, authority, certificate, issued, key }))
    }

    /// Adds them to what is to be made durable.
    pub(crate) fn add_to(&self, batch: &mut Batch) {
        batch.put(keys::CREDENTIALS, self.message().encode_to_vec());
    }

    pub(crate) fn message(&self) -> pb::Credentials {
        pb::Credentials {
            authority: self.authority.clone(),
            certificate: self.certificate.clone(),
            key: Bytes::copy_from_slice(&self.key),
            issued_millis: self.issued.as_millis(),
        }
    }

    /// Makes them durable.
    pub(crate) async fn save(&self, kv: &Arc<dyn Kv>) -> Result<(), StartError> {
        let mut batch = Batch::new();
        self.add_to(&mut batch);
        Ok(write(kv, batch).await?)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({}, secret)", self.name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use std::time::Duration;

    use proto::ClusterId;

    use super::*;
    use crate::convert::golden::check_bytes;

    fn credentials() -> Credentials {
        let cluster = ClusterId::from_bytes([7; 16]);
        let now = Timestamp::from_millis(1_700_000_000_123);
        let authority = certificates::authority(cluster, [1; 32], now).unwrap();
        Credentials::by(&authority, PeerName { cluster, node: 17 }, [2; 32], now).unwrap()
    }

    #[test]
    fn credentials_are_encoded_as_ever() {
        check_bytes("credentials.hex", &credentials().message().encode_to_vec());
    }

    #[test]
    fn credentials_are_due_when_two_thirds_of_their_time_are_over() {
        let credentials = credentials();
        let after = |time: Duration| credentials.issued.plus(time);
        let due = NODE_CERTIFICATE_LIFETIME / 3 * 2;
        assert!(!credentials.are_due(after(Duration::ZERO)));
        assert!(!credentials.are_due(after(due - Duration::from_secs(1))));
        assert!(credentials.are_due(after(due)));
    }

    #[tokio::test]
    async fn credentials_read_back_from_the_store() {
        let kv: Arc<dyn Kv> = Arc::new(storage::kv::MemoryKv::default());
        let identity = Identity { cluster: ClusterId::from_bytes([7; 16]), node: 17 };
        assert_eq!(Credentials::load(&*kv, identity).unwrap(), None);
        credentials().save(&kv).await.unwrap();
        assert_eq!(Credentials::load(&*kv, identity).unwrap(), Some(credentials()));
    }
}
