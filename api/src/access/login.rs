//! Logging in: from what a request shows to who asks.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use http::request::Parts;
use proto::Timestamp;
use proto::access::{AccountKind, AccountName, KeyId, KeyScope};
use raft::View;

use super::known::Found;
use super::records::Refused;
use super::{Access, AccessKeySecret, Caller, Credentials, Htpasswd, Identity, Snapshot, uses};
use crate::audit;
use crate::client::certificate::ClientCertificate;
use crate::client::site;
use crate::client::{Client, Origin};
use crate::error::Error;
use crate::registry::Registry;

/// Who has logged in, and with what.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    /// Who it is.
    pub(crate) identity: Identity,
    /// What the key is good for that was used.
    pub(crate) key: KeyScope,
    /// What must stay as it is for the login to count.
    pub(crate) basis: Basis,
}

/// What a login rests on. Tokens carry it, so that they end when it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Basis {
    /// Nothing: it is nobody in particular.
    Nobody,
    /// The password of this generation of an account.
    Account(u64),
    /// An access key.
    Key(KeyId),
    /// A line of the htpasswd file.
    Htpasswd(String),
}

impl Basis {
    /// What was shown to log in, for those who read the audit log.
    fn means(&self) -> String {
        match self {
            Self::Nobody => "nothing".to_owned(),
            Self::Account(_) => "password".to_owned(),
            Self::Key(id) => format!("key {id}"),
            Self::Htpasswd(_) => "password of the htpasswd file".to_owned(),
        }
    }
}

impl Login {
    /// The login of nobody in particular.
    pub(crate) const NOBODY: Self =
        Self { identity: Identity::Anonymous, key: KeyScope::UNLIMITED, basis: Basis::Nobody };

    /// The login that rests on `basis`, which `name` had. `None` when it does so no longer.
    pub(super) fn of(
        access: &Access,
        view: &View,
        name: &str,
        basis: Basis,
        now: Timestamp,
    ) -> Result<Option<Self>, Error> {
        if basis == Basis::Nobody {
            return Ok(Some(Self::NOBODY));
        }
        let Ok(name) = name.parse::<AccountName>() else { return Ok(None) };
        if let Basis::Htpasswd(generation) = &basis {
            let users = access.options.htpasswd.as_ref();
            let now = users.and_then(|users| users.generation(&name));
            let stands = now.as_ref() == Some(generation) && view.account(&name)?.is_none();
            let (identity, key) = (from_file(name), KeyScope::UNLIMITED);
            return Ok(stands.then_some(Self { identity, key, basis }));
        }
        let Some(account) = view.account(&name)?.filter(|account| account.enabled) else {
            return Ok(None);
        };
        let key = match &basis {
            Basis::Account(generation) if *generation == account.generation => KeyScope::UNLIMITED,
            Basis::Key(id) => match view.access_key(*id)? {
                Some(key) if key.account == name && !key.has_expired(now) => key.scope,
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        let identity = Identity::Account { name, groups: account.groups };
        Ok(Some(Self { identity, key, basis }))
    }
}

const fn from_file(name: AccountName) -> Identity {
    Identity::Account { name, groups: BTreeSet::new() }
}

/// Who shows `credentials` at `now`, as `view` has it.
///
/// # Errors
/// [`Error::LoginFailed`] when they are no good.
pub(super) async fn identify(
    registry: &Registry,
    access: &Access,
    view: &View,
    parts: &Parts,
    credentials: &Credentials,
    now: Timestamp,
) -> Result<Arc<Caller>, Error> {
    let snapshot = access.snapshot(view)?;
    let caller = match credentials {
        Credentials::None => Caller::with_login(by_certificate(access, view, parts)?, &snapshot),
        Credentials::Basic { name, password } => {
            let login = log_in(registry, access, view, parts, name, password).await?;
            Caller::with_password(login, &snapshot)
        }
        Credentials::Bearer(token) => {
            let caller = by_token(registry, access, view, &snapshot, token, now);
            if matches!(caller, Err(Error::LoginFailed)) {
                access.record(Refused::Else, parts, audit::token_refused);
            }
            return caller;
        }
        Credentials::Unreadable => {
            access.record(Refused::Else, parts, |from| audit::login_failed(from, ""));
            return Err(Error::LoginFailed);
        }
    };
    Ok(Arc::new(caller))
}

fn by_token(
    registry: &Registry,
    access: &Access,
    view: &View,
    snapshot: &Snapshot,
    token: &str,
    now: Timestamp,
) -> Result<Arc<Caller>, Error> {
    if let Some(caller) = access.known.find(token, snapshot.version, now) {
        return Ok(caller);
    }
    let Some(claims) = access.tokens.verify(&snapshot.token_keys, token, now) else {
        return by_issuer(access, token, now).map(Arc::new).ok_or(Error::LoginFailed);
    };
    let basis = claims.basis.parse().map_err(|()| Error::LoginFailed)?;
    let mut until = claims.end();
    if let Basis::Key(id) = basis {
        let ends = view.access_key(id)?.and_then(|key| key.expires);
        until = ends.map_or(until, |ends| ends.min(until));
    }
    // A line of a file can change without a change of access.
    let is_kept = !matches!(basis, Basis::Htpasswd(_));
    let login = Login::of(access, view, &claims.sub, basis, now)?.ok_or(Error::LoginFailed)?;
    if let Basis::Key(key) = login.basis {
        uses::note(registry, access, view, key);
    }
    let caller = Arc::new(Caller::with_token(login, &snapshot.policy, claims.access));
    if is_kept {
        let (caller, version) = (Arc::clone(&caller), snapshot.version);
        access.known.keep(token, Found { caller, version, until });
    }
    Ok(caller)
}

/// Who shows a token of an issuer outside of the cluster: it says itself what it is good for.
fn by_issuer(access: &Access, token: &str, now: Timestamp) -> Option<Caller> {
    let issuer = access.options.issuer.as_ref()?;
    let claims = issuer.verify(&access.options.service, token, now)?;
    Some(Caller::with_foreign_token(claims.identity()?, claims.access))
}

/// Logs in with a name and a password, or an access key in its place.
///
/// # Errors
/// [`Error::LoginFailed`], which looks the same and takes as long for whatever reason, when that is
/// not right; [`Error::TooManyLogins`] when the client has tried too often, or others have.
pub(crate) async fn log_in(
    registry: &Registry,
    access: &Access,
    view: &View,
    parts: &Parts,
    name: &str,
    password: &str,
) -> Result<Login, Error> {
    let client = Client::of(&parts.extensions);
    let (outcome, wrong) = match AccessKeySecret::is_meant_by(password) {
        true => (by_key(access, view, name, password, registry.clock.now()), Refused::Else),
        false => (by_password(access, view, client, name, password).await, Refused::Password),
    };
    let found = outcome.inspect_err(|error| {
        if matches!(error, Error::TooManyLogins { .. }) {
            access.record(Refused::Else, parts, |from| audit::login_refused(from, name));
        }
    })?;
    let Some(login) = found else {
        access.record(wrong, parts, |from| audit::login_failed(from, name));
        return Err(Error::LoginFailed);
    };
    let from = Origin::of(&parts.extensions);
    audit::logged_in(from, &name, &login.basis.means());
    if let Basis::Key(key) = login.basis {
        uses::note(registry, access, view, key);
    }
    Ok(login)
}

/// Who asks by the certificate of the connection: the account of that name, if there is one. A
/// browser shows it for any page; for one of another site it is nobody's who changes anything.
pub(crate) fn by_certificate(access: &Access, view: &View, parts: &Parts) -> Result<Login, Error> {
    let certificate =
        parts.extensions.get::<ClientCertificate>().filter(|_| !site::is_other(parts));
    let name = certificate.and_then(|shown| shown.name(access.options.certificate_name));
    let Some(name) = name.and_then(|name| name.parse::<AccountName>().ok()) else {
        return Ok(Login::NOBODY);
    };
    Ok(match view.account(&name)? {
        Some(account) if account.enabled => {
            audit::logged_in(Origin::of(&parts.extensions), &name, &"certificate");
            let basis = Basis::Account(account.generation);
            let identity = Identity::Account { name, groups: account.groups };
            Login { identity, key: KeyScope::UNLIMITED, basis }
        }
        _ => Login::NOBODY,
    })
}

fn by_key(
    access: &Access,
    view: &View,
    name: &str,
    password: &str,
    now: Timestamp,
) -> Result<Option<Login>, Error> {
    let Ok(shown) = password.parse::<AccessKeySecret>() else { return Ok(None) };
    let Some(key) = view.access_key(shown.id)? else { return Ok(None) };
    if key.secret != shown.hash() {
        return Ok(None);
    }
    Login::of(access, view, name, Basis::Key(key.id), now)
}

async fn by_password(
    access: &Access,
    view: &View,
    client: Client,
    name: &str,
    password: &str,
) -> Result<Option<Login>, Error> {
    let name: Option<AccountName> = name.parse().ok();
    let account = name.as_ref().map(|name| view.account(name)).transpose()?.flatten();
    let asked_for = name.clone();
    let (hash, login) = match (account, name) {
        (Some(account), Some(name)) => {
            let basis = Basis::Account(account.generation);
            let may_log_in = account.enabled && account.kind == AccountKind::User;
            let hash = account.password.filter(|_| may_log_in).map(|hash| hash.expose().into());
            (hash, Some((Identity::Account { name, groups: account.groups }, basis)))
        }
        (None, Some(name)) => {
            let users = access.options.htpasswd.as_ref();
            let basis = users.and_then(|users| users.generation(&name)).map(Basis::Htpasswd);
            let hash: Option<Box<str>> = users.and_then(|users| users.hash(&name));
            (hash, basis.map(|basis| (from_file(name), basis)))
        }
        (_, None) => (None, None),
    };
    if !is_right(access, client, asked_for.as_ref(), password, hash.as_deref()).await? {
        return Ok(None);
    }
    let key = KeyScope::UNLIMITED;
    Ok(login.map(|(identity, basis)| Login { identity, key, basis }))
}

/// Whether `password` matches `hash`, as `client` says to log in as `account`.
///
/// A node remembers which passwords were right, and an answer from that memory tells a guesser as
/// much as a check does. So a client finds there without being counted only what was right when it
/// sent it itself, and no longer once its part of the guesses at the account has run out; what was
/// right for others, it finds only for one of its part. A wrong one that comes again is no guess,
/// and is not counted (ADR 20).
async fn is_right(
    access: &Access,
    client: Client,
    account: Option<&AccountName>,
    password: &str,
    hash: Option<&str>,
) -> Result<bool, Error> {
    let Access { passwords, attempts, .. } = access;
    let known = account.zip(hash);
    let is_in = || {
        known.is_some_and(|(account, hash)| passwords.has_let_in(client, account, password, hash))
    };
    if is_in() {
        return Ok(true);
    }
    if account.is_some_and(|account| passwords.is_known_wrong(account, password, hash)) {
        return Ok(false);
    }
    let turn = passwords.turn(client).await?;
    // Of many that come at once with the same one, the first has had it checked for all.
    if is_in() {
        return Ok(true);
    }
    attempts.count(client, account).inspect_err(|_| {
        if let Some(account) = account {
            passwords.forget(client, account);
        }
    })?;
    let is_known = known.is_some_and(|(_, hash)| passwords.is_known(password, hash));
    let is_right = is_known || {
        attempts.count_check(account)?;
        let cost = access.options.htpasswd.as_ref().and_then(Htpasswd::cost);
        passwords.check(turn, password, hash, cost).await?
    };
    match (account, hash) {
        (Some(account), Some(hash)) if is_right => {
            passwords.let_in(client, account, password, hash);
        }
        (Some(account), _) => passwords.note_wrong(account, password, hash),
        (None, _) => {}
    }
    Ok(is_right)
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("nobody"),
            Self::Account(generation) => write!(f, "account:{generation}"),
            Self::Key(id) => write!(f, "key:{id}"),
            Self::Htpasswd(generation) => write!(f, "htpasswd:{generation}"),
        }
    }
}

impl FromStr for Basis {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.split_once(':') {
            None if text == "nobody" => Ok(Self::Nobody),
            Some(("account", generation)) => generation.parse().map(Self::Account).map_err(|_| ()),
            Some(("key", id)) => id.parse().map(Self::Key).map_err(|_| ()),
            Some(("htpasswd", generation)) => Ok(Self::Htpasswd(generation.to_owned())),
            _ => Err(()),
        }
    }
}
