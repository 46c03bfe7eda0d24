//! Access keys: what programs log in with, in place of a password.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{AccountName, RepoPattern, Verb, Verbs};
use crate::limits::KEY_SCOPES_MAX;
use crate::{RepoName, Timestamp};

crate::ids::id! {
    /// The public half of an access key, by which it is found.
    KeyId
}

/// What the secret half of an access key must hash to. The secret has 32 random bytes, so that one
/// round of SHA-256 keeps it.
#[derive(Clone, Copy)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// The hash of `secret`.
    pub fn of(secret: &[u8; 32]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// The hash with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The hash's bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// In constant time, so that nothing is learnt from how long a comparison takes.
impl PartialEq for SecretHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for SecretHash {}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(secret)")
    }
}

/// A key of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKey {
    /// Its public half.
    pub id: KeyId,
    /// What its secret half must hash to.
    pub secret: SecretHash,
    /// The account that it stands for.
    pub account: AccountName,
    /// What it is for, as its owner says.
    pub description: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends; `None` when only a revocation ends it.
    pub expires: Option<Timestamp>,
    /// What it is good for, within what its account may do.
    pub scope: KeyScope,
}

impl AccessKey {
    /// Whether it has ended at `now`.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }
}

/// What an access key is good for: everything that its account may do, or some verbs on some
/// repositories alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyScope(BTreeMap<RepoPattern, Verbs>);

impl KeyScope {
    /// The scope that limits nothing.
    pub const UNLIMITED: Self = Self(BTreeMap::new());

    /// Its parts, such as `team/**=pull,push`; none when it limits nothing.
    pub fn parts(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(pattern, verbs)| format!("{pattern}={verbs}"))
    }

    /// The scope of `parts`.
    ///
    /// # Errors
    /// [`KeyScopeError`] when one of them is none, or there are more than [`KEY_SCOPES_MAX`].
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a str>) -> Result<Self, KeyScopeError> {
        let mut scope = BTreeMap::new();
        for part in parts {
            let (pattern, verbs) = part.split_once('=').ok_or(KeyScopeError)?;
            let pattern = pattern.parse().map_err(|_| KeyScopeError)?;
            let verbs = Verbs::from_str(verbs).map_err(|_| KeyScopeError)?;
            let all = scope.entry(pattern).or_insert(Verbs::NONE);
            *all = all.or(verbs);
            if scope.len() > KEY_SCOPES_MAX {
                return Err(KeyScopeError);
            }
        }
        Ok(Self(scope))
    }

    /// Whether it leaves `verb` on `repository`; on none, what concerns the whole registry.
    pub fn permits(&self, verb: Verb, repository: Option<&RepoName>) -> bool {
        self.0.is_empty()
            || self.0.iter().any(|(pattern, verbs)| {
                let is_meant = match repository {
                    Some(repository) => pattern.matches(repository),
                    None => pattern.is_everything(),
                };
                is_meant && covers(*verbs, verb)
            })
    }
}

/// Whether a scope of `verbs` leaves `verb`. Who writes `pull,push` means that tags are set, too;
/// only a scope that names a verb about tags leaves no more than that one.
const fn covers(verbs: Verbs, verb: Verb) -> bool {
    let tags = Verbs::of(&[Verb::CreateTag, Verb::MoveTag]);
    let implies_tags = verbs.has(Verb::Push) && verbs.and(tags).is_empty();
    verbs.has(verb) || (implies_tags && tags.has(verb))
}

/// The text is no part of an access key's scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a key is limited to at most {KEY_SCOPES_MAX} of PATTERN=VERB,VERB..., such as \
     team/**=pull,push"
)]
pub struct KeyScopeError;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;

    #[test]
    fn a_scope_limits_a_key_to_what_it_lists() {
        let scope = KeyScope::of(["team/**=pull,push", "base=pull", "team/**=delete"]).unwrap();
        let permits = |verb, name: &str| scope.permits(verb, Some(&name.parse().unwrap()));
        assert!(permits(Verb::Push, "team/app") && permits(Verb::Delete, "team/app"));
        assert!(permits(Verb::Pull, "base") && !permits(Verb::Push, "base"));
        assert!(permits(Verb::MoveTag, "team/app") && !permits(Verb::CreateTag, "base"));
        let create = KeyScope::of(["**=push,create-tag"]).unwrap();
        let name = "a".parse().unwrap();
        assert!(create.permits(Verb::CreateTag, Some(&name)));
        assert!(!create.permits(Verb::MoveTag, Some(&name)));
        assert!(!permits(Verb::Pull, "other") && !scope.permits(Verb::Manage, None));
        let parts: Vec<String> = scope.parts().collect();
        assert_eq!(KeyScope::of(parts.iter().map(String::as_str)), Ok(scope));
        assert!(KeyScope::UNLIMITED.permits(Verb::Manage, None));
        for wrong in ["", "team/**", "=pull", "team=", "team=fly"] {
            assert_eq!(KeyScope::of([wrong]), Err(KeyScopeError), "{wrong}");
        }
    }
}
