//! One of every kind of command, change and refusal of access, with the golden file that holds it.
#![allow(clippy::unwrap_used, reason = "a failed test panics")]

use proto::Timestamp;
use proto::access::{
    AccessChange, AccessCommand, AccessKey, AccessRefusal, Account, AccountKind, Grant, KeyId,
    KeyScope, Role, SecretHash, TokenKey, TokenSeed, Verb, Verbs,
};

pub(crate) fn account() -> Account {
    Account {
        name: "alice".parse().unwrap(),
        kind: AccountKind::User,
        password: Some("$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA".parse().unwrap()),
        groups: ["ops", "web"].map(|group| group.parse().unwrap()).into(),
        enabled: true,
        generation: 7,
    }
}

pub(crate) fn key() -> AccessKey {
    AccessKey {
        id: KeyId::from_bytes([3; 16]),
        secret: SecretHash::from_bytes([4; 32]),
        account: "alice".parse().unwrap(),
        description: "laptop".to_owned(),
        created: Timestamp::from_millis(1_700_000_000_000),
        expires: Some(Timestamp::from_millis(1_800_000_000_000)),
        scope: KeyScope::of(["team/**=pull,push"]).unwrap(),
    }
}

pub(crate) fn role() -> Role {
    Role { name: "releaser".parse().unwrap(), verbs: Verbs::of(&[Verb::Pull, Verb::CreateTag]) }
}

pub(crate) fn grant() -> Grant {
    Grant {
        grantee: "group:web".parse().unwrap(),
        pattern: "team/**".parse().unwrap(),
        role: "releaser".parse().unwrap(),
    }
}

pub(crate) fn commands() -> Vec<AccessCommand> {
    let account = account();
    vec![
        AccessCommand::Appoint {
            name: account.name.clone(),
            password: account.password.clone().unwrap(),
            only_first: true,
        },
        AccessCommand::CreateAccount {
            name: account.name.clone(),
            kind: AccountKind::User,
            password: account.password.clone(),
            groups: account.groups.clone(),
        },
        AccessCommand::UpdateAccount {
            name: account.name.clone(),
            password: account.password,
            groups: Some(account.groups),
            enabled: Some(false),
        },
        AccessCommand::RemoveAccount(account.name.clone()),
        AccessCommand::CreateKey(key()),
        AccessCommand::RevokeKey { account: account.name, key: key().id },
        AccessCommand::NoteKeyUse(key().id),
        AccessCommand::PutRole(role()),
        AccessCommand::RemoveRole(role().name),
        AccessCommand::Grant(grant()),
        AccessCommand::Revoke(grant()),
        AccessCommand::AddTokenKey { seed: TokenSeed([5; 32]) },
    ]
}

pub(crate) const fn command_file(command: &AccessCommand) -> &'static str {
    match command {
        AccessCommand::Appoint { .. } => "entry-access-appoint.hex",
        AccessCommand::CreateAccount { .. } => "entry-access-create-account.hex",
        AccessCommand::UpdateAccount { .. } => "entry-access-update-account.hex",
        AccessCommand::RemoveAccount(_) => "entry-access-remove-account.hex",
        AccessCommand::CreateKey(_) => "entry-access-create-key.hex",
        AccessCommand::RevokeKey { .. } => "entry-access-revoke-key.hex",
        AccessCommand::NoteKeyUse(_) => "entry-access-note-key-use.hex",
        AccessCommand::PutRole(_) => "entry-access-put-role.hex",
        AccessCommand::RemoveRole(_) => "entry-access-remove-role.hex",
        AccessCommand::Grant(_) => "entry-access-grant.hex",
        AccessCommand::Revoke(_) => "entry-access-revoke.hex",
        AccessCommand::AddTokenKey { .. } => "entry-access-add-token-key.hex",
    }
}

pub(crate) fn changes() -> Vec<AccessChange> {
    let token_key =
        TokenKey { id: 9, seed: [5; 32], since: Timestamp::from_millis(1_700_000_000_000) };
    vec![
        AccessChange::AccountPut(account()),
        AccessChange::AccountRemoved(account().name),
        AccessChange::KeyCreated(key()),
        AccessChange::KeyRevoked { account: account().name, key: key().id },
        AccessChange::KeyUsed { key: key().id, when: Timestamp::from_millis(1_700_000_000_000) },
        AccessChange::RolePut(role()),
        AccessChange::RoleRemoved(role().name),
        AccessChange::Granted(grant()),
        AccessChange::GrantRevoked(grant()),
        AccessChange::TokenKeyAdded(token_key),
        AccessChange::TokenKeyRetired(9),
    ]
}

pub(crate) const fn change_file(change: &AccessChange) -> &'static str {
    match change {
        AccessChange::AccountPut(_) => "event-access-account-put.hex",
        AccessChange::AccountRemoved(_) => "event-access-account-removed.hex",
        AccessChange::KeyCreated(_) => "event-access-key-created.hex",
        AccessChange::KeyRevoked { .. } => "event-access-key-revoked.hex",
        AccessChange::KeyUsed { .. } => "event-access-key-used.hex",
        AccessChange::RolePut(_) => "event-access-role-put.hex",
        AccessChange::RoleRemoved(_) => "event-access-role-removed.hex",
        AccessChange::Granted(_) => "event-access-granted.hex",
        AccessChange::GrantRevoked(_) => "event-access-grant-revoked.hex",
        AccessChange::TokenKeyAdded(_) => "event-access-token-key-added.hex",
        AccessChange::TokenKeyRetired(_) => "event-access-token-key-retired.hex",
    }
}

pub(crate) fn refusals() -> Vec<AccessRefusal> {
    let (name, role) = (account().name, role().name);
    let tag = || "latest".parse().unwrap();
    vec![
        AccessRefusal::TagExists(tag()),
        AccessRefusal::TagAbsent(tag()),
        AccessRefusal::AlreadyAppointed,
        AccessRefusal::AccountExists(name.clone()),
        AccessRefusal::AccountUnknown(name.clone()),
        AccessRefusal::RobotPassword(name.clone()),
        AccessRefusal::LastAdministrator(name.clone()),
        AccessRefusal::TooManyGroups,
        AccessRefusal::TooManyKeys(name),
        AccessRefusal::DescriptionTooLong,
        AccessRefusal::KeyExists(key().id),
        AccessRefusal::KeyUnknown(key().id),
        AccessRefusal::RoleBuiltIn(role.clone()),
        AccessRefusal::RoleUnknown(role.clone()),
        AccessRefusal::RoleInUse { role, by: grant() },
        AccessRefusal::TooManyRoles,
        AccessRefusal::GrantUnknown(grant()),
        AccessRefusal::TooManyGrants,
    ]
}

pub(crate) const fn refusal_file(refusal: &AccessRefusal) -> &'static str {
    match refusal {
        AccessRefusal::TagExists(_) => "refusal-access-tag-exists.hex",
        AccessRefusal::TagAbsent(_) => "refusal-access-tag-absent.hex",
        AccessRefusal::AlreadyAppointed => "refusal-access-already-appointed.hex",
        AccessRefusal::AccountExists(_) => "refusal-access-account-exists.hex",
        AccessRefusal::AccountUnknown(_) => "refusal-access-account-unknown.hex",
        AccessRefusal::RobotPassword(_) => "refusal-access-robot-password.hex",
        AccessRefusal::LastAdministrator(_) => "refusal-access-last-administrator.hex",
        AccessRefusal::TooManyGroups => "refusal-access-too-many-groups.hex",
        AccessRefusal::TooManyKeys(_) => "refusal-access-too-many-keys.hex",
        AccessRefusal::DescriptionTooLong => "refusal-access-description-too-long.hex",
        AccessRefusal::KeyExists(_) => "refusal-access-key-exists.hex",
        AccessRefusal::KeyUnknown(_) => "refusal-access-key-unknown.hex",
        AccessRefusal::RoleBuiltIn(_) => "refusal-access-role-built-in.hex",
        AccessRefusal::RoleUnknown(_) => "refusal-access-role-unknown.hex",
        AccessRefusal::RoleInUse { .. } => "refusal-access-role-in-use.hex",
        AccessRefusal::TooManyRoles => "refusal-access-too-many-roles.hex",
        AccessRefusal::GrantUnknown(_) => "refusal-access-grant-unknown.hex",
        AccessRefusal::TooManyGrants => "refusal-access-too-many-grants.hex",
    }
}
