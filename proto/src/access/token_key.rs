//! The keys that sign tokens.

use std::fmt;

use crate::Timestamp;

/// A key pair with which every node signs tokens and checks those of the others: Ed25519 (RFC
/// 8032). The private half is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenKey {
    /// Its number, which tokens name: the log index at which it was made.
    pub id: u64,
    /// The private key.
    pub seed: [u8; 32],
    /// When it was made.
    pub since: Timestamp,
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenKey({}, secret)", self.id)
    }
}
