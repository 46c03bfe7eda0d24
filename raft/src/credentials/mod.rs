//! What a node has to show: a token while it is new, its certificate from then on.

pub(crate) mod certificates;
mod peer_name;
pub(crate) mod renewal;
mod validity;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use proto::pb::raft as pb;
use proto::{Authority, DecodeError, JoinToken, Timestamp};
use storage::{Batch, Kv, Space};

pub use self::certificates::{CertificateError, sample};
pub use self::peer_name::{PeerName, PeerNameError};
use self::validity::Validity;
use crate::identity::Identity;
use crate::log::keys;
use crate::store::write;
use crate::{StartError, random};

/// What a node shows to nodes that it dials, and to nodes that dial it.
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
    validity: Validity,
    key: [u8; 32],
}

impl Credentials {
    /// Credentials that `authority` signs at `now`, for the node that `name` names and this key.
    pub(crate) fn by(
        authority: &Authority,
        name: PeerName,
        key: [u8; 32],
        now: Timestamp,
    ) -> Result<Self, CertificateError> {
        let public_key = certificates::public_key(&key)?;
        let certificate = certificates::sign(authority, name, &public_key, now)?;
        Ok(Self::of(name, authority.certificate.clone(), certificate, key)?)
    }

    /// Credentials with this certificate, which another node has sent, or this one has kept.
    pub(crate) fn of(
        name: PeerName,
        authority: Bytes,
        certificate: Bytes,
        key: [u8; 32],
    ) -> Result<Self, DecodeError> {
        let validity = Validity::of(&certificate)?;
        Ok(Self { name, authority, certificate, validity, key })
    }

    /// New credentials by `authority`, with a new key.
    pub(crate) fn renewed(
        &self,
        authority: &Authority,
        now: Timestamp,
    ) -> Result<Self, CertificateError> {
        Self::by(authority, self.name, random::bytes(), now)
    }

    /// From when until when they are good.
    pub(crate) const fn validity(&self) -> Validity {
        self.validity
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
        let (authority, certificate) = (message.authority, message.certificate);
        Ok(Some(Self::of(identity.into(), authority, certificate, key)?))
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
    use proto::limits::NODE_CERTIFICATE_LIFETIME;

    use super::*;
    use crate::convert::golden::{self, check_bytes};

    const ISSUED: Timestamp = Timestamp::from_millis(1_700_000_000_123);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const IDENTITY: Identity = Identity { cluster: ClusterId::from_bytes([7; 16]), node: 17 };

    fn credentials() -> Credentials {
        let authority = certificates::authority(IDENTITY.cluster, [1; 32], ISSUED).unwrap();
        Credentials::by(&authority, IDENTITY.into(), [2; 32], ISSUED).unwrap()
    }

    #[test]
    fn credentials_are_encoded_as_ever() {
        check_bytes("credentials-timeless.hex", &credentials().message().encode_to_vec());
    }

    #[tokio::test]
    async fn credentials_of_before_which_say_when_they_were_signed_are_read() {
        let kv: Arc<dyn Kv> = Arc::new(storage::kv::MemoryKv::default());
        let mut batch = Batch::new();
        batch.put(keys::CREDENTIALS, golden::bytes("credentials.hex"));
        write(&kv, batch).await.unwrap();
        assert_eq!(Credentials::load(&*kv, IDENTITY).unwrap(), Some(credentials()));
    }

    #[test]
    fn credentials_are_due_when_two_thirds_of_their_time_are_over() {
        let validity = credentials().validity();
        let due = NODE_CERTIFICATE_LIFETIME / 3 * 2;
        assert!(!validity.is_due(ISSUED));
        assert!(!validity.is_due(ISSUED.plus(due - Duration::from_secs(1))));
        assert!(validity.is_due(ISSUED.plus(due)));
    }

    #[test]
    fn credentials_of_a_clock_that_was_ahead_are_due_when_it_is_set_right() {
        let validity = credentials().validity();
        for ahead in [DAY / 24, DAY * 2, DAY * 60, DAY * 3650] {
            let now = ISSUED.minus(ahead);
            assert!(validity.is_due(now), "{ahead:?} ahead");
            assert_eq!(validity.has(now), ahead < DAY, "{ahead:?} ahead");
        }
    }

    #[tokio::test]
    async fn credentials_read_back_from_the_store() {
        let kv: Arc<dyn Kv> = Arc::new(storage::kv::MemoryKv::default());
        assert_eq!(Credentials::load(&*kv, IDENTITY).unwrap(), None);
        credentials().save(&kv).await.unwrap();
        assert_eq!(Credentials::load(&*kv, IDENTITY).unwrap(), Some(credentials()));
    }
}
