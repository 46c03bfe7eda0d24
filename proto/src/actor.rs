//! Actors: who asks for a change.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use crate::PeerAddress;
use crate::access::AccountName;
use crate::limits::{ACCESS_NAME_BYTES_MAX, ACTOR_BYTES_MAX, ADDRESS_BYTES_MAX};

/// Who asked for a change, as the journal names them: a text that is not empty and has at most
/// [`ACTOR_BYTES_MAX`] bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Actor(Cow<'static, str>);

impl Actor {
    /// A client of whom nothing is known.
    pub const ANONYMOUS: Self = Self(Cow::Borrowed("anonymous"));
    /// The cluster itself.
    pub const CLUSTER: Self = Self(Cow::Borrowed("cluster"));

    /// The actor's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Actor {
    type Err = ActorError;

    fn from_str(name: &str) -> Result<Self, ActorError> {
        if name.is_empty() || name.len() > ACTOR_BYTES_MAX {
            return Err(ActorError);
        }
        Ok(Self(Cow::Owned(name.to_owned())))
    }
}

/// A node that asks to be admitted has no other name yet.
impl From<&PeerAddress> for Actor {
    fn from(address: &PeerAddress) -> Self {
        const { assert!(ADDRESS_BYTES_MAX <= ACTOR_BYTES_MAX, "an address can name an actor") };
        Self(Cow::Owned(address.to_string()))
    }
}

/// An account is named by its name.
impl From<&AccountName> for Actor {
    fn from(name: &AccountName) -> Self {
        const { assert!(ACCESS_NAME_BYTES_MAX <= ACTOR_BYTES_MAX, "a name can name an actor") };
        Self(Cow::Owned(name.to_string()))
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is not the name of an actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an actor's name has between 1 and {ACTOR_BYTES_MAX} bytes")]
pub struct ActorError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_not_empty_and_has_a_bounded_length() {
        assert!("alice".parse::<Actor>().is_ok());
        assert!("a".repeat(ACTOR_BYTES_MAX).parse::<Actor>().is_ok());
        for wrong in [String::new(), "a".repeat(ACTOR_BYTES_MAX + 1)] {
            assert_eq!(wrong.parse::<Actor>(), Err(ActorError), "{wrong}");
        }
        for actor in [Actor::ANONYMOUS, Actor::CLUSTER] {
            assert_eq!(actor.as_str().parse(), Ok(actor));
        }
    }
}
