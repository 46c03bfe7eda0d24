//! The endpoints about access: tokens, accounts, keys, roles and grants.

use proto::access::{AccountName, KeyId, RoleName};

use super::PathError;

/// What a path below `/roadstead/v1/` addresses that is about access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AccessEndpoint {
    /// `/roadstead/v1/token`
    Token,
    /// `/roadstead/v1/token/keys`
    TokenKeys,
    /// `/roadstead/v1/accounts`
    Accounts,
    /// `/roadstead/v1/accounts/<name>`
    Account(AccountName),
    /// `/roadstead/v1/accounts/<name>/keys`
    Keys(AccountName),
    /// `/roadstead/v1/accounts/<name>/keys/<id>`
    Key(AccountName, KeyId),
    /// `/roadstead/v1/roles`
    Roles,
    /// `/roadstead/v1/roles/<name>`
    Role(RoleName),
    /// `/roadstead/v1/grants`
    Grants,
    /// `/roadstead/v1/explanation`
    Explanation,
}

impl AccessEndpoint {
    /// Reads `path`, without `/roadstead/v1/`. `None` when it is about something else.
    pub(super) fn parse(path: &str) -> Option<Result<Self, PathError>> {
        let parts: Vec<&str> = path.split('/').collect();
        let found = match parts.as_slice() {
            ["token"] => Ok(Self::Token),
            ["token", "keys"] => Ok(Self::TokenKeys),
            ["accounts"] => Ok(Self::Accounts),
            ["accounts", name] => name.parse().map(Self::Account).map_err(PathError::AccessName),
            ["accounts", name, "keys"] => {
                name.parse().map(Self::Keys).map_err(PathError::AccessName)
            }
            ["accounts", name, "keys", id] => match (name.parse(), id.parse()) {
                (Ok(name), Ok(id)) => Ok(Self::Key(name, id)),
                (Err(error), _) => Err(PathError::AccessName(error)),
                (_, Err(_)) => Err(PathError::NoEndpoint),
            },
            ["roles"] => Ok(Self::Roles),
            ["roles", name] => name.parse().map(Self::Role).map_err(PathError::AccessName),
            ["grants"] => Ok(Self::Grants),
            ["explanation"] => Ok(Self::Explanation),
            _ => return None,
        };
        Some(found)
    }

    /// The endpoint's form, as metrics name it.
    pub(super) const fn route(&self) -> &'static str {
        match self {
            Self::Token => "/roadstead/v1/token",
            Self::TokenKeys => "/roadstead/v1/token/keys",
            Self::Accounts => "/roadstead/v1/accounts",
            Self::Account(_) => "/roadstead/v1/accounts/{name}",
            Self::Keys(_) => "/roadstead/v1/accounts/{name}/keys",
            Self::Key(..) => "/roadstead/v1/accounts/{name}/keys/{id}",
            Self::Roles => "/roadstead/v1/roles",
            Self::Role(_) => "/roadstead/v1/roles/{name}",
            Self::Grants => "/roadstead/v1/grants",
            Self::Explanation => "/roadstead/v1/explanation",
        }
    }

    /// The methods it has.
    pub(crate) const fn allow(&self) -> &'static str {
        match self {
            Self::Token | Self::Accounts | Self::Keys(_) => "GET, POST",
            Self::TokenKeys | Self::Roles | Self::Explanation => "GET",
            Self::Account(_) => "GET, PATCH, DELETE",
            Self::Key(..) => "DELETE",
            Self::Role(_) => "PUT, DELETE",
            Self::Grants => "GET, POST, DELETE",
        }
    }
}
