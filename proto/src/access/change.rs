//! What the cluster is asked to change about access, and what has changed.

use std::collections::BTreeSet;
use std::fmt;

use super::{
    AccessKey, Account, AccountKind, AccountName, Grant, GroupName, KeyId, PasswordHash, Role,
    RoleName, TokenKey,
};
use crate::Timestamp;

/// A change of who may do what, as a node proposes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessCommand {
    /// Makes a user who may do everything, or gives that user another password and all rights
    /// again.
    Appoint {
        /// The user.
        name: AccountName,
        /// What the password must match.
        password: PasswordHash,
        /// Only while there is no account at all.
        only_first: bool,
    },
    /// Makes an account.
    CreateAccount {
        /// Its name.
        name: AccountName,
        /// What it is.
        kind: AccountKind,
        /// What its password must match.
        password: Option<PasswordHash>,
        /// Its groups.
        groups: BTreeSet<GroupName>,
    },
    /// Changes an account; what is `None` stays.
    UpdateAccount {
        /// Its name.
        name: AccountName,
        /// What its password must match from now on.
        password: Option<PasswordHash>,
        /// Its groups from now on.
        groups: Option<BTreeSet<GroupName>>,
        /// Whether it can log in from now on.
        enabled: Option<bool>,
    },
    /// Removes an account, with its keys and the grants to it.
    RemoveAccount(AccountName),
    /// Gives an account a key. When that is made is when it is decided, whatever the key says.
    CreateKey(AccessKey),
    /// Ends a key.
    RevokeKey {
        /// The account that it stands for.
        account: AccountName,
        /// The key.
        key: KeyId,
    },
    /// Notes that a key is used now, unless that is known of this hour.
    NoteKeyUse(KeyId),
    /// Makes a role, or changes what it permits.
    PutRole(Role),
    /// Removes a role that no grant gives.
    RemoveRole(RoleName),
    /// Makes a grant.
    Grant(Grant),
    /// Takes a grant back.
    Revoke(Grant),
    /// Lets a fresh key sign tokens, unless the last one is young enough.
    AddTokenKey {
        /// The private key.
        seed: TokenSeed,
    },
}

/// A private key that was just drawn. Its text is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenSeed(pub [u8; 32]);

impl fmt::Debug for TokenSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSeed(secret)")
    }
}

impl fmt::Display for AccessCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Appoint { name, .. } => write!(f, "appoint {name} administrator"),
            Self::CreateAccount { name, kind, .. } => write!(f, "create {kind} {name}"),
            Self::UpdateAccount { name, .. } => write!(f, "update account {name}"),
            Self::RemoveAccount(name) => write!(f, "remove account {name}"),
            Self::CreateKey(key) => write!(f, "create key {} of {}", key.id, key.account),
            Self::RevokeKey { account, key } => write!(f, "revoke key {key} of {account}"),
            Self::NoteKeyUse(key) => write!(f, "note the use of key {key}"),
            Self::PutRole(role) => write!(f, "put role {} ({})", role.name, role.verbs),
            Self::RemoveRole(name) => write!(f, "remove role {name}"),
            Self::Grant(grant) => write!(f, "grant: {grant}"),
            Self::Revoke(grant) => write!(f, "revoke: {grant}"),
            Self::AddTokenKey { .. } => f.write_str("add a token key"),
        }
    }
}

/// A fact about who may do what that became true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessChange {
    /// There is an account, and this is how it stands.
    AccountPut(Account),
    /// An account is gone.
    AccountRemoved(AccountName),
    /// An account has a key.
    KeyCreated(AccessKey),
    /// A key has ended.
    KeyRevoked {
        /// The account that it stood for.
        account: AccountName,
        /// The key.
        key: KeyId,
    },
    /// A key was used. What anybody may do stays as it was.
    KeyUsed {
        /// The key.
        key: KeyId,
        /// When.
        when: Timestamp,
    },
    /// There is a role, and this is what it permits.
    RolePut(Role),
    /// A role is gone.
    RoleRemoved(RoleName),
    /// A grant was made.
    Granted(Grant),
    /// A grant was taken back.
    GrantRevoked(Grant),
    /// A key signs tokens.
    TokenKeyAdded(TokenKey),
    /// What a key has signed no longer counts.
    TokenKeyRetired(u64),
}
