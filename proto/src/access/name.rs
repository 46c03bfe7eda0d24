//! The names of accounts, groups and roles.

use std::fmt;
use std::str::FromStr;

use crate::limits::ACCESS_NAME_BYTES_MAX;

/// The text is not a name of an account, group or role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a name has 1 to {ACCESS_NAME_BYTES_MAX} characters: lower-case letters, digits and . _ @ + -, \
     the first a letter or digit; accounts are not called anonymous or cluster"
)]
pub struct NameError;

/// Whether `text` can be a name. A colon is none of its characters, since it ends the name in
/// HTTP's Basic scheme (RFC 7617, section 2), nor is any that a path, a log or a key would have to
/// escape.
fn is_name(text: &str) -> bool {
    let is_alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    text.len() <= ACCESS_NAME_BYTES_MAX
        && text.bytes().next().is_some_and(is_alphanumeric)
        && text.bytes().all(|b| is_alphanumeric(b) || b"._@+-".contains(&b))
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident $(, except $reserved:expr)?) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The name's text.
            pub const fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let is_reserved = false $(|| $reserved.contains(&text))?;
                if is_name(text) && !is_reserved { Ok(Self(text.into())) } else { Err(NameError) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// The name by which a user or robot logs in. What actors without an account are called is
    /// none.
    AccountName, except ["anonymous", "cluster"]
}

name! {
    /// The name of a group of accounts, which grants can be made to.
    GroupName
}

name! {
    /// The name of a role.
    RoleName
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Actor;

    #[test]
    fn a_name_needs_no_escape_anywhere() {
        for name in ["a", "alice", "ci-robot.2", "alice@example.org", "0", &"a".repeat(128)] {
            assert!(name.parse::<AccountName>().is_ok(), "{name}");
        }
        for text in ["", "Alice", ".a", "-a", "a b", "a:b", "a/b", "ä", "a\0", &"a".repeat(129)] {
            assert_eq!(text.parse::<AccountName>(), Err(NameError), "{text}");
        }
        for actor in [Actor::ANONYMOUS, Actor::CLUSTER] {
            assert_eq!(actor.as_str().parse::<AccountName>(), Err(NameError));
            assert!(actor.as_str().parse::<GroupName>().is_ok());
        }
    }
}
