//! The rules for changes of access.

use proto::Tagging;
use proto::access::{
    AccessCommand, AccessKey, AccessRefusal, AccountKind, AccountName, Grant, KeyId, KeyScope,
    PasswordHash, Role, SecretHash, TokenSeed, Verb, Verbs,
};
use proto::limits::{KEY_USE_INTERVAL, KEYS_PER_ACCOUNT_MAX, STAMP_AHEAD_MAX, TOKEN_KEY_LIFETIME};

use super::*;

fn name(text: &str) -> AccountName {
    text.parse().unwrap()
}

fn password(text: &str) -> PasswordHash {
    format!("$test${text}").parse().unwrap()
}

fn appoint(text: &str, only_first: bool) -> AccessCommand {
    AccessCommand::Appoint { name: name(text), password: password(text), only_first }
}

fn create(text: &str, kind: AccountKind) -> AccessCommand {
    let password = (kind == AccountKind::User).then(|| password(text));
    AccessCommand::CreateAccount { name: name(text), kind, password, groups: [].into() }
}

fn enable(text: &str, enabled: bool) -> AccessCommand {
    let enabled = Some(enabled);
    AccessCommand::UpdateAccount { name: name(text), password: None, groups: None, enabled }
}

fn key(account: &str, id: u8) -> AccessKey {
    AccessKey {
        id: KeyId::from_bytes([id; 16]),
        secret: SecretHash::of(&[id; 32]),
        account: name(account),
        description: String::new(),
        created: Timestamp::from_millis(0),
        expires: None,
        scope: KeyScope::UNLIMITED,
    }
}

fn grant(grantee: &str, pattern: &str, role: &str) -> Grant {
    Grant {
        grantee: grantee.parse().unwrap(),
        pattern: pattern.parse().unwrap(),
        role: role.parse().unwrap(),
    }
}

impl Catalog {
    fn change(&mut self, command: AccessCommand) -> Outcome {
        self.apply(Command::Access(command))
    }

    fn refused(&mut self, command: AccessCommand) -> AccessRefusal {
        let rows = self.rows();
        let outcome = self.change(command);
        assert_eq!(self.rows(), rows, "what is refused has no effect");
        match outcome {
            Err(Refusal::Access(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_first_administrator_is_appointed_once() {
    let mut catalog = Catalog::new();
    catalog.change(appoint("admin", true)).unwrap();
    let account = catalog.view().account(&name("admin")).unwrap().unwrap();
    assert_eq!((account.kind, account.enabled), (AccountKind::User, true));
    assert_eq!(catalog.view().grants().unwrap(), [grant("user:admin", "**", "administrator")]);
    assert_eq!(catalog.refused(appoint("eve", true)), AccessRefusal::AlreadyAppointed);
    catalog.change(appoint("root", false)).unwrap();
    assert_eq!(catalog.view().grants().unwrap().len(), 2);
}

#[test]
fn the_last_administrator_stays() {
    let mut catalog = Catalog::new();
    catalog.change(appoint("admin", true)).unwrap();
    let last = AccessRefusal::LastAdministrator(name("admin"));
    let own = grant("user:admin", "**", "administrator");
    assert_eq!(catalog.refused(AccessCommand::RemoveAccount(name("admin"))), last);
    assert_eq!(catalog.refused(enable("admin", false)), last);
    assert_eq!(catalog.refused(AccessCommand::Revoke(own.clone())), last);

    catalog.change(create("bob", AccountKind::User)).unwrap();
    let other = grant("user:bob", "**", "administrator");
    catalog.change(AccessCommand::Grant(other)).unwrap();
    catalog.change(enable("bob", false)).unwrap();
    assert_eq!(catalog.refused(AccessCommand::Revoke(own.clone())), last, "bob cannot log in");
    catalog.change(enable("bob", true)).unwrap();
    catalog.change(AccessCommand::Revoke(own)).unwrap();
    catalog.change(AccessCommand::RemoveAccount(name("admin"))).unwrap();
}

#[test]
fn an_administrator_that_nobody_can_log_in_as_is_no_other_one() {
    let mut catalog = Catalog::new();
    catalog.change(appoint("admin", true)).unwrap();
    let own = grant("user:admin", "**", "administrator");
    let robot = grant("user:ci", "**", "administrator");
    catalog.change(create("ci", AccountKind::Robot)).unwrap();
    catalog.change(AccessCommand::Grant(robot)).unwrap();
    let stays = |catalog: &mut Catalog, why| {
        for command in [
            AccessCommand::RemoveAccount(name("admin")),
            AccessCommand::Revoke(own.clone()),
            enable("admin", false),
        ] {
            let last = AccessRefusal::LastAdministrator(name("admin"));
            assert_eq!(catalog.refused(command), last, "{why}");
        }
    };
    stays(&mut catalog, "the robot has no key");

    let scope = KeyScope::of(["**=pull,push"]).unwrap();
    catalog.change(AccessCommand::CreateKey(AccessKey { scope, ..key("ci", 1) })).unwrap();
    stays(&mut catalog, "its key leaves no administration");
    let expires = Some(Timestamp::from_millis(catalog.millis + 1_000));
    catalog.change(AccessCommand::CreateKey(AccessKey { expires, ..key("ci", 2) })).unwrap();
    stays(&mut catalog, "its key will end");
    catalog.change(AccessCommand::CreateKey(key("ci", 3))).unwrap();
    catalog.change(AccessCommand::CreateKey(key("ci", 4))).unwrap();
    catalog.change(AccessCommand::RemoveAccount(name("admin"))).unwrap();

    let revoke = |number| AccessCommand::RevokeKey {
        account: name("ci"),
        key: KeyId::from_bytes([number; 16]),
    };
    catalog.change(revoke(3)).unwrap();
    let last = AccessRefusal::LastAdministrator(name("ci"));
    assert_eq!(catalog.refused(revoke(4)), last, "nobody else could make another");
    catalog.change(revoke(1)).unwrap();
    catalog.change(appoint("admin", false)).unwrap();
    catalog.change(revoke(4)).unwrap();
}

#[test]
fn with_an_account_go_its_keys_and_what_was_granted_to_it() {
    let mut catalog = Catalog::new();
    catalog.change(create("ci", AccountKind::Robot)).unwrap();
    catalog.change(create("ci2", AccountKind::Robot)).unwrap();
    catalog.change(AccessCommand::CreateKey(key("ci", 1))).unwrap();
    catalog.change(AccessCommand::CreateKey(key("ci2", 2))).unwrap();
    for grantee in ["user:ci", "user:ci2"] {
        catalog.change(AccessCommand::Grant(grant(grantee, "a/**", "developer"))).unwrap();
    }
    catalog.change(AccessCommand::RemoveAccount(name("ci"))).unwrap();
    let view = catalog.view();
    assert_eq!(view.account(&name("ci")).unwrap(), None);
    assert_eq!(view.access_key(KeyId::from_bytes([1; 16])).unwrap(), None);
    assert_eq!(view.grants().unwrap(), [grant("user:ci2", "a/**", "developer")]);
    assert_eq!(view.access_keys_of(&name("ci2")).unwrap().len(), 1);
    assert_eq!(catalog.refused(enable("ci", true)), AccessRefusal::AccountUnknown(name("ci")));
}

#[test]
fn a_password_or_a_closed_account_begins_another_generation() {
    let mut catalog = Catalog::new();
    catalog.change(create("alice", AccountKind::User)).unwrap();
    let generation = |catalog: &Catalog| {
        let account = catalog.view().account(&name("alice")).unwrap().unwrap();
        (account.generation, catalog.view().access_version().unwrap())
    };
    let first = generation(&catalog);
    let groups = Some(["web".parse().unwrap()].into());
    let update = |password, groups| AccessCommand::UpdateAccount {
        name: name("alice"),
        password,
        groups,
        enabled: None,
    };
    catalog.change(update(None, groups)).unwrap();
    let second = generation(&catalog);
    assert_eq!((second.0, second.1 > first.1), (first.0, true), "who belongs to a group stays");
    catalog.change(update(Some(password("other")), None)).unwrap();
    let third = generation(&catalog);
    assert!(third.0 > second.0);
    catalog.change(enable("alice", false)).unwrap();
    assert!(generation(&catalog).0 > third.0);
}

#[test]
fn keys_are_of_one_account_and_bounded_in_number() {
    let mut catalog = Catalog::new();
    let refused = catalog.refused(AccessCommand::CreateKey(key("ci", 1)));
    assert_eq!(refused, AccessRefusal::AccountUnknown(name("ci")));
    catalog.change(create("ci", AccountKind::Robot)).unwrap();
    for id in 0..u8::try_from(KEYS_PER_ACCOUNT_MAX).unwrap() {
        catalog.change(AccessCommand::CreateKey(key("ci", id))).unwrap();
    }
    let one_more = catalog.refused(AccessCommand::CreateKey(key("ci", 200)));
    assert_eq!(one_more, AccessRefusal::TooManyKeys(name("ci")));
    let id = KeyId::from_bytes([1; 16]);
    let foreign = AccessCommand::RevokeKey { account: name("eve"), key: id };
    assert_eq!(catalog.refused(foreign), AccessRefusal::KeyUnknown(id));
    catalog.change(AccessCommand::RevokeKey { account: name("ci"), key: id }).unwrap();
    let again = catalog.refused(AccessCommand::CreateKey(key("ci", 2)));
    assert_eq!(again, AccessRefusal::KeyExists(KeyId::from_bytes([2; 16])));
    let long = AccessKey { description: "x".repeat(256), ..key("ci", 1) };
    assert_eq!(catalog.refused(AccessCommand::CreateKey(long)), AccessRefusal::DescriptionTooLong);
    let created = catalog.view().access_key(KeyId::from_bytes([2; 16])).unwrap().unwrap().created;
    assert!(created.as_millis() > 0, "when it is made is when it is decided");
}

#[test]
fn the_use_of_a_key_is_noted_once_an_hour_and_changes_no_rights() {
    let mut catalog = Catalog::new();
    catalog.change(create("ci", AccountKind::Robot)).unwrap();
    catalog.change(AccessCommand::CreateKey(key("ci", 1))).unwrap();
    let version = catalog.view().access_version().unwrap();
    let id = KeyId::from_bytes([1; 16]);
    let note = |catalog: &mut Catalog, id| {
        catalog.change(AccessCommand::NoteKeyUse(id)).unwrap();
        catalog.view().key_use(id).unwrap()
    };
    assert_eq!(catalog.view().key_use(id).unwrap(), None);
    let first = note(&mut catalog, id).unwrap();
    assert_eq!(note(&mut catalog, id), Some(first), "that is known of this hour");
    catalog.pass_seconds(u32::try_from(KEY_USE_INTERVAL.as_secs()).unwrap());
    assert!(note(&mut catalog, id) > Some(first));
    assert_eq!(catalog.view().access_version().unwrap(), version);

    assert_eq!(note(&mut catalog, KeyId::from_bytes([9; 16])), None, "there is no such key");
    catalog.change(AccessCommand::RevokeKey { account: name("ci"), key: id }).unwrap();
    assert_eq!(catalog.view().key_use(id).unwrap(), None);
}

#[test]
fn a_robot_has_no_password() {
    let mut catalog = Catalog::new();
    let create = AccessCommand::CreateAccount {
        name: name("ci"),
        kind: AccountKind::Robot,
        password: Some(password("x")),
        groups: [].into(),
    };
    assert_eq!(catalog.refused(create), AccessRefusal::RobotPassword(name("ci")));
}

#[test]
fn a_role_in_use_stays_and_those_built_in_never_change() {
    let mut catalog = Catalog::new();
    let role = |name: &str, verb| Role { name: name.parse().unwrap(), verbs: Verbs::of(&[verb]) };
    let built_in = catalog.refused(AccessCommand::PutRole(role("developer", Verb::Manage)));
    assert_eq!(built_in, AccessRefusal::RoleBuiltIn("developer".parse().unwrap()));
    let grant = grant("group:web", "**", "tagger");
    let unknown = catalog.refused(AccessCommand::Grant(grant.clone()));
    assert_eq!(unknown, AccessRefusal::RoleUnknown("tagger".parse().unwrap()));
    catalog.change(AccessCommand::PutRole(role("tagger", Verb::CreateTag))).unwrap();
    catalog.change(AccessCommand::Grant(grant.clone())).unwrap();
    let tagger = || AccessCommand::RemoveRole("tagger".parse().unwrap());
    let in_use = AccessRefusal::RoleInUse { role: "tagger".parse().unwrap(), by: grant.clone() };
    assert_eq!(catalog.refused(tagger()), in_use);
    catalog.change(AccessCommand::Revoke(grant.clone())).unwrap();
    let unknown = catalog.refused(AccessCommand::Revoke(grant.clone()));
    assert_eq!(unknown, AccessRefusal::GrantUnknown(grant));
    catalog.change(tagger()).unwrap();
    assert_eq!(catalog.view().roles().unwrap(), Role::built_in().collect::<Vec<_>>());
}

#[test]
fn a_token_key_gives_way_when_it_is_old_and_not_before() {
    let mut catalog = Catalog::new();
    let add = |catalog: &mut Catalog, seed: u8| {
        catalog.change(AccessCommand::AddTokenKey { seed: TokenSeed([seed; 32]) }).unwrap();
        let keys = catalog.view().token_keys().unwrap();
        keys.iter().map(|key| key.seed[0]).collect::<Vec<_>>()
    };
    assert_eq!(add(&mut catalog, 1), [1]);
    assert_eq!(add(&mut catalog, 2), [1], "another node was first");
    for (seed, kept) in [(3, [1, 3]), (4, [3, 4])] {
        catalog.millis += u64::try_from(TOKEN_KEY_LIFETIME.as_millis()).unwrap();
        let now = Timestamp::from_millis(catalog.millis);
        assert_eq!(catalog.view().token_key(now).unwrap(), None);
        assert_eq!(add(&mut catalog, seed), kept);
    }
}

#[test]
fn one_stamp_far_ahead_holds_up_neither_token_keys_nor_what_is_known_of_uses() {
    let mut catalog = Catalog::new();
    catalog.change(create("ci", AccountKind::Robot)).unwrap();
    catalog.change(AccessCommand::CreateKey(key("ci", 1))).unwrap();
    let id = KeyId::from_bytes([1; 16]);
    let seeds = |catalog: &mut Catalog, seed: u8| {
        catalog.change(AccessCommand::NoteKeyUse(id)).unwrap();
        catalog.change(AccessCommand::AddTokenKey { seed: TokenSeed([seed; 32]) }).unwrap();
        let keys = catalog.view().token_keys().unwrap();
        keys.iter().map(|key| key.seed[0]).collect::<Vec<_>>()
    };
    let ahead = u64::try_from((STAMP_AHEAD_MAX * 2).as_millis()).unwrap();
    catalog.millis += ahead * 2;
    assert_eq!(seeds(&mut catalog, 1), [1]);
    catalog.millis -= ahead;
    let now = Timestamp::from_millis(catalog.millis);
    assert_eq!(catalog.view().token_key(now).unwrap(), None, "it would sign for too long");
    assert_eq!(seeds(&mut catalog, 2), [1, 2]);
    assert!(catalog.view().key_use(id).unwrap().unwrap() < now.plus(KEY_USE_INTERVAL));
    assert_eq!(seeds(&mut catalog, 3), [1, 2], "as if nothing had been wrong");

    // A little ahead, the clocks of two leaders may be.
    catalog.millis -= ahead / 4;
    assert_eq!(seeds(&mut catalog, 4), [1, 2]);
}

/// What decides is what the tag names when the push is decided, not when somebody looked.
#[test]
fn a_push_changes_only_tags_that_it_may() {
    let mut catalog = Catalog::new();
    for (object, content) in [b"config", b"layer1", b"layer2"].iter().enumerate() {
        catalog.link("a", *content, object as u128 + 1).unwrap();
    }
    let images = [image(&[b"config", b"layer1"], None), image(&[b"config", b"layer2"], None)];
    let push = |image: &Manifest, tag: &str, may_create, may_move| {
        let Command::PutManifest { repository, manifest, tags, preconditions, sparse, .. } =
            put("a", image, &[tag])
        else {
            panic!("not a push")
        };
        let tagging = Tagging { may_create, may_move };
        Command::PutManifest { repository, manifest, tags, preconditions, sparse, tagging }
    };
    let refused = |refusal| Err(Refusal::Access(refusal));
    let tag = |text: &str| text.parse::<Tag>().unwrap();
    let absent = refused(AccessRefusal::TagAbsent(tag("1")));
    assert_eq!(catalog.apply(push(&images[0], "1", false, true)), absent);
    assert_eq!(catalog.view().manifest(&repo("a"), &images[0].digest().clone().into()), Ok(None));
    catalog.apply(push(&images[0], "1", true, false)).unwrap();
    let exists = refused(AccessRefusal::TagExists(tag("1")));
    assert_eq!(catalog.apply(push(&images[1], "1", true, false)), exists);
    catalog.apply(push(&images[0], "1", false, false)).expect("it names that already");
    catalog.apply(push(&images[1], "1", false, true)).unwrap();
    assert_eq!(catalog.tag("1").as_ref(), Some(images[1].digest()));
}
