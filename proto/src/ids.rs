//! The identities that the cluster hands out: of itself, of its nodes, of requests; and the key
//! that signs uploads.

use std::fmt;
use std::str::FromStr;

/// A node's id: the index of the log entry that admitted it, so never used twice.
pub type NodeId = u64;

/// The bytes are not an identity of 16 bytes (32 hexadecimal digits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id is 16 bytes, written as 32 lower-case hexadecimal digits")]
pub struct IdError;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The id of these bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The id's bytes.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = $crate::IdError;

            fn try_from(bytes: &[u8]) -> Result<Self, $crate::IdError> {
                bytes.try_into().map(Self).map_err(|_| $crate::IdError)
            }
        }

        impl FromStr for $name {
            type Err = $crate::IdError;

            fn from_str(text: &str) -> Result<Self, $crate::IdError> {
                $crate::hex::read(text).map(Self).ok_or($crate::IdError)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", u128::from_be_bytes(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}
pub(crate) use id;

id! {
    /// A cluster's id, made at random when it is founded. By it, nodes of others are refused.
    ClusterId
}

id! {
    /// A request's id, made by the node that first takes the request: at random, or as a hash of
    /// what must be done once only, as the end of an upload or a node's admission. A repetition
    /// gets the first answer.
    RequestId
}

/// The key with which every node signs upload sessions and checks those of the others. Its text is
/// never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct UploadKey([u8; 32]);

impl UploadKey {
    /// The key of these bytes, which must be fresh randomness.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key's bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for UploadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UploadKey(secret)")
    }
}
