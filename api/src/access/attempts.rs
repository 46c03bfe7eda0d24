//! How often passwords are tried: each check is dear, and a guess.

use proto::access::AccountName;
use proto::limits::{
    LOGINS_OF_CLIENT_PER_ACCOUNT_AT_ONCE, LOGINS_OF_CLIENT_PER_ACCOUNT_PER_MINUTE,
    LOGINS_PER_ACCOUNT_AT_ONCE, LOGINS_PER_ACCOUNT_PER_MINUTE, LOGINS_PER_CLIENT_AT_ONCE,
    LOGINS_PER_CLIENT_PER_MINUTE,
};

use crate::allowances::Rate;
use crate::client::Client;
use crate::error::Error;

/// How often passwords are tried by each client, for each account, and by each client for each
/// account: that is less, so that no client alone uses up what all others have for an account.
/// A password that was found right lately needs no check, so that guesses lock nobody out who is
/// in.
pub(super) struct Attempts {
    by_client: Rate<Client>,
    for_account: Rate<AccountName>,
    by_client_for_account: Rate<(Client, AccountName)>,
}

impl Attempts {
    pub(super) fn new() -> Self {
        Self {
            by_client: Rate::new(LOGINS_PER_CLIENT_PER_MINUTE, LOGINS_PER_CLIENT_AT_ONCE),
            for_account: Rate::new(LOGINS_PER_ACCOUNT_PER_MINUTE, LOGINS_PER_ACCOUNT_AT_ONCE),
            by_client_for_account: Rate::new(
                LOGINS_OF_CLIENT_PER_ACCOUNT_PER_MINUTE,
                LOGINS_OF_CLIENT_PER_ACCOUNT_AT_ONCE,
            ),
        }
    }

    /// Counts an attempt of `client` to log in as `account`.
    ///
    /// # Errors
    /// [`Error::TooManyLogins`] when there were too many.
    pub(super) fn count(&self, client: Client, account: Option<&AccountName>) -> Result<(), Error> {
        let refuse = |retry_after| Error::TooManyLogins { retry_after };
        self.by_client.take(client).map_err(refuse)?;
        let Some(account) = account else { return Ok(()) };
        self.by_client_for_account.take((client, account.clone())).map_err(refuse)?;
        self.for_account.take(account.clone()).map_err(refuse)
    }
}
