//! The rules for changes of access.

use std::collections::BTreeSet;

use proto::access::{
    AccessChange, AccessCommand, AccessKey, AccessRefusal, Account, AccountKind, AccountName,
    Grant, Grantee, GroupName, KeyId, PasswordHash, RepoPattern, Role, RoleName, TokenKey,
    TokenSeed, Verb,
};
use proto::limits::{
    ACCOUNT_GROUPS_MAX, GRANTS_MAX, KEY_DESCRIPTION_BYTES_MAX, KEY_USE_INTERVAL,
    KEYS_PER_ACCOUNT_MAX, ROLES_MAX, TOKEN_KEY_LIFETIME, TOKEN_KEYS_KEPT,
};
use proto::{Answer, Digest, Event, Refusal, Tag, Tagging, Timestamp};

use crate::catalog::View;
use crate::catalog::decide::{Decision, NotDecided};

/// What a change comes to, before it is an event.
type Changes = Result<Vec<AccessChange>, NotDecided>;

/// Decides what a command about access changes, at the log index `index` and the time `when`.
pub(in crate::catalog) fn decide(
    view: &View,
    index: u64,
    when: Timestamp,
    command: &AccessCommand,
) -> Result<Decision, NotDecided> {
    let changes = match command {
        AccessCommand::Appoint { name, password, only_first } => {
            appoint(view, index, name, password, *only_first)
        }
        AccessCommand::CreateAccount { name, kind, password, groups } => {
            create_account(view, index, name, *kind, password.as_ref(), groups)
        }
        AccessCommand::UpdateAccount { name, password, groups, enabled } => {
            update_account(view, index, name, password.as_ref(), groups.as_ref(), *enabled)
        }
        AccessCommand::RemoveAccount(name) => remove_account(view, name),
        AccessCommand::CreateKey(key) => create_key(view, when, key),
        AccessCommand::RevokeKey { account, key } => revoke_key(view, account, *key),
        AccessCommand::NoteKeyUse(key) => note_key_use(view, when, *key),
        AccessCommand::PutRole(role) => put_role(view, role),
        AccessCommand::RemoveRole(name) => remove_role(view, name),
        AccessCommand::Grant(grant) => make_grant(view, grant),
        AccessCommand::Revoke(grant) => revoke(view, grant),
        AccessCommand::AddTokenKey { seed } => add_token_key(view, index, when, seed),
    }?;
    let event = |change| Event::AccessChanged { version: index, change };
    Ok(Decision { events: changes.into_iter().map(event).collect(), answer: Answer::Done })
}

/// Refuses a push that would change a tag in a way that its caller may not: `from` is what the tag
/// names now, if it exists.
pub(in crate::catalog) fn check_tags(
    tagging: Tagging,
    tag: &Tag,
    from: Option<&Digest>,
) -> Result<(), NotDecided> {
    match from {
        Some(_) if !tagging.may_move => refuse(AccessRefusal::TagExists(tag.clone())),
        None if !tagging.may_create => refuse(AccessRefusal::TagAbsent(tag.clone())),
        _ => Ok(()),
    }
}

fn refuse<T>(refusal: AccessRefusal) -> Result<T, NotDecided> {
    Err(Refusal::Access(refusal).into())
}

fn appoint(
    view: &View,
    index: u64,
    name: &AccountName,
    password: &PasswordHash,
    only_first: bool,
) -> Changes {
    if only_first && !view.accounts(None, 1)?.is_empty() {
        return refuse(AccessRefusal::AlreadyAppointed);
    }
    let account = Account {
        name: name.clone(),
        kind: AccountKind::User,
        password: Some(password.clone()),
        groups: view.account(name)?.map(|account| account.groups).unwrap_or_default(),
        enabled: true,
        generation: index,
    };
    let mut changes = vec![AccessChange::AccountPut(account)];
    if let Some(grant) = administration(name)
        && !view.has_grant(&grant)?
    {
        changes.push(AccessChange::Granted(grant));
    }
    Ok(changes)
}

/// The grant of everything to the account `name`.
fn administration(name: &AccountName) -> Option<Grant> {
    Some(Grant {
        grantee: Grantee::Account(name.clone()),
        pattern: RepoPattern::everything(),
        role: Role::ADMINISTRATOR.parse().ok()?,
    })
}

fn create_account(
    view: &View,
    index: u64,
    name: &AccountName,
    kind: AccountKind,
    password: Option<&PasswordHash>,
    groups: &BTreeSet<GroupName>,
) -> Changes {
    if view.account(name)?.is_some() {
        return refuse(AccessRefusal::AccountExists(name.clone()));
    }
    let account = Account {
        name: name.clone(),
        kind,
        password: password.cloned(),
        groups: groups.clone(),
        enabled: true,
        generation: index,
    };
    check_account(&account)?;
    Ok(vec![AccessChange::AccountPut(account)])
}

fn update_account(
    view: &View,
    index: u64,
    name: &AccountName,
    password: Option<&PasswordHash>,
    groups: Option<&BTreeSet<GroupName>>,
    enabled: Option<bool>,
) -> Changes {
    let before = known(view, name)?;
    let mut account = before.clone();
    if let Some(password) = password {
        account.password = Some(password.clone());
    }
    if let Some(groups) = groups {
        account.groups.clone_from(groups);
    }
    if let Some(enabled) = enabled {
        account.enabled = enabled;
    }
    check_account(&account)?;
    if before.enabled && !account.enabled {
        check_not_last(view, name)?;
    }
    if password.is_some() || account.enabled != before.enabled {
        account.generation = index;
    }
    Ok(if account == before { vec![] } else { vec![AccessChange::AccountPut(account)] })
}

fn check_account(account: &Account) -> Result<(), NotDecided> {
    if account.groups.len() > ACCOUNT_GROUPS_MAX {
        return refuse(AccessRefusal::TooManyGroups);
    }
    if account.kind == AccountKind::Robot && account.password.is_some() {
        return refuse(AccessRefusal::RobotPassword(account.name.clone()));
    }
    Ok(())
}

/// The account's keys and grants go with it: a later account of the same name belongs to somebody
/// else.
fn remove_account(view: &View, name: &AccountName) -> Changes {
    let account = known(view, name)?;
    if account.enabled {
        check_not_last(view, name)?;
    }
    let mut changes = Vec::new();
    for key in view.access_keys_of(name)? {
        changes.push(AccessChange::KeyRevoked { account: key.account, key: key.id });
    }
    for grant in view.grants_to(&Grantee::Account(name.clone()))? {
        changes.push(AccessChange::GrantRevoked(grant));
    }
    changes.push(AccessChange::AccountRemoved(name.clone()));
    Ok(changes)
}

fn known(view: &View, name: &AccountName) -> Result<Account, NotDecided> {
    match view.account(name)? {
        Some(account) => Ok(account),
        None => refuse(AccessRefusal::AccountUnknown(name.clone())),
    }
}

/// Refuses to take an administrator away who is the last one that can log in: nobody could appoint
/// another.
fn check_not_last(view: &View, name: &AccountName) -> Result<(), NotDecided> {
    let Some(own) = administration(name) else { return Ok(()) };
    if !view.has_grant(&own)? {
        return Ok(());
    }
    for grant in view.grants()? {
        if grant.role != own.role || grant.pattern != own.pattern || grant == own {
            continue;
        }
        let Grantee::Account(other) = &grant.grantee else { continue };
        if let Some(account) = view.account(other)?
            && can_administer(view, &account, None)?
        {
            return Ok(());
        }
    }
    refuse(AccessRefusal::LastAdministrator(name.clone()))
}

/// Whether somebody can log in as `account`, for as long as nobody changes that, and use all that
/// is granted to it, also `without` one of its keys, by what the catalog knows: of the certificates
/// of clients it knows nothing.
fn can_administer(
    view: &View,
    account: &Account,
    without: Option<KeyId>,
) -> Result<bool, NotDecided> {
    if !account.enabled || account.password.is_some() {
        return Ok(account.enabled);
    }
    let counts = |key: &AccessKey| {
        Some(key.id) != without && key.expires.is_none() && key.scope.permits(Verb::Manage, None)
    };
    Ok(view.access_keys_of(&account.name)?.iter().any(counts))
}

fn revoke_key(view: &View, name: &AccountName, key: KeyId) -> Changes {
    if view.access_key(key)?.is_none_or(|found| found.account != *name) {
        return refuse(AccessRefusal::KeyUnknown(key));
    }
    let account = known(view, name)?;
    if can_administer(view, &account, None)? && !can_administer(view, &account, Some(key))? {
        check_not_last(view, name)?;
    }
    Ok(vec![AccessChange::KeyRevoked { account: name.clone(), key }])
}

fn create_key(view: &View, when: Timestamp, key: &AccessKey) -> Changes {
    known(view, &key.account)?;
    if key.description.len() > KEY_DESCRIPTION_BYTES_MAX {
        return refuse(AccessRefusal::DescriptionTooLong);
    }
    if view.access_key(key.id)?.is_some() {
        return refuse(AccessRefusal::KeyExists(key.id));
    }
    if view.access_keys_of(&key.account)?.len() >= KEYS_PER_ACCOUNT_MAX {
        return refuse(AccessRefusal::TooManyKeys(key.account.clone()));
    }
    Ok(vec![AccessChange::KeyCreated(AccessKey { created: when, ..key.clone() })])
}

/// Nodes note uses each for itself, and by clocks that differ: of several about the same time, the
/// first is kept.
fn note_key_use(view: &View, when: Timestamp, key: KeyId) -> Changes {
    let is_known =
        view.key_use(key)?.is_some_and(|last| last.is_recent(when, KEY_USE_INTERVAL / 2));
    if is_known || view.access_key(key)?.is_none() {
        return Ok(vec![]);
    }
    Ok(vec![AccessChange::KeyUsed { key, when }])
}

fn put_role(view: &View, role: &Role) -> Changes {
    if Role::is_built_in(&role.name) {
        return refuse(AccessRefusal::RoleBuiltIn(role.name.clone()));
    }
    match view.role(&role.name)? {
        Some(before) if before == *role => return Ok(vec![]),
        Some(_) => {}
        None if view.roles()?.len() >= ROLES_MAX + Role::built_in().count() => {
            return refuse(AccessRefusal::TooManyRoles);
        }
        None => {}
    }
    Ok(vec![AccessChange::RolePut(role.clone())])
}

fn remove_role(view: &View, name: &RoleName) -> Changes {
    if Role::is_built_in(name) {
        return refuse(AccessRefusal::RoleBuiltIn(name.clone()));
    }
    if view.role(name)?.is_none() {
        return refuse(AccessRefusal::RoleUnknown(name.clone()));
    }
    if let Some(by) = view.grants()?.into_iter().find(|grant| grant.role == *name) {
        return refuse(AccessRefusal::RoleInUse { role: name.clone(), by });
    }
    Ok(vec![AccessChange::RoleRemoved(name.clone())])
}

/// A grant may be to somebody who has no account here: groups and names also come from elsewhere.
fn make_grant(view: &View, grant: &Grant) -> Changes {
    if view.role(&grant.role)?.is_none() {
        return refuse(AccessRefusal::RoleUnknown(grant.role.clone()));
    }
    if view.has_grant(grant)? {
        return Ok(vec![]);
    }
    if view.grants()?.len() >= GRANTS_MAX {
        return refuse(AccessRefusal::TooManyGrants);
    }
    Ok(vec![AccessChange::Granted(grant.clone())])
}

fn revoke(view: &View, grant: &Grant) -> Changes {
    if !view.has_grant(grant)? {
        return refuse(AccessRefusal::GrantUnknown(grant.clone()));
    }
    if let Grantee::Account(name) = &grant.grantee
        && administration(name).as_ref() == Some(grant)
        && view.account(name)?.is_some_and(|account| account.enabled)
    {
        check_not_last(view, name)?;
    }
    Ok(vec![AccessChange::GrantRevoked(grant.clone())])
}

/// Nodes that find no key, or an old one, each propose a fresh one: the first of them is taken.
fn add_token_key(view: &View, index: u64, when: Timestamp, seed: &TokenSeed) -> Changes {
    let keys = view.token_keys()?;
    if keys.last().is_some_and(|newest| newest.since.is_recent(when, TOKEN_KEY_LIFETIME)) {
        return Ok(vec![]);
    }
    let outdated = (keys.len() + 1).saturating_sub(TOKEN_KEYS_KEPT);
    let key = TokenKey { id: index, seed: seed.0, since: when };
    let mut changes = vec![AccessChange::TokenKeyAdded(key)];
    changes.extend(keys.iter().take(outdated).map(|key| AccessChange::TokenKeyRetired(key.id)));
    Ok(changes)
}
