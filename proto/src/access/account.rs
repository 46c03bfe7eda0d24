//! Accounts: who can log in.

use std::collections::BTreeSet;
use std::fmt;

use super::{AccountName, GroupName, PasswordHash};

/// Whether a person or a program has an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountKind {
    /// A person.
    User,
    /// A program, which logs in with keys and has no password.
    Robot,
}

impl fmt::Display for AccountKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::User => "user",
            Self::Robot => "robot",
        })
    }
}

/// A user or robot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The name by which it logs in.
    pub name: AccountName,
    /// What it is.
    pub kind: AccountKind,
    /// What its password must match; `None` when it has none, and logs in with keys.
    pub password: Option<PasswordHash>,
    /// The groups it is a member of.
    pub groups: BTreeSet<GroupName>,
    /// Whether it can log in.
    pub enabled: bool,
    /// The log index at which it was made, or its password or whether it is enabled last changed:
    /// what was given out to an earlier generation no longer counts.
    pub generation: u64,
}
