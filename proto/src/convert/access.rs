//! Accounts, keys, roles and grants, as they stand in the log, the journal and the rows.

use std::collections::BTreeSet;

use super::{DecodeError, bytes, bytes32, id, parse};
use crate::Timestamp;
use crate::access::{
    AccessChange, AccessCommand, AccessKey, Account, AccountKind, Grant, GroupName, KeyId,
    KeyScope, PasswordHash, Role, SecretHash, TokenKey, TokenSeed, Verb,
};
use crate::pb::access as pb;

impl From<&AccessCommand> for pb::Command {
    fn from(command: &AccessCommand) -> Self {
        use pb::command::Command as Pb;
        let command = match command {
            AccessCommand::Appoint { name, password, only_first } => Pb::Appoint(pb::Appoint {
                name: name.to_string(),
                password: password.expose().to_owned(),
                only_first: *only_first,
            }),
            AccessCommand::CreateAccount { name, kind, password, groups } => {
                Pb::CreateAccount(pb::CreateAccount {
                    name: name.to_string(),
                    kind: pb::Kind::from(*kind).into(),
                    password: password.as_ref().map(expose),
                    groups: texts(groups),
                })
            }
            AccessCommand::UpdateAccount { name, password, groups, enabled } => {
                Pb::UpdateAccount(pb::UpdateAccount {
                    name: name.to_string(),
                    password: password.as_ref().map(expose),
                    groups: groups.as_ref().map(|names| pb::Groups { names: texts(names) }),
                    enabled: *enabled,
                })
            }
            AccessCommand::RemoveAccount(name) => {
                Pb::RemoveAccount(pb::RemoveAccount { name: name.to_string() })
            }
            AccessCommand::CreateKey(key) => Pb::CreateKey(key.into()),
            AccessCommand::RevokeKey { account, key } => {
                Pb::RevokeKey(pb::RevokeKey { account: account.to_string(), id: key_id(key) })
            }
            AccessCommand::NoteKeyUse(key) => Pb::NoteKeyUse(key_id(key)),
            AccessCommand::PutRole(role) => Pb::PutRole(role.into()),
            AccessCommand::RemoveRole(name) => {
                Pb::RemoveRole(pb::RemoveRole { name: name.to_string() })
            }
            AccessCommand::Grant(grant) => Pb::Grant(grant.into()),
            AccessCommand::Revoke(grant) => Pb::Revoke(grant.into()),
            AccessCommand::AddTokenKey { seed } => {
                Pb::AddTokenKey(pb::AddTokenKey { seed: bytes(&seed.0) })
            }
        };
        Self { command: Some(command) }
    }
}

impl TryFrom<pb::Command> for AccessCommand {
    type Error = DecodeError;

    fn try_from(command: pb::Command) -> Result<Self, DecodeError> {
        use pb::command::Command as Pb;
        Ok(match command.command.ok_or_else(|| DecodeError::unknown("access command"))? {
            Pb::Appoint(c) => Self::Appoint {
                name: parse("account", &c.name)?,
                password: parse("password", &c.password)?,
                only_first: c.only_first,
            },
            Pb::CreateAccount(c) => Self::CreateAccount {
                name: parse("account", &c.name)?,
                kind: kind(c.kind)?,
                password: password(c.password)?,
                groups: groups(&c.groups)?,
            },
            Pb::UpdateAccount(c) => Self::UpdateAccount {
                name: parse("account", &c.name)?,
                password: password(c.password)?,
                groups: c.groups.map(|all| groups(&all.names)).transpose()?,
                enabled: c.enabled,
            },
            Pb::RemoveAccount(c) => Self::RemoveAccount(parse("account", &c.name)?),
            Pb::CreateKey(key) => Self::CreateKey(key.try_into()?),
            Pb::RevokeKey(c) => {
                Self::RevokeKey { account: parse("account", &c.account)?, key: id("key", &c.id)? }
            }
            Pb::NoteKeyUse(key) => Self::NoteKeyUse(id("key", &key)?),
            Pb::PutRole(role) => Self::PutRole(role.try_into()?),
            Pb::RemoveRole(c) => Self::RemoveRole(parse("role", &c.name)?),
            Pb::Grant(grant) => Self::Grant(grant.try_into()?),
            Pb::Revoke(grant) => Self::Revoke(grant.try_into()?),
            Pb::AddTokenKey(c) => Self::AddTokenKey { seed: TokenSeed(bytes32("seed", &c.seed)?) },
        })
    }
}

impl From<&AccessChange> for pb::Change {
    fn from(change: &AccessChange) -> Self {
        use pb::change::Change as Pb;
        let change = match change {
            AccessChange::AccountPut(account) => Pb::AccountPut(account.into()),
            AccessChange::AccountRemoved(name) => {
                Pb::AccountRemoved(pb::RemoveAccount { name: name.to_string() })
            }
            AccessChange::KeyCreated(key) => Pb::KeyCreated(key.into()),
            AccessChange::KeyRevoked { account, key } => {
                Pb::KeyRevoked(pb::RevokeKey { account: account.to_string(), id: key_id(key) })
            }
            AccessChange::KeyUsed { key, when } => {
                Pb::KeyUsed(pb::KeyUsed { id: key_id(key), when_millis: when.as_millis() })
            }
            AccessChange::RolePut(role) => Pb::RolePut(role.into()),
            AccessChange::RoleRemoved(name) => {
                Pb::RoleRemoved(pb::RemoveRole { name: name.to_string() })
            }
            AccessChange::Granted(grant) => Pb::Granted(grant.into()),
            AccessChange::GrantRevoked(grant) => Pb::GrantRevoked(grant.into()),
            AccessChange::TokenKeyAdded(key) => Pb::TokenKeyAdded(key.into()),
            AccessChange::TokenKeyRetired(id) => Pb::TokenKeyRetired(*id),
        };
        Self { change: Some(change) }
    }
}

impl TryFrom<pb::Change> for AccessChange {
    type Error = DecodeError;

    fn try_from(change: pb::Change) -> Result<Self, DecodeError> {
        use pb::change::Change as Pb;
        Ok(match change.change.ok_or_else(|| DecodeError::unknown("access change"))? {
            Pb::AccountPut(account) => Self::AccountPut(account.try_into()?),
            Pb::AccountRemoved(c) => Self::AccountRemoved(parse("account", &c.name)?),
            Pb::KeyCreated(key) => Self::KeyCreated(key.try_into()?),
            Pb::KeyRevoked(c) => {
                Self::KeyRevoked { account: parse("account", &c.account)?, key: id("key", &c.id)? }
            }
            Pb::KeyUsed(c) => Self::KeyUsed {
                key: id("key", &c.id)?,
                when: Timestamp::from_millis(c.when_millis),
            },
            Pb::RolePut(role) => Self::RolePut(role.try_into()?),
            Pb::RoleRemoved(c) => Self::RoleRemoved(parse("role", &c.name)?),
            Pb::Granted(grant) => Self::Granted(grant.try_into()?),
            Pb::GrantRevoked(grant) => Self::GrantRevoked(grant.try_into()?),
            Pb::TokenKeyAdded(key) => Self::TokenKeyAdded(key.try_into()?),
            Pb::TokenKeyRetired(id) => Self::TokenKeyRetired(id),
        })
    }
}

impl From<AccountKind> for pb::Kind {
    fn from(kind: AccountKind) -> Self {
        match kind {
            AccountKind::User => Self::User,
            AccountKind::Robot => Self::Robot,
        }
    }
}

/// The kind with this number; what is generated for that takes an unknown one for none.
fn kind(number: i32) -> Result<AccountKind, DecodeError> {
    const FIELD: &str = "kind of account";
    match pb::Kind::try_from(number).map_err(|_| DecodeError::unknown(FIELD))? {
        pb::Kind::User => Ok(AccountKind::User),
        pb::Kind::Robot => Ok(AccountKind::Robot),
        pb::Kind::Unspecified => Err(DecodeError::missing(FIELD)),
    }
}

impl From<&Account> for pb::Account {
    fn from(account: &Account) -> Self {
        Self {
            name: account.name.to_string(),
            kind: pb::Kind::from(account.kind).into(),
            password: account.password.as_ref().map(expose),
            groups: texts(&account.groups),
            enabled: account.enabled,
            generation: account.generation,
        }
    }
}

impl TryFrom<pb::Account> for Account {
    type Error = DecodeError;

    fn try_from(account: pb::Account) -> Result<Self, DecodeError> {
        Ok(Self {
            name: parse("account", &account.name)?,
            kind: kind(account.kind)?,
            groups: groups(&account.groups)?,
            enabled: account.enabled,
            generation: account.generation,
            password: password(account.password)?,
        })
    }
}

impl From<&AccessKey> for pb::Key {
    fn from(key: &AccessKey) -> Self {
        Self {
            id: key_id(&key.id),
            secret: bytes(key.secret.as_bytes()),
            account: key.account.to_string(),
            description: key.description.clone(),
            created_millis: key.created.as_millis(),
            expires_millis: key.expires.map(Timestamp::as_millis),
            scope: key.scope.parts().collect(),
        }
    }
}

impl TryFrom<pb::Key> for AccessKey {
    type Error = DecodeError;

    fn try_from(key: pb::Key) -> Result<Self, DecodeError> {
        let parts = key.scope.iter().map(String::as_str);
        Ok(Self {
            id: id("key", &key.id)?,
            secret: SecretHash::from_bytes(bytes32("secret", &key.secret)?),
            account: parse("account", &key.account)?,
            scope: KeyScope::of(parts).map_err(|e| DecodeError::new("scope", e))?,
            description: key.description,
            created: Timestamp::from_millis(key.created_millis),
            expires: key.expires_millis.map(Timestamp::from_millis),
        })
    }
}

impl From<&Role> for pb::Role {
    fn from(role: &Role) -> Self {
        let verbs = role.verbs.iter().map(|verb| verb.to_string());
        Self { name: role.name.to_string(), verbs: verbs.collect() }
    }
}

impl TryFrom<pb::Role> for Role {
    type Error = DecodeError;

    fn try_from(role: pb::Role) -> Result<Self, DecodeError> {
        let verbs = role.verbs.iter().map(|verb| parse::<Verb>("verb", verb));
        Ok(Self { name: parse("role", &role.name)?, verbs: verbs.collect::<Result<_, _>>()? })
    }
}

impl From<&Grant> for pb::Grant {
    fn from(grant: &Grant) -> Self {
        Self {
            grantee: grant.grantee.to_string(),
            pattern: grant.pattern.to_string(),
            role: grant.role.to_string(),
        }
    }
}

impl TryFrom<pb::Grant> for Grant {
    type Error = DecodeError;

    fn try_from(grant: pb::Grant) -> Result<Self, DecodeError> {
        Ok(Self {
            grantee: parse("grantee", &grant.grantee)?,
            pattern: parse("pattern", &grant.pattern)?,
            role: parse("role", &grant.role)?,
        })
    }
}

impl From<&TokenKey> for pb::TokenKey {
    fn from(key: &TokenKey) -> Self {
        Self { id: key.id, seed: bytes(&key.seed), since_millis: key.since.as_millis() }
    }
}

impl TryFrom<pb::TokenKey> for TokenKey {
    type Error = DecodeError;

    fn try_from(key: pb::TokenKey) -> Result<Self, DecodeError> {
        Ok(Self {
            id: key.id,
            seed: bytes32("seed", &key.seed)?,
            since: Timestamp::from_millis(key.since_millis),
        })
    }
}

fn expose(password: &PasswordHash) -> String {
    password.expose().to_owned()
}

fn password(text: Option<String>) -> Result<Option<PasswordHash>, DecodeError> {
    text.map(|text| parse("password", &text)).transpose()
}

fn texts(groups: &BTreeSet<GroupName>) -> Vec<String> {
    groups.iter().map(ToString::to_string).collect()
}

fn groups(names: &[String]) -> Result<BTreeSet<GroupName>, DecodeError> {
    names.iter().map(|name| parse("group", name)).collect()
}

fn key_id(id: &KeyId) -> bytes::Bytes {
    bytes(id.as_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use super::*;

    #[test]
    fn a_kind_of_account_that_this_version_does_not_know_is_of_a_newer_one() {
        let read = |kind| {
            let name = "ann".to_owned();
            let account = pb::Account { name, kind, enabled: true, ..pb::Account::default() };
            Account::try_from(account)
        };
        assert_eq!(read(2).unwrap().kind, AccountKind::Robot);
        assert!(read(3).unwrap_err().is_newer());
        assert!(!read(0).unwrap_err().is_newer(), "it was not written");
    }
}
