//! Callers: who asks, with everything that limits them.

use std::collections::BTreeSet;
use std::sync::Arc;

use proto::access::{AccountName, Grantee, GroupName, KeyScope, Verb};
use proto::{Actor, RepoName};

use super::login::Basis;
use super::policy::Right;
use super::{Login, Policy, Resource, Snapshot};

/// Who somebody is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// Nobody in particular.
    Anonymous,
    /// An account.
    Account {
        /// Its name.
        name: AccountName,
        /// Its groups.
        groups: BTreeSet<GroupName>,
    },
}

impl Identity {
    /// Everything by which grants can name it, the most particular first.
    pub(crate) fn grantees(&self) -> impl Iterator<Item = Grantee> {
        let (name, groups) = match self {
            Self::Anonymous => (None, None),
            Self::Account { name, groups } => (Some(name.clone()), Some(groups.clone())),
        };
        let everybody = name.is_some().then_some(Grantee::Authenticated);
        let groups = groups.unwrap_or_default().into_iter().map(Grantee::Group);
        let own = name.map(Grantee::Account).into_iter();
        own.chain(groups).chain(everybody).chain([Grantee::Anonymous])
    }

    /// Its name, when it is an account.
    pub(crate) const fn name(&self) -> Option<&AccountName> {
        match self {
            Self::Anonymous => None,
            Self::Account { name, .. } => Some(name),
        }
    }
}

/// The client of a request, and what it may do.
#[derive(Clone, Debug)]
pub(crate) struct Caller(Rights);

#[derive(Clone, Debug)]
enum Rights {
    /// Those of any client of an open registry.
    All,
    /// What is granted to an identity, less what limits it.
    Granted(Granted),
}

/// What is granted to an identity, less what limits it.
#[derive(Clone, Debug)]
struct Granted {
    identity: Identity,
    /// What is granted to it.
    rights: Vec<Arc<[Right]>>,
    /// What the login rests on.
    basis: Basis,
    /// What the access key is good for that was used.
    key: KeyScope,
    /// What came with the request.
    shown: Shown,
}

/// What somebody shows with a request.
#[derive(Clone, Debug)]
enum Shown {
    /// The password of their account.
    Password,
    /// An access key, a certificate, or nothing.
    Else,
    /// A token that is good for this.
    Token(Vec<Resource>),
    /// A token of an issuer outside of the cluster: this is all that they have.
    ForeignToken(Vec<Resource>),
}

impl Shown {
    /// What the token is good for, if it is one.
    const fn token(&self) -> Option<&Vec<Resource>> {
        match self {
            Self::Password | Self::Else => None,
            Self::Token(resources) | Self::ForeignToken(resources) => Some(resources),
        }
    }
}

impl Caller {
    /// A client of a registry in which everybody may do everything.
    pub(crate) const UNLIMITED: Self = Self(Rights::All);

    /// Somebody whom nothing is granted to, and who has yet to show who they are.
    pub(crate) const NOBODY: Self = Self(Rights::Granted(Granted {
        identity: Identity::Anonymous,
        rights: Vec::new(),
        basis: Basis::Nobody,
        key: KeyScope::UNLIMITED,
        shown: Shown::Else,
    }));

    /// A client that has logged in with something else than a password.
    pub(crate) fn with_login(login: Login, snapshot: &Snapshot) -> Self {
        Self::new(login, &snapshot.policy, Shown::Else)
    }

    /// A client that has logged in with a name and a password, or an access key in its place.
    pub(super) fn with_password(login: Login, snapshot: &Snapshot) -> Self {
        let is_key = matches!(login.basis, Basis::Key(_));
        let shown = if is_key { Shown::Else } else { Shown::Password };
        Self::new(login, &snapshot.policy, shown)
    }

    /// A client that has logged in before, and shows a token for `resources`.
    pub(super) fn with_token(login: Login, policy: &Policy, resources: Vec<Resource>) -> Self {
        Self::new(login, policy, Shown::Token(resources))
    }

    /// A client that shows a token of an issuer outside of the cluster, which gives it `resources`.
    pub(super) fn with_foreign_token(identity: Identity, resources: Vec<Resource>) -> Self {
        Self(Rights::Granted(Granted {
            identity,
            rights: vec![resources.iter().filter_map(Resource::gives).collect()],
            basis: Basis::Nobody,
            key: KeyScope::UNLIMITED,
            shown: Shown::ForeignToken(resources),
        }))
    }

    fn new(login: Login, policy: &Policy, shown: Shown) -> Self {
        let Login { identity, key, basis } = login;
        let rights = policy.of(&identity);
        Self(Rights::Granted(Granted { identity, rights, basis, key, shown }))
    }

    /// Whether they may do `verb` in `repository`; in none, what concerns the whole registry.
    pub(crate) fn may(&self, verb: Verb, repository: Option<&RepoName>) -> bool {
        match &self.0 {
            Rights::All => true,
            Rights::Granted(granted) => {
                granted.is_granted(verb, repository) && granted.is_in_token(verb, repository)
            }
        }
    }

    /// Whether the catalog shows them `repository`: what they may pull, whatever their token is
    /// for, since one for the catalog names no repositories.
    pub(crate) fn may_see(&self, repository: &RepoName) -> bool {
        match &self.0 {
            Rights::All => true,
            Rights::Granted(granted) => granted.is_granted(Verb::Pull, Some(repository)),
        }
    }

    /// Whether they may pull from `repository`, if need be with another token: who has one of an
    /// issuer outside of the cluster may what that says.
    pub(crate) fn may_pull_somehow(&self, repository: &RepoName) -> bool {
        match &self.0 {
            Rights::Granted(Granted { shown: Shown::ForeignToken(_), .. }) => {
                self.may(Verb::Pull, Some(repository))
            }
            _ => self.may_see(repository),
        }
    }

    /// Whether they have a token, and it is not for the catalog.
    pub(crate) fn has_token_for_else(&self) -> bool {
        match &self.0 {
            Rights::All => false,
            Rights::Granted(granted) => {
                let token = granted.shown.token();
                token.is_some_and(|resources| !resources.iter().any(Resource::is_catalog))
            }
        }
    }

    /// Whether only their token is against `verb` in `repository`: they may, with another one.
    pub(crate) fn lacks_only_token(&self, verb: Verb, repository: Option<&RepoName>) -> bool {
        match &self.0 {
            Rights::All => false,
            Rights::Granted(granted) => {
                granted.is_granted(verb, repository) && !granted.is_in_token(verb, repository)
            }
        }
    }

    /// Whether it is nobody in particular who asks a registry that cares.
    pub(crate) const fn is_anonymous(&self) -> bool {
        matches!(&self.0, Rights::Granted(Granted { identity: Identity::Anonymous, .. }))
    }

    /// Whether they have shown who they are, if only with a token for nobody.
    pub(crate) const fn has_credentials(&self) -> bool {
        match &self.0 {
            Rights::All => true,
            Rights::Granted(granted) => !self.is_anonymous() || granted.shown.token().is_some(),
        }
    }

    /// Whether anything at all is granted to them.
    pub(crate) fn has_any_right(&self) -> bool {
        match &self.0 {
            Rights::All => true,
            Rights::Granted(granted) => granted.rights.iter().any(|rights| !rights.is_empty()),
        }
    }

    /// Whether they are `account` itself, by its password.
    pub(crate) fn is_by_password(&self, account: &AccountName) -> bool {
        match &self.0 {
            Rights::All => false,
            Rights::Granted(granted) => {
                let by_password = matches!(granted.shown, Shown::Password);
                by_password && granted.identity.name() == Some(account)
            }
        }
    }

    /// Whether they are `account` itself, by one of its keys.
    pub(crate) fn is_by_key(&self, account: &AccountName) -> bool {
        match &self.0 {
            Rights::All => false,
            Rights::Granted(granted) => {
                let by_key = matches!(granted.basis, Basis::Key(_));
                by_key && granted.identity.name() == Some(account)
            }
        }
    }

    /// Their account, if they have one.
    pub(crate) const fn account(&self) -> Option<&AccountName> {
        match &self.0 {
            Rights::All => None,
            Rights::Granted(granted) => granted.identity.name(),
        }
    }

    /// How the journal names them.
    pub(crate) fn actor(&self) -> Actor {
        self.account().map_or(Actor::ANONYMOUS, Actor::from)
    }
}

impl Granted {
    fn is_granted(&self, verb: Verb, repository: Option<&RepoName>) -> bool {
        let mut rights = self.rights.iter().flat_map(|rights| rights.iter());
        rights.any(|right| right.is_to(verb, repository)) && self.key.permits(verb, repository)
    }

    fn is_in_token(&self, verb: Verb, repository: Option<&RepoName>) -> bool {
        let Some(resources) = self.shown.token() else { return true };
        resources.iter().any(|resource| resource.covers(verb, repository))
    }
}
