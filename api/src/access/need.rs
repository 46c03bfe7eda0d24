//! What a request needs to be permitted.

use std::fmt;

use http::Method;
use proto::RepoName;
use proto::access::{AccountName, Verb};

use super::Caller;
use crate::endpoint::{AccessEndpoint, Endpoint};

/// What a request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing: it is for those who have yet to show who they are.
    Nothing,
    /// To have shown who asks, if only with a token for nobody: what clients ask first, to be told
    /// where tokens are.
    Credentials,
    /// To have shown who asks, as for [`Need::Credentials`]; the answer lists what they may read.
    /// Credentials are demanded even where anybody may read some repositories: clients that have
    /// credentials send them only when they are asked.
    Catalog,
    /// A verb on a repository.
    Verb(Verb, RepoName),
    /// To push into the first repository what the second one has.
    Mount { into: RepoName, from: RepoName },
    /// To administer the registry.
    Administration,
    /// To administer the registry, or to be the account in question, by its password.
    Own(AccountName),
    /// To give the account a key or a password: who may do what is its own, but not by one of its
    /// keys, which would outlive itself.
    Renewal(AccountName),
}

/// Whether a need is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Met {
    /// It is.
    Yes,
    /// It is not, but with a token for more it would be.
    WithAnotherToken,
    /// It is not.
    No,
}

impl Need {
    /// What `method` needs at `endpoint`.
    pub(crate) fn of(endpoint: &Endpoint, method: &Method) -> Self {
        let is_read = matches!(*method, Method::GET | Method::HEAD);
        match endpoint {
            Endpoint::Base => Self::Credentials,
            Endpoint::Access(endpoint) => Self::of_access(endpoint, method),
            Endpoint::Catalog => Self::Catalog,
            Endpoint::Tags(repository) | Endpoint::Referrers(repository, _) => {
                Self::Verb(Verb::Pull, repository.clone())
            }
            Endpoint::Manifest(repository, _) | Endpoint::Blob(repository, _) => {
                let verb = match *method {
                    Method::DELETE => Verb::Delete,
                    _ if is_read => Verb::Pull,
                    _ => Verb::Push,
                };
                Self::Verb(verb, repository.clone())
            }
            Endpoint::Uploads(repository) | Endpoint::Upload(repository, _) => {
                Self::Verb(Verb::Push, repository.clone())
            }
            Endpoint::Cluster | Endpoint::ClusterNode(_) => Self::Administration,
        }
    }

    fn of_access(endpoint: &AccessEndpoint, method: &Method) -> Self {
        match endpoint {
            AccessEndpoint::Token | AccessEndpoint::TokenKeys => Self::Nothing,
            AccessEndpoint::Keys(account) if *method == Method::POST => {
                Self::Renewal(account.clone())
            }
            AccessEndpoint::Account(account) if *method == Method::PATCH => {
                Self::Renewal(account.clone())
            }
            AccessEndpoint::Keys(account) | AccessEndpoint::Key(account, _) => {
                Self::Own(account.clone())
            }
            AccessEndpoint::Account(account) if *method != Method::DELETE => {
                Self::Own(account.clone())
            }
            AccessEndpoint::Account(_)
            | AccessEndpoint::Accounts
            | AccessEndpoint::Roles
            | AccessEndpoint::Role(_)
            | AccessEndpoint::Grants
            | AccessEndpoint::Explanation => Self::Administration,
        }
    }

    pub(super) fn met_by(&self, caller: &Caller) -> Met {
        let is_met = match self {
            Self::Nothing => true,
            Self::Catalog if caller.has_token_for_else() => return Met::WithAnotherToken,
            Self::Credentials | Self::Catalog => caller.has_credentials(),
            Self::Verb(verb, repository) => {
                let repository = Some(repository);
                if caller.lacks_only_token(*verb, repository) {
                    return Met::WithAnotherToken;
                }
                caller.may(*verb, repository)
            }
            // Not with a token, whatever that is for: with credentials themselves.
            Self::Mount { into, from } => {
                caller.may(Verb::Push, Some(into)) && caller.may(Verb::Pull, Some(from))
            }
            Self::Administration if caller.lacks_only_token(Verb::Manage, None) => {
                return Met::WithAnotherToken;
            }
            Self::Administration => caller.may(Verb::Manage, None),
            Self::Renewal(account) if caller.is_by_key(account) => false,
            Self::Own(account) | Self::Renewal(account) => {
                caller.may(Verb::Manage, None) || caller.is_by_password(account)
            }
        };
        if is_met { Met::Yes } else { Met::No }
    }

    /// The scope that a token must be asked for to meet it, when a token can.
    pub(super) fn scope(&self) -> Option<String> {
        match self {
            Self::Verb(Verb::Push, repository) => {
                Some(format!("repository:{repository}:pull,push"))
            }
            Self::Verb(verb, repository) => Some(format!("repository:{repository}:{verb}")),
            Self::Mount { into, from } => {
                Some(format!("repository:{into}:pull,push repository:{from}:pull"))
            }
            Self::Catalog => Some("registry:catalog:*".to_owned()),
            Self::Nothing
            | Self::Credentials
            | Self::Administration
            | Self::Own(_)
            | Self::Renewal(_) => None,
        }
    }

    /// Whether tokens are good for it at all.
    pub(super) const fn takes_tokens(&self) -> bool {
        !matches!(self, Self::Administration | Self::Own(_) | Self::Renewal(_))
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::Credentials | Self::Catalog => f.write_str("credentials"),
            Self::Verb(verb, repository) => write!(f, "{verb} in {repository}"),
            Self::Mount { into, from } => write!(f, "push in {into}, and pull in {from}"),
            Self::Administration => f.write_str("manage on **"),
            Self::Own(account) => write!(f, "manage on **, or the password of {account}"),
            Self::Renewal(account) => {
                write!(f, "manage on **, or the password of {account}, and none of its keys")
            }
        }
    }
}
