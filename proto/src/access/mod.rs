//! Who may do what: accounts with their passwords and keys, roles made of verbs, and the grants
//! that give a role to somebody on some repositories.
//!
//! A [`Grant`] says "`grantee` has `role` on what `pattern` matches". Nothing is permitted without
//! one. An [`AccessKey`] stands for its account, and may be limited to a part of what that may do.

mod account;
mod change;
mod grant;
mod key;
mod name;
mod password;
mod pattern;
mod refusal;
mod role;
mod token_key;
mod verb;

pub use account::{Account, AccountKind};
pub use change::{AccessChange, AccessCommand, TokenSeed};
pub use grant::{Grant, Grantee, GranteeError};
pub use key::{AccessKey, KeyId, KeyScope, KeyScopeError, SecretHash};
pub use name::{AccountName, GroupName, NameError, RoleName};
pub use password::{PasswordHash, PasswordHashError};
pub use pattern::{RepoPattern, RepoPatternError};
pub use refusal::AccessRefusal;
pub use role::Role;
pub use token_key::TokenKey;
pub use verb::{Verb, VerbError, Verbs};
