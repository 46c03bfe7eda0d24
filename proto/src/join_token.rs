//! What lets a new node into a cluster, and tells it which cluster that is.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::{ClusterId, Hex, Thumbprint, hex};

/// What the text of a token of this version begins with.
const VERSION: &str = "RSJ1";

/// A token with which a node joins a cluster: `RSJ1-<cluster>-<authority>-<secret>`. By the
/// thumbprint of the cluster's authority the new node knows the cluster, by the secret the cluster
/// knows that the node was invited.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// The cluster to join.
    pub cluster: ClusterId,
    /// The thumbprint of the certificate of its authority.
    pub authority: Thumbprint,
    /// What the cluster has given out.
    pub secret: TokenSecret,
}

impl fmt::Display for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = Hex(&self.secret.0);
        write!(f, "{VERSION}-{}-{}-{secret}", self.cluster, self.authority)
    }
}

impl FromStr for JoinToken {
    type Err = JoinTokenError;

    fn from_str(text: &str) -> Result<Self, JoinTokenError> {
        let mut parts = text.split('-');
        let mut next = || parts.next().ok_or(JoinTokenError);
        if next()? != VERSION {
            return Err(JoinTokenError);
        }
        let cluster = next()?.parse().map_err(|_| JoinTokenError)?;
        let authority = Thumbprint(hex::read(next()?).ok_or(JoinTokenError)?);
        let secret = TokenSecret(hex::read(next()?).ok_or(JoinTokenError)?);
        if parts.next().is_some() {
            return Err(JoinTokenError);
        }
        Ok(Self { cluster, authority, secret })
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VERSION}-{}-{}-secret", self.cluster, self.authority)
    }
}

/// The text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a join token is what `roadstead cluster token` prints, and begins with RSJ1-")]
pub struct JoinTokenError;

/// The secret of a [`JoinToken`]. Its text is never shown, and the cluster keeps its hash alone.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenSecret([u8; 16]);

impl TokenSecret {
    /// The secret of these bytes, which must be fresh randomness: so that its hash gives nothing of
    /// it away, however fast hashes are.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The secret's bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// What the cluster keeps of it.
    pub fn hash(&self) -> Thumbprint {
        Thumbprint::of(&self.0)
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSecret(secret)")
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;

    #[test]
    fn a_token_reads_back_and_its_secret_is_not_shown() {
        let token = JoinToken {
            cluster: ClusterId::from_bytes([0x1a; 16]),
            authority: Thumbprint::of(b"certificate"),
            secret: TokenSecret::from_bytes([0xb2; 16]),
        };
        let text = token.to_string();
        assert!(text.starts_with("RSJ1-1a1a1a1a"), "{text}");
        assert_eq!(text.parse(), Ok(token.clone()));
        assert!(!format!("{token:?}{:?}", token.secret).contains("b2b2"));
        for damaged in ["", "RSJ1", "RSJ2-a-b-c", &text[1..], &text[..text.len() - 1]] {
            assert_eq!(damaged.parse::<JoinToken>(), Err(JoinTokenError), "{damaged}");
        }
        assert!(format!("{text}-1").parse::<JoinToken>().is_err());
        assert!(text.to_uppercase().parse::<JoinToken>().is_err());
    }
}
