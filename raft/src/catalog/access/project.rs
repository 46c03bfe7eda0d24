//! From what changed about access to its rows.

use proto::access::AccessChange;
use storage::Batch;

use crate::catalog::keys::Keys;

/// Adds to `batch` what `change`, which happened at the log index `version`, changes in the rows.
pub(in crate::catalog) fn project(
    keys: Keys,
    version: u64,
    change: &AccessChange,
    batch: &mut Batch,
) {
    if !matches!(change, AccessChange::KeyUsed { .. }) {
        batch.put(keys.access_version(), version.to_be_bytes());
    }
    match change {
        AccessChange::AccountPut(account) => {
            batch.put(keys.account(&account.name), account.encode());
        }
        AccessChange::AccountRemoved(name) => batch.delete(keys.account(name)),
        AccessChange::KeyCreated(key) => {
            batch.put(keys.access_key(key.id), key.encode());
            batch.put(keys.key_of(&key.account, key.id), []);
        }
        AccessChange::KeyRevoked { account, key } => {
            batch.delete(keys.access_key(*key));
            batch.delete(keys.key_of(account, *key));
            batch.delete(keys.key_use(*key));
        }
        AccessChange::KeyUsed { key, when } => {
            batch.put(keys.key_use(*key), when.as_millis().to_be_bytes());
        }
        AccessChange::RolePut(role) => batch.put(keys.role(&role.name), role.encode()),
        AccessChange::RoleRemoved(name) => batch.delete(keys.role(name)),
        AccessChange::Granted(grant) => batch.put(keys.grant(grant), grant.encode()),
        AccessChange::GrantRevoked(grant) => batch.delete(keys.grant(grant)),
        AccessChange::TokenKeyAdded(key) => batch.put(keys.token_key(key.id), key.encode()),
        AccessChange::TokenKeyRetired(id) => batch.delete(keys.token_key(*id)),
    }
}
