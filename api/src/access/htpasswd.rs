//! Users of a file as Apache's `htpasswd` and distribution's `auth.htpasswd` have it.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::sync::{Arc, PoisonError, RwLock};

use proto::Hex;
use proto::access::{AccountName, NameError};
use sha2::{Digest as _, Sha256};

/// Users with hashes of their passwords, which can be replaced while they are used. Clones share
/// them.
#[derive(Clone, Default)]
pub struct Htpasswd(Arc<RwLock<Users>>);

/// The users of a file.
#[derive(Clone, Default)]
struct Users {
    hashes: BTreeMap<AccountName, Box<str>>,
    /// The greatest cost among their hashes: bcrypt takes 2 to its power rounds.
    cost: u32,
}

impl Htpasswd {
    /// Takes the users of `other` from now on.
    pub fn replace(&self, other: &Self) {
        let users = other.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = users;
    }

    /// What the password of `name` must match.
    pub(crate) fn hash(&self, name: &AccountName) -> Option<Box<str>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).hashes.get(name).cloned()
    }

    /// The greatest cost of bcrypt among its hashes; `None` when it has none.
    pub(crate) fn cost(&self) -> Option<u32> {
        let users = self.0.read().unwrap_or_else(PoisonError::into_inner);
        (!users.hashes.is_empty()).then_some(users.cost)
    }

    /// What stands for the password of `name` in tokens, so that they end with it.
    pub(crate) fn generation(&self, name: &AccountName) -> Option<String> {
        let digest = Sha256::digest(self.hash(name)?.as_bytes());
        Some(Hex(&digest[..8]).to_string())
    }
}

impl fmt::Debug for Htpasswd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let users = self.0.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_list().entries(users.hashes.keys()).finish()
    }
}

impl FromStr for Htpasswd {
    type Err = HtpasswdError;

    fn from_str(text: &str) -> Result<Self, HtpasswdError> {
        let mut users = Users::default();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let refuse = |reason| HtpasswdError { line: number, reason };
            let (name, hash) = line.split_once(':').ok_or_else(|| refuse(Reason::NoColon))?;
            let name = name.parse().map_err(|error| refuse(Reason::Name(error)))?;
            let cost = cost(hash).filter(|cost| COSTS.contains(cost));
            users.cost = users.cost.max(cost.ok_or_else(|| refuse(Reason::NoBcrypt))?);
            users.hashes.insert(name, hash.into());
        }
        Ok(Self(Arc::new(RwLock::new(users))))
    }
}

/// The cost of `hash`, when it is one of bcrypt.
fn cost(hash: &str) -> Option<u32> {
    let is_bcrypt = ["$2y$", "$2b$", "$2a$"].iter().any(|head| hash.starts_with(head));
    let parts = hash.parse::<bcrypt::HashParts>().ok().filter(|_| is_bcrypt)?;
    Some(parts.get_cost())
}

/// The costs that are taken: from bcrypt's least to one that holds a core for a quarter of a
/// second.
const COSTS: RangeInclusive<u32> = 4..=12;

/// A line of the file cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct HtpasswdError {
    line: usize,
    reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Reason {
    #[error("a line is NAME:HASH")]
    NoColon,
    #[error(transparent)]
    Name(NameError),
    #[error(
        "only bcrypt keeps a password here, of a cost up to 12: make the line with `htpasswd -B`"
    )]
    NoBcrypt,
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
        assert_eq!((users.cost(), Htpasswd::default().cost()), (Some(4), None));
        assert_eq!(users.generation(&name("eve")), None);
        users.replace(&Htpasswd::default());
        assert_eq!(users.hash(&name("alice")), None);
        let dear = format!("a:{}", HASH.replace("$04$", "$31$"));
        let wrong = [("alice", 1), ("\nAlice:x", 2), ("a:{SHA}x", 1), ("a:$2y$x", 1), (&dear, 1)];
        for (text, line) in wrong {
            let error = text.parse::<Htpasswd>().unwrap_err();
            assert_eq!(error.line, line, "{text}");
        }
    }
}
