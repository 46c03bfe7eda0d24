//! How often passwords are tried: each check is dear, and a guess.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use lru::LruCache;
use proto::access::AccountName;
use proto::limits::{
    LOGINS_OF_CLIENT_PER_ACCOUNT_AT_ONCE, LOGINS_OF_CLIENT_PER_ACCOUNT_PER_MINUTE,
    LOGINS_PER_ACCOUNT_AT_ONCE, LOGINS_PER_ACCOUNT_PER_MINUTE, LOGINS_PER_CLIENT_AT_ONCE,
    LOGINS_PER_CLIENT_PER_MINUTE,
};

use tokio::time::Instant;

use crate::allowances::Rate;
use crate::client::Client;
use crate::error::Error;

/// Accounts that are remembered because the checks for them have run out.
const KEPT: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// How often passwords are tried by each client, for each account, and by each client for each
/// account: that is less, so that no client alone uses up what all others have for an account.
/// A client that was let in lately is not counted, so that guesses from elsewhere lock nobody out
/// who is in.
pub(super) struct Attempts {
    by_client: Rate<Client>,
    by_client_for_account: Rate<(Client, AccountName)>,
    checks_for_account: Rate<AccountName>,
    /// Accounts whose checks have run out, and until when.
    run_out: Mutex<LruCache<AccountName, Instant>>,
}

impl Attempts {
    pub(super) fn new() -> Self {
        Self {
            by_client: Rate::new(LOGINS_PER_CLIENT_PER_MINUTE, LOGINS_PER_CLIENT_AT_ONCE),
            by_client_for_account: Rate::new(
                LOGINS_OF_CLIENT_PER_ACCOUNT_PER_MINUTE,
                LOGINS_OF_CLIENT_PER_ACCOUNT_AT_ONCE,
            ),
            checks_for_account: Rate::new(
                LOGINS_PER_ACCOUNT_PER_MINUTE,
                LOGINS_PER_ACCOUNT_AT_ONCE,
            ),
            run_out: Mutex::new(LruCache::new(KEPT)),
        }
    }

    /// Counts an attempt of `client` to log in as `account`.
    ///
    /// # Errors
    /// [`Error::TooManyLogins`] when there were too many, or no check for `account` is left.
    pub(super) fn count(&self, client: Client, account: Option<&AccountName>) -> Result<(), Error> {
        let refuse = |retry_after| Error::TooManyLogins { retry_after };
        if let Some(account) = account {
            self.by_client_for_account.take((client, account.clone())).map_err(refuse)?;
        }
        self.by_client.take(client).map_err(refuse)?;
        let mut run_out = self.run_out.lock().unwrap_or_else(PoisonError::into_inner);
        let until = account.and_then(|account| run_out.get(account)).copied();
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        left.filter(|left| !left.is_zero()).map_or(Ok(()), |left| Err(refuse(left)))
    }

    /// Counts that a password for `account` has to be checked.
    ///
    /// # Errors
    /// [`Error::TooManyLogins`] when there were too many.
    pub(super) fn count_check(&self, account: Option<&AccountName>) -> Result<(), Error> {
        let Some(account) = account else { return Ok(()) };
        self.checks_for_account.take(account.clone()).map_err(|retry_after| {
            let mut run_out = self.run_out.lock().unwrap_or_else(PoisonError::into_inner);
            run_out.put(account.clone(), Instant::now() + retry_after);
            Error::TooManyLogins { retry_after }
        })
    }
}
