//! Reading accounts, keys, roles and grants.

use proto::access::{
    AccessKey, Account, AccountName, Grant, Grantee, KeyId, Role, RoleName, TokenKey,
};
use proto::{DecodeError, Timestamp};

use crate::ReadError;
use crate::catalog::View;
use crate::catalog::keys::Table;
use crate::catalog::view::text;

#[allow(clippy::missing_errors_doc, reason = "all fail alike, see ReadError")]
impl View {
    /// The log index at which anything about access last changed; 0 when nothing ever did. While
    /// it is the same, so are all accounts, keys, roles and grants.
    pub fn access_version(&self) -> Result<u64, ReadError> {
        let Some(row) = self.get(&self.keys().access_version())? else { return Ok(0) };
        let bytes = row.as_ref().try_into().map_err(|e| DecodeError::new("access version", e));
        Ok(u64::from_be_bytes(self.or_damaged(bytes)?))
    }

    /// The account called `name`.
    pub fn account(&self, name: &AccountName) -> Result<Option<Account>, ReadError> {
        let row = self.get(&self.keys().account(name))?;
        self.or_damaged(row.map(Account::decode).transpose())
    }

    /// Up to `limit` accounts whose names come after `after`, in order.
    pub fn accounts(&self, after: Option<&str>, limit: usize) -> Result<Vec<Account>, ReadError> {
        self.rows_of(Table::Account, after, limit, Account::decode)
    }

    /// The access key `id`.
    pub fn access_key(&self, id: KeyId) -> Result<Option<AccessKey>, ReadError> {
        let row = self.get(&self.keys().access_key(id))?;
        self.or_damaged(row.map(AccessKey::decode).transpose())
    }

    /// When the access key `id` was last used, to the [`proto::limits::KEY_USE_INTERVAL`]; `None`
    /// when never.
    pub fn key_use(&self, id: KeyId) -> Result<Option<Timestamp>, ReadError> {
        let Some(row) = self.get(&self.keys().key_use(id))? else { return Ok(None) };
        let millis = row.as_ref().try_into().map_err(|e| DecodeError::new("use of a key", e));
        Ok(Some(Timestamp::from_millis(u64::from_be_bytes(self.or_damaged(millis)?))))
    }

    /// The access keys of `account`, in order of their ids.
    pub fn access_keys_of(&self, account: &AccountName) -> Result<Vec<AccessKey>, ReadError> {
        let mut ids = Vec::new();
        let prefix = self.keys().keys_of(account);
        self.visit(&prefix, None, usize::MAX, |id, _| ids.push(text("key", id)))?;
        let mut keys = Vec::new();
        for id in ids {
            keys.extend(self.access_key(self.or_damaged(id)?)?);
        }
        Ok(keys)
    }

    /// The role called `name`, whether every cluster has it or this one alone.
    pub fn role(&self, name: &RoleName) -> Result<Option<Role>, ReadError> {
        if let Some(role) = Role::built_in().find(|role| role.name == *name) {
            return Ok(Some(role));
        }
        let row = self.get(&self.keys().role(name))?;
        self.or_damaged(row.map(Role::decode).transpose())
    }

    /// Every role, those first that every cluster has.
    pub fn roles(&self) -> Result<Vec<Role>, ReadError> {
        let mut roles: Vec<Role> = Role::built_in().collect();
        roles.extend(self.rows_of(Table::Role, None, usize::MAX, Role::decode)?);
        Ok(roles)
    }

    /// Every grant, in order.
    pub fn grants(&self) -> Result<Vec<Grant>, ReadError> {
        self.rows_of(Table::Grant, None, usize::MAX, Grant::decode)
    }

    /// The grants to `grantee`, in order.
    pub(super) fn grants_to(&self, grantee: &Grantee) -> Result<Vec<Grant>, ReadError> {
        let mut grants = Vec::new();
        self.visit(&self.keys().grants_to(grantee), None, usize::MAX, |_, row| {
            grants.push(Grant::decode(row.to_vec().into()));
        })?;
        self.or_damaged(grants.into_iter().collect())
    }

    /// Whether `grant` was made.
    pub(super) fn has_grant(&self, grant: &Grant) -> Result<bool, ReadError> {
        Ok(self.get(&self.keys().grant(grant))?.is_some())
    }

    /// The keys whose tokens count, the one that signs last.
    pub fn token_keys(&self) -> Result<Vec<TokenKey>, ReadError> {
        self.rows_of(Table::TokenKey, None, usize::MAX, TokenKey::decode)
    }

    /// The key that signs tokens at `now`; `None` when another must be added before.
    pub fn token_key(&self, now: Timestamp) -> Result<Option<TokenKey>, ReadError> {
        let newest = self.token_keys()?.pop();
        Ok(newest.filter(|key| key.since.is_recent(now, proto::limits::TOKEN_KEY_LIFETIME)))
    }

    fn rows_of<T>(
        &self,
        table: Table,
        after: Option<&str>,
        limit: usize,
        decode: impl Fn(bytes::Bytes) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, ReadError> {
        let mut rows = Vec::new();
        self.visit(&self.keys().table(table), after, limit, |_, row| {
            rows.push(decode(row.to_vec().into()));
        })?;
        self.or_damaged(rows.into_iter().collect())
    }
}
