//! The text of access keys, which is shown once.

use std::fmt;
use std::str::FromStr;

use proto::Hex;
use proto::access::{KeyId, SecretHash};

use crate::error::Error;
use crate::registry::random;

/// What tells an access key from a password: so that programs that look for secrets in what is
/// published find it, too.
const PREFIX: &str = "rsk_";

/// An access key, both halves: `rsk_<id>_<secret>`, in hexadecimal digits.
pub(crate) struct AccessKeySecret {
    /// The public half.
    pub(crate) id: KeyId,
    secret: [u8; 32],
}

impl AccessKeySecret {
    /// A fresh key.
    pub(crate) fn draw() -> Result<Self, Error> {
        Ok(Self { id: KeyId::from_bytes(random()?), secret: random()? })
    }

    /// Whether `password` is meant to be an access key.
    pub(crate) fn is_meant_by(password: &str) -> bool {
        password.starts_with(PREFIX)
    }

    /// What the catalog keeps of the secret half.
    pub(crate) fn hash(&self) -> SecretHash {
        SecretHash::of(&self.secret)
    }
}

impl FromStr for AccessKeySecret {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (id, secret) = text.strip_prefix(PREFIX).and_then(|t| t.split_once('_')).ok_or(())?;
        let (high, low) = secret.split_at_checked(32).ok_or(())?;
        let half = |text: &str| text.parse::<KeyId>().map_err(|_| ());
        let (high, low) = (half(high)?, half(low)?);
        let mut secret = [0; 32];
        secret[..16].copy_from_slice(high.as_bytes());
        secret[16..].copy_from_slice(low.as_bytes());
        Ok(Self { id: half(id)?, secret })
    }
}

impl fmt::Display for AccessKeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}_{}", self.id, Hex(&self.secret))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;

    #[test]
    fn a_key_reads_back_and_nothing_else_is_one() {
        let key = AccessKeySecret { id: KeyId::from_bytes([1; 16]), secret: [0xab; 32] };
        let text = key.to_string();
        let read: AccessKeySecret = text.parse().unwrap();
        assert_eq!((read.id, read.secret), (key.id, key.secret));
        assert!(AccessKeySecret::is_meant_by(&text));
        for wrong in ["", "rsk_", "rsk__", &text[1..], &text[..text.len() - 1], &format!("{text}0")]
        {
            assert!(wrong.parse::<AccessKeySecret>().is_err(), "{wrong}");
        }
    }
}
