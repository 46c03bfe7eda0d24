//! Why a change of access is refused.

use super::{AccountName, Grant, KeyId, RoleName};
use crate::Tag;
use crate::limits::{
    ACCOUNT_GROUPS_MAX, GRANTS_MAX, KEY_DESCRIPTION_BYTES_MAX, KEYS_PER_ACCOUNT_MAX, ROLES_MAX,
};

/// A change of access, or one that access is needed for, was understood and did nothing. Its text
/// tells the person what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessRefusal {
    /// The caller may set new tags, and not move those that exist.
    #[error("tag {0} exists, and you may not move it: push another tag, or ask an administrator")]
    TagExists(Tag),
    /// The caller may move tags that exist, and not set new ones.
    #[error("tag {0} does not exist, and you may not create it: ask an administrator")]
    TagAbsent(Tag),
    /// There are accounts already.
    #[error("the cluster has accounts already: its first administrator is appointed")]
    AlreadyAppointed,
    /// The name is taken.
    #[error("account {0} exists already")]
    AccountExists(AccountName),
    /// There is no such account.
    #[error("there is no account {0}")]
    AccountUnknown(AccountName),
    /// A robot has no password.
    #[error("{0} is a robot, which logs in with keys and has no password: create a key")]
    RobotPassword(AccountName),
    /// Nobody else could administer the registry.
    #[error("{0} is the last administrator: appoint another first")]
    LastAdministrator(AccountName),
    /// The account is in too many groups.
    #[error("an account is in at most {ACCOUNT_GROUPS_MAX} groups")]
    TooManyGroups,
    /// The account has too many keys.
    #[error("account {0} has {KEYS_PER_ACCOUNT_MAX} keys already: revoke one first")]
    TooManyKeys(AccountName),
    /// The description is too long.
    #[error("a key's description has at most {KEY_DESCRIPTION_BYTES_MAX} bytes")]
    DescriptionTooLong,
    /// The key's id is taken.
    #[error("key {0} exists already: draw another")]
    KeyExists(KeyId),
    /// The account has no such key.
    #[error("the account has no key {0}")]
    KeyUnknown(KeyId),
    /// Every cluster has this role.
    #[error("role {0} is built in and stays as it is: make one of another name")]
    RoleBuiltIn(RoleName),
    /// There is no such role.
    #[error("there is no role {0}: `roadstead role list` shows those that there are")]
    RoleUnknown(RoleName),
    /// Somebody has the role.
    #[error("role {role} is in use, as {by}: revoke that first")]
    RoleInUse {
        /// The role.
        role: RoleName,
        /// A grant that gives it.
        by: Grant,
    },
    /// There are too many roles.
    #[error("there are {ROLES_MAX} roles already: remove one first")]
    TooManyRoles,
    /// There is no such grant.
    #[error("there is no such grant ({0}): `roadstead grant list` shows those that there are")]
    GrantUnknown(Grant),
    /// There are too many grants.
    #[error("there are {GRANTS_MAX} grants already: revoke one first, or grant to groups")]
    TooManyGrants,
}
