//! Hashes of passwords.

use std::fmt;
use std::str::FromStr;

use crate::limits::PASSWORD_HASH_BYTES_MAX;

/// What a password must match, as a PHC string such as `$argon2id$v=19$...`. Its text is never
/// shown.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(Box<str>);

impl PasswordHash {
    /// The hash's text, to check a password with.
    pub const fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for PasswordHash {
    type Err = PasswordHashError;

    fn from_str(text: &str) -> Result<Self, PasswordHashError> {
        let is_graphic = text.bytes().all(|b| b.is_ascii_graphic());
        if !text.starts_with('$') || !is_graphic || text.len() > PASSWORD_HASH_BYTES_MAX {
            return Err(PasswordHashError);
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(secret)")
    }
}

/// The text is not the hash of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the hash of a password is a PHC string of at most {PASSWORD_HASH_BYTES_MAX} bytes")]
pub struct PasswordHashError;
