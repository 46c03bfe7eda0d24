//! Grants: who has which role where.

use std::fmt;
use std::str::FromStr;

use super::{AccountName, GroupName, RepoPattern, RoleName};

/// Gives a role to somebody on the repositories that a pattern matches. There is nothing more to
/// it: a grant is its own identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// Who has the role.
    pub grantee: Grantee,
    /// Where.
    pub pattern: RepoPattern,
    /// The role.
    pub role: RoleName,
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {} on {}", self.grantee, self.role, self.pattern)
    }
}

/// Whom a grant is for: `user:alice`, `group:web`, `authenticated` or `anonymous`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grantee {
    /// An account: a user or robot of this name.
    Account(AccountName),
    /// The members of a group.
    Group(GroupName),
    /// Everybody who has logged in.
    Authenticated,
    /// Everybody.
    Anonymous,
}

impl FromStr for Grantee {
    type Err = GranteeError;

    fn from_str(text: &str) -> Result<Self, GranteeError> {
        match text.split_once(':') {
            Some(("user", name)) => name.parse().map(Self::Account).map_err(|_| GranteeError),
            Some(("group", name)) => name.parse().map(Self::Group).map_err(|_| GranteeError),
            None if text == "authenticated" => Ok(Self::Authenticated),
            None if text == "anonymous" => Ok(Self::Anonymous),
            _ => Err(GranteeError),
        }
    }
}

impl fmt::Display for Grantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(name) => write!(f, "user:{name}"),
            Self::Group(name) => write!(f, "group:{name}"),
            Self::Authenticated => f.write_str("authenticated"),
            Self::Anonymous => f.write_str("anonymous"),
        }
    }
}

impl fmt::Debug for Grantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text names nobody that a grant can be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a grant is for user:NAME (robots too), group:NAME, authenticated or anonymous")]
pub struct GranteeError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grantee_reads_back() {
        for text in ["user:alice", "group:web", "authenticated", "anonymous"] {
            assert_eq!(text.parse().map(|grantee: Grantee| grantee.to_string()), Ok(text.into()));
        }
        for wrong in ["", "alice", "user:", "user:A", "group:a:b", "Anonymous", "robot:a"] {
            assert_eq!(wrong.parse::<Grantee>(), Err(GranteeError), "{wrong}");
        }
    }
}
