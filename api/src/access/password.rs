//! Passwords: hashed with Argon2id (RFC 9106), and checked where it holds nobody up.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc};
use hmac::Mac as _;
use lru::LruCache;
use proto::access::{AccountName, PasswordHash};
use proto::limits::LOGINS_PER_CLIENT_AT_ONCE;

use super::AccessKeySecret;
use crate::allowances::{Quota, Share};
use crate::client::Client;
use crate::error::Error;
use crate::mac::mac;
use crate::offload::offload;
use crate::registry::random;

/// Shortest password that is taken, in bytes (NIST SP 800-63B, section 5.1.1.2).
const BYTES_MIN: usize = 8;
/// Longest password that is looked at, in bytes.
const BYTES_MAX: usize = 1024;
/// Passwords that are checked at once: each takes 19 MiB and some 20 ms of a core, or 250 ms where
/// there is a hash of bcrypt of the greatest cost.
const AT_ONCE: usize = 2;
/// Of these, those of one client, so that no client alone keeps all others waiting.
const OF_CLIENT_AT_ONCE: usize = 1;
/// How many of one client wait for their turn: as many as it may try at once.
const WAITING_OF_CLIENT: usize = LOGINS_PER_CLIENT_AT_ONCE as usize;
/// How many of all clients wait, for each turn at once: as many as have one in time where each
/// takes the usual 20 ms.
const WAITING: usize = 250;
/// How long a password waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// Passwords that were found right and need no second check, as many that were found wrong, and as
/// many clients and accounts, of which one was let in as the other.
const KEPT: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// A password that somebody wants to have.
pub(crate) struct NewPassword(String);

impl NewPassword {
    /// `text`, when it can be a password.
    ///
    /// # Errors
    /// [`Error::BadRequest`], when it is too short or too long, or would be taken for a key.
    pub(crate) fn new(text: String) -> Result<Self, Error> {
        if AccessKeySecret::is_meant_by(&text) {
            return Err(Error::BadRequest(
                "a password does not begin as access keys do: choose another".to_owned(),
            ));
        }
        if (BYTES_MIN..=BYTES_MAX).contains(&text.len()) {
            return Ok(Self(text));
        }
        Err(Error::BadRequest(format!("a password has {BYTES_MIN} to {BYTES_MAX} bytes")))
    }
}

/// Hashes and checks passwords, and remembers those that were right.
pub(crate) struct Passwords {
    turns: Quota,
    /// Passwords that were right for a hash, by a code of both under a key that only this process
    /// has: another hash is another entry, so nothing here can be out of date.
    right: Mutex<LruCache<Code, ()>>,
    /// Passwords that were wrong for the hash of an account, or for one that there is not: a client
    /// that sends one again has learnt nothing, and a machine with an outdated one does so all day.
    wrong: Mutex<LruCache<Code, ()>>,
    /// With which of them a client was let in last as an account.
    let_in: Mutex<LruCache<(Client, AccountName), Code>>,
    key: [u8; 32],
}

/// Stands for a password and the hash that it is right for.
type Code = [u8; 32];

impl Passwords {
    pub(crate) fn new() -> Result<Self, Error> {
        let codes = || Mutex::new(LruCache::new(KEPT));
        let turns = Quota::with_lines(AT_ONCE, OF_CLIENT_AT_ONCE, WAITING, WAITING_OF_CLIENT);
        let let_in = Mutex::new(LruCache::new(KEPT));
        Ok(Self { turns, right: codes(), wrong: codes(), let_in, key: random()? })
    }

    /// A turn of `client`, when it comes to one.
    ///
    /// # Errors
    /// [`Error::TooManyLogins`] when it does not in time, or too many of its own wait already.
    pub(crate) async fn turn(&self, client: Client) -> Result<Share, Error> {
        let turn = self.turns.wait(client, PATIENCE).await;
        turn.ok_or(Error::TooManyLogins { retry_after: PATIENCE })
    }

    /// The hash of a new password that `client` has sent, with a fresh salt.
    ///
    /// # Errors
    /// As [`Passwords::turn`].
    pub(crate) async fn hash(
        &self,
        client: Client,
        new: NewPassword,
    ) -> Result<PasswordHash, Error> {
        let turn = self.turn(client).await?;
        let salt = random::<16>()?;
        let internal = |error: &dyn ToString| Error::Internal(error.to_string());
        let hash = move || Argon2::default().hash_password_with_salt(new.0.as_bytes(), &salt);
        let (hash, _turn) = during(turn, hash).await?;
        let hash: phc::PasswordHash = hash.map_err(|error| internal(&error))?;
        hash.to_string().parse().map_err(|error| internal(&error))
    }

    /// Whether `password` is known to match `hash`, without a new check.
    pub(crate) fn is_known(&self, password: &str, hash: &str) -> bool {
        let code = self.code(password, hash);
        self.right.lock().unwrap_or_else(PoisonError::into_inner).get(&code).is_some()
    }

    /// Whether `password` was wrong for `account` with this `hash` before.
    pub(crate) fn is_known_wrong(
        &self,
        account: &AccountName,
        password: &str,
        hash: Option<&str>,
    ) -> bool {
        let code = self.code_for(account, password, hash);
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).get(&code).is_some()
    }

    /// Remembers that `password` is wrong for `account` with this `hash`.
    pub(crate) fn note_wrong(&self, account: &AccountName, password: &str, hash: Option<&str>) {
        let code = self.code_for(account, password, hash);
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).put(code, ());
    }

    /// Whether `client` was let in last as `account` with `password`, and the hash of that is still
    /// `hash`.
    pub(crate) fn has_let_in(
        &self,
        client: Client,
        account: &AccountName,
        password: &str,
        hash: &str,
    ) -> bool {
        let mut let_in = self.let_in.lock().unwrap_or_else(PoisonError::into_inner);
        let known = let_in.get(&(client, account.clone())).copied();
        drop(let_in);
        known.is_some_and(|code| code == self.code(password, hash))
    }

    /// Remembers that `client` is let in as `account` with `password`, which is right for `hash`.
    pub(crate) fn let_in(&self, client: Client, account: &AccountName, password: &str, hash: &str) {
        let code = self.code(password, hash);
        let mut let_in = self.let_in.lock().unwrap_or_else(PoisonError::into_inner);
        let_in.put((client, account.clone()), code);
    }

    /// Forgets with what `client` was let in as `account`.
    pub(crate) fn forget(&self, client: Client, account: &AccountName) {
        let mut let_in = self.let_in.lock().unwrap_or_else(PoisonError::into_inner);
        let_in.pop(&(client, account.clone()));
    }

    /// Whether `password` matches `hash`, of Argon2 or bcrypt, found out in `turn`. What does not
    /// takes as long as any other that does not, without a hash too; and where there are users with
    /// hashes of bcrypt, of `bcrypt_cost` at most, as long as both kinds: so that nobody learns
    /// from the time who has an account, and where.
    pub(crate) async fn check(
        &self,
        turn: Share,
        password: &str,
        hash: Option<&str>,
        bcrypt_cost: Option<u32>,
    ) -> Result<bool, Error> {
        if password.len() > BYTES_MAX {
            return Ok(false);
        }
        let (text, wanted) = (password.to_owned(), hash.map(str::to_owned));
        let check = move || matches(&text, wanted.as_deref(), bcrypt_cost);
        // Until it is remembered: the next request may have the same one.
        let (is_right, _turn) = during(turn, check).await?;
        if is_right && let Some(hash) = hash {
            let code = self.code(password, hash);
            self.right.lock().unwrap_or_else(PoisonError::into_inner).put(code, ());
        }
        Ok(is_right)
    }

    /// The code of a password for an account that may have no hash, as one that does not exist:
    /// nobody must learn from the time which ones do.
    fn code_for(&self, account: &AccountName, password: &str, hash: Option<&str>) -> Code {
        let hash = format!("{account} {}", hash.unwrap_or_default());
        self.code(password, &hash)
    }

    fn code(&self, password: &str, hash: &str) -> Code {
        let mut mac = mac(&self.key);
        // A hash has no zero byte, so what is before it cannot be taken for part of a password.
        mac.update(hash.as_bytes());
        mac.update(b"\0");
        mac.update(password.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

/// Does `work`, during which it has its `turn`, also when nobody waits for it any more: who hangs
/// up and asks again must not have more of it at once. Gives the turn back with what came of it.
async fn during<T, W>(turn: Share, work: W) -> Result<(T, Share), Error>
where
    T: Send + 'static,
    W: FnOnce() -> T + Send + 'static,
{
    offload(move || (work(), turn)).await
}

/// Whether `password` matches `hash`. When it does not, all has been done that a hash of either
/// kind could take.
fn matches(password: &str, hash: Option<&str>, bcrypt_cost: Option<u32>) -> bool {
    let parts = hash.and_then(|hash| hash.parse::<bcrypt::HashParts>().ok());
    let argon = hash.filter(|_| parts.is_none());
    let is_right = match (&parts, argon) {
        (Some(_), _) => hash.is_some_and(|hash| bcrypt::verify(password, hash).unwrap_or(false)),
        (None, Some(hash)) => phc::PasswordHash::new(hash).is_ok_and(|hash| {
            Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
        }),
        (None, None) => false,
    };
    if is_right {
        return true;
    }
    if argon.is_none() {
        let _ = Argon2::default().hash_password_with_salt(password.as_bytes(), &[0; 16]);
    }
    if let Some(most) = bcrypt_cost {
        // Each cost takes twice as long as the one before: from its own cost on, they add up to the
        // greatest.
        let costs = match &parts {
            Some(parts) => parts.get_cost()..most,
            None => most..most + 1,
        };
        for cost in costs {
            let _ = bcrypt::hash_with_salt(password, cost, [0; 16]);
        }
    }
    false
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test panics")]

    use std::sync::Arc;

    use super::*;

    impl Passwords {
        async fn is_right(&self, password: &str, hash: Option<&str>, cost: Option<u32>) -> bool {
            let turn = self.turn(Client::UNKNOWN).await.unwrap();
            self.check(turn, password, hash, cost).await.unwrap()
        }
    }

    fn client(last: u8) -> Client {
        std::net::IpAddr::from([10, 0, 0, last]).into()
    }

    #[tokio::test]
    async fn only_the_password_itself_matches_its_hash() {
        let passwords = Passwords::new().unwrap();
        let new = || NewPassword::new("correct horse".to_owned()).unwrap();
        let hash = passwords.hash(client(1), new()).await.unwrap();
        let again = passwords.hash(client(1), new()).await.unwrap();
        assert_ne!(hash.expose(), again.expose(), "each has its own salt");
        assert!(hash.expose().starts_with("$argon2id$"));

        let hash = hash.expose();
        assert!(!passwords.is_known("correct horse", hash));
        assert!(!passwords.is_right("wrong horse", Some(hash), None).await);
        assert!(!passwords.is_right("correct horse", None, None).await);
        assert!(passwords.is_right("correct horse", Some(hash), None).await);
        assert!(passwords.is_known("correct horse", hash));
        assert!(!passwords.is_known("correct horse", again.expose()));
        assert!(!passwords.is_known("wrong horse", hash));
    }

    #[tokio::test]
    async fn hashes_of_bcrypt_are_checked_too() {
        let hash = bcrypt::hash("correct horse", 4).unwrap();
        let passwords = Passwords::new().unwrap();
        assert!(passwords.is_right("correct horse", Some(&hash), None).await);
        assert!(!passwords.is_right("wrong", Some(&hash), None).await);
        assert!(!passwords.is_right("x", Some("$2y$broken"), None).await);
    }

    #[tokio::test]
    async fn where_there_are_hashes_of_both_kinds_each_still_counts() {
        let passwords = Passwords::new().unwrap();
        let argon = NewPassword::new("correct horse".to_owned()).unwrap();
        let argon = passwords.hash(client(1), argon).await.unwrap();
        let bcrypt = bcrypt::hash("correct horse", 4).unwrap();
        for hash in [argon.expose(), bcrypt.as_str()] {
            assert!(passwords.is_right("correct horse", Some(hash), Some(4)).await);
            assert!(!passwords.is_right("wrong horse", Some(hash), Some(4)).await);
        }
        assert!(!passwords.is_right("correct horse", None, Some(4)).await);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn work_that_nobody_waits_for_any_more_keeps_its_turn() {
        let passwords = Arc::new(Passwords::new().unwrap());
        let (end, ending) = std::sync::mpsc::channel::<()>();
        let ending = Arc::new(Mutex::new(ending));
        for last in 1..=2 {
            let (begin, begun) = tokio::sync::oneshot::channel();
            let (passwords, ending) = (Arc::clone(&passwords), Arc::clone(&ending));
            let work = move || {
                begin.send(()).unwrap();
                ending.lock().unwrap().recv().unwrap();
            };
            let waiting = tokio::spawn(async move {
                let turn = passwords.turn(client(last)).await.unwrap();
                during(turn, work).await
            });
            begun.await.unwrap();
            waiting.abort();
            assert!(waiting.await.unwrap_err().is_cancelled());
        }
        assert!(passwords.turns.take(client(3)).is_none());
        for _ in 0..AT_ONCE {
            end.send(()).unwrap();
        }
        let turn = passwords.turn(client(3)).await.unwrap();
        assert_eq!(during(turn, || 7).await.unwrap().0, 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_with_many_passwords_leaves_a_turn_to_others() {
        let passwords = Passwords::new().unwrap();
        let _held = passwords.turn(client(1)).await.unwrap();
        let refused = passwords.turn(client(1)).await.unwrap_err();
        assert!(matches!(refused, Error::TooManyLogins { .. }), "{refused}");
        let begun = tokio::time::Instant::now();
        let other = passwords.turn(client(2)).await.unwrap();
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert!(passwords.turn(client(3)).await.is_err(), "there are two turns");
        drop(other);
        passwords.turn(client(3)).await.unwrap();
    }

    #[test]
    fn a_password_is_neither_short_nor_endless() {
        for (length, is_taken) in [(0, false), (7, false), (8, true), (1024, true), (1025, false)] {
            assert_eq!(NewPassword::new("x".repeat(length)).is_ok(), is_taken, "{length}");
        }
    }
}
