//! The keys under which blob bytes rest in the object store.

use std::fmt;
use std::str::FromStr;

use crate::hex;

/// An object's key: 128 random bits as 32 hexadecimal digits. It says nothing of the content and is
/// never used twice, so that a late delete can only ever hit what it was meant for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey(u128);

impl ObjectKey {
    /// The key made of `random`, which must be fresh randomness.
    pub const fn from_random(random: u128) -> Self {
        Self(random)
    }

    /// The first two digits, by which stores spread objects over folders.
    pub fn shard(self) -> String {
        format!("{:02x}", self.0 >> 120)
    }
}

impl FromStr for ObjectKey {
    type Err = ObjectKeyError;

    fn from_str(text: &str) -> Result<Self, ObjectKeyError> {
        hex::read(text).map(|key| Self(u128::from_be_bytes(key))).ok_or(ObjectKeyError)
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an object key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an object key is 32 lower-case hexadecimal digits")]
pub struct ObjectKeyError;
