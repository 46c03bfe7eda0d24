//! Between the domain types and their protobuf messages: `From` writes, `TryFrom` checks all that
//! is read.

mod access;
mod access_refusal;
mod authority;
mod command;
mod event;
mod manifest;
mod outcome;
mod precondition;

use prost::Message as _;

use crate::access::{AccessKey, Account, Grant, Role, TokenKey};
use crate::pb::{access as pb_access, catalog as pb};
use crate::{Authority, Event, Manifest, Stamped, UploadKey};

/// A message that is not what it should be: written by a newer version, damaged, or forged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read {field}: {reason}")]
pub struct DecodeError {
    field: &'static str,
    reason: String,
    is_newer: bool,
}

impl DecodeError {
    /// The error that `field` is not valid, for `reason`.
    pub fn new(field: &'static str, reason: impl ToString) -> Self {
        Self { field, reason: reason.to_string(), is_newer: false }
    }

    /// The error that `field` is absent.
    pub fn missing(field: &'static str) -> Self {
        Self::new(field, "it is missing")
    }

    /// The error that `field` is of none of the kinds that this version knows. So it looks too when
    /// it was not written at all, but every version writes it.
    pub fn unknown(field: &'static str) -> Self {
        let reason = "it is of a kind that this version of the program does not know";
        Self { is_newer: true, ..Self::new(field, reason) }
    }

    /// Whether a newer version would have read it, as it seems.
    pub const fn is_newer(&self) -> bool {
        self.is_newer
    }
}

fn parse<T: std::str::FromStr<Err: ToString>>(
    field: &'static str,
    text: &str,
) -> Result<T, DecodeError> {
    text.parse().map_err(|e: T::Err| DecodeError::new(field, e.to_string()))
}

fn parse_all<T: std::str::FromStr<Err: ToString>>(
    field: &'static str,
    all: &[String],
) -> Result<Vec<T>, DecodeError> {
    all.iter().map(|text| parse(field, text)).collect()
}

fn id<'a, T: TryFrom<&'a [u8], Error: ToString>>(
    field: &'static str,
    bytes: &'a [u8],
) -> Result<T, DecodeError> {
    bytes.try_into().map_err(|e: T::Error| DecodeError::new(field, e.to_string()))
}

fn upload_key(bytes: &[u8]) -> Result<UploadKey, DecodeError> {
    bytes32("upload key", bytes).map(UploadKey::from_bytes)
}

fn bytes32(field: &'static str, bytes: &[u8]) -> Result<[u8; 32], DecodeError> {
    bytes.try_into().map_err(|_| DecodeError::new(field, "it has not 32 bytes"))
}

fn authority(message: Option<pb::Authority>) -> Result<Authority, DecodeError> {
    message.ok_or_else(|| DecodeError::missing("authority"))?.try_into()
}

fn bytes(of: &[u8]) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(of)
}

/// Implements reading and writing whole encoded messages for a domain type, through its protobuf
/// message.
macro_rules! encoded {
    ($domain:ty, $message:ty, $name:literal) => {
        impl $domain {
            /// Its encoding, at rest and between nodes.
            pub fn encode(&self) -> Vec<u8> {
                <$message>::from(self).encode_to_vec()
            }

            /// Reads an encoding.
            ///
            /// # Errors
            /// When `bytes` are not a whole and valid encoding.
            pub fn decode(bytes: bytes::Bytes) -> Result<Self, DecodeError> {
                <$message>::decode(bytes).map_err(|e| DecodeError::new($name, e))?.try_into()
            }
        }
    };
}

encoded!(Stamped, pb::Stamped, "command");
encoded!(Event, pb::Event, "event");
encoded!(Manifest, pb::Manifest, "manifest");
encoded!(Authority, pb::Authority, "authority");
encoded!(Account, pb_access::Account, "account");
encoded!(AccessKey, pb_access::Key, "access key");
encoded!(Role, pb_access::Role, "role");
encoded!(Grant, pb_access::Grant, "grant");
encoded!(TokenKey, pb_access::TokenKey, "token key");
