//! Users of a file as Apache's `htpasswd` and distribution's `auth.htpasswd` have it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};

use proto::access::AccountName;
use sha2::{Digest as _, Sha256};

/// Users with hashes of their passwords, which can be replaced while they are used. Clones share
/// them.
#[derive(Clone, Default)]
pub struct Htpasswd(Arc<RwLock<Users>>);

type Users = BTreeMap<AccountName, Box<str>>;

impl Htpasswd {
    /// Takes the users of `other` from now on.
    pub fn replace(&self, other: &Self) {
        let users = other.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = users;
    }

    /// What the password of `name` must match.
    pub(crate) fn hash(&self, name: &AccountName) -> Option<Box<str>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// What stands for the password of `name` in tokens, so that they end with it.
    pub(crate) fn generation(&self, name: &AccountName) -> Option<String> {
        let digest = Sha256::digest(self.hash(name)?.as_bytes());
        Some(digest[..8].iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl fmt::Debug for Htpasswd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let users = self.0.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_list().entries(users.keys()).finish()
    }
}

impl FromStr for Htpasswd {
    type Err = HtpasswdError;

    fn from_str(text: &str) -> Result<Self, HtpasswdError> {
        let mut users = Users::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let refuse = |reason| HtpasswdError { line: number, reason };
            let (name, hash) = line.split_once(':').ok_or_else(|| refuse(NO_COLON))?;
            let name = name.parse().map_err(|_| refuse(NO_NAME))?;
            let is_bcrypt = ["$2y$", "$2b$", "$2a$"].iter().any(|head| hash.starts_with(head));
            if !is_bcrypt || hash.len() != BCRYPT_BYTES {
                return Err(refuse(NO_BCRYPT));
            }
            users.insert(name, hash.into());
        }
        Ok(Self(Arc::new(RwLock::new(users))))
    }
}

/// Bytes of a hash as bcrypt writes it.
const BCRYPT_BYTES: usize = 60;
const NO_COLON: &str = "a line is NAME:HASH";
const NO_NAME: &str = "a name has 1 to 128 lower-case letters, digits and . _ @ + -";
const NO_BCRYPT: &str = "only bcrypt keeps a password here: make the line with `htpasswd -B`";

/// A line of the file cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct HtpasswdError {
    line: usize,
    reason: &'static str,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;

    const HASH: &str = "$2y$04$KJRmTYLDlIjCZb8CGQKiz.BrrsXaQ8J2fDXcFmfDTu6O.ClN9kQFS";

    #[test]
    fn users_are_read_line_by_line() {
        let users: Htpasswd = format!("# ours\nalice:{HASH}\n\n bob:{HASH}\n").parse().unwrap();
        let name = |text: &str| text.parse().unwrap();
        assert_eq!(users.hash(&name("alice")).as_deref(), Some(HASH));
        assert!(users.generation(&name("bob")).is_some());
        assert_eq!(users.generation(&name("eve")), None);
        users.replace(&Htpasswd::default());
        assert_eq!(users.hash(&name("alice")), None);
        for (text, line) in [("alice", 1), ("\nAlice:x", 2), ("a:{SHA}x", 1), ("a:$2y$x", 1)] {
            let error = text.parse::<Htpasswd>().unwrap_err();
            assert_eq!(error.line, line, "{text}");
        }
    }
}
