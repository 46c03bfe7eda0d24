//! The thumbprint of what is too long, or too secret, to be told.

use std::fmt;

use crate::Hex;
use crate::join_token::sha256;

/// The SHA-256 of some bytes: of a certificate, by which it is known, or of a secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Thumbprint(pub(crate) [u8; 32]);

impl Thumbprint {
    /// The thumbprint of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha256(bytes))
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The bytes are not the 32 of a thumbprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a thumbprint has 32 bytes")]
pub struct ThumbprintError;

impl TryFrom<&[u8]> for Thumbprint {
    type Error = ThumbprintError;

    fn try_from(bytes: &[u8]) -> Result<Self, ThumbprintError> {
        bytes.try_into().map(Self).map_err(|_| ThumbprintError)
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Hex(&self.0), f)
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
